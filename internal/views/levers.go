package views

import (
	"cmp"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/internal/advice"
	"github.com/sluice-gateway/sluice/internal/decision"
	"github.com/sluice-gateway/sluice/internal/money"
)

// proved is how many whole days before today the last column of levers is of.
const proved = 7

// leversOf is what levers would save that nobody has pulled, and what those saved that are pulled.
func leversOf(a *ask) error {
	rows, err := a.days()
	if err != nil {
		return err
	}
	today := a.AsOf.UTC().Truncate(aDay)
	week, err := a.daysOf(today.Add(-proved*aDay), today)
	if err != nil {
		return err
	}
	savings, err := cascadesPulled(a)
	if err != nil {
		return err
	}
	done := pulledTable()
	a.Tables = []*Table{unpulled(a, rows, week), done}
	done.Rows = slices.Concat(savings, tiersPulled(a, rows), cachesPulled(rows), capsPulled(rows))
	a.Notes = append(a.Notes,
		"Savings of several levers do not add up: who sends all by batch has nothing left for flex. How much of the use "+
			"may wait is not recorded: flex and batch have an interval that begins at nothing.",
		"Not here, because no sum of the ledger says it: calls that came in bursts and could have waited (gateway savings), "+
			"how much capacity to buy (gateway commit-size), what an id was before residency made it a global one, texts that "+
			"are embedded again (a metric of each gateway).")
	return nil
}

// unpulled are the levers that would save something, the greatest first.
func unpulled(a *ask, rows, week counted) *Table {
	t := &Table{Name: "levers", Title: "What levers would save in a month", Columns: []Column{
		tenantColumn(), {Name: "lever", Title: "lever", Kind: Text},
		{Name: "saved_low_usd", Title: "saves at least", Kind: Money},
		{Name: "saved_usd", Title: "saves at most", Kind: Money},
		{Name: "how", Title: "which is", Kind: Text}, {Name: "cost_usd", Title: "of", Kind: Money},
		{Name: "risk", Title: "risk", Kind: Text}, {Name: "line", Title: "pulled by", Kind: Text},
		{Name: "week_cost_usd", Title: "last 7 days did cost", Kind: Money},
		{Name: "week_with_usd", Title: "with the line", Kind: Money},
	}, Empty: "No lever that can be priced would save anything."}
	if a.shelf.from.Prices() == nil {
		return t
	}
	all, last := advised(a, rows), map[[2]string]advice.Finding{}
	for _, f := range advised(a, week).Findings() {
		last[[2]string{f.Tenant, f.Lever.Name}] = f
	}
	span := sooner(a.To, a.AsOf).Sub(a.From)
	for _, f := range all.Findings() {
		cells := []string{f.Tenant, f.Lever.Name, ofMonth(f.Low(), span), ofMonth(f.Saved, span), "an interval",
			ofMonth(f.Cost, span), f.Lever.Risk, f.Lever.Line, "", ""}
		if f.Lever.Whole {
			cells[4] = "exact"
		}
		if w, known := last[[2]string{f.Tenant, f.Lever.Name}]; known && f.Lever.Whole && f.Lever.Configured {
			cells[8] = w.Cost.String()
			w.Cost.SubTotal(&w.Saved)
			cells[9] = w.Cost.String()
		}
		t.Add(cells...)
	}
	if all.Unpriced > 0 {
		a.Notes = append(a.Notes, plural(all.Unpriced, "row")+" without a price are left out of what levers would save.")
	}
	return t
}

// ofMonth is an amount of a time, as one of a month.
func ofMonth(t money.Total, span time.Duration) string {
	m := advice.Monthly(t, span)
	return m.String()
}

// advised are rows at other prices.
func advised(a *ask, rows counted) *advice.Book {
	b := advice.NewBook(a.shelf.from.Prices(), a.AsOf)
	for r := range rows.each {
		if r.add.Legs > 0 {
			b.Add(tokensOf(r))
		}
	}
	return b
}

// tokensOf is what a tenant used in a row, and what its tokens did cost.
func tokensOf(r *row) *decision.Row {
	c := &r.add
	return &decision.Row{
		Root: r.key.Tenant, Model: r.key.Model, Tier: r.key.Tier, Input: c.Input, Output: c.Output,
		CacheRead: c.CacheRead, CacheWrite5m: c.CacheWrite5m, CacheWrite1h: c.CacheWrite1h,
		Cost: decision.Dollars(c.CostInput + c.CostOutput + c.CostCacheRead + c.CostCacheWrite + c.CostCacheWrite5m +
			c.CostCacheWrite1h),
	}
}

// pulledTable is of the levers that are pulled.
func pulledTable() *Table {
	return &Table{Name: "pulled", Title: "What levers saved in the period", Empty: "No lever was pulled in this period.",
		Columns: []Column{
			tenantColumn(), {Name: "lever", Title: "lever", Kind: Text},
			{Name: "saved_usd", Title: "saved", Kind: Money}, {Name: "saved_low_usd", Title: "at least", Kind: Money},
			{Name: "saved_high_usd", Title: "at most", Kind: Money}, {Name: "how", Title: "which is", Kind: Text},
		}}
}

// cascadesPulled are what cascades saved of the tenants that are shown, together.
func cascadesPulled(a *ask) ([][]string, error) {
	savings, err := a.savings()
	if err != nil {
		return nil, err
	}
	var all [][]string
	for i := range savings {
		s := &savings[i]
		if s.Requests == 0 && s.Spent.Sign() == 0 {
			continue
		}
		cells := []string{a.query.Tenant, "cascade " + s.Cascade, "", "", "", cmp.Or(s.NotMeasured, "an interval of 95 %")}
		if s.NotMeasured == "" {
			cells[2] = s.Saved.String()
			if s.Interval {
				cells[3], cells[4] = s.Low.String(), s.High.String()
			} else {
				cells[5] = "an estimate without an interval"
			}
		}
		all = append(all, cells)
	}
	return all, nil
}

// tiersPulled are what tiers saved against the default one.
func tiersPulled(a *ask, rows counted) (all [][]string) {
	if a.shelf.from.Prices() == nil {
		return nil
	}
	b := advice.NewPulled(a.shelf.from.Prices(), a.AsOf)
	for r := range rows.each {
		b.AddPulled(tokensOf(r), r.add.CostWasted)
	}
	for _, f := range b.Findings() {
		low := f.Low()
		cells := []string{f.Tenant, f.Lever.Name, f.Saved.String(), low.String(), f.Saved.String(), "exact"}
		if low.String() != f.Saved.String() {
			cells[2], cells[5] = "", "an interval: calls that were thrown away saved nothing"
		}
		all = append(all, cells)
	}
	return all
}

// cachesPulled are what the prompt cache saved, by tenant.
func cachesPulled(rows counted) (all [][]string) {
	type owner struct {
		saved big.Rat
		blind int64
	}
	by := map[string]*owner{}
	for k, c := range cachedOf(rows) {
		if by[k.tenant] == nil {
			by[k.tenant] = &owner{}
		}
		o := by[k.tenant]
		if c.blind {
			o.blind++
			continue
		}
		o.saved.Add(&o.saved, c.saved())
	}
	for _, id := range slices.Sorted(maps.Keys(by)) {
		o := by[id]
		if o.blind > 0 {
			all = append(all, []string{id, "prompt cache", "", "", "",
				"not known of " + plural(o.blind, "model") + ": no plain input to compare with"})
			continue
		}
		saved := dollars(&o.saved)
		all = append(all, []string{id, "prompt cache", saved, saved, saved, "exact"})
	}
	return all
}

// capsPulled are what output caps cut off of what was asked for, which is quota and not dollars.
func capsPulled(rows counted) (all [][]string) {
	sums := group(rows.each, column("tenant"))
	for _, id := range slices.SortedFunc(maps.Keys(sums), strings.Compare) {
		if s := sums[id]; s.TokensCut > 0 {
			all = append(all, []string{id, "output cap", "", "", "",
				fmt.Sprintf("quota, %d tokens of it; what longer answers would have cost is not recorded", s.TokensCut)})
		}
	}
	return all
}
