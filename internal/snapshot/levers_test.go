package snapshot

import (
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/advice"
	"github.com/sluice-gateway/sluice/test/harness"
)

// TestOpen: a lever is open where the tenant's own policy, or that of those above it, lets it be pulled and nobody has.
func TestOpen(t *testing.T) {
	cfg, err := config.Load(harness.File(t, "test.yaml", `
upstream: {region: us-east-1, endpoint: sandbox}
upstreams: {gov: {region: us-gov-west-1, endpoint: sandbox}}
tenants:
  - {id: free}
  - {id: free/any, residency: any}
  - {id: near, residency: region}
  - {id: near/below}
  - {id: wide, residency: geo}
  - {id: gov, upstream: gov}
  - {id: picky, require: [indemnity]}
  - {id: few, models: ["us.anthropic.*"]}
  - {id: denies, deny_models: ["global.anthropic.*"]}
  - {id: flexed, tier: {try: flex}}
  - {id: flexed/below}
  - {id: asks, operations: [converse]}
  - {id: batches, operations: [converse, batch], batch: {hold_usd: 5, roles: ["*"]}}
  - {id: points, prompt_cache: {inject: auto}}
`), func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	s, problems := Compile(cfg, nil, time.Now())
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	const sonnet, mistral = "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "mistral.mistral-large-2402-v1:0"
	const embed = "us.cohere.embed-v4:0"
	f := func(id, lever, model string, want bool) {
		t.Helper()
		if got := s.Open(id, lever, model); got != want {
			t.Errorf("%s of %s for %s: %t", lever, id, model, got)
		}
	}
	for id, want := range map[string]bool{
		"free": true, "free/unknown/user": true, "nobody": true, "free/any": false, "near": false, "near/below": false,
		"near/below/unknown": false, "wide": false, "gov": false, "few": false, "denies": false, "asks": true,
	} {
		f(id, advice.GlobalProfile, sonnet, want)
	}
	f("free", advice.GlobalProfile, mistral, false) // there is none
	f("picky", advice.GlobalProfile, sonnet, true)
	f("free", advice.GlobalProfile, embed, true)
	f("picky", advice.GlobalProfile, embed, false) // its maker does not give the term in full
	for id, want := range map[string]bool{"free": true, "near": true, "flexed": false, "flexed/below": false} {
		f(id, advice.Flex, "amazon.nova-pro-v1:0", want)
	}
	for id, want := range map[string]bool{"free": true, "asks": false, "batches": true} {
		f(id, advice.Batch, sonnet, want)
	}
	f("free", advice.PromptCache, sonnet, true)
	f("points", advice.PromptCache, sonnet, false)
}
