package decision

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"time"

	"github.com/oklog/ulid/v2"
)

// errCoded is for bytes that are no decision.
var errCoded = errors.New("the stored decision cannot be read")

// idSize is the size of a request's id in front of each decision.
const idSize = 16

// coder writes or reads the fields of a decision in order: one list of fields serves both
// ways. New fields are added at the end; where bytes of an older program end, the rest is
// empty, and what a newer one has more is skipped. Writing allocates only as b grows.
type coder struct {
	b       []byte
	reading bool
	bad     bool
}

// appendDecision appends a decision with its length before it.
func appendDecision(b []byte, d *Decision) []byte {
	c := coder{b: b}
	c.nested(func() { c.decision(d) })
	return c.b
}

// next cuts the first decision off what appendDecision wrote.
func next(b []byte) (one, rest []byte, err error) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n < idSize || n > uint64(len(b)-size) {
		return nil, nil, errCoded
	}
	return b[size : size+int(n)], b[size+int(n):], nil
}

// read decodes a decision.
func read(b []byte, d *Decision) error {
	c := coder{b: b, reading: true}
	c.decision(d)
	if c.bad {
		return errCoded
	}
	return nil
}

func (c *coder) decision(d *Decision) {
	c.front(d)
	c.rest(d)
	n := c.len(len(d.Legs))
	if c.reading && n > 0 {
		d.Legs = make([]Leg, n)
	}
	for i := range d.Legs {
		leg := &d.Legs[i]
		c.nested(func() { c.leg(leg) })
	}
	c.str(&d.Session)
	c.str(&d.Signal)
}

// front is what a Filter looks at.
func (c *coder) front(d *Decision) {
	c.id(&d.ID)
	c.str(&d.Tenant)
	c.str(&d.Key)
	c.str(&d.Asked)
	c.str(&d.Served)
	c.str(&d.Cascade)
	c.str(&d.Rule)
	c.str(&d.Path)
	c.str(&d.Reason)
	c.small(&d.Status)
	c.str(&d.Error)
	c.str(&d.User)
}

// rest is what only who reads the whole decision needs.
func (c *coder) rest(d *Decision) {
	c.time(&d.Received, time.Millisecond)
	c.str(&d.Gateway)
	c.addr(&d.From)
	c.str(&d.Claimed)
	c.str(&d.Method)
	c.str(&d.Operation)
	c.int(&d.Cap)
	c.int(&d.Cut)
	c.str(&d.Step)
	c.str(&d.Message)
	c.int((*int64)(&d.Cost))
	c.str(&d.CostState)
	c.int((*int64)(&d.FirstByte))
	c.int((*int64)(&d.Duration))
}

func (c *coder) leg(l *Leg) {
	c.id(&l.Record)
	c.small(&l.Index)
	c.small(&l.Attempt)
	c.str(&l.Path)
	c.str(&l.Reason)
	c.str(&l.Model)
	c.str(&l.Upstream)
	c.str(&l.Region)
	c.str(&l.Tier)
	c.str(&l.Payer)
	c.small(&l.Status)
	c.str(&l.Outcome)
	c.str(&l.Error)
	c.str(&l.UpstreamID)
	c.str(&l.Stop)
	fate := uint64(l.Is)
	c.uint(&fate)
	l.Is = Fate(fate)
	for _, n := range [...]*Count{
		&l.Tokens.Input, &l.Tokens.Output, &l.Tokens.CacheRead, &l.Tokens.CacheWrite5m, &l.Tokens.CacheWrite1h,
	} {
		c.count(n)
	}
	c.int((*int64)(&l.Cost))
	c.str(&l.CostState)
	c.str(&l.PriceVersion)
	c.time(&l.Began, time.Microsecond)
	c.int((*int64)(&l.Took))
	c.effects(l)
	c.str(&l.Named)
	c.str(&l.Tiers)
	c.str(&l.Cache)
	c.str(&l.Capacity)
	c.str(&l.Lines)
	c.int((*int64)(&l.Waited))
}

func (c *coder) effects(l *Leg) {
	n := c.len(len(l.Effects))
	if c.reading && n > 0 {
		l.Effects = make([]Effect, n)
	}
	for i := range l.Effects {
		e := &l.Effects[i]
		c.str(&e.Tenant)
		c.str(&e.Unit)
		c.str(&e.Period)
		c.time(&e.Start, time.Second)
		c.int(&e.Posted)
		c.int(&e.Suspense)
	}
}

// nested puts the length of what f codes before it.
func (c *coder) nested(f func()) {
	if c.reading {
		var n uint64
		c.uint(&n)
		if n > uint64(len(c.b)) {
			c.fail()
			return
		}
		rest := c.b[n:]
		c.b = c.b[:n]
		f()
		c.b = rest
		return
	}
	start := len(c.b)
	f()
	var head [binary.MaxVarintLen64]byte
	size := binary.PutUvarint(head[:], uint64(len(c.b)-start))
	c.b = append(c.b, head[:size]...)
	copy(c.b[start+size:], c.b[start:len(c.b)-size])
	copy(c.b[start:], head[:size])
}

func (c *coder) fail() { c.bad, c.b = true, nil }

// id is a ULID as its 16 bytes; what is none is written as zeros.
func (c *coder) id(s *string) {
	var id ulid.ULID
	if c.reading {
		if len(c.b) == 0 {
			return
		}
		if len(c.b) < idSize {
			c.fail()
			return
		}
		copy(id[:], c.b)
		if c.b = c.b[idSize:]; id != (ulid.ULID{}) {
			*s = id.String()
		}
		return
	}
	if err := id.UnmarshalText([]byte(*s)); err != nil {
		id = ulid.ULID{}
	}
	c.b = append(c.b, id[:]...)
}

func (c *coder) uint(v *uint64) {
	if !c.reading {
		c.b = binary.AppendUvarint(c.b, *v)
		return
	}
	if len(c.b) == 0 {
		*v = 0
		return
	}
	n := 0
	if *v, n = binary.Uvarint(c.b); n <= 0 {
		c.fail()
		return
	}
	c.b = c.b[n:]
}

func (c *coder) int(v *int64) {
	n := uint64(*v)<<1 ^ uint64(*v>>63)
	c.uint(&n)
	*v = int64(n>>1) ^ -int64(n&1)
}

func (c *coder) small(v *int) {
	n := int64(*v)
	c.int(&n)
	*v = int(n)
}

// len is how many elements follow; each has at least a byte.
func (c *coder) len(have int) int {
	n := uint64(have)
	c.uint(&n)
	if c.reading && n > uint64(len(c.b)) {
		c.fail()
		return 0
	}
	return int(n)
}

func (c *coder) str(s *string) {
	n := uint64(len(*s))
	c.uint(&n)
	if !c.reading {
		c.b = append(c.b, *s...)
		return
	}
	if n > uint64(len(c.b)) {
		c.fail()
		return
	}
	*s, c.b = string(c.b[:n]), c.b[n:]
}

// count is 0 for unknown, else the number and one.
func (c *coder) count(n *Count) {
	var v uint64
	if n.Known {
		v = uint64(n.N) + 1
	}
	c.uint(&v)
	if c.reading && v > 0 {
		*n = Count{N: int64(v - 1), Known: true}
	}
}

// time is units since 1970; 0 is the zero time.
func (c *coder) time(t *time.Time, unit time.Duration) {
	var n int64
	if !t.IsZero() {
		n = t.UnixNano() / int64(unit)
	}
	c.int(&n)
	if c.reading && n != 0 {
		*t = time.Unix(0, n*int64(unit)).UTC()
	}
}

func (c *coder) addr(a *netip.Addr) {
	var raw [16]byte
	n := uint64(0)
	switch {
	case a.Is4():
		four := a.As4()
		n = uint64(copy(raw[:], four[:]))
	case a.IsValid():
		raw, n = a.As16(), 16
	}
	c.uint(&n)
	if !c.reading {
		c.b = append(c.b, raw[:n]...)
		return
	}
	if n > uint64(len(c.b)) {
		c.fail()
		return
	}
	if n > 0 {
		*a, _ = netip.AddrFromSlice(c.b[:n])
	}
	c.b = c.b[n:]
}
