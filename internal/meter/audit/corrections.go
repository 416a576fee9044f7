package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// ErrOtherContents is returned for an id that was used before with other
// contents. Records are never overwritten: make an adjustment under a new id.
var ErrOtherContents = errors.New("this id was used before with other contents")

// forever is longer than any journal is kept. Corrections are few, and which
// were made must be known for as long as somebody may ask for one again.
const forever = 100 * 365 * 24 * time.Hour

// Corrections is an open journal of corrections. It posts like a gateway, under
// an identity of its own. It is not safe for concurrent use.
type Corrections struct {
	meter  *meter.Meter
	prices *record.PriceBook
	made   *record.Corrections
}

// OpenCorrections opens the journal on o.Disk, by custom data_dir/corrections.
// What is corrected costs what the prices say. It fails with journal.ErrLocked while another command has it.
func OpenCorrections(ctx context.Context, o meter.Options, prices *record.PriceBook) (*Corrections, error) {
	o.Keep = forever
	m, err := meter.Open(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("corrections: %w", err)
	}
	made, err := meter.ReadCorrections(o.Disk)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("corrections: %w", err), m.Retire(ctx))
	}
	return &Corrections{m, prices, made}, nil
}

// Close waits until the ledger has the corrections or the context ends. What it
// has not waits in the journal for the next command.
func (c *Corrections) Close(ctx context.Context) error { return c.meter.Retire(ctx) }

// Adjust makes a correction and reports whether it is new. The same one again
// is not; another one under the same id fails with ErrOtherContents.
func (c *Corrections) Adjust(a *record.Adjustment) (made bool, err error) {
	if before := c.made.Adjusted[a.ID]; before != nil {
		if !sameAdjustment(before, a) {
			return false, fmt.Errorf("adjustment %s: %w", a.ID, ErrOtherContents)
		}
		return false, nil
	}
	if err := c.meter.Adjust(a); err != nil {
		return false, err
	}
	c.made.Adjusted[a.ID] = a
	return true, nil
}

func sameAdjustment(a, b *record.Adjustment) bool {
	same := a.RefersTo == b.RefersTo && a.Reason == b.Reason && a.Root == b.Root && a.Add == b.Add &&
		len(a.Charges) == len(b.Charges)
	rowA, rowB := a.Row, b.Row
	rowA.Hour, rowB.Hour = rowA.Hour.UTC(), rowB.Hour.UTC()
	return same && rowA == rowB && slices.EqualFunc(a.Charges, b.Charges, func(x, y record.Charge) bool {
		sameTime := x.Window.Start.Equal(y.Window.Start) && x.Window.End.Equal(y.Window.End)
		x.Window.Start, x.Window.End, y.Window.Start, y.Window.End = time.Time{}, time.Time{}, time.Time{}, time.Time{}
		return sameTime && x == y
	})
}

// Resolve posts the truth about a suspended attempt and reports whether it is
// new. The same truth again is not; another one fails with ErrOtherContents.
func (c *Corrections) Resolve(s *record.Suspended, r *record.Resolution) (made bool, err error) {
	if before := c.made.Resolved[r.End.ID]; before != nil {
		if before.End.Outcome != r.End.Outcome || !sameUsage(&before.End.Usage, &r.End.Usage) {
			return false, fmt.Errorf("record %s: %w", r.End.ID, ErrOtherContents)
		}
		return false, nil
	}
	if err := c.meter.Resolve(s, r, c.prices); err != nil {
		return false, err
	}
	c.made.Resolved[r.End.ID] = r
	return true, nil
}

// sameUsage compares what is billed. Whether a zero was reported does not matter.
func sameUsage(a, b *wire.Usage) bool {
	return a.Input.N == b.Input.N && a.Output.N == b.Output.N && a.CacheRead.N == b.CacheRead.N &&
		a.CacheWrite5m.N == b.CacheWrite5m.N && a.CacheWrite1h.N == b.CacheWrite1h.N && a.GuardrailUnits == b.GuardrailUnits
}

// Unresolved returns those of the attempts that were not resolved yet.
func (c *Corrections) Unresolved(all []record.Suspended) []record.Suspended {
	return Unresolved(all, c.made)
}

// Unresolved returns those of the attempts that corrections do not resolve.
func Unresolved(all []record.Suspended, made *record.Corrections) []record.Suspended {
	return slices.DeleteFunc(slices.Clone(all), func(s record.Suspended) bool { return made.Resolved[s.End.ID] != nil })
}
