package main

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/sluice-gateway/sluice/internal/cascade/recorded"
	"github.com/sluice-gateway/sluice/internal/money"
)

// audited is a run whose own books are held against the stand-in's log.
type audited struct {
	lines  []line
	saving reportedSaving
}

// reportedSaving is a row of `gateway report savings --format json`.
type reportedSaving struct {
	Cascade        string `json:"cascade"`
	Spent          amount `json:"spent_usd"`
	Counterfactual amount `json:"counterfactual_usd"`
	Answers        int    `json:"answers"`
	Basis          string `json:"basis"`
}

// amount is dollars as a decimal string, or null.
type amount struct {
	money.Pico
	known bool
}

// UnmarshalJSON fails on what is neither null nor an amount.
func (a *amount) UnmarshalJSON(raw []byte) error {
	var text *string
	if err := json.Unmarshal(raw, &text); err != nil || text == nil {
		return err
	}
	var err error
	a.Pico, err = money.ParseDollars(*text)
	a.known = err == nil
	return err
}

// sampled is the share of what light answered that the escalation model is asked
// as well, so that its length is known for more than what was hard enough to
// escalate. How well a mean is known depends on how many answers it is of; so
// the prompts are sent several times.
const (
	sampled = 0.1
	passes  = 5
)

// audit sends the prompts of the first policy again, with shadows, and asks the
// gateway what it saved.
func (b *bench) audit(data []recorded.Row, answers script) (a audited, err error) {
	up := startStandIn(answers, b.back)
	defer up.Close()
	questions := questionsOf(usable(data, nova))
	if len(questions) == 0 {
		return a, nil
	}
	g, err := b.configure(setting{mode: "check", policies: []policy{nova}, shadow: sampled}, up)
	if err != nil {
		return a, err
	}
	var jobs []job
	for range passes {
		jobs = append(jobs, plan(questions, nova, b.rng)...)
	}
	if a.lines, err = b.replay(g, up, jobs); err != nil {
		return a, err
	}
	for i := range a.lines {
		a.lines[i].Row = "books"
	}
	a.saving, err = g.saving(nova)
	return a, err
}

// saving is what the gateway says that a cascade saved.
func (g *gateway) saving(p policy) (r reportedSaving, err error) {
	out, err := g.run("report", "savings", "--config", g.config(), "--format", "json")
	if err != nil {
		return r, err
	}
	var rows []reportedSaving
	if err := json.Unmarshal(out, &rows); err != nil {
		return r, err
	}
	at := slices.IndexFunc(rows, func(r reportedSaving) bool { return r.Cascade == p.name })
	if at < 0 {
		return r, fmt.Errorf("no saving of %s: %s", p.name, out)
	}
	return rows[at], nil
}

// booksBar compares the saving that the gateway reports with that by the
// stand-in's log: against what the escalation model would have cost for the
// same prompts, which the gateway does not know.
func booksBar(b bar, a audited, score scorer) bar {
	said, truth, spend, ok := a.compare(score)
	if !ok {
		b.got, b.verdict = "the gateway does not claim a saving", notRunnable
		return b
	}
	b.got = fmt.Sprintf("%.2f points apart: reported %.2f %% (mean length of %d %s answers), "+
		"replayed %.2f %%; spend %.4f points apart",
		100*(said-truth), 100*said, a.saving.Answers, a.saving.Basis, 100*truth, 100*spend)
	b.verdict = judged(said-truth <= 0.01 && truth-said <= 0.01)
	return b
}

// unsampledBar is the same for a gateway that asks for no sample of what light
// answered. It warns, so the row is only reported.
func unsampledBar(b bar, a audited, score scorer) bar {
	if b = booksBar(b, a, score); b.verdict != notRunnable {
		b.verdict = reported
	}
	return b
}

// compare returns the reported saving, the replayed one, and by how much spend
// differs, as shares; false when there is nothing to compare.
func (a *audited) compare(score scorer) (said, truth, spend float64, ok bool) {
	var spent, full float64
	for i := range a.lines {
		l := &a.lines[i]
		full += score.full(l)
		for _, g := range l.Legs {
			spent += float64(g.cost)
		}
	}
	if full == 0 || !a.saving.Counterfactual.known {
		return 0, 0, 0, false
	}
	books := float64(a.saving.Spent.Pico)
	return 1 - books/float64(a.saving.Counterfactual.Pico), 1 - spent/full, (books - spent) / full, true
}
