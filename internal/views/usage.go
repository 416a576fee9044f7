package views

import (
	"cmp"
	"maps"
	"math/big"
	"math/bits"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/internal/advice"
	"github.com/sluice-gateway/sluice/internal/chart"
	"github.com/sluice-gateway/sluice/internal/decision"
	"github.com/sluice-gateway/sluice/internal/report"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// capsOf is what caps on the output cut off what callers had asked for.
func capsOf(a *ask) error {
	rows, err := a.days()
	if err != nil {
		return err
	}
	t := &Table{Name: "caps", Title: "By tenant", Empty: noTraffic, Columns: []Column{
		tenantColumn(), {Name: "default_tokens", Title: "default", Kind: Count},
		{Name: "max_tokens", Title: "most", Kind: Count}, {Name: "on_exceed", Title: "above that", Kind: Text},
		{Name: "requests", Title: "requests", Kind: Count},
		{Name: "output_tokens", Title: "output tokens", Kind: Count},
		{Name: "tokens_per_request", Title: "per request", Kind: Number},
		{Name: "tokens_cut", Title: "tokens cut from requests", Kind: Count},
		{Name: "cap_hits", Title: "answers that the cap ended", Kind: Count},
		{Name: "hits_percent", Title: "share", Kind: Percent},
		{Name: "freed_tpm", Title: "quota freed, tokens a minute", Kind: Number},
	}}
	minutes := int64(sooner(a.To, a.AsOf).Sub(a.From) / time.Minute)
	for _, e := range ranked(group(rows.each, column("tenant"))) {
		cells := []string{e.key, "", "", ""}
		if c := a.shelf.from.Tenants().Lookup(a.shelf.from.Tenants().Current(e.key)); c != nil && c.Cap != nil {
			cells = []string{e.key, count(c.Cap.Default), count(c.Cap.Max), c.Cap.OnExceed}
		}
		t.Add(append(cells, count(e.Requests), count(e.Output), per(e.Output, e.Requests), count(e.TokensCut),
			count(e.CapHits), shareOf(e.CapHits, e.Requests), per(e.TokensCut, minutes))...)
	}
	a.Notes = append(a.Notes,
		"Tokens cut are those that requests asked for above the cap, as room for their answers. "+
			"Most answers are shorter than that and lose nothing. AWS takes a request's most output tokens out of the "+
			"quota before it answers: what is freed of it is those that were cut, in the mean of the period, before "+
			"factors of models.")
	of, err := lately(a, "")
	if err != nil {
		return err
	}
	a.Tables = append([]*Table{t}, lengthsOf(a, of)...)
	return nil
}

// served is the leg whose answer the caller got, nil for none.
func served(d *decision.Decision) *decision.Leg {
	for i := range d.Legs {
		if d.Legs[i].Is&decision.FateServed != 0 {
			return &d.Legs[i]
		}
	}
	return nil
}

func sooner(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// lengthsOf are how long answers were, and how many ended because they might not be longer.
func lengthsOf(a *ask, of []decision.Decision) []*Table {
	lengths := sampled(a, "lengths", "How long answers were", of,
		Column{Name: "up_to_tokens", Title: "output tokens, up to", Kind: Count},
		Column{Name: "answers", Title: "answers", Kind: Count},
		Column{Name: "stopped", Title: "ended at their most tokens", Kind: Count})
	stops := sampled(a, "stops", "Who is cut off", of, tenantColumn(),
		Column{Name: "answers", Title: "answers", Kind: Count},
		Column{Name: "stopped", Title: "ended at their most tokens", Kind: Count},
		Column{Name: "share_percent", Title: "share", Kind: Percent},
		Column{Name: "lowered", Title: "of these by the cap", Kind: Count})
	type ends struct{ all, stopped, lowered int64 }
	bins, by := map[int]*ends{}, map[string]*ends{}
	for i := range of {
		l := served(&of[i])
		if l == nil || !l.Tokens.Output.Known {
			continue
		}
		bin := bits.Len64(uint64(max(l.Tokens.Output.N-1, 0))) // up to 2 to this power
		if bins[bin] == nil {
			bins[bin] = &ends{}
		}
		if by[of[i].Tenant] == nil {
			by[of[i].Tenant] = &ends{}
		}
		for _, e := range []*ends{bins[bin], by[of[i].Tenant]} {
			e.all++
			if wire.AtMost(l.Stop) {
				e.stopped++
				if of[i].Cut > 0 {
					e.lowered++
				}
			}
		}
	}
	bars := &chart.Bars{Parts: []chart.Series{{Name: "ended by themselves"}, {Name: "ended at their most tokens"}}}
	for _, bin := range slices.Sorted(maps.Keys(bins)) {
		e := bins[bin]
		lengths.Add(count(1<<bin), count(e.all), count(e.stopped))
		bars.Labels = append(bars.Labels, count(1<<bin))
		bars.Parts[0].Values = append(bars.Parts[0].Values, float64(e.all-e.stopped))
		bars.Parts[1].Values = append(bars.Parts[1].Values, float64(e.stopped))
	}
	if len(bars.Labels) > 0 {
		lengths.Figure = bars
	}
	for _, id := range slices.SortedFunc(maps.Keys(by), func(a, b string) int {
		return cmp.Or(cmp.Compare(by[b].stopped, by[a].stopped), strings.Compare(a, b))
	}) {
		e := by[id]
		stops.Add(id, count(e.all), count(e.stopped), shareOf(e.stopped, e.all), count(e.lowered))
	}
	return []*Table{lengths, stops}
}

// per is a number for each of n, "" without any.
func per(of, n int64) string {
	if n <= 0 {
		return ""
	}
	return big.NewRat(of, n).FloatString(1)
}

// cache is whether reads from the prompt cache saved more than its writes cost above plain input.
func (a *ask) cache() error {
	rows, err := a.days()
	if err != nil {
		return err
	}
	t := &Table{Name: "cache", Title: "By tenant and model", Empty: "Nobody used the prompt cache in this period.",
		Columns: []Column{
			tenantColumn(), {Name: "model", Title: "model", Kind: Text},
			{Name: "cache_read_tokens", Title: "tokens read", Kind: Count},
			{Name: "cache_write_5m_tokens", Title: "written for 5 min", Kind: Count},
			{Name: "cache_write_1h_tokens", Title: "written for 1 h", Kind: Count},
			{Name: "reads_per_write", Title: "reads per write", Kind: Number},
			{Name: "read_usd", Title: "reads cost", Kind: Money}, {Name: "write_usd", Title: "writes cost", Kind: Money},
			{Name: "uncached_usd", Title: "as plain input", Kind: Money},
			{Name: "saved_usd", Title: "saved", Kind: Money}, {Name: "verdict", Title: "so it", Kind: Text},
		}}
	sums := advice.Caches{}
	for r := range rows.each {
		sums.Add(&r.key, &r.add)
	}
	for _, k := range inOrder(sums, func(a, b *advice.CacheKey) int {
		return cmp.Or(strings.Compare(a.Tenant, b.Tenant), strings.Compare(a.Model, b.Model))
	}) {
		t.Add(cachedCells(sums[*k], *k)...)
	}
	a.Notes = append(a.Notes, "Plain input is priced as the other input of the same day, tenant, model and tier. "+
		"Where there was none, what the cache saved is not known.")
	a.Tables = []*Table{t}
	if a.shelf.from.Prompts != nil {
		a.Tables = append(a.Tables, a.points()...)
	}
	return nil
}

// points are what cache points of this gateway came to since its start, and what keeps prompts from
// beginning alike.
func (a *ask) points() []*Table {
	prefixes := &Table{Name: "points", Title: "Points that this gateway set", Empty: "It has set none.",
		Source: "this gateway, since its start", AsOf: a.shelf.from.Now(), Columns: []Column{
			tenantColumn(), {Name: "prefix", Title: "prefix", Kind: Text}, {Name: "model", Title: "model", Kind: Text},
			{Name: "part", Title: "up to", Kind: Text}, {Name: "prompts", Title: "prompts", Kind: Count},
			{Name: "hits", Title: "read", Kind: Count}, {Name: "paid_usd", Title: "premium paid", Kind: Money},
			{Name: "saved_usd", Title: "saved", Kind: Money}, {Name: "wasted_usd", Title: "of the premium wasted", Kind: Money},
			{Name: "stopped", Title: "nothing written until", Kind: Time},
		}}
	differing := &Table{Name: "differing", Title: "What keeps prompts from beginning alike", Empty: "Nothing was found.",
		Source: prefixes.Source, AsOf: prefixes.AsOf, Columns: []Column{
			tenantColumn(), {Name: "model", Title: "model", Kind: Text}, {Name: "part", Title: "part", Kind: Text},
			{Name: "byte", Title: "first differing byte", Kind: Count}, {Name: "kind", Title: "kind", Kind: Text},
			{Name: "prompts", Title: "prompts", Kind: Count}, {Name: "weekly_usd", Title: "costs a week", Kind: Money},
		}}
	for _, r := range a.shelf.from.Prompts() {
		if !a.within(r.Tenant) {
			continue
		}
		prefixes.Add(r.Tenant, "all", "", "", "", "", r.Paid.String(), r.Saved.String(), r.Wasted.String(), "")
		for i := range r.Prefixes {
			p, stopped := &r.Prefixes[i], ""
			if !p.Stopped.IsZero() {
				stopped = p.Stopped.UTC().Format(time.RFC3339)
			}
			prefixes.Add(r.Tenant, p.ID, p.Model, p.Part, count(p.Points), count(p.Hits), p.Paid.String(), p.Saved.String(),
				p.Wasted.String(), stopped)
		}
		for i := range r.Differing {
			d := &r.Differing[i]
			differing.Add(r.Tenant, d.Model, d.Part, count(int64(d.Byte)), d.Kind, count(d.Seen),
				d.Weekly(prefixes.AsOf).String())
		}
	}
	return []*Table{prefixes, differing}
}

func cachedCells(c *advice.Cached, k advice.CacheKey) []string {
	cells := []string{k.Tenant, k.Model, count(c.Read), count(c.Written5m), count(c.Written1h), per(c.Read,
		c.Written5m+c.Written1h),
		c.ReadCost.String(), c.WriteCost.String(), "", "", ""}
	if !c.Blind {
		cells[8] = dollars(&c.Plain)
		saved := c.Saved()
		cells[9] = dollars(saved)
		cells[10] = map[int]string{1: "earns money", 0: "breaks even", -1: "burns money"}[saved.Sign()]
	}
	return cells
}

// entry is a sum under its name.
type entry struct {
	key string
	*sum
}

// ranked are sums by what they cost, the dearest first.
func ranked(sums map[string]*sum) []entry {
	all := make([]entry, 0, len(sums))
	for _, k := range inOrder(sums, func(a, b *string) int {
		return cmp.Or(sums[*b].cost.Rat().Cmp(sums[*a].cost.Rat()), strings.Compare(*a, *b))
	}) {
		all = append(all, entry{*k, sums[*k]})
	}
	return all
}

// column is what a row has in a column of reports that needs no configuration.
func column(name string) func(*row) string {
	of := report.Value(name, report.Tenants{})
	return func(r *row) string { return of(&r.key) }
}

// mostRanked is how many rows a table of ranks has.
const mostRanked = 100

// top is who and what costs most.
func (a *ask) top() error {
	by, err := a.by(topBy()...)
	if err != nil {
		return err
	}
	rows, err := a.days()
	if err != nil {
		return err
	}
	of := column(by)
	t := &Table{Name: "top", Title: "By " + by + ", the dearest first", Empty: noTraffic, Columns: []Column{
		{Name: by, Title: by, Kind: Text}, {Name: "requests", Title: "requests", Kind: Count},
		{Name: "legs", Title: "legs", Kind: Count},
		{Name: "cost_usd", Title: "cost", Kind: Money}, {Name: "share_percent", Title: "share", Kind: Percent},
		{Name: "usd_per_1000_requests", Title: "per 1,000 requests", Kind: Money},
		{Name: "before_usd", Title: "in the period before", Kind: Money},
		{Name: "daily_usd", Title: "day by day", Kind: Trend},
	}}
	from, to := a.before()
	old, err := a.daysOf(from, to)
	if err != nil {
		return err
	}
	before, all := group(old.each, of), whole(rows)
	list := ranked(group(rows.each, of))
	daily := group(rows.each, func(r *row) [2]string { return [2]string{of(r), dayOf(r)} })
	days := daysOf(a.From, a.To, a.AsOf)
	for i, e := range list {
		if i == mostRanked {
			a.Notes = append(a.Notes, plural(int64(len(list)-mostRanked),
				"row")+" with less are not shown; gateway report has all.")
			break
		}
		earlier := ""
		if b := before[e.key]; b != nil {
			earlier = priced(&b.cost, b.Unpriced)
		}
		t.Add(e.key, count(e.Requests), count(e.Legs), priced(&e.cost, e.Unpriced), share(e.cost.Rat(),
			all.cost.Rat()),
			perThousand(&e.cost, e.Requests, e.Unpriced), earlier, trend(days, func(day string) *sum {
				return daily[[2]string{e.key, day}]
			}))
	}
	a.Notes = append(a.Notes, periodBefore(from, to))
	a.Tables = []*Table{t}
	return nil
}

// trend is what each day cost, as a cell: exact amounts with a space between.
func trend(days []string, of func(day string) *sum) string {
	amounts := make([]string, len(days))
	for i, day := range days {
		amounts[i] = "0"
		if s := of(day); s != nil && s.cost.Sign() != 0 {
			amounts[i] = s.cost.String()
		}
	}
	return strings.Join(amounts, " ")
}

// unitOf is what one request and 1,000 tokens cost, by the day.
func unitOf(a *ask) error {
	rows, err := a.days()
	if err != nil {
		return err
	}
	t := &Table{Name: "days", Title: "By the day", Empty: noTraffic, Columns: []Column{
		{Name: "day", Title: "day (UTC)", Kind: Time}, {Name: "requests", Title: "requests", Kind: Count},
		{Name: "cost_usd", Title: "cost", Kind: Money},
		{Name: "usd_per_1000_requests", Title: "per 1,000 requests", Kind: Money},
		{Name: "usd_per_1000_tokens", Title: "per 1,000 tokens", Kind: Money},
		{Name: "tokens_per_request", Title: "tokens per request", Kind: Number},
	}}
	of, err := lately(a, "")
	if err != nil {
		return err
	}
	a.Tables = append([]*Table{t}, spreadOf(a, of)...)
	if !rows.some() {
		return nil
	}
	byDay := group(rows.each, dayOf)
	bars := &chart.Bars{Unit: "$", Parts: []chart.Series{{Name: "per 1,000 requests"}}}
	line := func(name string, s *sum) []string {
		tokens := s.Input + s.Output + s.CacheRead + s.CacheWrite5m + s.CacheWrite1h
		return []string{name, count(s.Requests), priced(&s.cost, s.Unpriced), perThousand(&s.cost, s.Requests,
			s.Unpriced),
			perThousand(&s.cost, tokens, s.Unpriced), per(tokens, s.Requests)}
	}
	for _, day := range daysOf(a.From, a.To, a.AsOf) {
		s := cmp.Or(byDay[day], &sum{})
		t.Add(line(day, s)...)
		bars.Labels = append(bars.Labels, day)
		bars.Parts[0].Values = append(bars.Parts[0].Values, 1000*float(&s.cost)/float64(max(1, s.Requests)))
	}
	t.Totals, t.Figure = line("total", whole(rows)), bars
	return nil
}

// spreadOf is how far apart the costs of requests are, and which cost most.
func spreadOf(a *ask, of []decision.Decision) []*Table {
	t := sampled(a, "spread", "What one request cost", of,
		Column{Name: "what", Title: "what", Kind: Text}, Column{Name: "usd", Title: "cost", Kind: Money})
	dearest := sampled(a, "dearest", "The dearest ones", of,
		Column{Name: "request", Title: "request", Kind: Text, Opens: "request", Param: "id"}, tenantColumn(),
		Column{Name: "served", Title: "served by", Kind: Text}, Column{Name: "path", Title: "path", Kind: Text},
		Column{Name: "legs", Title: "legs", Kind: Count}, Column{Name: "cost_usd", Title: "cost", Kind: Money})
	var paid []*decision.Decision
	for i := range of {
		if of[i].CostState == "known" {
			paid = append(paid, &of[i])
		}
	}
	if len(paid) == 0 {
		return []*Table{t, dearest}
	}
	slices.SortFunc(paid, func(a, b *decision.Decision) int { return cmp.Compare(a.Cost, b.Cost) })
	for _, q := range []struct {
		what  string
		share float64
	}{{"half cost at most", 0.5}, {"95 of 100 cost at most", 0.95}, {"99 of 100 cost at most", 0.99}, {"the dearest", 1}} {
		t.Add(q.what, quantile(paid, q.share).Cost.String())
	}
	const shown = 10
	for i := range min(shown, len(paid)) {
		d := paid[len(paid)-1-i]
		dearest.Add(d.ID, d.Tenant, d.Served, d.Path, count(int64(len(d.Legs))), d.Cost.String())
	}
	return []*Table{t, dearest}
}
