package test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/sluice-gateway/sluice/test/harness"
)

// TestExplainIsWhatHappens explains requests by the command and then sends them.
func TestExplainIsWhatHappens(t *testing.T) {
	_, gw, key := startCascade(t, `    escalate_if: [{id: words, if: 'request.text.contains("contract")'}]
  - {name: watch, match: request.model == "watched", mode: observe, light: `+cascadeLight+`, escalation: `+cascadeEscalation+`}
  - {name: sure, match: request.model == "sure", mode: enforce, light: `+cascadeLight+`, partner: `+cascadePartner+`, escalation: `+cascadeEscalation+`, certificate: no.such.cert}
`)
	f := func(model, text, path, reason string, roles ...string) {
		t.Helper()
		out := harness.Run(t, 0, nil, "explain", "--config", gw.ConfigFile(), "--key", key.KeyID, "--model", model, "--text",
			text, "--format", "json")
		var e struct {
			Path, Reason string
			Legs         []struct{ Role, Model string }
		}
		if err := json.Unmarshal([]byte(out), &e); err != nil {
			t.Fatal(err)
		}
		got := make([]string, len(e.Legs))
		for i := range e.Legs {
			got[i] = e.Legs[i].Role
		}
		if e.Path != path || e.Reason != reason || fmt.Sprint(got) != fmt.Sprint(roles) {
			t.Errorf("%s %s: explained as %s %q %v, want %s %q %v", model, text, e.Path, e.Reason, got, path, reason, roles)
		}
		sent := gw.Post(t, key.BearerCredential, "/model/"+model+"/converse",
			`{"messages":[{"role":"user","content":[{"text":"`+text+`"}]}]}`)
		h := sent.Header
		if h.Get("x-sluice-path") != path || h.Get("x-sluice-model") != e.Legs[0].Model || path == "direct" &&
			h.Get("x-sluice-reason") != reason {
			t.Errorf("%s %s: sent, it goes %s %q to %s; explained as %s %q to %s", model, text,
				h.Get("x-sluice-path"), h.Get("x-sluice-reason"), h.Get("x-sluice-model"), path, reason, e.Legs[0].Model)
		}
	}
	f("auto", "hello", "light", "", "light", "partner", "escalation")
	f("auto", "a contract", "direct", "words", "escalation")
	f("watched", "hello", "direct", "mode_observe", "escalation")
	f("sure", "hello", "direct", "uncertified", "escalation")
	f(cascadeLight, "hello", "passthrough", "", "sole")
}
