package gateway

import (
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/leg"
	"github.com/sluice-gateway/sluice/internal/saving"
	"github.com/sluice-gateway/sluice/internal/snapshot"
	"github.com/sluice-gateway/sluice/internal/telemetry"
	"github.com/sluice-gateway/sluice/internal/tenant"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Ended implements leg.Host: it adds an attempt that is in the books to its request.
// What somebody else pays for is no part of the request's own cost.
func (c *call) Ended(a *leg.Attempt) {
	l, b := c.line, &c.bill
	if c.Cascade != "" {
		row := a.Posting.Row
		row.Model = a.Model // of whoever's profile
		l.tally.Add(&row, &a.Posting.Add)
		if c.Span.Sampled() {
			b.mu.Lock()
			b.attempts = append(b.attempts, saving.Row{Key: row, Add: a.Posting.Add})
			b.mu.Unlock()
		}
	}
	if a.Payer != nil {
		return
	}
	b.began(a.Billable())
	b.mu.Lock()
	b.cost += a.Costs.Total()
	b.state = leg.WorseCost(b.state, a.CostState())
	b.mu.Unlock()
	l.cascades.learnCost(c, a)
}

// Observer is told what is known of requests that are over. *requestlog.Log is one.
type Observer interface {
	// Wants reports whether Ended is to be called for a request that ended so.
	Wants(status int, refusal *wire.Error) bool
	// Ended must copy what it keeps: the memory of a request is used again.
	Ended(e telemetry.RequestEnd)
}

// Decisions is told what became of every request that is over. *recorder.Recorder is one.
type Decisions interface {
	// Ended must copy what it keeps: the memory of a request is used again.
	Ended(e *telemetry.RequestEnd, r *leg.Request)
}

// observe ends the request's span, counts it and tells the observer, all from what its steps noted.
func (l *Line) observe(c *call) {
	total := c.over.Sub(c.Received)
	head := total
	if !c.answered.IsZero() {
		head = c.answered.Sub(c.Received)
	}
	l.asker.Telemetry.Metrics().Request(telemetry.RequestCount{
		Operation: c.Target.Op.String(), Path: string(c.path), Status: c.status,
		Added: head - c.waited, FirstByte: head, Duration: total,
	})
	if c.served != nil && c.served.Limit.Changed {
		l.asker.Telemetry.Metrics().CapCut(c.served.Limit.Cut)
	}
	wanted := l.observer != nil && l.observer.Wants(c.status, c.bill.refusal)
	if !wanted && l.decisions == nil && !c.Span.Sampled() {
		return
	}
	e := &c.end
	*e = c.outcome()
	if e.FirstByte, e.Duration = head, total; wanted {
		l.observer.Ended(*e)
	}
	if l.decisions != nil {
		l.decisions.Ended(e, &c.Request)
	}
	if c.Span.Sampled() {
		e.Saving = l.saved(c)
		c.Span.End(*e)
	}
}

// outcome is what is known of a request that is over.
func (c *call) outcome() telemetry.RequestEnd {
	e := telemetry.RequestEnd{
		ID: c.ID, Method: c.Method, Operation: c.Target.Op.String(), Status: c.status,
		Asked: c.Target.Model, Path: string(c.path), Reason: c.reason, Cost: c.bill.cost, CostState: c.bill.state,
		From: c.exchange.From, Received: c.Received, Refusal: c.bill.refusal, Step: c.step,
	}
	if e.Refusal != nil {
		e.Error = e.Refusal.Type()
	} else if c.served != nil && c.served.Response != nil {
		e.Error = c.served.Response.ErrorType()
	}
	if c.Caller != nil {
		e.Tenant, e.Key = c.Caller.Tenant.ID, c.Caller.KeyID
	} else {
		e.Claimed = tenant.ClaimedKey(c.Header)
	}
	if c.route != nil && c.route.Cascade != nil {
		e.Cascade, e.Rule = c.Cascade, c.route.Reason
	}
	if c.served != nil {
		e.Served, e.Cap, e.Cut = c.served.Model, c.served.Limit.Tokens.N, c.served.Limit.Cut
		e.CutAt, e.UpstreamID = c.served.Limit.CutAt, c.served.End.AWSRequestID
		e.Input, e.Output = c.Counted(c.served)
	}
	return e
}

// Savings is what each cascade saved on this gateway within saving.Window.
func (l *Line) Savings(now time.Time) []saving.Saving {
	s := l.snapshots.Load()
	baselines := make([]saving.Baseline, len(s.Config.Cascades))
	for i := range s.Config.Cascades {
		baselines[i] = l.baseline(s, &s.Config.Cascades[i])
	}
	return l.tally.Savings(baselines, s.Prices, now)
}

// baseline is that of a cascade, with what service says of its certificate.
func (l *Line) baseline(s *snapshot.Snapshot, c *config.Cascade) saving.Baseline {
	b := s.Baseline(c)
	if b.Quality.Bound && l.cascades.memory.Of(c.Name).Watch.Refuted(s.Artifacts[c.Name].Certificate) {
		b.Quality = saving.Quality{Why: "service has refuted the certificate"}
	}
	return b
}

// saved is what a request saved, nil outside of cascades and when that is not
// measured.
func (l *Line) saved(c *call) *saving.Saving {
	if c.route == nil || c.route.Cascade == nil {
		return nil
	}
	c.bill.mu.Lock()
	defer c.bill.mu.Unlock()
	s := l.tally.Request(l.baseline(c.Snapshot, c.route.Cascade.Settings), c.Snapshot.Prices, c.bill.attempts)
	if s.NotMeasured != "" || s.Requests == 0 {
		return nil
	}
	return s
}
