// Package shadow asks models that did not serve a request for their answers too,
// after the caller has got theirs: for labelled pairs that certificates are made
// of, to watch a certificate in service, and to learn how long the escalation
// model's answers are. Another tenant pays for that.
//
// Nobody waits for a shadow, and a sample that finds no place is dropped.
package shadow

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/internal/cascade"
	"github.com/sluice-gateway/sluice/internal/cascade/answer"
	"github.com/sluice-gateway/sluice/internal/cascade/memory"
	"github.com/sluice-gateway/sluice/internal/cascade/pairs"
	"github.com/sluice-gateway/sluice/internal/cascade/parts"
	"github.com/sluice-gateway/sluice/internal/leg"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/router"
	"github.com/sluice-gateway/sluice/internal/tenant"
)

// maxShadows is how many requests are shadowed at the same time.
const maxShadows = 8

// Shadows follow finished requests. They are safe for concurrent use.
type Shadows struct {
	Asker     *leg.Asker
	Memory    *memory.Store
	Tightened *memory.Tightened // keeps how far thresholds were stepped back
	Schemas   *answer.Schemas
	Pairs     pairs.Log // without a directory nothing is logged
	// Random returns numbers in [0, 1) for samples.
	Random func() float64

	running atomic.Int64 // requests that are shadowed now
}

// Sample is a request of which other models will be asked, with the answer that
// its caller got. A nil sample keeps nothing.
type Sample struct {
	payer  *tenant.Tenant
	frames [][]byte // of the answer, when it was a stream
	size   int
	over   bool // it was too large to be kept
}

// Pick decides whether a request is sampled: of a cascade that observes, for
// labels; of one that enforces, to watch its certificate; and of both that check
// answers, to learn how long the escalation model's are where it did not serve,
// without which nobody can say what was saved. checked is route.Checked.
func (s *Shadows) Pick(r *leg.Request, route *router.Plan, checked bool) *Sample {
	if route.Cascade == nil || len(r.Further) > 0 || len(route.Shadows) == 0 && !checked {
		return nil
	}
	settings := &route.Cascade.Settings.Shadow
	payer := r.Snapshot.Tenants.Lookup(settings.Tenant)
	if payer == nil || s.Random() >= settings.Fraction {
		return nil
	}
	return &Sample{payer: payer}
}

// Keep copies a frame on its way to the caller.
func (s *Sample) Keep(raw []byte) {
	if s == nil || s.over {
		return
	}
	if s.size += len(raw); s.size > leg.MaxHeld {
		s.over, s.frames = true, nil
		return
	}
	s.frames = append(s.frames, append([]byte(nil), raw...))
}

// KeepAll takes the frames of a stream that was held back.
func (s *Sample) KeepAll(frames [][]byte) {
	if s != nil {
		s.frames = frames
	}
}

// Finished is a sampled request whose caller has got an answer.
type Finished struct {
	Request *leg.Request
	Route   *router.Plan
	Sample  *Sample
	Served  *leg.Attempt // closed
	Checked bool         // whether the light answer was looked at
	Reason  string       // what decided
	Risk    float64      // of a light answer that a certificate let through
	At      time.Time
	// Busy is whether the gateway has much to do. Shadows are the first to go.
	Busy bool
}

// job is a finished request while other models are asked of it.
type job struct {
	*Finished
	*Shadows
	asked *answer.Request
}

func (s *Shadows) job(f *Finished) *job {
	return &job{f, s, parts.Request(&f.Request.Facts, f.Request.Body)}
}

func (j *job) state() *memory.State { return j.Memory.Of(j.Route.Cascade.Name) }

func (j *job) dropped(reason string) {
	j.Asker.Telemetry.Metrics().ShadowDropped(j.Route.Cascade.Name, reason)
}

// Follow decides what follows a finished request. It returns what asks the other
// models, for a goroutine of its own, and nil when none is asked.
func (s *Shadows) Follow(f *Finished) func(ctx context.Context) {
	escalated := f.Served.Role == router.RoleEscalation
	switch {
	case f.Checked && escalated:
		s.watch(f, 0)
		return nil
	case !f.Checked && !escalated: // a budget kept the escalation model from it
		return nil
	}
	j := s.job(f)
	if reason := j.admit(); reason != "" {
		j.dropped(reason)
		return nil
	}
	return func(ctx context.Context) {
		defer s.running.Add(-1)
		ctx, cancel := context.WithTimeout(ctx, f.Request.Snapshot.Config.Timeouts.Request)
		defer cancel()
		j.compare(ctx)
	}
}

// admit takes a place for a shadow, or says why there is none.
func (j *job) admit() (refused string) {
	switch {
	case j.Sample.over:
		return "size"
	case j.Served.End.Outcome != record.Completed:
		return "incomplete"
	case j.Busy:
		return "load"
	case j.running.Add(1) > maxShadows:
		j.running.Add(-1)
		return "busy"
	}
	return ""
}

// compare asks the models that did not serve, and compares their answers with the
// one that was served.
func (j *job) compare(ctx context.Context) {
	var questions []question
	for i, model := range j.Route.Shadowed(j.Checked) {
		questions = append(questions, question{j.Request, model, i + 1})
	}
	replies := j.ask(ctx, questions)
	switch {
	case replies == nil || replies[0].Reply == nil:
	case j.Checked:
		j.watchLight(ctx, replies[0].Answer())
	case j.Pairs.Dir != "":
		p := j.pair(ctx, replies)
		if err := j.Pairs.Append(p); err != nil {
			j.Asker.Log.Error("pair not logged", "cascade", p.Cascade, "request", p.ID, "err", err)
		}
	}
}

// question is a request and the model to ask of it.
type question struct {
	request *leg.Request
	model   router.Leg
	index   int // of its records
}

// reply is what a model replied, and the record of that.
type reply struct {
	*leg.Reply // nil when it brought no answer
	used       pairs.Leg
}

// sideLeg is a leg at the payer's cost.
type sideLeg struct {
	question
	plan  *leg.Plan
	funds leg.Funds
}

// ask asks all questions side by side and returns when everything is in the
// books, in their order. It asks none, and returns nil, when the payer cannot
// afford all of them.
func (j *job) ask(ctx context.Context, questions []question) []reply {
	legs := make([]*sideLeg, 0, len(questions))
	for _, q := range questions {
		l, reason := j.afford(ctx, q)
		if reason != "" {
			j.dropped(reason)
			for _, l := range legs {
				j.settle(l, 0)
			}
			return nil
		}
		legs = append(legs, l)
	}
	sides := make([]*leg.Side, len(legs))
	for i, l := range legs {
		sides[i] = j.Asker.Beside(ctx, l.request, l.plan, &l.funds, leg.ToEnd)
	}
	replies := make([]reply, len(legs))
	for i, side := range sides {
		replies[i] = j.end(legs[i], side)
	}
	return replies
}

// afford plans a leg at the cost of the sample's payer, or says why it cannot be
// asked: the day's allowance, or a budget or limit of the payer, may have no room
// for it.
func (j *job) afford(ctx context.Context, q question) (l *sideLeg, refused string) {
	p, err := leg.NewPlan(q.request, q.model, q.index)
	if err != nil {
		return nil, "unfit"
	}
	if p, err = p.PaidBy(q.request, j.Sample.payer); err != nil {
		return nil, "unfit"
	}
	l = &sideLeg{question: q, plan: p.As(router.Shadow, cascade.ReasonShadow)}
	limit := j.Route.Cascade.Settings.Shadow.USDPerDay
	if limit > 0 && p.Price == nil || !j.state().Shadow.Take(p.Worst(q.request), limit, j.Asker.Now()) {
		return nil, "allowance"
	}
	if !l.reserve(ctx, j.Asker) {
		j.settle(l, 0)
		return nil, "budget"
	}
	return l, ""
}

// reserve holds the worst case of the leg for its payer, and reports whether
// there is room.
func (l *sideLeg) reserve(ctx context.Context, k *leg.Asker) bool {
	policy := l.request.Snapshot.Budgets.For(l.plan.Payer.ID)
	if policy == nil {
		return true
	}
	claim, err := k.Claim(l.request, []*leg.Plan{l.plan}, policy)
	return err == nil && k.Reserve(ctx, &l.funds, claim) == nil
}

// settle gives back what a leg holds, and charges the day's allowance with what
// it cost.
func (j *job) settle(l *sideLeg, cost money.Pico) {
	l.funds.Release()
	j.state().Shadow.Settle(l.plan.Worst(l.request), cost)
}

// end waits until a leg is in the books.
func (j *job) end(l *sideLeg, side *leg.Side) reply {
	side.Wait()
	r := reply{Reply: side.Reply()}
	side.Discard(leg.Consulted, l.request.Snapshot.Config.Timeouts.Drain)
	side.Ended()
	if side.Refused == nil {
		r.used = used(side.Attempt)
	}
	j.settle(l, r.used.Cost)
	return r
}

// used is what an attempt used, for the log.
func used(a *leg.Attempt) pairs.Leg {
	u := &a.End.Usage
	return pairs.Leg{Model: a.Model, Input: u.Input.N, Output: u.Output.N, Cost: a.Costs.Total()}
}

// served is the answer that the caller got.
func (j *job) served() *answer.Answer {
	return (&leg.Reply{Op: j.Request.Target.Op, Frames: j.Sample.frames, Body: j.Served.Response.Body}).Answer()
}
