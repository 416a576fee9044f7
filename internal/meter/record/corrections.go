package record

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/internal/wire"
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

// Adjustment is a correction. Records are never changed; it adds
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

// Suspended is an attempt of which nobody knows what it used, and what was
// posted for it.
type Suspended struct {
	Writer  string
	Start   *Start // nil when it was lost with a damaged disk
	End     *End
	Posting Posting
}

// Resolve returns what the truth adds to what was posted for the attempt when it
// was unknown, priced by the price of the attempt's time. Start must be known.
func (s *Suspended) Resolve(truth *End, prices *PriceBook) (*Posting, error) {
	e := *truth
	e.Served, e.Drained, e.Wasted, e.Escalated = s.End.Served, s.End.Drained, s.End.Wasted, s.End.Escalated
	e.TokensCut, e.CapHit, e.At = s.End.TokensCut, s.End.CapHit, s.End.At
	if e.Outcome == Unknown || e.Outcome == Completed && !believable(s.Start.Op, &e.Usage) {
		return nil, fmt.Errorf("record %s: the usage is not complete, or not possible", e.ID)
	}
	p, _ := Derive(s.Start, &e, prices)
	add, ok := p.Add.Plus(s.Posting.Add.Negative())
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

// Negative is what takes c back.
func (c Counters) Negative() Counters {
	for _, v := range c.values() {
		*v = -*v
	}
	return c
}

// errNotEntered is for a call that nothing can be posted for.
var errNotEntered = errors.New("its usage is not complete, or not possible")

// EnterLost is the adjustment that enters a call of which no journal has a record,
// under the id that its record had. s is what is known of how it began: id,
// root, tenant, key, operation, model, SKU and path. It is priced by the price
// of e's time. No hold is known, so that it charges no budget.
func EnterLost(s *Start, e *End, prices *PriceBook) (*Adjustment, error) {
	if e.Outcome != Completed || !believable(s.Op, &e.Usage) {
		return nil, fmt.Errorf("record %s: %w", s.ID, errNotEntered)
	}
	p, _ := Derive(s, e, prices)
	p.Row.Held = HeldBy(p.Row.Tenant, p.Charges)
	return &Adjustment{ID: s.ID, Root: p.Root, Row: p.Row, Add: p.Add, Charges: p.Charges, At: e.At}, nil
}

// Corrections are the resolutions and adjustments that a journal holds.
type Corrections struct {
	Resolved map[string]*Resolution // by the attempt's id
	Adjusted map[string]*Adjustment // by the adjustment's id
	// Numbers are those that adjustments were posted with.
	Numbers map[string]Number
}

// Number is a posting of a writer.
type Number struct {
	Writer string
	Seq    uint64
}

// NewCorrections returns an empty collection.
func NewCorrections() *Corrections {
	return &Corrections{
		Resolved: map[string]*Resolution{}, Adjusted: map[string]*Adjustment{}, Numbers: map[string]Number{},
	}
}

// Add takes in one record of a writer and returns what it posts, which has no root when
// it is no correction.
func (all *Corrections) Add(writer string, kind byte, payload []byte) (p Posting, err error) {
	switch kind {
	case KindResolve:
		var e ResolveEntry
		if err = Read(payload, &e); err == nil {
			p, all.Resolved[e.End.ID] = e.Posting, &e.Resolution
		}
	case KindAdjust:
		var e AdjustEntry
		if err = Read(payload, &e); err == nil {
			p, all.Adjusted[e.ID] = e.Posting, &e.Adjustment
			all.Numbers[e.ID] = Number{writer, e.Posting.Seq}
		}
	}
	return p, err
}

// InOrder returns the adjustments, the oldest first.
func (all *Corrections) InOrder() []*Adjustment {
	return slices.SortedFunc(maps.Values(all.Adjusted), func(a, b *Adjustment) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.ID, b.ID))
	})
}

// Reprice returns what the tokens and other units of a row cost by the price of
// a SKU at a time, and that price's version. Guardrails are left out: a row has
// the sum of their units and not the policies. It is false when something that
// was used has no price, or the amounts are out of range.
func (t *PriceBook) Reprice(sku SKU, at time.Time, c *Counters) (version string, add Counters, ok bool) {
	price := t.Find(sku, at)
	if price == nil {
		return "", Counters{}, false
	}
	if sku.Context == longContext && price.long != nil {
		price = price.long
	}
	rest := *c
	for {
		u, any := rest.part()
		if !any {
			return price.Version, add, true
		}
		var costs Costs
		priced := costs.of(&u, price, nil)
		var sum Counters
		addCosts(&sum, &costs)
		if add, ok = add.Plus(sum); !ok || !priced {
			return "", Counters{}, false
		}
	}
}

// part takes out of c as much as one usage can hold, and reports whether that is
// anything. Counts below zero are none.
func (c *Counters) part() (u wire.Usage, any bool) {
	for _, class := range [...]struct {
		from *int64
		to   *wire.Count
	}{
		{&c.Input, &u.Input}, {&c.Output, &u.Output}, {&c.CacheRead, &u.CacheRead},
		{&c.CacheWrite5m, &u.CacheWrite5m}, {&c.CacheWrite1h, &u.CacheWrite1h},
		{&c.Queries, &u.Queries}, {&c.Images, &u.Images}, {&c.Milliseconds, &u.Milliseconds},
	} {
		n := clamp(*class.from)
		*class.from -= n
		*class.to = wire.Known(n)
		any = any || n > 0
	}
	return u, any
}
