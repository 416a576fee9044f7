package test

import (
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
	got := outcomes(t, command, clients.Env(g.URL(), "ANTHROPIC_BASE_URL="+g.URL(), "ANTHROPIC_API_KEY="+key.Bearer,
		"MODEL="+model, "LISTED="+sonnetID))
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
