package leg

import (
	"testing"

	"github.com/sluice-gateway/sluice/internal/wire"
)

// TestGlobalProfilesKeepTiers looks which model a request goes to, and which tier it tries, of a tenant whose requests
// may go anywhere. The list has no flex price of Nova 2 Lite's global profile, and half the price for the other one.
func TestGlobalProfilesKeepTiers(t *testing.T) {
	const (
		flex     = "residency: any, tier: {try: flex, then: default}"
		nova     = "us.amazon.nova-2-lite-v1:0"
		anywhere = "global.amazon.nova-2-lite-v1:0"
	)
	f := func(policy, asked, want, tier string) {
		t.Helper()
		p := newWorldOf(t, "{id: acme, "+policy+"}", wire.Target{Op: wire.OpConverse, Model: asked}).routed(t)
		if p.Model != want || p.Tiers().Try != tier || p.Price == nil {
			t.Errorf("%s, %s: asks %s on %q, want %s on %q", policy, asked, p.Model, p.Tiers().Try, want, tier)
		}
	}
	f("residency: any", nova, anywhere, "")
	f(flex, nova, nova, "flex")
	f(flex, "amazon.nova-2-lite-v1:0", "amazon.nova-2-lite-v1:0", "flex")
	f(flex, anywhere, anywhere, "")
	f("residency: any, tier: {try: default, then: priority}", nova, anywhere, "default")
	f(flex, "us.anthropic.claude-sonnet-5", "global.anthropic.claude-sonnet-5", "") // has no tiers at all
}
