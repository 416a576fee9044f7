package tools

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/test/harness"
)

const (
	explainKey = "SLKAAAAAAAAAAAAAAAAAAAAA"

	explainConfig = `
upstream: {region: us-east-1, endpoint: sandbox}
tenants:
  - {id: acme/support, keys: [` + explainKey + `], output_tokens: {default: 500, max: 1000}}
  - {id: other}
aliases: {auto: us.anthropic.claude-sonnet-4-5-20250929-v1:0}
cascades:
  - name: support
    match: request.model == "auto"
    light: amazon.nova-lite-v1:0
    escalation: us.anthropic.claude-sonnet-4-5-20250929-v1:0
    escalate_if:
      - {id: long, if: request.input_tokens > 30000}
      - {id: team, if: '"x-team" in request.headers'}
`
)

func TestExplain(t *testing.T) {
	cfg := harness.File(t, "sluice.yaml", explainConfig)
	http := harness.File(t, "request.http", "POST /model/auto/converse-stream HTTP/1.1\nx-team: a\n\n"+`{"messages":[]}`)
	body := harness.File(t, "body.json",
		`{"messages":[{"role":"user","content":[{"text":"hello"}]}],"inferenceConfig":{"maxTokens":4096}}`)
	f := func(operation, tenant, path, reason string, legs int, args ...string) {
		t.Helper()
		out, err := output(t, append([]string{"explain", "--config", cfg, "--format", "json"}, args...)...)
		if err != nil {
			t.Fatal(err)
		}
		var e struct {
			Operation, Tenant, Path, Reason string
			Legs                            []struct{ Model string }
		}
		if err := json.Unmarshal([]byte(out), &e); err != nil {
			t.Fatal(err)
		}
		if e.Operation != operation || e.Tenant != tenant || e.Path != path || e.Reason != reason || len(e.Legs) != legs {
			t.Errorf("%q: %s", args, out)
		}
	}
	f("converse", "other", "light", "", 2, "--tenant", "other", "--model", "auto", "--text", "hello")
	f("converse", "acme/support", "direct", "long", 1, "--key", explainKey, "--model", "auto", "--input", "40000")
	f("converse-stream", "other", "direct", "team", 1, "--tenant", "other", "--request", http)
	f("converse-stream", "other", "passthrough", "", 1, "--tenant", "other", "--request", http, "--model",
		"amazon.nova-lite-v1:0")
	f("converse", "other", "direct", "team", 1, "--tenant", "other", "--model", "auto", "--header", "X-Team: b")
	f("invoke", "other", "passthrough", "", 1, "--tenant", "other", "--operation", "invoke", "--model",
		"amazon.nova-lite-v1:0", "--request", body)
	text, err := output(t, "explain", "--config", cfg, "--tenant", "acme/support", "--model", "auto", "--request", body)
	if err != nil || !strings.Contains(text, "max tokens 4096") || !strings.Contains(text, "capped at 1000") {
		t.Errorf("%v\n%s", err, text)
	}
}

func TestExplainRefuses(t *testing.T) {
	cfg := harness.File(t, "sluice.yaml", explainConfig)
	f := func(want string, args ...string) {
		t.Helper()
		_, err := output(t, append([]string{"explain", "--config", cfg}, args...)...)
		var bad command.InvalidError
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", args, err, want)
		}
	}
	f("--model MODEL is needed", "--tenant", "other")
	f("one of acme/support, other", "--model", "auto")
	f("one of acme/support, other", "--model", "auto", "--tenant", "nobody")
	f("no tenant of the configuration has the key", "--model", "auto", "--key", "SLKBBBBBBBBBBBBBBBBBBBBB")
	f("belongs to tenant acme/support, not other", "--model", "auto", "--key", explainKey, "--tenant", "other")
	f(`no operation "sing"`, "--model", "auto", "--operation", "sing")
	f("give it with --request", "--model", "auto", "--operation", "invoke")
	f("is not routed", "--model", "auto", "--operation", "count-tokens", "--request", harness.File(t, "b.json", "{}"))
	f("no header field", "--model", "auto", "--header", "bare")
	f("no format", "--model", "auto", "--format", "yaml")
	f("counts of tokens", "--model", "auto", "--output", "-1")
	f("share from 0 to 1", "--model", "auto", "--tenant", "other", "--escalated", "2")
	f("no such file", "--model", "auto", "--request", "/nonexistent")
}
