package meter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// The kinds of journal records. Numbers are part of the format and are never
// used again. RESOLVE and ADJUST post like END.
const (
	kindStart      byte = 1
	kindEnd        byte = 2
	kindUnknown    byte = 3
	kindResolve    byte = 4
	kindAdjust     byte = 5
	kindRelease    byte = 6  // a START whose call never left
	kindCheckpoint byte = 7  // in a checkpoint: a lane and its last number
	kindTotal      byte = 8  // in a checkpoint: one row's sums of a lane
	kindRetire     byte = 9  // a writer id that posts no more
	kindCharges    byte = 10 // in a checkpoint: one window's sums of a lane
	kindSuspended  byte = 11 // in a checkpoint: an attempt that ended as unknown
)

// posts reports whether records of the kind start with a posting.
func posts(kind byte) bool { return kind >= kindEnd && kind <= kindAdjust }

// recordVersion is the first byte of every record. Fields are only ever added
// at the end, and a reader ignores what it does not know, so it rises only when
// an old program must not read a new record. Since 2 records have charges;
// records of version 1 are read as having none.
const recordVersion = 2

// seqAt is where the sequence number of a posting record stands: behind the
// version, eight bytes, little endian, so that it can be filled in on the way
// to the disk. The root follows.
const seqAt = 1

var errRecord = errors.New("usage record cannot be read")

// coder writes or reads the fields of a record in order. One list of fields
// thus serves both ways and they cannot differ.
type coder struct {
	b       []byte
	v       uint64 // the record's version
	reading bool
	bad     bool
}

func reader(b []byte) coder { return coder{b: b, reading: true} }

func (c *coder) err() error {
	if c.bad {
		return errRecord
	}
	return nil
}

func (c *coder) version() {
	v := uint64(recordVersion)
	c.uint(&v)
	if v == 0 || v > recordVersion {
		c.bad = true
	}
	c.v = v
}

func (c *coder) fixed(v *uint64) {
	if !c.reading {
		c.b = binary.LittleEndian.AppendUint64(c.b, *v)
		return
	}
	if len(c.b) < 8 {
		c.bad = true
		return
	}
	*v, c.b = binary.LittleEndian.Uint64(c.b), c.b[8:]
}

func (c *coder) uint(v *uint64) {
	if !c.reading {
		c.b = binary.AppendUvarint(c.b, *v)
		return
	}
	n := 0
	if *v, n = binary.Uvarint(c.b); n <= 0 {
		c.bad, c.b = true, nil
		return
	}
	c.b = c.b[n:]
}

func (c *coder) int(v *int64) {
	if !c.reading {
		c.b = binary.AppendVarint(c.b, *v)
		return
	}
	n := 0
	if *v, n = binary.Varint(c.b); n <= 0 {
		c.bad, c.b = true, nil
		return
	}
	c.b = c.b[n:]
}

func (c *coder) str(s *string) {
	n := uint64(len(*s))
	c.uint(&n)
	if !c.reading {
		c.b = append(c.b, *s...)
		return
	}
	if n > uint64(len(c.b)) {
		c.bad, c.b = true, nil
		return
	}
	*s, c.b = string(c.b[:n]), c.b[n:]
}

func (c *coder) small(v *int) {
	n := int64(*v)
	c.int(&n)
	*v = int(n)
}

func (c *coder) byte(v *uint8) {
	n := uint64(*v)
	c.uint(&n)
	*v = uint8(n)
}

// time is nanoseconds since 1970 in UTC; 0 is the zero time.
func (c *coder) time(t *time.Time) {
	var n int64
	if !t.IsZero() {
		n = t.UnixNano()
	}
	c.int(&n)
	if !c.reading {
		return
	}
	*t = time.Time{}
	if n != 0 {
		*t = time.Unix(0, n).UTC()
	}
}

func (c *coder) pico(p *money.Pico) {
	n := int64(*p)
	c.int(&n)
	*p = money.Pico(n)
}

// count is 0 for unknown, else the number and one.
func (c *coder) count(n *wire.Count) {
	var v uint64
	if n.Known {
		v = uint64(n.N) + 1
	}
	c.uint(&v)
	*n = wire.Count{}
	if v > 0 {
		*n = wire.Known(int64(v - 1))
	}
}

func (c *coder) start(s *Start) {
	c.version()
	c.str(&s.ID)
	c.str(&s.RequestID)
	c.str(&s.Root)
	c.str(&s.Tenant)
	c.str(&s.Key)
	op := uint8(s.Op)
	c.byte(&op)
	s.Op = wire.Operation(op)
	c.str(&s.Model)
	c.sku(&s.SKU)
	c.str(&s.Cascade)
	c.str(&s.Path)
	c.str(&s.Reason)
	c.small(&s.Leg)
	c.small(&s.Attempt)
	c.int(&s.EstimatedInput)
	c.int(&s.MaxOutput)
	c.pico(&s.Hold)
	c.str(&s.PriceVersion)
	c.time(&s.At)
	if c.v >= 2 {
		c.charges(s.Tenant, &s.Charges)
	}
}

func (c *coder) sku(s *SKU) {
	c.str(&s.Model)
	c.str(&s.Scope)
	c.str(&s.Tier)
}

// posting starts every record that posts. An empty root posts nothing.
func (c *coder) posting(p *Posting) {
	c.version()
	c.fixed(&p.Seq)
	c.str(&p.Root)
	if p.Root == "" {
		return
	}
	c.row(&p.Row)
	c.counters(&p.Add)
	if c.v >= 2 {
		c.charges(p.Row.Tenant, &p.Charges)
	}
}

func (c *coder) row(r *RowKey) {
	c.time(&r.Hour)
	c.str(&r.Tenant)
	c.str(&r.Key)
	c.str(&r.Model)
	c.str(&r.Scope)
	c.str(&r.Tier)
	c.str(&r.Cascade)
	c.str(&r.Path)
	c.str(&r.PriceVersion)
}

// counters writes a bit per counter that is not zero, then those.
func (c *coder) counters(a *Counters) {
	counts, amounts := a.counts(), a.amounts()
	var set uint64
	for i, n := range counts {
		if *n != 0 {
			set |= 1 << i
		}
	}
	for i, p := range amounts {
		if *p != 0 {
			set |= 1 << (len(counts) + i)
		}
	}
	c.uint(&set)
	for i, n := range counts {
		if set&(1<<i) != 0 {
			c.int(n)
		}
	}
	for i, p := range amounts {
		if set&(1<<(len(counts)+i)) != 0 {
			c.pico(p)
		}
	}
}

// end follows the posting in END and UNKNOWN records.
func (c *coder) end(e *End) {
	c.str(&e.ID)
	outcome := uint8(e.Outcome)
	c.byte(&outcome)
	e.Outcome = Outcome(outcome)
	c.small(&e.Status)
	c.usage(&e.Usage)
	c.flags(&e.Drained, &e.Served, &e.Wasted, &e.Escalated)
	c.int(&e.TokensCut)
	c.str(&e.AWSRequestID)
	c.time(&e.At)
}

func (c *coder) usage(u *wire.Usage) {
	for _, n := range [...]*wire.Count{&u.Input, &u.Output, &u.CacheRead, &u.CacheWrite5m, &u.CacheWrite1h} {
		c.count(n)
	}
	policies := uint64(len(u.GuardrailUnits))
	c.uint(&policies)
	for i := range policies {
		var units int64
		if i < uint64(len(u.GuardrailUnits)) {
			units = u.GuardrailUnits[i]
		}
		c.int(&units)
		if c.bad {
			return
		}
		if i < uint64(len(u.GuardrailUnits)) {
			u.GuardrailUnits[i] = units
		}
	}
	c.str(&u.ServiceTier)
	c.str(&u.InvokedModel)
	c.str(&u.StopReason)
}

func (c *coder) flags(flags ...*bool) {
	var set uint64
	for i, f := range flags {
		if *f {
			set |= 1 << i
		}
	}
	c.uint(&set)
	for i, f := range flags {
		*f = set&(1<<i) != 0
	}
}

// lane is one sequence of numbers: what one writer posts to one root tenant.
type lane struct{ writer, root string }

func (c *coder) lane(l *lane) {
	c.version()
	c.str(&l.writer)
	c.str(&l.root)
}

func readStart(b []byte) (*Start, error) {
	c, s := reader(b), &Start{}
	c.start(s)
	return s, c.err()
}

// readEnd reads an END or UNKNOWN record.
func readEnd(b []byte) (*Posting, *End, error) {
	c, p, e := reader(b), &Posting{}, &End{}
	c.posting(p)
	c.end(e)
	return p, e, c.err()
}

// readHolder reads whose holds an UNKNOWN record of an estate ends.
func readHolder(b []byte) (string, error) {
	c, holder := reader(b), ""
	c.posting(&Posting{})
	c.end(&End{})
	c.str(&holder)
	return holder, c.err()
}

// readPosting reads the posting of any record that posts, and of an END or
// UNKNOWN the id behind it.
func readPosting(b []byte) (Posting, string, error) {
	c := reader(b)
	var p Posting
	var id string
	c.posting(&p)
	c.str(&id)
	if c.bad {
		return p, "", fmt.Errorf("posting: %w", errRecord)
	}
	return p, id, nil
}

// rootOf returns the root in a posting record's bytes, nil when it posts nothing.
func rootOf(b []byte) []byte {
	if len(b) < seqAt+8 {
		return nil
	}
	n, w := binary.Uvarint(b[seqAt+8:])
	if w <= 0 || n > uint64(len(b)-seqAt-8-w) {
		return nil
	}
	return b[seqAt+8+w:][:n]
}
