package router

import (
	"slices"
	"testing"
)

// TestSecondLegs has the legs whose answers nobody gets: the partner where an
// answer is checked, the shadows where a cascade observes.
func TestSecondLegs(t *testing.T) {
	f := func(mode, partner string, shadows []string, edit func(*Input)) {
		t.Helper()
		cfg := baseConfig()
		cfg.Cascades[0].Mode, cfg.Cascades[0].Partner = mode, haiku
		in := converse("auto")
		edit(in)
		r := mustCompile(t, cfg)
		plan, err := r.Legs(in, r.Match(in)) // with a certificate that holds
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if plan.Partner != nil {
			got = plan.Partner.Model
		}
		var seen []string
		for _, leg := range plan.Shadows {
			seen = append(seen, leg.Model)
		}
		if got != partner || !slices.Equal(seen, shadows) {
			t.Errorf("mode %s: partner %q, shadows %q", mode, got, seen)
		}
	}
	deny := func(model string) func(*Input) {
		return func(in *Input) {
			in.Policy = policy(func(ids ...string) bool { return !slices.Contains(ids, model) })
		}
	}
	asIs := func(*Input) {}
	long := func(in *Input) { in.Facts.InputTokens = 30_001 }
	f("check", haiku, nil, asIs)
	f("enforce", haiku, nil, asIs)
	f("rules", "", nil, asIs)
	f("observe", "", []string{lite, haiku}, asIs)
	f("check", "", nil, deny(haiku))
	f("observe", "", []string{lite}, deny(haiku))
	f("observe", "", nil, deny(lite))
	f("check", "", nil, deny(lite))
	f("check", "", nil, long)
	f("observe", "", nil, long)
}

// TestDirect has what was learned send a request directly to escalation, where
// neither rules nor mode have decided.
func TestDirect(t *testing.T) {
	r := mustCompile(t, baseConfig())
	in := converse("auto")
	m := r.Match(in)
	if !m.Open() {
		t.Errorf("nothing keeps the request from the light model, but %q does", m.Direct)
	}
	m.Direct = "session"
	if got := show(r.Legs(in, m)); got != "escalation sonnet; direct session; skipped lite=session" {
		t.Error(got)
	}
	in.Facts.InputTokens = 30_001
	if m = r.Match(in); m.Open() {
		t.Error("a rule matches, and the request is open")
	}
	if got := show(r.Legs(in, m)); got != "escalation sonnet; direct long; skipped lite=long" {
		t.Error(got)
	}
}
