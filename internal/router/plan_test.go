package router

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// mustCompile compiles a configuration that has warnings at most.
func mustCompile(tb testing.TB, cfg *config.Config) *Router {
	tb.Helper()
	r, problems := Compile(cfg)
	for _, p := range problems {
		if !p.Warning {
			tb.Fatalf("%s: %s", p.Path, p.Message)
		}
	}
	return r
}

// show writes a plan on one line: "light m > escalation m; path reason; skipped
// m=reason".
func show(p *Plan, err *wire.Error) string {
	if err != nil {
		return fmt.Sprintf("%s: %s", map[wire.Kind]string{
			wire.KindAccessDenied: "denied", wire.KindValidation: "invalid",
		}[err.Kind], err.Message)
	}
	roles := [...]string{"sole", "light", "partner", "escalation"}
	var legs []string
	for _, l := range p.Legs {
		legs = append(legs, roles[l.Role]+" "+short(l.Model))
	}
	out := strings.Join(legs, " > ") + "; " + strings.TrimSpace(string(p.Path)+" "+p.Reason)
	for _, s := range p.Skipped {
		out += "; " + strings.TrimSpace("skipped "+short(s.Model)+"="+s.Reason+" "+s.Need)
	}
	for _, e := range p.RuleErrors {
		out += "; failed " + e.Cascade + "/" + e.Rule
	}
	return out
}

func short(model string) string {
	names := map[string]string{lite: "lite", haiku: "haiku", sonnet: "sonnet"}
	if name, ok := names[model]; ok {
		return name
	}
	return model
}

func TestPlanConverse(t *testing.T) {
	r := mustCompile(t, baseConfig())
	f := func(name, asked, want string, edit func(*Input)) {
		t.Helper()
		in := converse(asked)
		if edit != nil {
			edit(in)
		}
		if got := show(planOf(r, in)); got != want {
			t.Errorf("%s\n got %s\nwant %s", name, got, want)
		}
	}
	const both = "light lite > escalation sonnet; light"
	f("no cascade", sonnet, "sole sonnet; passthrough", nil)
	f("no cascade, not listed", nobody, "sole "+nobody+"; passthrough", nil)
	f("no model named", "", "sole ; passthrough", func(in *Input) { in.Facts.Op = wire.OpApplyGuardrail })
	f("cascade", "auto", both, nil)
	f("counting tokens does not cascade", "auto", "sole sonnet; passthrough",
		func(in *Input) { in.Facts.Op = wire.OpCountTokens })
	f("rule on a number", "auto", "escalation sonnet; direct long; skipped lite=long",
		func(in *Input) { in.Facts.InputTokens = 30001 })
	f("rule on text", "auto", "escalation sonnet; direct proof; skipped lite=proof",
		func(in *Input) { in.says(`{"messages":[{"role":"user","content":[{"text":"prove it"}]}]}`) })
	f("text too long to look at", "auto", "escalation sonnet; direct proof; skipped lite=proof; failed support/proof",
		func(in *Input) { in.Facts.TextBytes = maxTextBytes + 1 })
	f("system and tools", "auto", both, func(in *Input) { in.Facts.System, in.Facts.Tools = true, 2 })
	f("images", "auto", "escalation sonnet; direct unsupported; skipped lite=unsupported images",
		func(in *Input) { in.Facts.Images = 1 })
	f("documents", "auto", "escalation sonnet; direct unsupported; skipped lite=unsupported documents",
		func(in *Input) { in.Facts.Documents = 1 })
	f("cache points", "auto", "escalation sonnet; direct unsupported; skipped lite=unsupported cache points",
		func(in *Input) { in.Facts.CachePoints = 1 })
	f("reasoning", "auto", "escalation sonnet; direct unsupported; skipped lite=unsupported reasoning",
		func(in *Input) { in.Facts.ReasoningHistory = true })
	f("output", "auto", "escalation sonnet; direct unsupported; skipped lite=unsupported output",
		func(in *Input) { in.Facts.MaxTokens = wire.Known(10_001) })
	f("output under the tenant's cap", "auto", both,
		func(in *Input) { in.Facts.MaxTokens, in.MaxOutput = wire.Known(10_001), 1000 })
	f("context with the output", "claude",
		"light haiku > escalation sonnet; light",
		func(in *Input) { in.Facts.InputTokens, in.Facts.MaxTokens = 192_000, wire.Known(8000) })
	f("context with too much output", "claude",
		"escalation sonnet; direct unsupported; skipped haiku=unsupported context",
		func(in *Input) { in.Facts.InputTokens, in.Facts.MaxTokens = 192_000, wire.Known(8001) })
	f("nothing fits the context", "claude",
		"escalation sonnet; direct unsupported; skipped haiku=unsupported context",
		func(in *Input) { in.Facts.InputTokens = 200_001 })
}

func TestPlanDenied(t *testing.T) {
	r := mustCompile(t, baseConfig())
	f := func(name, asked, want string, deny ...string) {
		t.Helper()
		in := converse(asked)
		in.Policy = policy(func(ids ...string) bool {
			return !slices.ContainsFunc(ids, func(id string) bool { return slices.Contains(deny, id) })
		})
		if got := show(planOf(r, in)); got != want {
			t.Errorf("%s\n got %s\nwant %s", name, got, want)
		}
	}
	const no = "denied: You do not have access to the model "
	f("light", "auto", "escalation sonnet; direct denied; skipped lite=denied", lite)
	f("escalation", "auto", "light lite; light; skipped sonnet=denied", sonnet)
	f("both", "auto", no+lite+" or "+sonnet+".", lite, sonnet)
	f("alias", "auto", no+"auto.", "auto")
	f("model asked for", sonnet, no+sonnet+".", sonnet)
}

func TestPlanInvoke(t *testing.T) {
	r := mustCompile(t, baseConfig())
	f := func(asked, dialect, want string, edit func(*Input)) {
		t.Helper()
		in := invoke(asked, dialect)
		if edit != nil {
			edit(in)
		}
		if got := show(planOf(r, in)); got != want {
			t.Errorf("%s, body %q\n got %s\nwant %s", asked, dialect, got, want)
		}
	}
	f("auto", claude.Name, "escalation sonnet; direct dialect; skipped lite=dialect", nil)
	f("auto", "nova", "light lite; light; skipped sonnet=dialect", nil)
	f("auto", "llama", "invalid: The request body is written for another model family than auto offers ("+
		lite+", "+sonnet+"). Use Converse or the body of one of them.", nil)
	f("auto", "", "light lite > escalation sonnet; light", nil)
	f("claude", claude.Name, "light haiku > escalation sonnet; light", nil)
	f("claude", claude.Name, "escalation sonnet; direct unsupported; skipped haiku=unsupported images",
		func(in *Input) { in.Facts.Images = 1 })
	// A rule asks for escalation, but only the light model can read the body.
	f("auto", "nova", "light lite; light dialect; skipped sonnet=dialect",
		func(in *Input) { in.Facts.InputTokens = 30_001 })
	f(sonnet, "llama", "sole sonnet; passthrough", nil)
}

func TestModes(t *testing.T) {
	f := func(mode, want string) {
		t.Helper()
		cfg := baseConfig()
		cfg.Cascades[0].Mode = mode
		r := mustCompile(t, cfg)
		if got := show(planOf(r, converse("auto"))); got != want {
			t.Errorf("mode %s\n got %s\nwant %s", mode, got, want)
		}
		long := converse("auto")
		long.Facts.InputTokens = 30_001
		if got := show(planOf(r, long)); got != "escalation sonnet; direct long; skipped lite=long" {
			t.Errorf("mode %s, with a rule: %s", mode, got)
		}
	}
	f("rules", "light lite > escalation sonnet; light")
	f("check", "light lite > escalation sonnet; light")
	f("observe", "escalation sonnet; direct mode_observe; skipped lite=mode_observe")
	f("enforce", "escalation sonnet; direct uncertified; skipped lite=uncertified")
}

func TestFirstMatchWins(t *testing.T) {
	cfg := baseConfig()
	cfg.Cascades[1].Match = "true"
	r := mustCompile(t, cfg)
	f := func(asked, want string) {
		t.Helper()
		p, err := planOf(r, converse(asked))
		if err != nil || p.Cascade.Name != want {
			t.Errorf("Plan(%s): cascade %+v, %v; want %s", asked, p.Cascade, err, want)
		}
	}
	f("auto", "support")
	f("anything", "claude")
}

func TestFailingMatchKeepsTheModel(t *testing.T) {
	cfg := baseConfig()
	cfg.Cascades[0].Match = `request.headers["x-team"] == "support"`
	r := mustCompile(t, cfg)
	in := converse("auto")
	if got, want := show(planOf(r, in)), "sole sonnet; passthrough; failed support/match"; got != want {
		t.Errorf("without the header: got %s, want %s", got, want)
	}
	in.Header = wire.Header{{Name: "X-Team", Value: "support"}}
	if got, want := show(planOf(r, in)), "light lite > escalation sonnet; light"; got != want {
		t.Errorf("with the header: got %s, want %s", got, want)
	}
}

func TestAliasesInCascades(t *testing.T) {
	cfg := baseConfig()
	cfg.Aliases["small"] = lite
	cfg.Cascades[0].Light = "small"
	p, err := planOf(mustCompile(t, cfg), converse("auto"))
	if err != nil || p.Legs[0].Model != lite || p.Legs[0].Spec == nil {
		t.Errorf("legs %+v, %v; want the model behind alias small, with its entry", p.Legs, err)
	}
}

// TestOpaqueARN asks the policy about the model behind an ARN too, so that
// nobody gets a denied model by the back door.
func TestOpaqueARN(t *testing.T) {
	const arn = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc"
	cfg := baseConfig()
	cfg.Behind = map[string]string{arn: sonnet}
	r := mustCompile(t, cfg)
	in := converse(arn)
	p, err := planOf(r, in)
	if err != nil || p.Legs[0].Model != arn || p.Legs[0].Spec != r.Catalogue(sonnet) {
		t.Errorf("plan %+v, %v; want the ARN itself with the entry of its model", p, err)
	}
	in.Policy = policy(func(ids ...string) bool { return !slices.Contains(ids, sonnet) })
	if _, err := planOf(r, in); err == nil || err.Kind != wire.KindAccessDenied {
		t.Errorf("with its model denied: %v, want access denied", err)
	}
}

func TestForeignReasoning(t *testing.T) {
	f := func(lightReasons, escalationReasons bool, escalation, want string) {
		t.Helper()
		cfg := baseConfig()
		cfg.Cascades[0].Escalation = escalation
		cfg.Models[0].Reasoning, cfg.Models[2].Reasoning = lightReasons, escalationReasons
		in := converse("auto")
		in.Facts.ReasoningHistory = true
		if got := show(planOf(mustCompile(t, cfg), in)); got != want {
			t.Errorf("light %t, escalation %t %s\n got %s\nwant %s",
				lightReasons, escalationReasons, escalation, got, want)
		}
	}
	f(true, true, sonnet, "escalation sonnet; direct unsupported; skipped lite=unsupported reasoning")
	f(true, false, sonnet, "light lite; light; skipped sonnet=unsupported reasoning")
	f(false, false, sonnet, "escalation sonnet; direct unsupported; skipped lite=unsupported reasoning")
	f(true, true, "amazon.nova-pro-v1:0", "light lite > escalation amazon.nova-pro-v1:0; light")
}

func TestPathOf(t *testing.T) {
	p := &Plan{Path: Light}
	if p.PathOf(0) != Light || p.PathOf(1) != Escalated {
		t.Errorf("paths %q, %q; want light, escalated", p.PathOf(0), p.PathOf(1))
	}
}

func TestLaterCatalogueEntriesWin(t *testing.T) {
	cfg := baseConfig()
	cfg.Models = append(cfg.Models, config.Model{IDs: []string{"amazon.nova-lite-v1:0"}, MaxOutput: 7})
	r := mustCompile(t, cfg)
	f := func(model string, want int64) {
		t.Helper()
		var got int64 = -1
		if m := r.Catalogue(model); m != nil {
			got = m.MaxOutput
		}
		if got != want {
			t.Errorf("Catalogue(%s) has output %d, want %d", model, got, want)
		}
	}
	f(lite, 7)
	f("us."+lite, 7)
	f("arn:aws:bedrock:us-east-1::foundation-model/"+lite, 7)
	f("auto", 64_000)
	f(nobody, -1)
	f("arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abcdefghijkl", -1)
}
