//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/sluice-gateway/sluice/bench/proc"
)

const rootSecret = "root secret of a benchmark"

// setting is a way to run Sluice. Its zero value is the least that it does: a
// key, the journal, a signature.
type setting struct {
	everything bool    // three rules of which one reads text, cap, budgets, spans
	sample     float64 // share of requests that are traced
	partner    bool    // check the light answer with a second light model
	redis      bool    // ledger in Redis
	tenants    int     // further tenants, a hundred in each included file
	rules      int     // further rules, each with its number in rule
	rule       string
	aliases    int // further aliases of models
	keys       int // further keys of the tenant
	binary     string
	slow       bool // upstream that takes ten seconds for a stream
}

// full has everything on.
func full(binary string) setting { return setting{binary: binary, everything: true, sample: 0.1} }

// gateways are the settings that rows compare, by the first half of their names.
func gateways(binary string) map[string]setting {
	all := full(binary)
	spans, redis, check := all, all, all
	spans.sample, redis.redis, check.partner = 1, true, true
	return map[string]setting{
		"minimal": {binary: binary}, "full": all, "spans": spans, "redis": redis, "check": check,
		"sigv4": all, "h2": all, // these differ in the caller
	}
}

// startGateway starts Sluice in a new folder.
func (g *rig) startGateway(ctx context.Context, s setting) (*running, error) {
	if s.redis {
		if err := g.needRedis(ctx); err != nil {
			return nil, err
		}
	}
	dir, err := os.MkdirTemp(g.dir, "gateway-")
	if err != nil {
		return nil, err
	}
	key, err := g.secrets.Credentials(g.keyID(0))
	if err != nil {
		return nil, err
	}
	r := &running{dir: dir, key: key, headers: []string{"Authorization: Bearer " + key.Bearer}}
	for _, addr := range []*string{&r.addr, &r.admin, &r.pprof} {
		if *addr, err = proc.FreeAddr(); err != nil {
			return nil, err
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "sluice.yaml"), []byte(g.config(s, r)), 0o600); err != nil {
		return nil, err
	}
	if err := g.writeTenants(r, s.tenants); err != nil {
		return nil, err
	}
	args := []string{"serve", "--config", filepath.Join(dir, "sluice.yaml")}
	if profiles(ctx, s.binary) {
		args = append(args, "--pprof", r.pprof)
	} else {
		r.pprof = ""
	}
	cmd := exec.Command(s.binary, args...)
	cmd.Env = append(os.Environ(), "SLUICE_ROOT_SECRET="+rootSecret,
		"AWS_ACCESS_KEY_ID=AKIDBENCH", "AWS_SECRET_ACCESS_KEY=secret")
	r.Process, err = g.start(ctx, cmd, g.subjectCPU, r.addr)
	return r, err
}

// profiles reports whether a gateway can serve profiles: older ones cannot.
func profiles(ctx context.Context, binary string) bool {
	out, _ := exec.CommandContext(ctx, binary, "serve", "--help").Output()
	return strings.Contains(string(out), "--pprof")
}

// config is the configuration of the gateway.
func (g *rig) config(s setting, r *running) string {
	upstream := g.standIn
	if s.slow {
		upstream = g.slow
	}
	var y strings.Builder
	fmt.Fprintf(&y, `listen: %s
admin: {listen: %s}
data_dir: ./data
upstream: {region: us-east-1, endpoint: "http://%s"}
aliases:
  auto: us.anthropic.claude-sonnet-4-5-20250929-v1:0
`, r.addr, r.admin, upstream)
	for i := range s.aliases {
		fmt.Fprintf(&y, "  name%d: us.anthropic.claude-sonnet-4-5-20250929-v1:0\n", i)
	}
	if s.redis {
		fmt.Fprintf(&y, "ledger: {redis: \"redis://%s/0\"}\n", g.redis)
	}
	if s.tenants > 0 {
		y.WriteString("include: [\"tenants.d/*.yaml\"]\n")
	}
	if !s.everything {
		fmt.Fprintf(&y, "tenants:\n  - {id: acme/bench, keys: [%s]}\n", r.key.KeyID)
		return y.String()
	}
	keys := []string{r.key.KeyID}
	for i := range s.keys {
		keys = append(keys, g.keyID(s.tenants+1+i))
	}
	fmt.Fprintf(&y, everything, g.standIn, s.sample, strings.Join(keys, ", "))
	y.WriteString(moreRules(s.rules, s.rule))
	if s.partner {
		y.WriteString("    mode: check\n    partner: us.meta.llama3-1-8b-instruct-v1:0\n    unknown: accept\n")
	} else {
		y.WriteString("    mode: rules\n")
	}
	return y.String()
}

// everything is on in it. The verbs are for the sink of spans, the share of
// requests that are traced, and the keys.
const everything = `telemetry: {otlp: "http://%s", sample: %g}
tenants:
  - {id: acme, budgets: [{period: month, usd: 9000000}]}
  - id: acme/bench
    keys: [%s]
    output_tokens: {default: 500, max: 1000}
    budgets: [{period: day, usd: 9000000}]
cascades:
  - name: bench
    match: request.model == "auto"
    light: amazon.nova-lite-v1:0
    escalation: us.anthropic.claude-sonnet-4-5-20250929-v1:0
    escalate_if:
      - {id: long, if: request.input_tokens > 500000}
      - {id: tools, if: request.tools > 20}
      - {id: proof, if: 'request.text.contains("prove this theorem")'}
`
