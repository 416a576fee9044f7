package router

import (
	"testing"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/wire"
)

func TestUpstream(t *testing.T) {
	cfg := baseConfig()
	cfg.Upstreams = map[string]config.Upstream{"eu": {Region: "eu-west-1"}, "blank": {}}
	cfg.ModelUpstreams = []config.ModelUpstream{
		{Glob: "eu.*", Name: "eu"}, {Glob: "arn:aws:bedrock:eu-west-1:*", Name: "eu"},
		{Glob: "eu.amazon.*", Name: "blank"}, {Glob: "*:imported-model/*", Name: "blank"},
	}
	r := mustCompile(t, cfg)
	f := func(model, tenantUpstream, want string) {
		t.Helper()
		got, err := r.Upstream(model, tenantUpstream)
		if err != nil || got != want {
			t.Errorf("Upstream(%s, %q) = %q, %v; want %q", model, tenantUpstream, got, err, want)
		}
	}
	f(sonnet, "", "")
	f(sonnet, "eu", "eu")
	f("eu.amazon.nova-lite-v1:0", "", "eu") // the first glob wins
	f("eu.amazon.nova-lite-v1:0", "blank", "eu")
	f("arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.x", "", "eu")
	f("arn:aws:bedrock:us-east-1::foundation-model/"+lite, "", "")
	f("arn:aws:bedrock:ap-south-1:123456789012:imported-model/abc", "", "blank") // region not configured

	refuse := func(model, tenantUpstream string) {
		t.Helper()
		got, err := r.Upstream(model, tenantUpstream)
		if err == nil || err.Kind != wire.KindValidation {
			t.Errorf("Upstream(%s, %q) = %q, %v; want a validation error", model, tenantUpstream, got, err)
		}
	}
	refuse("arn:aws:bedrock:us-west-2::foundation-model/"+lite, "")
	refuse("arn:aws:bedrock:us-east-1::foundation-model/"+lite, "eu")
}

func TestDialect(t *testing.T) {
	r := mustCompile(t, baseConfig())
	f := func(asked, body, want string) {
		t.Helper()
		got := ""
		if d := r.Dialect(asked, []byte(body)); d != nil {
			got = d.Name
		}
		if got != want {
			t.Errorf("Dialect(%s, %s) = %q, want %q", asked, body, got, want)
		}
	}
	const body = `{"anthropic_version":"bedrock-2023-05-31","max_tokens":1,"messages":[]}`
	f(lite, body, "nova")
	f(sonnet, `{}`, claude.Name)
	f("auto", body, claude.Name)
	f("auto", `{"prompt":"hi","max_gen_len":5}`, claude.Name)                     // nobody's here
	f("auto", `{"messages":[],"query":"x","documents":[]}`, claude.Name)          // M4: no leg speaks that
	f("auto", `{"messages":[{"role":"user","content":[{"text":"hi"}]}]}`, "nova") // could be many, and the light leg's
	f("auto", `{}`, claude.Name)                                                  // nothing to go by but the alias's model
	f(nobody, `{}`, "")
}

// TestCascadeOnMantle: a model of a cascade cannot be at the host bedrock-mantle, which has no Converse.
func TestCascadeOnMantle(t *testing.T) {
	for glob, path := range map[string]string{
		lite: "cascades[0].light", sonnet: "cascades[0].escalation", "openai.gpt-5.4": "", lite + "x": "",
	} {
		cfg := baseConfig()
		cfg.Upstreams = map[string]config.Upstream{"m": {Kind: "mantle", Region: "us-east-1"}, "n": {Kind: "runtime"}}
		cfg.ModelUpstreams = []config.ModelUpstream{{Glob: glob, Name: "m"}, {Glob: "*", Name: "n"}}
		r, problems := Compile(cfg)
		found := ""
		for _, p := range problems {
			if !p.Warning && found == "" {
				found = p.Path
			}
		}
		if found != path || !r.Mantle("m") || r.Mantle("n") || r.Mantle("") {
			t.Errorf("%s: %v", glob, problems)
		}
	}
}
