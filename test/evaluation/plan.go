package main

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"

	"github.com/sluice-gateway/sluice/internal/cascade/recorded"
	"github.com/sluice-gateway/sluice/internal/money"
)

// The recorded models, as the files name them.
const (
	mini   = "gpt-4o-mini-2024-07-18"
	flash  = "gemini-1.5-flash"
	llama8 = "Meta-Llama-3.1-8B-Instruct"
	llama7 = "Meta-Llama-3.1-70B-Instruct"
	sonnet = "claude-3-5-sonnet-20241022"
)

// rate is a price in dollars per thousand tokens.
type rate struct{ in, out string }

// rates are those of the evaluation: the stand-ins of the Nova class at the
// price of Nova Lite, the others at Bedrock's list.
var rates = map[string]rate{
	mini:   {"0.00006", "0.00024"},
	flash:  {"0.00006", "0.00024"},
	llama8: {"0.00022", "0.00022"},
	llama7: {"0.00072", "0.00072"},
	sonnet: {"0.003", "0.015"},
}

// policy is one cascade of the evaluation.
type policy struct{ name, light, partner, escalation string }

var policies = []policy{
	{"nova", mini, flash, sonnet},
	{"llama", llama8, llama7, sonnet},
}

// renamed are ids that tell nothing of the models behind them, by policy and
// recorded model.
type renamed map[string]string

func rename(rng *rand.Rand) renamed {
	ids := renamed{}
	for _, p := range policies {
		for _, model := range []string{p.light, p.partner, p.escalation} {
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

// job is one request. Tag is its shuffled id, which the stand-in sees.
type job struct {
	tag    string
	policy policy
	row    *recorded.Row
	stream bool
}

// plan makes a request for each prompt and policy that the data can answer, in
// a shuffled order. One in three is streamed.
func plan(rows []recorded.Row, rng *rand.Rand) []job {
	var jobs []job
	for _, p := range policies {
		for _, r := range usable(rows, p) {
			jobs = append(jobs, job{tag: token(rng, 12), policy: p, row: r, stream: rng.IntN(3) == 0})
		}
	}
	rng.Shuffle(len(jobs), func(i, k int) { jobs[i], jobs[k] = jobs[k], jobs[i] })
	return jobs
}

// usable are the rows with the answers of all legs.
func usable(rows []recorded.Row, p policy) []*recorded.Row {
	var out []*recorded.Row
	for i := range rows {
		_, light := rows[i].Answers[p.light]
		_, partner := rows[i].Answers[p.partner]
		_, full := rows[i].Answers[p.escalation]
		if light && partner && full {
			out = append(out, &rows[i])
		}
	}
	return out
}

// easy reports whether a prompt belongs to the four fifths of the 80/20 mix.
func easy(r *recorded.Row) bool { return strings.HasPrefix(r.Task, "gsm") }

// readAll reads every file of a folder.
func readAll(dir string) ([]recorded.Row, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil {
		return nil, err
	}
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = strings.TrimSuffix(filepath.Base(f), ".jsonl")
	}
	return recorded.Read(dir, names...)
}

// cost is what a recorded model's call costs. A rate that does not parse is a
// mistake in the table above.
func cost(model string, in, out int) money.Pico {
	price := func(text string) money.Price {
		p, err := money.ParsePricePerThousand(text)
		if err != nil {
			panic("BUG: " + err.Error())
		}
		return p
	}
	return money.Cost(int64(in), price(rates[model].in)) + money.Cost(int64(out), price(rates[model].out))
}

// configuration is the gateway's, and the files that it names.
func configuration(ids renamed, upstream, keyID string) (main, prices, models string) {
	var c, aliases, list, known strings.Builder
	for _, p := range policies {
		fmt.Fprintf(&aliases, "  ask-%s: %q\n", p.name, ids.of(p, p.escalation))
		fmt.Fprintf(&c, "  - name: %s\n    match: request.model == \"ask-%s\"\n    mode: check\n    session: {off: true}\n    light: %q\n    partner: %q\n    escalation: %q\n",
			p.name, p.name, ids.of(p, p.light), ids.of(p, p.partner), ids.of(p, p.escalation))
		for _, m := range []string{p.light, p.partner, p.escalation} {
			fmt.Fprintf(&list, "  - {models: [%q], input: %s, output: %s}\n", ids.of(p, m), rates[m].in, rates[m].out)
			fmt.Fprintf(&known, "  - {ids: [%q], dialect: openai-compatible, accepts: [converse, system]}\n", ids.of(p, m))
		}
	}
	main = fmt.Sprintf("upstream: {region: us-east-1, endpoint: %q, bearer_token: stand-in, retry: {max_attempts: 1}}\n"+
		"prices: [prices.yaml]\nmodels: [models.yaml]\naliases:\n%stenants: [{id: eval, keys: [%s]}]\ncascades:\n%s", upstream, aliases.String(), keyID, c.String())
	prices = "per: thousand\neffective: 2026-01-01\nsource: \"evaluation\"\nprices:\n" + list.String()
	return main, prices, "source: evaluation\nmodels:\n" + known.String()
}
