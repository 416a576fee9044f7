package main

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/sluice-gateway/sluice/internal/money"
)

// The recorded models, as the files name them.
const (
	mini   = "gpt-4o-mini-2024-07-18"
	flash  = "gemini-1.5-flash"
	llama8 = "Meta-Llama-3.1-8B-Instruct"
	llama7 = "Meta-Llama-3.1-70B-Instruct"
	sonnet = "claude-3-5-sonnet-20241022"

	// Those of the multiple-choice questions, which other people recorded.
	choiceFlash = "gemini-1.5-flash-002"
	choicePro   = "gemini-1.5-pro-002"
	choiceLlama = "Meta-Llama-3_1-70B-Instruct"
)

// rate is a price in dollars per thousand tokens.
type rate struct{ in, out string }

// rates are those of the evaluation: the stand-ins of the Nova class at the
// price of Nova Lite, those of the multiple-choice questions at the prices of
// Claude 3.5 Haiku and Sonnet, the others at Bedrock's list.
var rates = map[string]rate{
	mini:        {"0.00006", "0.00024"},
	flash:       {"0.00006", "0.00024"},
	llama8:      {"0.00022", "0.00022"},
	llama7:      {"0.00072", "0.00072"},
	sonnet:      {"0.003", "0.015"},
	choiceFlash: {"0.0008", "0.004"},
	choicePro:   {"0.003", "0.015"},
	choiceLlama: {"0.00072", "0.00072"},
	chatLight:   {"0.00006", "0.00024"},
	chatSecond:  {"0.00006", "0.00024"},
	chatFull:    {"0.003", "0.015"},
}

// cost is what a recorded model's call costs. A rate that does not parse is a
// mistake in the table above.
func cost(model string, in, out int) money.Pico {
	price := func(text string) money.Price {
		perThousand, err := money.ParseDollars(text)
		if err != nil {
			panic("BUG: " + err.Error())
		}
		return money.Price(perThousand) * 1000 // per million
	}
	return money.Cost(int64(in), price(rates[model].in)) + money.Cost(int64(out), price(rates[model].out))
}

// policy is one cascade of the evaluation. Its legs are declared to speak one
// dialect, so that InvokeModel bodies fit all of them, as the legs of a cascade
// in service have to.
type policy struct{ name, dialect, light, partner, escalation string }

var (
	nova    = policy{"nova", anthropic, mini, flash, sonnet}
	llama   = policy{"llama", openAI, llama8, llama7, sonnet}
	choices = policy{"choices", openAI, choiceFlash, choiceLlama, choicePro}

	policies = []policy{nova, llama, choices}
)

// models are those that the policy asks.
func (p policy) models() []string {
	if p.partner == "" {
		return []string{p.light, p.escalation}
	}
	return []string{p.light, p.partner, p.escalation}
}

// renamed are ids that tell nothing of the models behind them, by policy and
// recorded model.
type renamed map[string]string

// add names the models of more policies.
func (ids renamed) add(policies []policy, rng *rand.Rand) renamed {
	for _, p := range policies {
		for _, model := range p.models() {
			ids[p.name+"/"+model] = "eval.m" + token(rng, 4) + "-v1:0"
		}
	}
	return ids
}

func (ids renamed) of(p policy, model string) string { return ids[p.name+"/"+model] }

// recordedNames is the way back.
func (ids renamed) recordedNames() map[string]string {
	back := map[string]string{}
	for name, id := range ids {
		_, back[id], _ = strings.Cut(name, "/")
	}
	return back
}

func token(rng *rand.Rand, bytes int) string {
	b := make([]byte, bytes)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return hex.EncodeToString(b)
}

// setting is how a gateway of the evaluation is configured.
type setting struct {
	mode        string // check, observe, enforce
	policies    []policy
	certificate string  // file, for enforce
	score       string  // file, "" for none
	shadow      float64 // share of requests that another model is asked as well
}

// files are the configuration of a gateway, by name. The checks have more time
// than in service, because a busy machine must not decide anything.
func (s *setting) files(ids renamed, upstream, keyID string) map[string]string {
	var cascades, aliases, prices, models strings.Builder
	for _, p := range s.policies {
		fmt.Fprintf(&aliases, "  ask-%s: %q\n", p.name, ids.of(p, p.escalation))
		fmt.Fprintf(&cascades, "  - name: %s\n    match: request.model == \"ask-%s\"\n    mode: %s\n"+
			"    session: {off: true}\n    check_timeout: 30s\n    light: %q\n    escalation: %q\n",
			p.name, p.name, s.mode, ids.of(p, p.light), ids.of(p, p.escalation))
		if p.partner != "" {
			fmt.Fprintf(&cascades, "    partner: %q\n", ids.of(p, p.partner))
		}
		if s.score != "" {
			fmt.Fprintf(&cascades, "    score: %q\n", s.score)
		}
		if s.certificate != "" {
			fmt.Fprintf(&cascades, "    certificate: %q\n", s.certificate)
		}
		if s.shadow > 0 {
			fmt.Fprintf(&cascades, "    shadow: {fraction: %g, tenant: %s}\n", s.shadow, shadowTenant)
		}
		for _, m := range p.models() {
			fmt.Fprintf(&prices, "  - {models: [%q], input: %s, output: %s}\n", ids.of(p, m), rates[m].in, rates[m].out)
			fmt.Fprintf(&models, "  - {ids: [%q], dialect: %s, accepts: [converse, system]}\n", ids.of(p, m), p.dialect)
		}
	}
	return map[string]string{
		"sluice.yaml": fmt.Sprintf("upstream:\n"+
			"  {region: us-east-1, endpoint: %q, bearer_token: stand-in, retry: {max_attempts: 1}}\n"+
			"prices: [prices.yaml]\nmodels: [models.yaml]\naliases:\n%stenants: [{id: %s, keys: [%s]}, {id: %s}]\ncascades:\n%s",
			upstream, aliases.String(), tenant, keyID, shadowTenant, cascades.String()),
		"prices.yaml": "per: thousand\neffective: 2026-01-01\nsource: \"evaluation\"\nprices:\n" + prices.String(),
		"models.yaml": "source: evaluation\nmodels:\n" + models.String(),
	}
}

const (
	tenant       = "eval"
	shadowTenant = "eval/shadow"
)
