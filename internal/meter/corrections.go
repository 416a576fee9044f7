package meter

import (
	"errors"
	"fmt"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/journal"
)

// Source is where the truth about an unknown attempt comes from.
type Source uint8

// The sources. Numbers are part of the format.
const (
	_                 Source = iota
	FromInvocationLog        // Bedrock's own
	FromOperator             // by hand
)

// Resolution is the truth about an attempt that ended as unknown. It takes the
// estimate out of suspense and posts what was used, in the row and the windows
// of the attempt.
type Resolution struct {
	// End is how the attempt ended after all: Completed with complete usage, or
	// Failed when nothing was billed.
	End    *End
	Source Source
	Actor  string
	// Note is where exactly it was found: a file and line, a ticket.
	Note string
	At   time.Time // of the resolution
}

// Adjustment is a correction of the books. Records are never changed; it adds
// to what they say.
type Adjustment struct {
	ID       string // made by whoever asks for it, so that asking twice adds once
	RefersTo string // id of a record or request, "" for none
	Reason   string
	Actor    string
	Root     string
	Row      RowKey
	Add      Counters
	Charges  []Charge
	At       time.Time
}

// ErrNotSuspended is returned for an attempt that a resolution does not fit.
var ErrNotSuspended = errors.New("the attempt is not one of unknown outcome, or its START is lost")

// Resolve journals the truth about a suspended attempt, priced by the price of
// its time. Whoever calls it knows that it was not resolved before: see
// ReadCorrections.
func (m *Meter) Resolve(s *Suspended, r *Resolution) error {
	if s.Start == nil || s.Posting.Add.Unknown <= 0 || r.End.ID != s.Start.ID {
		return ErrNotSuspended
	}
	p, err := resolved(s, r.End, m.prices.Load())
	if err != nil {
		return err
	}
	c := m.buffer()
	defer m.bufs.Put(c)
	c.resolve(p, r)
	_, err = m.log.Append(kindResolve, c.b, journal.Refusable)
	return err
}

// resolved is what the truth adds to what was posted for the attempt when it
// was unknown.
func resolved(s *Suspended, truth *End, prices *PriceTable) (*Posting, error) {
	e := *truth
	e.Served, e.Drained, e.Wasted, e.Escalated = s.End.Served, s.End.Drained, s.End.Wasted, s.End.Escalated
	e.TokensCut, e.At = s.End.TokensCut, s.End.At
	if e.Outcome == Unknown || e.Outcome == Completed && !believable(s.Start.Op, &e.Usage) {
		return nil, fmt.Errorf("record %s: the usage is not complete, or not possible", e.ID)
	}
	p, _ := derive(s.Start, &e, prices)
	add, ok := p.Add.Plus(s.Posting.Add.negative())
	if !ok {
		return nil, fmt.Errorf("record %s: the amounts are out of range", e.ID)
	}
	p.Row, p.Add = s.Posting.Row, add
	for _, c := range s.Posting.Charges {
		c.Amount = -c.Amount
		p.Charges = append(p.Charges, c)
	}
	return &p, nil
}

// negative is what takes c back.
func (c Counters) negative() Counters {
	for _, n := range c.counts() {
		*n = -*n
	}
	for _, p := range c.amounts() {
		*p = -*p
	}
	return c
}

// Adjust journals a correction. Whoever calls it knows that its id was not used
// before: see ReadCorrections.
func (m *Meter) Adjust(a *Adjustment) error {
	if a.ID == "" || a.Root == "" || RootOf(a.Row.Tenant) != a.Root {
		return fmt.Errorf("adjustment %q names no id, or a tenant that is not below its root", a.ID)
	}
	p := &Posting{Root: a.Root, Row: a.Row, Add: a.Add, Charges: a.Charges}
	if _, err := (&Batch{Writer: "w", Root: a.Root, From: 1, To: 1, Totals: true, Postings: []Posting{*p}}).Sums(); err != nil {
		return err
	}
	c := m.buffer()
	defer m.bufs.Put(c)
	c.adjust(p, a)
	_, err := m.log.Append(kindAdjust, c.b, journal.Refusable)
	return err
}

// resolve is a RESOLVE record.
func (c *coder) resolve(p *Posting, r *Resolution) {
	c.posting(p)
	if c.reading {
		r.End = &End{}
	}
	c.end(r.End)
	c.byte((*uint8)(&r.Source))
	c.str(&r.Actor)
	c.str(&r.Note)
	c.time(&r.At)
}

// adjust is an ADJUST record.
func (c *coder) adjust(p *Posting, a *Adjustment) {
	c.posting(p)
	c.str(&a.ID)
	c.str(&a.RefersTo)
	c.str(&a.Reason)
	c.str(&a.Actor)
	c.time(&a.At)
	if c.reading {
		a.Root, a.Row, a.Add, a.Charges = p.Root, p.Row, p.Add, p.Charges
	}
}

// Corrections are the resolutions and adjustments that a journal holds.
type Corrections struct {
	Resolved map[string]*Resolution // by the attempt's id
	Adjusted map[string]*Adjustment // by the adjustment's id
}

// ReadCorrections reads every segment of a journal of corrections, which are
// never removed.
func ReadCorrections(disk journal.Disk) (*Corrections, error) {
	all := newCorrections()
	if err := all.read(disk, func(string, *Posting) error { return nil }); err != nil {
		return nil, err
	}
	return all, nil
}

// EachCorrection yields what the records of a journal of corrections post, in
// order and with their writer. It can be read while a command writes it. Damage
// is an error, after what stands before it.
func EachCorrection(disk journal.Disk, yield func(writer string, p *Posting) error) error {
	return newCorrections().read(disk, yield)
}

func newCorrections() *Corrections {
	return &Corrections{Resolved: map[string]*Resolution{}, Adjusted: map[string]*Adjustment{}}
}

func (all *Corrections) read(disk journal.Disk, yield func(writer string, p *Posting) error) error {
	r := journal.NewReader(disk, journal.Position{})
	defer r.Close()
	for r.Next() {
		p, err := all.record(r.Kind(), r.Payload())
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

// record takes in one record and returns what it posts, which has no root when
// it is no correction.
func (all *Corrections) record(kind byte, payload []byte) (p Posting, err error) {
	c := reader(payload)
	switch kind {
	case kindResolve:
		r := &Resolution{}
		if c.resolve(&p, r); !c.bad {
			all.Resolved[r.End.ID] = r
		}
	case kindAdjust:
		a := &Adjustment{}
		if c.adjust(&p, a); !c.bad {
			all.Adjusted[a.ID] = a
		}
	}
	return p, c.err()
}
