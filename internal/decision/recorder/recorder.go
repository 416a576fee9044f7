// Package recorder makes decisions of requests that are over, and gives them to their log.
package recorder

import (
	"net/netip"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/internal/decision"
	"github.com/sluice-gateway/sluice/internal/leg"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/meter/record/awake"
	"github.com/sluice-gateway/sluice/internal/telemetry"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// maxMessage is how many bytes of a refusal's text are kept.
const maxMessage = 600

// Recorder tells a log of each request. Make it with New; it is safe for concurrent use.
type Recorder struct {
	log     *decision.Log
	gateway string
	room    sync.Pool // of *decision.Decision
}

// New returns a recorder of the gateway with that name.
func New(log *decision.Log, gateway string) *Recorder {
	return &Recorder{log: log, gateway: gateway, room: sync.Pool{New: func() any { return &decision.Decision{} }}}
}

// Ended implements gateway.Decisions.
func (r *Recorder) Ended(e *telemetry.RequestEnd, of *leg.Request) {
	d := r.begin(e)
	d.Session, d.Signal = of.Session.Label(), string(of.Session.Signal)
	for _, a := range of.Attempts() {
		r.leg(d, a)
	}
	r.finish(d)
}

// Edge takes a request that was refused before it reached the request line.
func (r *Recorder) Edge(id string, from netip.Addr, e *wire.Error, at time.Time) {
	r.finish(r.begin(&telemetry.RequestEnd{
		ID: id, From: from, Status: e.Status(), Error: e.Type(), Refusal: e, Received: at, Step: "accept",
	}))
}

func (r *Recorder) finish(d *decision.Decision) {
	r.log.Add(d)
	r.room.Put(d)
}

func (r *Recorder) begin(e *telemetry.RequestEnd) *decision.Decision {
	d := r.room.Get().(*decision.Decision) // it has no others
	*d = decision.Decision{
		ID: e.ID, Received: e.Received, Gateway: r.gateway, From: e.From, Tenant: e.Tenant, Key: e.Key, Claimed: e.Claimed,
		Method: e.Method, Operation: e.Operation, Asked: e.Asked, Served: e.Served, Cascade: e.Cascade, Rule: e.Rule,
		Path: e.Path, Reason: e.Reason, Cap: e.Cap, Cut: e.Cut, Status: e.Status, Error: e.Error,
		Cost: decision.Dollars(e.Cost), CostState: e.CostState,
		FirstByte: decision.Micro(e.FirstByte), Duration: decision.Micro(e.Duration), Legs: d.Legs[:0],
	}
	if e.Refusal != nil {
		d.Step, d.Message = e.Step, e.Refusal.Message
		if len(d.Message) > maxMessage {
			d.Message = d.Message[:maxMessage]
		}
	}
	return d
}

// leg adds an attempt. Its memory is that of an earlier one.
func (r *Recorder) leg(d *decision.Decision, a *leg.Attempt) {
	if n := len(d.Legs); n < cap(d.Legs) {
		d.Legs = d.Legs[:n+1]
	} else {
		d.Legs = append(d.Legs, decision.Leg{})
	}
	l := &d.Legs[len(d.Legs)-1]
	end, tokens := &a.End, &a.End.Usage
	*l = decision.Leg{
		Index: a.Index, Path: string(a.Path), Reason: a.Reason, Model: a.Model, Upstream: a.Upstream,
		Region: a.SKU.Region, Tier: a.SKU.Tier, Status: end.Status, Outcome: a.OutcomeName(), Error: a.ErrorName(),
		UpstreamID: end.AWSRequestID, Stop: tokens.StopReason, Is: fate(end),
		Tokens: decision.Tokens{
			Input: decision.Count(tokens.Input), Output: decision.Count(tokens.Output),
			CacheRead: decision.Count(tokens.CacheRead), CacheWrite5m: decision.Count(tokens.CacheWrite5m),
			CacheWrite1h: decision.Count(tokens.CacheWrite1h),
		},
		Levers: levers(a),
		Cost:   decision.Dollars(a.Costs.Total()), CostState: a.CostState(), Effects: l.Effects[:0],
	}
	if a.Payer != nil {
		l.Payer = a.Payer.ID
	}
	s := a.Start
	if s == nil {
		return
	}
	l.Record, l.Attempt, l.Began, l.Took = s.ID, s.Attempt, s.At, decision.Micro(end.At.Sub(s.At))
	l.PriceVersion, l.Tier = a.Posting.Row.PriceVersion, awake.Plain(a.Posting.Row.Tier)
	if d.User == "" {
		d.User = s.User
	}
	effects(l, a.Posting.Charges)
}

func levers(a *leg.Attempt) decision.Levers {
	l := leg.LeversOf(a)
	return decision.Levers{
		Named: l.Named, Tiers: l.Tiers, Cache: l.Cache, Capacity: l.Capacity,
		Lines: l.Lines, Waited: decision.Micro(l.Waited),
	}
}

// effects adds what an attempt posted, that of one window together.
func effects(l *decision.Leg, charges []record.Charge) {
	for i := range charges {
		c := &charges[i]
		e := decision.Effect{
			Tenant: c.Window.Tenant, Unit: unit(c.Window.Unit), Period: c.Window.Period, Start: c.Window.Start,
		}
		n := len(l.Effects)
		if n > 0 && same(&l.Effects[n-1], &e) {
			n--
		} else {
			l.Effects = append(l.Effects, e)
		}
		if c.Suspense {
			l.Effects[n].Suspense += c.Amount
		} else {
			l.Effects[n].Posted += c.Amount
		}
	}
}

func same(a, b *decision.Effect) bool {
	return a.Tenant == b.Tenant && a.Unit == b.Unit && a.Period == b.Period && a.Start.Equal(b.Start)
}

func unit(u record.Unit) string {
	switch u {
	case record.UnitUSD:
		return "usd"
	case record.UnitTokens:
		return "tokens"
	case record.UnitRequests:
		return "requests"
	default:
		return "concurrent"
	}
}

func fate(e *record.End) (f decision.Fate) {
	for _, one := range [...]struct {
		is  bool
		bit decision.Fate
	}{
		{e.Served, decision.FateServed}, {e.Wasted, decision.FateWasted}, {e.Drained, decision.FateDrained},
		{e.Escalated, decision.FateEscalated},
	} {
		if one.is {
			f |= one.bit
		}
	}
	return f
}
