package capability_test

import (
	"testing"

	"github.com/sluice-gateway/sluice/internal/wire/capability"
)

func TestGenerations(t *testing.T) {
	for id, is := range map[string]func(m capability.Model) bool{
		"anthropic.claude-3-haiku-20240307-v1:0": func(m capability.Model) bool {
			return !m.CachePoints && m.NamedTool && m.Sampling == capability.SamplingFree && m.Schema == capability.SchemaTool
		},
		"anthropic.claude-sonnet-4-20250514-v1:0": func(m capability.Model) bool {
			return m.Thinking == capability.ThinkingBudget && m.Sampling == capability.SamplingFree
		},
		"anthropic.claude-sonnet-4-5-20250929-v1:0": func(m capability.Model) bool {
			return m.Sampling == capability.SamplingOne && m.Schema == capability.SchemaNative && !m.NoPrefill && m.LongCache
		},
		"anthropic.claude-opus-4-6-v1": func(m capability.Model) bool {
			return m.NoPrefill && m.Effort("max") == "max" && m.Effort("xhigh") == "high"
		},
		"anthropic.claude-opus-4-7": func(m capability.Model) bool {
			return m.Sampling == capability.SamplingNone && m.Effort("max") == "xhigh" && m.Effort("minimal") == "low"
		},
		"anthropic.claude-opus-5-5": func(m capability.Model) bool { return m.AlwaysThinks && !m.AnyTool && m.SystemTurns },
		"anthropic.claude-opus-5":   func(m capability.Model) bool { return !m.AlwaysThinks && m.AnyTool },
		"amazon.nova-2-lite-v1:0":   func(m capability.Model) bool { return m.Thinking == capability.ThinkingNova },
		"amazon.nova-micro-v1:0":    func(m capability.Model) bool { return !m.Pictures && m.CachePoints },
		"openai.gpt-oss-120b-1:0": func(m capability.Model) bool {
			return m.Effort("xhigh") == "high" && m.Effort("none") == "low" && !m.NoStop
		},
		"openai.gpt-5.6": func(m capability.Model) bool { return m.NoStop && m.Effort("none") == "none" },
		"acme.unheard-of": func(m capability.Model) bool {
			return m.Family == "" && m.Pictures && m.Thinking == capability.ThinkingNone
		},
	} {
		if m := capability.Of(id); !is(m) {
			t.Errorf("%s: %+v", id, m)
		}
	}
}
