package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/sluice-gateway/sluice/test/ports"
)

// own is a gateway of this repository, started for the checks.
type own struct {
	target
	cmd  *exec.Cmd
	dir  string
	log  bytes.Buffer
	gone chan struct{}
}

// The cap of the capped key of a gateway of our own.
const ownCap = 300

const ownConfig = `listen: %[1]s
admin: {listen: %[2]s}
data_dir: ./data
upstream: {region: us-east-1, endpoint: %[3]q, bearer_token: of-the-upstream, %[8]s}
allowed_accounts: ["123456789012"]
tenants:
  - {id: plain, keys: [%[4]s]}
  - {id: capped, keys: [%[5]s], output_tokens: {default: 200, max: %[7]d}}
  - {id: dollar, keys: [%[6]s], budgets: [{period: month, usd: 1}]}
`

// key is what `gateway keys new --json` prints.
type key struct {
	KeyID  string `json:"key_id"`
	Bearer string `json:"bearer"`
	ID     string `json:"access_key_id"`
	Secret string `json:"secret_access_key"`
}

// startOwn starts a program in a new directory, in front of an upstream, and waits until it is ready. The configuration
// of the upstream has `more` besides.
func startOwn(program, upstream, more string) (o *own, err error) {
	dir, err := os.MkdirTemp("", "conformance-")
	if err != nil {
		return nil, err
	}
	o = &own{dir: dir, gone: make(chan struct{})}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	environment := append(os.Environ(), "SLUICE_ROOT_SECRET=a root secret for checks")
	var keys [3]key
	for i, tenant := range []string{"plain", "capped", "dollar"} {
		cmd := exec.Command(program, "keys", "new", "--tenant", tenant, "--json") //nolint:noctx // it ends by itself
		cmd.Env = environment
		out, err := cmd.Output()
		if err != nil {
			return nil, fmt.Errorf("%s keys new: %w", program, err)
		}
		if err := json.Unmarshal(out, &keys[i]); err != nil {
			return nil, err
		}
	}
	port, release, err := ports.Servers.Take()
	if err != nil {
		return nil, err
	}
	defer release()
	adminPort, releaseAdmin, err := ports.Servers.Take()
	if err != nil {
		return nil, err
	}
	defer releaseAdmin()
	addr, admin := ports.Addr(port), ports.Addr(adminPort)
	o.target = target{url: "http://" + addr, key: keys[0].Bearer, id: keys[0].ID, secret: keys[0].Secret,
		capped: keys[1].Bearer, most: ownCap, dollar: keys[2].Bearer}
	file := filepath.Join(dir, "sluice.yaml")
	text := fmt.Sprintf(ownConfig, addr, admin, upstream, keys[0].KeyID, keys[1].KeyID, keys[2].KeyID, ownCap, more)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	o.cmd = exec.Command(program, "serve", "--config", file) //nolint:noctx // stop ends it
	o.cmd.Env, o.cmd.Stdout, o.cmd.Stderr = environment, &o.log, &o.log
	if err := o.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = o.cmd.Wait() // stop says how it ended
		close(o.gone)
	}()
	return o, o.ready("http://" + admin + "/readyz")
}

func (o *own) ready(url string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		if res, err := http.DefaultClient.Do(req); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-o.gone:
			return fmt.Errorf("the gateway stopped:\n%s", &o.log)
		case <-ctx.Done():
			o.stop()
			return fmt.Errorf("the gateway does not become ready:\n%s", &o.log)
		case <-time.After(25 * time.Millisecond):
		}
	}
}

// stop ends the gateway and removes its directory.
func (o *own) stop() {
	_ = o.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-o.gone:
	case <-time.After(patience):
		_ = o.cmd.Process.Kill()
		<-o.gone
	}
	_ = os.RemoveAll(o.dir)
}
