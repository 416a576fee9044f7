package meter

import (
	"errors"
	"fmt"

	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// ErrNotSuspended is returned for an attempt that a resolution does not fit.
var ErrNotSuspended = errors.New("the attempt is not one of unknown outcome, or its START is lost")

// Resolve journals the truth about a suspended attempt, priced by the price of
// its time in the book. Whoever calls it knows that it was not resolved before: see
// ReadCorrections.
func (m *Meter) Resolve(s *record.Suspended, r *record.Resolution, prices *record.PriceBook) error {
	if s.Start == nil || s.Posting.Add.Unknown <= 0 || r.End.ID != s.Start.ID {
		return ErrNotSuspended
	}
	p, err := s.Resolve(r.End, prices)
	if err != nil {
		return err
	}
	return m.append(&record.ResolveEntry{Posting: *p, Resolution: *r}, journal.Refusable)
}

// Adjust journals a correction. Whoever calls it knows that its id was not used
// before: see ReadCorrections.
func (m *Meter) Adjust(a *record.Adjustment) error {
	if a.ID == "" || a.Root == "" || record.RootOf(a.Row.Tenant) != a.Root {
		return fmt.Errorf("adjustment %q names no id, or a tenant that is not below its root", a.ID)
	}
	p := record.Posting{Root: a.Root, Row: a.Row, Add: a.Add, Charges: a.Charges}
	b := ledger.Batch{Writer: "w", Root: a.Root, From: 1, To: 1, Totals: true, Postings: []record.Posting{p}}
	if _, err := b.Sums(nil); err != nil {
		return err
	}
	err := m.append(&record.AdjustEntry{Posting: p, Adjustment: *a}, journal.Refusable)
	m.opts.Crash.At(AfterAdjust)
	return err
}

// ReadCorrections reads every segment of a journal of corrections, which are
// never removed.
func ReadCorrections(disk journal.Disk) (*record.Corrections, error) {
	all := record.NewCorrections()
	if err := eachCorrection(disk, all, func(string, *record.Posting) error { return nil }); err != nil {
		return nil, err
	}
	return all, nil
}

// EachCorrection yields what the records of a journal of corrections post, in
// order and with their writer. It can be read while a command writes it. Damage
// is an error, after what precedes it.
func EachCorrection(disk journal.Disk, yield func(writer string, p *record.Posting) error) error {
	return eachCorrection(disk, record.NewCorrections(), yield)
}

func eachCorrection(
	disk journal.Disk, all *record.Corrections, yield func(writer string, p *record.Posting) error,
) error {
	r := journal.NewReader(disk, journal.Position{})
	defer r.Close()
	for r.Next() {
		p, err := all.Add(r.Writer(), r.Kind(), r.Payload())
		if err == nil && p.Root != "" {
			err = yield(r.Writer(), &p)
		}
		if err != nil {
			return fmt.Errorf("journal record at %s: %w", r.At(), err)
		}
	}
	if damage := r.Damage(); len(damage) > 0 {
		return fmt.Errorf("corrections are damaged, so that nobody knows which were made: %s", damage[0])
	}
	return r.Err()
}
