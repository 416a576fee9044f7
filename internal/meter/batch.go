package meter

import (
	"errors"
	"fmt"
	"time"

	"github.com/sluice-gateway/sluice/internal/money"
)

// ErrFingerprint is returned by a ledger that was made with another root
// secret. Its keys would belong to other tenants, so nothing may be posted.
var ErrFingerprint = errors.New("the ledger was made with another root secret")

// MaxValue bounds what a ledger stores in one counter of one row: counts, and
// money in nano-dollars. It is below 2^53, so that a script whose numbers are
// doubles still compares exactly; it is 9 million dollars per row.
const MaxValue = 9_000_000_000_000_000

// How long a ledger keeps counters, measured from the row's own day, so that a
// replay does not make them live longer. Rows by the hour become rows by the
// day, at hour 0, after KeepHours. Both are whole days.
const (
	KeepHours = 40 * 24 * time.Hour
	KeepDays  = 400 * 24 * time.Hour
)

// MaxSeq bounds sequence numbers and epochs, for the same reason as MaxValue.
const MaxSeq = 1 << 53

// Sums checks the batch and returns what it adds to each row. The hours of the
// keys are whole and in UTC. It fails with ErrBadBatch.
func (b *Batch) Sums() (map[RowKey]Counters, error) {
	if err := b.check(); err != nil {
		return nil, err
	}
	sums := make(map[RowKey]Counters)
	for i := range b.Postings {
		p := &b.Postings[i]
		if p.Add == (Counters{}) {
			continue // it only charges windows
		}
		key := p.Row
		key.Hour = key.Hour.UTC().Truncate(time.Hour)
		sum, ok := sums[key].Plus(p.Add)
		if !ok || !sum.Storable() {
			return nil, fmt.Errorf("%w: number %d: an amount is out of range", ErrBadBatch, p.Seq)
		}
		sums[key] = sum
	}
	return sums, nil
}

func (b *Batch) check() error {
	switch {
	case b.Writer == "" || b.Root == "":
		return fmt.Errorf("%w: it names no writer or root", ErrBadBatch)
	case b.From == 0 || b.From > b.To || b.To >= MaxSeq || b.Epoch >= MaxSeq:
		return fmt.Errorf("%w: numbers %d to %d in epoch %d", ErrBadBatch, b.From, b.To, b.Epoch)
	case b.Totals && b.From != 1:
		return fmt.Errorf("%w: totals from number %d", ErrBadBatch, b.From)
	case !b.Totals && b.To-b.From+1 != uint64(len(b.Postings)):
		return fmt.Errorf("%w: %d postings for numbers %d to %d", ErrBadBatch, len(b.Postings), b.From, b.To)
	}
	for i := range b.Postings {
		p := &b.Postings[i]
		if want := b.From + uint64(i); !b.Totals && p.Seq != want {
			return fmt.Errorf("%w: number %d where %d is next", ErrBadBatch, p.Seq, want)
		}
		if p.Root != b.Root {
			return fmt.Errorf("%w: number %d belongs to another root", ErrBadBatch, p.Seq)
		}
		if y := p.Row.Hour.UTC().Year(); y < 1970 || y > 9999 {
			return fmt.Errorf("%w: number %d is of the year %d", ErrBadBatch, p.Seq, y)
		}
	}
	return nil
}

// WindowSum is what a batch does to one window.
type WindowSum struct {
	Posted, Suspense int64
	// Taken is how much it takes out of what the writer holds of the window.
	Taken int64
}

// WindowSums adds up the charges by window, those of the postings behind number
// after taking out of what the writer holds. It fails with ErrBadBatch.
//
// A posting that gives something back in a window corrects an earlier one: the
// writer holds nothing for it, so it takes nothing. Neither does a checkpoint.
func (b *Batch) WindowSums(after uint64) (map[Window]WindowSum, error) {
	sums := make(map[Window]WindowSum)
	for i := range b.Postings {
		p := &b.Postings[i]
		taking := !b.Totals && p.Seq > after
		for _, c := range p.Charges {
			w := c.Window.UTC()
			sum := sums[w]
			to := &sum.Posted
			if c.Suspense {
				to = &sum.Suspense
			}
			ok := addTo(to, c.Amount)
			if taking && !corrects(p, w) {
				ok = addTo(&sum.Taken, c.Amount) && ok
			}
			if w.Unit > UnitConcurrent || !ok || !storable(sum.Posted) || !storable(sum.Suspense) || !storable(sum.Taken) {
				return nil, fmt.Errorf("%w: number %d: a charge is out of range", ErrBadBatch, p.Seq)
			}
			sums[w] = sum
		}
	}
	return sums, nil
}

func corrects(p *Posting, w Window) bool {
	for _, c := range p.Charges {
		if c.Amount < 0 && c.Window.UTC() == w {
			return true
		}
	}
	return false
}

func storable(n int64) bool { return n >= -MaxValue && n <= MaxValue }

// Plus returns the sum of c and d, and false when a value overflows.
func (c Counters) Plus(d Counters) (Counters, bool) {
	ok := true
	for i, n := range d.counts() {
		ok = addTo(c.counts()[i], *n) && ok
	}
	for i, p := range d.amounts() {
		ok = addTo(c.amounts()[i], *p) && ok
	}
	return c, ok
}

// Storable reports whether every value fits a ledger's counter: see MaxValue.
func (c Counters) Storable() bool {
	for _, n := range c.counts() {
		if *n < -MaxValue || *n > MaxValue {
			return false
		}
	}
	for _, p := range c.amounts() {
		if nano := *p / 1000; nano < -MaxValue || nano > MaxValue {
			return false
		}
	}
	return true
}

func (c *Counters) counts() [14]*int64 {
	return [...]*int64{
		&c.Requests, &c.Legs, &c.Escalated,
		&c.Input, &c.Output, &c.CacheRead, &c.CacheWrite5m, &c.CacheWrite1h,
		&c.GuardrailUnits, &c.TokensCut, &c.Unpriced, &c.Unknown, &c.Drained,
		&c.SuspenseTokens,
	}
}

func (c *Counters) amounts() [7]*money.Pico {
	return [...]*money.Pico{
		&c.CostInput, &c.CostOutput, &c.CostCacheRead, &c.CostCacheWrite,
		&c.CostGuardrail, &c.CostWasted, &c.Suspense,
	}
}

// addTo adds n and reports whether the sum did not overflow.
func addTo[T ~int64](to *T, n T) bool {
	sum := *to + n
	fits := n == 0 || (sum > *to) == (n > 0)
	*to = sum
	return fits
}
