package test

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/test/clients"
	"github.com/sluice-gateway/sluice/test/harness"
)

// TestAnthropicSDKs runs Anthropic's own SDKs against the gateway: calls, streams, betas, tools, counts, models and
// errors, with Claude and with a model of another family.
func TestAnthropicSDKs(t *testing.T) {
	l := theLane(t)
	g, _, key := dialects(t, `rules:
  - {match: {text: weather}, answer: {text: "I look.", tool: {name: weather, input: {city: Rome}}, stop_reason: tool_use}}
`+strings.TrimPrefix(script, "rules:\n"), "", "")
	for _, model := range []string{sonnetName, "amazon.nova-lite-v1:0"} {
		for name, command := range map[string][]string{
			"python": {l.python("anthropic"), filepath.Join(l.root, "test/clients/python/messages_client.py")},
			"js":     {l.node(), filepath.Join(l.js(), "messages.mjs")},
		} {
			t.Run(name+"/"+model, func(t *testing.T) { runMessages(t, g, key, model, command) })
		}
	}
}

func runMessages(t *testing.T, g *harness.Gateway, key harness.Key, model string, command []string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	cmd.Dir = filepath.Dir(command[1])
	cmd.Env = clients.Env(g.URL(), "ANTHROPIC_BASE_URL="+g.URL(), "ANTHROPIC_API_KEY="+key.Bearer, "MODEL="+model,
		"LISTED="+sonnetID)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s%s", err, out, errs.String())
	}
	var got map[string]call
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	for _, name := range []string{"plain", "stream", "beta", "tools"} {
		if got[name].Text != hello || got[name].Tokens != 11 {
			t.Errorf("%s: %+v", name, got[name])
		}
	}
	if got["count"].Tokens == 0 || got["models"].Text != "listed" {
		t.Errorf("%+v %+v", got["count"], got["models"])
	}
	wantFailure(t, "error", got["error"], 400, "")
	wantFailure(t, "throttle", got["throttle"], 429, "")
}
