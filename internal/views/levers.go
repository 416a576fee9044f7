package views

import (
	"context"
	"time"

	"github.com/sluice-gateway/sluice/internal/advice"
	"github.com/sluice-gateway/sluice/internal/money"
)

// proved is how many whole days before today the last column of levers is of.
const proved = 7

// leversOf is what levers would save that nobody has pulled, and what those saved that are pulled.
func leversOf(a *ask) error {
	r, err := advised(a)
	if err != nil {
		return err
	}
	today := a.AsOf.UTC().Truncate(aDay)
	week, err := a.daysOf(today.Add(-proved*aDay), today)
	if err != nil {
		return err
	}
	a.Tables = []*Table{unpulled(a, r, week), pulledTable(a, r)}
	if a.shelf.from.Standing != nil && len(r.Headroom) > 0 {
		a.Tables = append(a.Tables, headroomTable(a, r))
	}
	if a.shelf.from.Prompts != nil && len(r.Injected) > 0 {
		a.Tables = append(a.Tables, injectedTable(a, r))
	}
	if r.Unpriced > 0 {
		a.Notes = append(a.Notes, plural(r.Unpriced, "row")+" without a price are left out of what levers would save.")
	}
	a.Notes = append(a.Notes,
		"Savings of several levers do not add up: who sends all by batch has nothing left for flex. How much of the use "+
			"may wait, or begins as other prompts do, is not recorded: flex, batch and the prompt cache have an interval that "+
			"begins at nothing.",
		"Levers that a tenant's policy forbids, or that are pulled, are left out.",
		"Not here, because no sum of the ledger says it: calls that came in bursts and could have waited (gateway savings), "+
			"how much capacity to buy (gateway commit-size), what an id was before residency made it a global one, texts that "+
			"are embedded again (a metric of each gateway).")
	return nil
}

// Levers are what the view of levers shows, for a command: one arithmetic for both.
func (s *Shelf) Levers(ctx context.Context, who Viewer, given map[string][]string) (*advice.Report, error) {
	a, err := s.ask(ctx, &kind{name: "levers"}, who, given)
	if err != nil {
		return nil, err
	}
	return advised(a)
}

// advised is the report on levers in the period. It begins with the first day of which something is counted.
func advised(a *ask) (*advice.Report, error) {
	rows, err := a.days()
	if err != nil {
		return nil, err
	}
	savings, err := a.savings()
	if err != nil {
		return nil, err
	}
	r := &advice.Report{From: a.From, To: sooner(a.To, a.AsOf)}
	r.Pulled = advice.ByCascades(savings, a.query.Tenant)
	first, done := r.To, advice.NewPulled(a.shelf.from.Prices(), a.AsOf)
	for row := range rows.each {
		done.Add(&row.key, &row.add)
		first = sooner(first, row.key.Hour)
	}
	if first.After(r.From) && rows.some() {
		r.From = first
	}
	r.Pulled = append(r.Pulled, done.Saved()...)
	find(a, r, rows)
	ofGateway(a, r)
	return r, nil
}

// find adds what levers would have saved in rows.
func find(a *ask, r *advice.Report, rows counted) {
	prices := a.shelf.from.Prices()
	if prices == nil {
		return
	}
	var policy advice.Policy
	if a.shelf.from.Policy != nil {
		policy = a.shelf.from.Policy()
	}
	b := advice.NewBook(prices, a.AsOf, policy)
	for row := range rows.each {
		if row.add.Legs > 0 {
			b.Add(advice.Use(&row.key, &row.add))
		}
	}
	r.Findings, r.Unpriced = b.Findings(), b.Unpriced
}

// ofGateway adds what this gateway knows by itself: quotas are of all tenants.
func ofGateway(a *ask, r *advice.Report) {
	if a.shelf.from.Standing != nil && a.who.Sees("") && a.query.Tenant == "" {
		for _, q := range a.shelf.from.Standing().Quotas {
			if q.Freed > 0 {
				r.Headroom = append(r.Headroom, advice.Headroom{
					Upstream: q.Upstream, Models: q.Models, Role: q.Role, Held: q.Held, Cap: q.Cap, Freed: q.Freed,
					Line: advice.CapLine(q.Cap),
				})
			}
		}
	}
	if a.shelf.from.Prompts == nil {
		return
	}
	for _, p := range a.shelf.from.Prompts() {
		if a.within(p.Tenant) {
			r.Injected = append(r.Injected, advice.Injected{
				Tenant: p.Tenant, Paid: p.Paid.String(), Saved: p.Saved.String(), Wasted: p.Wasted.String(),
				Net: (p.Saved - p.Paid).String(),
			})
		}
	}
}

// unpulled are the levers that would save something, the greatest first.
func unpulled(a *ask, r *advice.Report, week counted) *Table {
	t := &Table{Name: "levers", Title: "What levers would save in a month", Columns: []Column{
		tenantColumn(), {Name: "lever", Title: "lever", Kind: Text},
		{Name: "saved_low_usd", Title: "saves at least", Kind: Money},
		{Name: "saved_usd", Title: "saves at most", Kind: Money},
		{Name: "how", Title: "which is", Kind: Text}, {Name: "cost_usd", Title: "of", Kind: Money},
		{Name: "risk", Title: "risk", Kind: Text}, {Name: "line", Title: "pulled by", Kind: Text},
		{Name: "week_cost_usd", Title: "last 7 days did cost", Kind: Money},
		{Name: "week_with_usd", Title: "with the line", Kind: Money},
	}, Empty: "No lever that can be priced would save anything."}
	proof, last := &advice.Report{}, map[[2]string]*advice.Finding{}
	find(a, proof, week)
	for i := range proof.Findings {
		f := &proof.Findings[i]
		last[[2]string{f.Tenant, f.Lever.Name}] = f
	}
	span := r.To.Sub(r.From)
	for i := range r.Findings {
		f := &r.Findings[i]
		if i == mostLevers {
			a.Notes = append(a.Notes, plural(int64(len(r.Findings)-mostLevers), "row")+
				" of levers that save less are not shown; gateway savings has all.")
			break
		}
		cells := []string{f.Tenant, f.Lever.Name, ofMonth(f.Low(), span), ofMonth(f.Saved, span), "an interval",
			ofMonth(f.Cost, span), f.Lever.Risk, f.Lever.Line, "", ""}
		if f.Lever.Whole {
			cells[4] = "exact"
		}
		if w := last[[2]string{f.Tenant, f.Lever.Name}]; w != nil && f.Lever.Whole && f.Lever.Configured {
			with := w.Cost
			with.SubTotal(&w.Saved)
			cells[8], cells[9] = w.Cost.String(), with.String()
		}
		t.Add(cells...)
	}
	return t
}

// mostLevers is how many rows a table of levers has.
const mostLevers = 300

// ofMonth is an amount of a time, as one of a month.
func ofMonth(t money.Total, span time.Duration) string {
	m := advice.Monthly(t, span)
	return m.String()
}

// pulledTable is of the levers that are pulled.
func pulledTable(a *ask, r *advice.Report) *Table {
	t := &Table{Name: "pulled", Title: "What levers saved in the period", Empty: "No lever was pulled in this period.",
		Columns: []Column{
			tenantColumn(), {Name: "lever", Title: "lever", Kind: Text},
			{Name: "saved_usd", Title: "saved", Kind: Money}, {Name: "saved_low_usd", Title: "at least", Kind: Money},
			{Name: "saved_high_usd", Title: "at most", Kind: Money}, {Name: "how", Title: "which is", Kind: Text},
		}}
	for i := range r.Pulled {
		if i == mostLevers {
			a.Notes = append(a.Notes, plural(int64(len(r.Pulled)-mostLevers), "row")+
				" of what levers saved are not shown; gateway savings has all.")
			break
		}
		s := &r.Pulled[i]
		cells := []string{s.Tenant, s.Lever, "", "", "", s.How}
		if s.Known {
			cells[2] = s.Amount.String()
		}
		if s.Bounded {
			cells[3], cells[4] = s.Low.String(), s.High.String()
		}
		t.Add(cells...)
	}
	return t
}

// headroomTable is what tighter caps would have freed of quotas.
func headroomTable(a *ask, r *advice.Report) *Table {
	t := &Table{Name: "headroom", Title: "Quota that a tighter cap on answers would have freed", Source: ofThisGateway,
		Empty: "No call has asked for more than answers need.", AsOf: a.shelf.from.Now().UTC(), Columns: []Column{
			{Name: "upstream", Title: "upstream", Kind: Text}, {Name: "models", Title: "models", Kind: Text},
			{Name: "role", Title: "role", Kind: Text}, {Name: "held_tokens", Title: "tokens of quota held", Kind: Count},
			{Name: "cap_tokens", Title: "99 of 100 answers keep to", Kind: Count},
			{Name: "freed_tokens", Title: "freed by that as a cap", Kind: Count}, {Name: "line", Title: "pulled by", Kind: Text},
		}}
	for i := range r.Headroom {
		h := &r.Headroom[i]
		t.Add(h.Upstream, h.Models, h.Role, count(h.Held), count(h.Cap), count(h.Freed), h.Line)
	}
	return t
}

// ofThisGateway is where what a gateway knows by itself comes from.
const ofThisGateway = "this gateway, since its start"

// injectedTable is what cache points came to.
func injectedTable(a *ask, r *advice.Report) *Table {
	t := &Table{Name: "injected", Title: "What prompt_cache: {inject: auto} came to, a part of the prompt cache above",
		Source: ofThisGateway, Empty: "No points were set.", AsOf: a.shelf.from.Now().UTC(), Columns: []Column{
			tenantColumn(), {Name: "paid_usd", Title: "premium paid", Kind: Money},
			{Name: "wasted_usd", Title: "of it wasted", Kind: Money}, {Name: "saved_usd", Title: "saved", Kind: Money},
			{Name: "net_usd", Title: "net", Kind: Money},
		}}
	for i := range r.Injected {
		j := &r.Injected[i]
		t.Add(j.Tenant, j.Paid, j.Wasted, j.Saved, j.Net)
	}
	return t
}
