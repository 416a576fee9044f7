package ledger

import (
	"fmt"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// MaxSeq bounds sequence numbers and epochs, for the same reason as MaxValue.
const MaxSeq = 1 << 53

// Sums checks the batch and returns what it adds to each row. The hours of the
// keys are whole and in UTC. What comes too late for a closed month is a
// correction in the open one. It fails with ErrBadBatch.
func (b *Batch) Sums(closed Closings) (map[record.RowKey]record.Counters, error) {
	if err := b.check(); err != nil {
		return nil, err
	}
	sums := make(map[record.RowKey]record.Counters)
	for i := range b.Postings {
		p := &b.Postings[i]
		if p.Add == (record.Counters{}) {
			continue // it only charges windows
		}
		key := p.Row
		key.Hour = key.Hour.UTC().Truncate(time.Hour)
		key = closed.place(b, p.Seq, key)
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
func (b *Batch) WindowSums(after uint64) (map[record.Window]WindowSum, error) {
	sums := make(map[record.Window]WindowSum)
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
			ok := record.AddTo(to, c.Amount)
			if taking && !corrects(p, w) {
				ok = record.AddTo(&sum.Taken, c.Amount) && ok
			}
			ok = ok && storable(sum.Posted) && storable(sum.Suspense) && storable(sum.Taken)
			if w.Unit > record.UnitConcurrent || !ok {
				return nil, fmt.Errorf("%w: number %d: a charge is out of range", ErrBadBatch, p.Seq)
			}
			sums[w] = sum
		}
	}
	return sums, nil
}

func corrects(p *record.Posting, w record.Window) bool {
	for _, c := range p.Charges {
		if c.Amount < 0 && c.Window.UTC() == w {
			return true
		}
	}
	return false
}

func storable(n int64) bool { return n >= -record.MaxValue && n <= record.MaxValue }
