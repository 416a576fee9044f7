package record

import (
	"github.com/sluice-gateway/sluice/internal/wire"
)

// The kinds of journal records. Numbers are part of the format and are never
// used again. RESOLVE and ADJUST post like END.
const (
	KindStart      byte = 1
	KindEnd        byte = 2
	KindUnknown    byte = 3
	KindResolve    byte = 4
	KindAdjust     byte = 5
	KindRelease    byte = 6  // a START whose call never left
	KindCheckpoint byte = 7  // in a checkpoint: a partition and its last number
	KindTotal      byte = 8  // in a checkpoint: one row's sums of a partition
	KindRetire     byte = 9  // a writer id that posts no more
	KindCharges    byte = 10 // in a checkpoint: one window's sums of a partition
	KindSuspended  byte = 11 // in a checkpoint: an attempt that ended as unknown
)

// Posts reports whether records of the kind start with a posting.
func Posts(kind byte) bool { return kind >= KindEnd && kind <= KindAdjust }

// recordVersion is the first byte of every record. Fields are only ever added
// at the end, and a reader ignores what it does not know, so it rises only when
// an old program must not read a new record. Since 2 records have charges;
// records of version 1 are read as having none. Since 3 they tell region,
// latency, long context, user, and units other than tokens; in older ones these
// are empty and zero. Since 4 rows say which budgets count them, and what budgets
// counted late.
const recordVersion = 4

// seqAt is where the sequence number of a posting record is: behind the
// version, eight bytes, little endian, so that it can be filled in on the way
// to the disk. The root follows.
const seqAt = 1

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
	if c.v >= 3 {
		c.str(&s.User)
		c.str(&s.AskedTier)
		c.str(&s.AskedLatency)
	}
}

func (c *coder) sku(s *SKU) {
	c.str(&s.Model)
	c.str(&s.Scope)
	c.str(&s.Tier)
	if c.v >= 3 {
		c.str(&s.Region)
		c.str(&s.Latency)
		c.str(&s.Context)
	}
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
	if c.reading && c.v >= 4 {
		switch p.Row.Held {
		case "":
			p.Row.Held = c.seen.heldBy(p.Row.Tenant, p.Charges)
		case heldUnknown:
			p.Row.Held = ""
		}
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
	if c.v >= 3 {
		c.str(&r.Region)
		c.str(&r.Latency)
		c.str(&r.Context)
		c.str(&r.User)
	}
	if c.v >= 4 {
		c.str(&r.Held)
	}
}

// counters writes a bit per counter that is not zero, then those.
func (c *coder) counters(a *Counters) {
	values := a.values()
	var set uint64
	for i, v := range values {
		if *v != 0 {
			set |= 1 << i
		}
	}
	c.uint(&set)
	if set >= 1<<len(values) {
		c.bad = true
		return
	}
	for i, v := range values {
		if set&(1<<i) != 0 {
			c.int(v)
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
	c.flags(&e.Drained, &e.Served, &e.Wasted, &e.Escalated, &e.GuardrailUnknown, &e.CapHit)
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
	if c.v < 3 {
		return
	}
	for _, n := range [...]*wire.Count{&u.Queries, &u.Images, &u.Milliseconds} {
		c.count(n)
	}
	c.str(&u.Latency)
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
