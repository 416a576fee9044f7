package advice

import (
	"maps"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/internal/decision"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// What makes calls look as if nobody read their answers at once. A batch job has 100 records at
// least (Amazon Bedrock quotas, "Minimum number of records per batch inference job").
const (
	leastCalls   = 100              // of a burst
	longestPause = 10 * time.Minute // within a burst
	longestBurst = 6 * time.Hour    // of what goes on longer nobody can say when it was begun
	sameTime     = 15 * time.Minute // by which starts may differ from day to day
	leastDays    = 3                // on which a burst begins at the same time, to be a habit
)

// mostCells bounds the memory of Waiting, about 100 MB.
const mostCells = 1_000_000

// Waiting finds calls that could have waited for a batch job, by when they came: bursts of calls
// without a stream, by one key to one model, which lead to no use of a tool. Make it with
// NewWaiting.
type Waiting struct {
	book    *Book
	lever   Lever
	callers map[caller]map[int64]*cell // by the minute since 1970
	cells   int
	// Left is how many calls were left out, because there was no room for them.
	Left int64
}

// caller is who calls what.
type caller struct{ tenant, key, model, operation string }

// cell is what a caller did in one minute.
type cell struct {
	calls       int64
	cost, saved money.Pico
}

// NewWaiting is for calls at the prices of a book.
func NewWaiting(book *Book) *Waiting {
	w := &Waiting{book: book, callers: map[caller]map[int64]*cell{}}
	for _, l := range book.levers {
		if l.Name == Batch {
			w.lever = l
		}
	}
	w.lever.Name = "batch, could have waited"
	w.lever.Line = "a batch job in place of the bursts of key "
	w.lever.Risk = "by the clock alone: ask who reads the answers; no prompt cache, no promise of a time"
	return w
}

// Add takes in a request that is over.
func (w *Waiting) Add(d *decision.Decision) {
	op, known := wire.ParseOperation(d.Operation)
	if !known || !op.Writes() || op.Streams() || d.Status != 200 || len(d.Legs) != 1 {
		return
	}
	leg := &d.Legs[0]
	if leg.Stop == "tool_use" || leg.Stop == "tool_calls" || leg.Payer != "" {
		return
	}
	cost, saved := w.priced(d.Tenant, leg)
	if saved <= 0 {
		return
	}
	at, who := d.Received.Unix()/60, caller{d.Tenant, d.Key, leg.Model, d.Operation}
	c := w.callers[who][at]
	if c == nil {
		if w.cells == mostCells {
			w.Left++
			return
		}
		if w.callers[who] == nil {
			w.callers[who] = map[int64]*cell{}
		}
		c = &cell{}
		w.callers[who][at] = c
		w.cells++
	}
	c.calls++
	c.cost += cost
	c.saved += saved
}

// priced is what a call did cost, and what it would have saved in batch.
func (w *Waiting) priced(tenant string, leg *decision.Leg) (cost, saved money.Pico) {
	t := &leg.Tokens
	r := decision.Row{
		Root: record.RootOf(tenant), Model: leg.Model, Tier: leg.Tier, Input: t.Input.N, Output: t.Output.N,
		CacheRead: t.CacheRead.N, CacheWrite5m: t.CacheWrite5m.N, CacheWrite1h: t.CacheWrite1h.N, Cost: leg.Cost,
	}
	return money.Pico(leg.Cost), w.book.saves(&r, &w.lever)
}

// burst is calls of one caller, none of which comes long after the one before.
type burst struct {
	from, last int64 // minutes since 1970
	cell
}

// bursts are those of one caller that are large, short, and not alone in their time.
func bursts(minutes map[int64]*cell) (all []burst) {
	pause, longest := int64(longestPause/time.Minute), int64(longestBurst/time.Minute)
	at := make([]int64, 0, len(minutes))
	for m := range minutes {
		at = append(at, m)
	}
	slices.Sort(at)
	for _, m := range at {
		c := minutes[m]
		if n := len(all); n == 0 || m-all[n-1].last > pause {
			all = append(all, burst{from: m, last: m, cell: *c})
			continue
		}
		b := &all[len(all)-1]
		b.last, b.calls, b.cost, b.saved = m, b.calls+c.calls, b.cost+c.cost, b.saved+c.saved
	}
	return slices.DeleteFunc(all, func(b burst) bool { return b.calls < leastCalls || b.last-b.from > longest })
}

// habitual reports whether bursts begin at about the time of day of one of them, on days enough.
func habitual(all []burst, of *burst) bool {
	const day, near = 24 * time.Hour, sameTime
	days := map[time.Duration]bool{}
	for i := range all {
		between := time.Duration(all[i].from-of.from) * time.Minute
		nearest := between.Round(day)
		if (between - nearest).Abs() <= near {
			days[nearest] = true
		}
	}
	return len(days) >= leastDays
}

// Findings are of each root tenant's keys what waiting would have saved: at least what bursts that
// come back at the same time each day would have, at most what all bursts would have. Span is of which
// time the calls are.
func (w *Waiting) Findings(span time.Duration) []Finding {
	type owner struct{ tenant, key string }
	found := map[owner]*Finding{}
	for who, minutes := range w.callers {
		large := bursts(minutes)
		for i := range large {
			b := &large[i]
			o := owner{who.tenant, who.key}
			f := found[o]
			if f == nil {
				lever := w.lever
				lever.Line += who.key
				f = &Finding{Tenant: who.tenant, Lever: &lever, Span: span}
				found[o] = f
			}
			f.Cost.Add(b.cost)
			f.Saved.Add(b.saved)
			if habitual(large, b) {
				f.Least.Add(b.saved)
			}
		}
	}
	return bySaving(slices.Collect(maps.Values(found)))
}
