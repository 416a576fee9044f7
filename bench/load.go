//go:build linux

package main

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/sluice-gateway/sluice/bench/proc"
)

const contentType = "Content-Type: application/json"

//go:embed wrk.lua
var wrkScript []byte

// load is a kind of request, and how many callers send it at once.
type load struct {
	name        string // "2k": the second half of the names of its rows
	body, path  string
	connections int
}

func (l load) url(r *running) string { return "http://" + r.addr + l.path }

// errRefused is a load that was not answered as it should be.
var errRefused = errors.New("requests failed")

// send lets the callers send for a while. It returns how many requests were
// answered.
func (g *rig) send(ctx context.Context, r *running, l load, caller string, lasting time.Duration) (int, error) {
	switch caller {
	case "h2":
		return g.h2load(ctx, r, l, lasting)
	case "sigv4":
		headers, err := g.sign(ctx, r, l)
		if err != nil {
			return 0, err
		}
		return g.wrk(ctx, r, l, headers, lasting)
	default:
		return g.wrk(ctx, r, l, r.headers, lasting)
	}
}

func (g *rig) wrk(ctx context.Context, r *running, l load, headers []string, lasting time.Duration) (int, error) {
	script := filepath.Join(g.dir, "wrk.lua")
	if err := os.WriteFile(script, wrkScript, 0o600); err != nil {
		return 0, err
	}
	headers = append([]string{contentType}, headers...)
	cmd := exec.CommandContext(ctx, "wrk", "-t1", "-c", strconv.Itoa(l.connections),
		"-d", fmt.Sprintf("%ds", int(lasting.Seconds())), "--timeout", "20s", "-s", script, l.url(r))
	cmd.Env = append(os.Environ(), "BODY="+g.bodies[l.body], "HEADERS="+strings.Join(headers, "\n"))
	if r.keys != "" {
		cmd.Env = append(cmd.Env, "KEYS="+r.keys)
	}
	out, err := proc.Output(cmd, g.loadCPU)
	if err != nil {
		return 0, err
	}
	return parseWrk(string(out))
}

var wrkResult = regexp.MustCompile(`RESULT (\d+) (\d+) (\d+)`)

// parseWrk reads how many requests wrk got answers to. A tenth of a percent may
// fail.
func parseWrk(out string) (int, error) {
	m := wrkResult.FindStringSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("wrk: no result in %q", out)
	}
	return within(m[1], m[2], m[3])
}

func within(all string, failed ...string) (int, error) {
	n, _ := strconv.Atoi(all)
	for _, f := range failed {
		if bad, _ := strconv.Atoi(f); n == 0 || bad*1000 > n {
			return 0, fmt.Errorf("%w: %s of %s", errRefused, f, all)
		}
	}
	return n, nil
}

func (g *rig) h2load(ctx context.Context, r *running, l load, lasting time.Duration) (int, error) {
	args := []string{"-t1", "-c", strconv.Itoa(l.connections), "-m1", "-D", strconv.Itoa(int(lasting.Seconds()))}
	args = append(args, "-d", g.bodies[l.body])
	for _, h := range append([]string{contentType}, r.headers...) {
		args = append(args, "-H", h)
	}
	out, err := proc.Output(exec.CommandContext(ctx, "h2load", append(args, l.url(r))...), g.loadCPU)
	if err != nil {
		return 0, err
	}
	return parseH2load(string(out))
}

var h2loadResult = regexp.MustCompile(`status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx`)

func parseH2load(out string) (int, error) {
	m := h2loadResult.FindStringSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("h2load: no result in %q", out)
	}
	return within(m[1], m[3], m[4])
}

// sign returns the headers of a request that is signed by Signature V4. The
// same signature is good for all requests of a round.
func (g *rig) sign(ctx context.Context, r *running, l load) ([]string, error) {
	body, err := os.ReadFile(g.bodies[l.body])
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.url(r), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:])
	key := aws.Credentials{AccessKeyID: r.key.AccessKeyID, SecretAccessKey: r.key.SecretAccessKey}
	if err := v4.NewSigner().SignHTTP(ctx, key, req, hash, "bedrock", "us-east-1", time.Now()); err != nil {
		return nil, err
	}
	return []string{
		"Authorization: " + req.Header.Get("Authorization"), "X-Amz-Date: " + req.Header.Get("X-Amz-Date"),
	}, nil
}

// ours runs our own load program, for what wrk cannot do.
type ours struct {
	Requests, Failed, Messages int
	P50                        float64 `json:"p50_us"`
	P99                        float64 `json:"p99_us"`
}

func (g *rig) ours(ctx context.Context, r *running, l load, args ...string) (ours, error) {
	args = append(args, "-url", l.url(r), "-body", g.bodies[l.body], "-H", contentType)
	for _, h := range r.headers {
		args = append(args, "-H", h)
	}
	out, err := proc.Output(exec.CommandContext(ctx, g.program("load"), args...), g.loadCPU)
	if err != nil {
		return ours{}, err
	}
	var o ours
	if err := json.Unmarshal(out, &o); err != nil {
		return ours{}, err
	}
	_, err = within(strconv.Itoa(o.Requests), strconv.Itoa(o.Failed))
	return o, err
}
