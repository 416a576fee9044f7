package views

import (
	"cmp"
	"fmt"
	"iter"
	"math"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/internal/chart"
	"github.com/sluice-gateway/sluice/internal/decision"
	"github.com/sluice-gateway/sluice/internal/report"
	"github.com/sluice-gateway/sluice/internal/saving"
)

// cascade is what each cascade saved against its escalation model alone, with what that may
// cost in quality, and what its legs cost.
func (a *ask) cascade() error {
	savings, err := a.savings()
	if err != nil {
		return err
	}
	for _, w := range report.SavingWarnings(savings) {
		a.Notes = append(a.Notes, string(w))
	}
	t := &Table{Name: "savings", Title: "Against the escalation model alone",
		Empty: "No cascade had traffic in this period.", Columns: []Column{
			{Name: "cascade", Title: "cascade", Kind: Text}, {Name: "escalation", Title: "compared with", Kind: Text},
			{Name: "requests", Title: "requests", Kind: Count}, {Name: "light", Title: "answered by light", Kind: Count},
			{Name: "spent_usd", Title: "spent", Kind: Money},
			{Name: "counterfactual_usd", Title: "escalation alone", Kind: Money},
			{Name: "saved_usd", Title: "saved", Kind: Money},
			{Name: "saved_low_usd", Title: "at least (95 %)", Kind: Money},
			{Name: "saved_high_usd", Title: "at most (95 %)", Kind: Money},
			{Name: "answers", Title: "answers measured", Kind: Count},
			{Name: "basis", Title: "measured on", Kind: Text}, {Name: "quality_loss", Title: "quality lost", Kind: Text},
			{Name: "certificate", Title: "certificate of", Kind: Time},
			{Name: "not_measured", Title: "why not measured", Kind: Text},
		}}
	for i := range savings {
		if s := &savings[i]; s.Requests != 0 || s.Spent.Sign() != 0 || a.query.Tenant == "" {
			t.Add(savingCells(s)...)
		}
	}
	rows, err := a.days()
	if err != nil {
		return err
	}
	a.Tables = []*Table{t, legsTable(rows)}
	return nil
}

// saved is what cascades saved in a period, as of a time, and how long it is good for.
type saved struct {
	of        saving.Query
	tenant    string
	at, until time.Time
	savings   []saving.Saving
}

// mostSaved is how many of them are kept.
const mostSaved = 64

// savings are those of the period and tenant. They need the hours, of which there are many: what
// they came to a moment ago is shown again, as long as days are. Nobody may change them.
func (a *ask) savings() ([]saving.Saving, error) {
	q := saving.Query{From: a.From, To: a.To, Baselines: a.shelf.from.Baselines(), Prices: a.shelf.from.Prices(),
		Models: a.shelf.from.Models()}
	c := &a.shelf.cache
	c.turn.Lock()
	defer c.turn.Unlock()
	now := c.now()
	c.saved = slices.DeleteFunc(c.saved, func(s saved) bool { return !now.Before(s.until) || now.Before(s.at) })
	for _, s := range c.saved {
		if s.tenant == a.query.Tenant && s.of.From.Equal(q.From) && s.of.To.Equal(q.To) && s.of.Prices == q.Prices &&
			slices.Equal(s.of.Baselines, q.Baselines) {
			a.asOf(s.at)
			return s.savings, nil
		}
	}
	all, err := saving.Of(a.ctx, hourly{a, a.shelf.from.Ledger}, q)
	if err != nil {
		return nil, err
	}
	good := max(fresh, rest*c.now().Sub(now))
	c.saved = append(c.saved[max(0, len(c.saved)-mostSaved+1):], saved{q, a.query.Tenant, now, now.Add(good), all})
	return all, nil
}

func savingCells(s *saving.Saving) []string {
	cells := []string{s.Cascade, s.Escalation, count(s.Requests), count(s.Light), priced(&s.Spent, s.Unpriced), "",
		"", "", "",
		count(s.Answers), s.Basis, s.Quality.String(), stampOrNone(s.Quality.Issued), s.NotMeasured}
	if s.NotMeasured == "" {
		cells[5], cells[6] = s.Counterfactual.String(), s.Saved.String()
		if s.Interval {
			cells[7], cells[8] = s.Low.String(), s.High.String()
		}
	}
	return cells
}

// legsTable is what the legs of cascades cost, light answers that were thrown away too.
func legsTable(rows counted) *Table {
	t := &Table{Name: "legs", Title: "What the legs cost", Empty: "No cascade had traffic in this period.",
		Columns: []Column{
			{Name: "cascade", Title: "cascade", Kind: Text}, {Name: "path", Title: "path", Kind: Text},
			{Name: "model", Title: "model", Kind: Text}, {Name: "requests", Title: "requests", Kind: Count},
			{Name: "legs", Title: "legs", Kind: Count}, {Name: "cost_usd", Title: "cost", Kind: Money},
			{Name: "wasted_usd", Title: "of it thrown away", Kind: Money},
		}}
	type leg struct{ cascade, path, model string }
	sums := group(ofCascades(rows), func(r *row) leg { return leg{r.key.Cascade, r.key.Path, r.key.Model} })
	all := &sum{}
	for _, k := range inOrder(sums, func(a, b *leg) int {
		return cmp.Or(strings.Compare(a.cascade, b.cascade), strings.Compare(a.path, b.path),
			strings.Compare(a.model, b.model))
	}) {
		s := sums[*k]
		t.Add(k.cascade, k.path, k.model, count(s.Requests), count(s.Legs), priced(&s.cost, s.Unpriced),
			s.wasted.String())
		all.Requests += s.Requests
		all.Legs += s.Legs
		all.cost.AddTotal(&s.cost)
		all.wasted.AddTotal(&s.wasted)
	}
	if len(sums) > 0 {
		t.Totals = []string{"total", "", "", count(all.Requests), count(all.Legs), all.cost.String(),
			all.wasted.String()}
	}
	return t
}

// ofCascades are the rows of requests that a cascade answered.
func ofCascades(rows counted) iter.Seq[*row] {
	return rows.only(func(r *row) bool { return r.key.Cascade != "" })
}

// escalationOf is how many requests of cascades escalated, by the day and cascade.
func escalationOf(a *ask) error {
	rows, err := a.days()
	if err != nil {
		return err
	}
	type path struct{ cascade, path string }
	t := &Table{Name: "paths", Title: "By cascade and path", Empty: "No cascade had traffic in this period.",
		Columns: []Column{
			{Name: "cascade", Title: "cascade", Kind: Text}, {Name: "path", Title: "answered by path", Kind: Text},
			{Name: "requests", Title: "requests", Kind: Count}, {Name: "share_percent", Title: "share", Kind: Percent},
		}}
	own := ofCascades(rows)
	sums, all := group(own, func(r *row) path { return path{r.key.Cascade, r.key.Path} }), map[string]int64{}
	for k, s := range sums {
		all[k.cascade] += s.Requests
	}
	for _, k := range inOrder(sums, func(a, b *path) int {
		return cmp.Or(strings.Compare(a.cascade, b.cascade), strings.Compare(a.path, b.path))
	}) {
		if s := sums[*k]; s.Requests != 0 {
			t.Add(k.cascade, k.path, count(s.Requests), shareOf(s.Requests, all[k.cascade]))
		}
	}
	of, err := lately(a, "escalated")
	if err != nil {
		return err
	}
	a.Tables = []*Table{t, a.escalationDays(own), reasonsOf(a, of)}
	return nil
}

// reasonsOf is why requests escalated: which check or rule decided it.
func reasonsOf(a *ask, of []decision.Decision) *Table {
	t := sampled(a, "reasons", "Why requests escalated", of,
		Column{Name: "cascade", Title: "cascade", Kind: Text},
		Column{Name: "reason", Title: "because of", Kind: Text, Opens: "requests", Param: "reason"},
		Column{Name: "requests", Title: "requests", Kind: Count},
		Column{Name: "share_percent", Title: "share", Kind: Percent},
		Column{Name: "newest", Title: "the last one", Kind: Text, Opens: "request", Param: "id"})
	type why struct{ cascade, reason string }
	sums, newest := map[why]int64{}, map[why]string{}
	for i := range of {
		k := why{of[i].Cascade, of[i].Reason}
		sums[k]++
		newest[k] = max(newest[k], of[i].ID)
	}
	for _, k := range inOrder(sums, func(a, b *why) int {
		return cmp.Or(cmp.Compare(sums[*b], sums[*a]), strings.Compare(a.cascade, b.cascade),
			strings.Compare(a.reason, b.reason))
	}) {
		t.Add(k.cascade, k.reason, count(sums[*k]), shareOf(sums[*k], int64(len(of))), newest[*k])
	}
	return t
}

func (a *ask) escalationDays(own iter.Seq[*row]) *Table {
	t := &Table{Name: "days", Title: "By the day", Empty: "No cascade had traffic in this period.", Columns: []Column{
		{Name: "day", Title: "day (UTC)", Kind: Time}, {Name: "requests", Title: "requests", Kind: Count},
		{Name: "escalated", Title: "escalated", Kind: Count},
		{Name: "escalated_percent", Title: "share", Kind: Percent},
		{Name: "low_percent", Title: "expected at least", Kind: Percent},
		{Name: "high_percent", Title: "expected at most", Kind: Percent},
		{Name: "outside", Title: "outside of it", Kind: Text},
	}}
	byDay := group(own, dayOf)
	if len(byDay) == 0 {
		return t
	}
	all := &sum{}
	for _, s := range byDay {
		all.Requests, all.Escalated = all.Requests+s.Requests, all.Escalated+s.Escalated
	}
	bars := &chart.Bars{Parts: []chart.Series{{Name: "escalated, %"}}}
	for _, day := range daysOf(a.From, a.To, a.AsOf) {
		s := cmp.Or(byDay[day], &sum{})
		percent, _ := new(big.Rat).SetFrac64(100*s.Escalated, max(1, s.Requests)).Float64()
		band := expected(all, s.Requests)
		t.Add(append([]string{day, count(s.Requests), count(s.Escalated), shareOf(s.Escalated, s.Requests)},
			bandCells(band, percent, s.Requests)...)...)
		bars.Labels, bars.Band = append(bars.Labels, day), append(bars.Band, band)
		bars.Parts[0].Values = append(bars.Parts[0].Values, percent)
	}
	t.Figure = bars
	a.Notes = append(a.Notes, "Expected is where 997 of 1,000 days are that escalate as the whole period does: three "+
		"standard deviations around its share, of as many requests as the day had (a control chart for shares).")
	return t
}

// expected is between which shares, in percent, n requests are that escalate as all do: the limits of
// a p-chart (D. C. Montgomery, Introduction to Statistical Quality Control, 7.2).
func expected(all *sum, n int64) chart.Range {
	if all.Requests <= 0 || n <= 0 {
		return chart.Range{}
	}
	mean := min(1, max(0, float64(all.Escalated)/float64(all.Requests)))
	off := 3 * math.Sqrt(mean*(1-mean)/float64(n))
	return chart.Range{Low: 100 * max(0, mean-off), High: 100 * min(1, mean+off)}
}

// bandCells are what a day is expected to be between, and on which side the day is.
func bandCells(band chart.Range, percent float64, n int64) []string {
	if n <= 0 {
		return []string{"", "", ""}
	}
	outside := ""
	switch {
	case percent > band.High:
		outside = "above"
	case percent < band.Low:
		outside = "below"
	}
	return []string{fmt.Sprintf("%.1f", band.Low), fmt.Sprintf("%.1f", band.High), outside}
}
