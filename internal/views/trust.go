package views

import (
	"math/big"
	"strings"

	"github.com/sluice-gateway/sluice/internal/chart"
)

// trust is how many legs are priced from reported usage, and what the others may come to.
func (a *ask) trust() error {
	rows, err := a.days()
	if err != nil {
		return err
	}
	t := &Table{Name: "states", Title: "Legs by what is known of them", Empty: noTraffic, Columns: []Column{
		{Name: "state", Title: "state", Kind: Text}, {Name: "legs", Title: "legs", Kind: Count},
		{Name: "share_percent", Title: "share", Kind: Percent}, {Name: "usd", Title: "amount", Kind: Money},
		{Name: "meaning", Title: "what that means", Kind: Text},
	}}
	s := whole(rows)
	a.Tables = []*Table{t, a.doubts(rows)}
	if s.Legs+s.Unknown == 0 {
		return nil
	}
	settled := max(0, s.Legs-s.Unknown-s.Unpriced)
	of := settled + s.Unknown + s.Unpriced
	t.Add("settled", count(settled), shareOf(settled, of), s.cost.String(),
		"usage as Bedrock reported it, at a known price")
	t.Add("suspense", count(s.Unknown), shareOf(s.Unknown, of), s.suspense.String(),
		"ended without known usage, may have been billed up to this; in no other number")
	t.Add("unpriced", count(s.Unpriced), shareOf(s.Unpriced, of), "", "usage is known, the model has no price")
	t.Totals = []string{"total", count(of), shareOf(of, of), "", ""}
	part := func(n int64) float64 { f, _ := big.NewRat(n, of).Float64(); return f }
	t.Figure = &chart.Strip{Parts: []chart.Share{
		{Name: "settled", Of: part(settled)}, {Name: "suspense", Of: part(s.Unknown)},
		{Name: "unpriced", Of: part(s.Unpriced)},
	}}
	a.Notes = append(a.Notes,
		"Settled is not reconciled: gateway reconcile compares these numbers with the AWS bill.")
	return nil
}

// doubts are whose legs are not settled.
func (a *ask) doubts(rows counted) *Table {
	t := &Table{Name: "doubts", Title: "Whose are not settled", Empty: "Everything in this period is settled.",
		Columns: []Column{
			{"tenant", "tenant", Text, "tenant", "tenant"}, {Name: "model", Title: "model", Kind: Text},
			{Name: "unknown", Title: "unknown attempts", Kind: Count},
			{Name: "suspense_usd", Title: "in suspense", Kind: Money},
			{Name: "suspense_tokens", Title: "tokens in suspense", Kind: Count},
			{Name: "unpriced", Title: "unpriced legs", Kind: Count},
		}}
	for _, e := range ranked(group(rows.each, func(r *row) string { return r.key.Tenant + "\x00" + r.key.Model })) {
		if e.Unknown != 0 || e.Unpriced != 0 || e.suspense.Sign() != 0 {
			who, model, _ := strings.Cut(e.key, "\x00")
			t.Add(who, model, count(e.Unknown), e.suspense.String(), count(e.SuspenseTokens), count(e.Unpriced))
		}
	}
	return t
}

// healthOf is what the gateway says of itself.
func healthOf(a *ask) error {
	t := &Table{Name: "facts", Title: "This gateway", Empty: "This program does not tell.", Columns: []Column{
		{Name: "what", Title: "what", Kind: Text}, {Name: "state", Title: "state", Kind: Text},
		{Name: "detail", Title: "detail", Kind: Text},
	}}
	a.Tables, a.Source = []*Table{t}, "this gateway"
	if a.shelf.from.Health == nil {
		return nil
	}
	ready, facts := a.shelf.from.Health()
	state := map[bool]string{true: "ready", false: "not ready"}[ready]
	t.Add("requests", state, "whether new requests are served")
	for _, f := range facts {
		t.Add(f.What, f.State, f.Detail)
	}
	return nil
}
