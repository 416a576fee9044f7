package snapshot

import (
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
)

// TestRefusals names what the defaults refuse, and says nothing where they do not.
func TestRefusals(t *testing.T) {
	const hidden = "arn:aws:bedrock:us-east-1:1:application-inference-profile/x"
	cfg := &config.Config{
		UnknownFamily: "refuse", Aliases: map[string]string{"a": hidden, "b": "amazon.nova-lite-v1:0"},
		Tenants: []config.Tenant{{ID: "plain"}},
	}
	says := func(want ...string) {
		t.Helper()
		s, _ := Compile(cfg, nil, time.Now())
		got := s.Refusals()
		if len(got) != len(want) {
			t.Fatalf("%q", got)
		}
		for i := range want {
			if !strings.Contains(got[i], want[i]) || !strings.Contains(got[i], hidden) || strings.Contains(got[i], "nova") {
				t.Errorf("%q, want %q in it", got[i], want[i])
			}
		}
	}
	says()
	cfg.Tenants = append(cfg.Tenants,
		config.Tenant{ID: "capped", OutputTokens: &config.OutputTokens{Max: 5}},
		config.Tenant{ID: "cut", OutputTokens: &config.OutputTokens{Max: 5, UnknownFamily: "cut"}},
		config.Tenant{ID: "free", OutputTokens: &config.OutputTokens{Max: 5, UnknownFamily: "allow"}},
		config.Tenant{ID: "denying", DenyModels: []string{"x"}})
	says("output_tokens.max of capped:", "of cut: a stream", "deny_models of denying:")
}
