package gateway

import (
	"fmt"
	"time"

	"github.com/sluice-gateway/sluice/internal/cascade"
	"github.com/sluice-gateway/sluice/internal/cascade/memory"
	"github.com/sluice-gateway/sluice/internal/cascade/score"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/router"
)

// maxPrompt is how much text a pre-score looks at.
const maxPrompt = 256 << 10

// direct says why a request that no rule sends to the escalation model goes
// there all the same, "" when the light model is asked first.
func (l *Line) direct(c *call, to *router.Cascade) string {
	if to.Mode == "enforce" && !l.certified(c, to) {
		return router.ReasonUncertified
	}
	now := c.req.Received
	state := l.memory.Of(to.Name)
	c.prior = c.preScore(to)
	reason := ""
	switch {
	case state.Sessions.Reached(memory.SessionOf(c.caller.KeyID, c.req.Header.Get(memory.SessionHeader), &c.facts), to.Settings.Session.TTL, now):
		reason = cascade.ReasonSession
	case c.prior == score.DirectBand:
		reason = cascade.ReasonPreScore
	case c.mayBeWarm() && state.Costs.Warm(now):
		return cascade.ReasonWarm // it saves money, so no budget stops it
	}
	if reason == "" {
		return ""
	}
	if !state.Guard.Allow(c.caller.KeyID, limitsOf(to), now) {
		l.Telemetry.Metrics().Guarded(to.Name)
		return ""
	}
	l.tellGuard(c, to, now)
	return reason
}

// mayBeWarm reports whether an earlier request may have filled a prompt cache.
func (c *call) mayBeWarm() bool { return c.facts.CachePoints > 0 && c.facts.Turns > 1 }

func limitsOf(c *router.Cascade) memory.Limits {
	return memory.Limits{MaxRate: c.Settings.Guard.MaxRate, PerKeyPerMinute: c.Settings.Guard.PerKeyPerMinute}
}

// preScore is what the cascade's pre-score says of the request before any call.
func (c *call) preScore(to *router.Cascade) score.Band {
	return c.snap.Artifacts[to.Name].Band(func() *score.Input {
		return &score.Input{Prompt: c.prompt(), Bytes: c.facts.TextBytes, Route: c.route(to)}
	})
}

// prompt is the text of the request, "" when it is too long to be looked at.
func (c *call) prompt() string {
	if c.facts.TextBytes > maxPrompt {
		return ""
	}
	return string(c.facts.AppendText(nil, c.body))
}

// route tells kinds of requests apart: whose they are and under which system
// prompt.
func (c *call) route(to *router.Cascade) string {
	return fmt.Sprintf("%s %s %016x", to.Name, c.caller.Tenant.ID, c.facts.SystemHash)
}

// guard counts an escalation against the cascade's budgets. One that is only a
// precaution does not happen when they are used up.
func (l *Line) guard(c *call, d cascade.Decision) cascade.Decision {
	if !d.Escalate {
		return d
	}
	to, now := c.plan.Cascade, l.Now()
	guard := &l.memory.Of(to.Name).Guard
	switch {
	case !d.Uncertain:
		guard.Escalate(c.caller.KeyID, now)
	case !guard.Allow(c.caller.KeyID, limitsOf(to), now):
		l.Telemetry.Metrics().Guarded(to.Name)
		return cascade.Decision{Reason: cascade.ReasonGuard, Cut: d.Cut}
	}
	l.tellGuard(c, to, now)
	return d
}

// tellGuard shares what was counted, when a budget needs it.
func (l *Line) tellGuard(c *call, to *router.Cascade, now time.Time) {
	if limitsOf(to) != (memory.Limits{}) {
		l.memory.ShareGuard(c.caller.Tenant.Root, to.Name, c.caller.KeyID, now)
	}
}

// keepsNoSession are the reasons that say nothing about the conversation itself.
var keepsNoSession = map[string]bool{
	cascade.ReasonSession: true, cascade.ReasonWarm: true, router.ReasonObserve: true, router.ReasonUncertified: true,
}

// learn remembers how a request of a cascade was answered.
func (l *Line) learn(c *call) {
	if c.plan == nil || c.plan.Cascade == nil || c.served == nil {
		return
	}
	to := c.plan.Cascade
	state := l.memory.Of(to.Name)
	state.Guard.Request(c.over)
	l.tellGuard(c, to, c.over)
	l.Telemetry.Metrics().Decision(to.Name, string(c.path), c.reason)
	if ttl := to.Settings.Session.TTL; c.served.Role == router.RoleEscalation && c.status < 300 && !keepsNoSession[c.reason] && ttl > 0 {
		session := memory.BegunBy(c.caller.KeyID, c.req.Header.Get(memory.SessionHeader), &c.facts)
		l.memory.MarkSession(c.caller.Tenant.Root, to.Name, memory.Mark{Session: session, At: c.over, TTL: ttl})
	}
	if c.path == router.Escalated && c.mayBeWarm() {
		state.Costs.Escalated(c.over)
	}
}

// learnLeg remembers what a leg cost.
func (l *Line) learnLeg(c *call, g *leg, end *record.End, costs record.Costs) {
	if c.plan == nil || c.plan.Cascade == nil || end.Outcome != record.Completed || g.price == nil || !c.mayBeWarm() {
		return
	}
	state := &l.memory.Of(c.plan.Cascade.Name).Costs
	switch g.Role {
	case router.RoleLight:
		state.Light(costs.Total(), c.facts.InputTokens, end.At)
	case router.RolePartner:
		state.Partner(costs.Total(), end.At)
	case router.RoleEscalation:
		state.Escalation(costs.Total(), c.facts.InputTokens, end.At)
	}
}
