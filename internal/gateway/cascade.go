package gateway

import (
	"time"

	"github.com/sluice-gateway/sluice/internal/cascade"
	"github.com/sluice-gateway/sluice/internal/cascade/answer"
	"github.com/sluice-gateway/sluice/internal/cascade/certify"
	"github.com/sluice-gateway/sluice/internal/cascade/memory"
	"github.com/sluice-gateway/sluice/internal/cascade/score"
	"github.com/sluice-gateway/sluice/internal/leg"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/router"
)

// cascades answer what the line asks about cascades: from what is remembered of
// earlier requests, and from certificates. They remember its requests in turn.
type cascades struct {
	asker   *leg.Asker
	memory  *memory.Store
	schemas *answer.Schemas

	tightened *memory.Tightened
}

// direct says why a request that no rule sends to the escalation model goes
// there all the same, "" when the light model is asked first.
func (s *cascades) direct(c *call, to *router.Cascade) string {
	if to.Mode == "enforce" && !s.certified(c, to) {
		return router.ReasonUncertified
	}
	now, state := c.Received, s.memory.Of(to.Name)
	c.prior = c.Snapshot.Artifacts[to.Name].Band(func() *score.Input {
		return &score.Input{Prompt: c.Prompt(), Bytes: c.Facts.TextBytes, Route: c.Kind()}
	})
	session := memory.SessionOf(c.Caller.KeyID, c.Header.Get(memory.SessionHeader), &c.Facts)
	reason := ""
	switch {
	case state.Sessions.Reached(session, to.Settings.Session.TTL, now):
		reason = cascade.ReasonSession
	case c.prior == score.DirectBand:
		reason = cascade.ReasonPreScore
	case c.mayBeWarm() && s.asker.Warm(&c.Request, to.Light, to.Escalation, &state.Costs):
		return cascade.ReasonWarm // it saves money, so no budget stops it
	}
	if reason == "" || !s.allow(c, to, now) {
		return ""
	}
	return reason
}

// mayBeWarm reports whether an earlier request may have filled a prompt cache.
func (c *call) mayBeWarm() bool { return c.Pointed() && c.Facts.Turns > 1 }

// certified reports whether a cascade has a certificate that holds, that is
// about requests with this one's response schema, and that service has not
// refuted since.
func (s *cascades) certified(c *call, to *router.Cascade) bool {
	artifacts, state := c.Snapshot.Artifacts[to.Name], s.memory.Of(to.Name)
	if artifacts == nil || artifacts.Certificate == nil || state.Watch.Refuted(artifacts.Certificate) {
		return false
	}
	if s.shifted(c, to.Name, artifacts.Certificate) {
		return false
	}
	c.asked = c.request()
	schema := s.schemas.Hash(c.asked)
	if artifacts.Certificate.Covers(schema) {
		return true
	}
	hash := artifacts.Certificate.Hash
	s.asker.Telemetry.Metrics().UncertifiedSchema(to.Name)
	if state.Strangers.New(hash + schema) {
		s.asker.Log.Warn("requests with this response schema are not certified: no pair of the certificate had it; "+
			"the escalation model serves them",
			"cascade", to.Name, "schema", schema, "certificate", hash, "request", c.ID)
	}
	return false
}

// shifted reports whether the requests of this one's route are no longer like those that
// the certificate was made of.
func (s *cascades) shifted(c *call, name string, of *certify.Certificate) bool {
	if len(of.Routes) == 0 {
		return false
	}
	state := s.memory.Of(name)
	shifted, news := state.Traffic.Look(of, c.Kind(), c.Facts.TextBytes, c.Received)
	if !news {
		return shifted
	}
	says := "the requests of a route are again like those that the certificate was made of"
	if shifted {
		says = "the requests of a route are no longer like those that the certificate was made of; " +
			"the escalation model serves them until they are: calibrate again"
	}
	s.asker.Log.Warn(says, "cascade", name, "route", c.Kind(), "certificate", of.Hash, "request", c.ID)
	if err := s.tightened.Keep(name, state); err != nil {
		s.asker.Log.Error("a restart would forget which routes shifted", "cascade", name, "err", err)
	}
	return shifted
}

// threshold is what the certificate of an enforcing cascade allows, and the
// watch over it, nil elsewhere.
func (s *cascades) threshold(c *call) *cascade.Threshold {
	to := c.route.Cascade
	if to.Mode != "enforce" {
		return nil
	}
	artifacts := c.Snapshot.Artifacts[to.Name]
	t := &cascade.Threshold{AtMost: s.memory.Of(to.Name).Watch.Threshold(artifacts.Certificate), Order: artifacts.Order()}
	if t.Order != nil {
		t.Prompt, t.Route = c.Prompt(), c.Kind()
	}
	return t
}

func limitsOf(to *router.Cascade) memory.Limits {
	return memory.Limits{MaxRate: to.Settings.Guard.MaxRate, PerKeyPerMinute: to.Settings.Guard.PerKeyPerMinute}
}

// allow counts an escalation that is only a precaution, if the cascade's
// escalation budgets have room for it.
func (s *cascades) allow(c *call, to *router.Cascade, now time.Time) bool {
	if !s.memory.Of(to.Name).Guard.Allow(c.Caller.KeyID, limitsOf(to), now) {
		s.asker.Telemetry.Metrics().Guarded(to.Name)
		return false
	}
	s.shareGuard(c, to, now)
	return true
}

// shareGuard sends other gateways what was counted, when a budget needs it.
func (s *cascades) shareGuard(c *call, to *router.Cascade, now time.Time) {
	if limitsOf(to) != (memory.Limits{}) {
		s.memory.ShareGuard(c.Caller.Tenant.Root, to.Name, c.Caller.KeyID, now)
	}
}

// guard counts an escalation against the cascade's budgets. One that is only a
// precaution does not happen when they are used up.
func (s *cascades) guard(c *call, d cascade.Decision) cascade.Decision {
	to, now := c.route.Cascade, s.asker.Now()
	switch {
	case !d.Escalate:
	case !d.Uncertain:
		s.memory.Of(to.Name).Guard.Escalate(c.Caller.KeyID, now)
		s.shareGuard(c, to, now)
	case !s.allow(c, to, now):
		return cascade.Decision{Reason: cascade.ReasonGuard, Cut: d.Cut}
	}
	return d
}

// keepsNoSession are the reasons that say nothing about the conversation itself.
var keepsNoSession = map[string]bool{
	cascade.ReasonSession: true, cascade.ReasonWarm: true, router.ReasonObserve: true, router.ReasonUncertified: true,
}

// learn remembers how a request of a cascade was answered.
func (s *cascades) learn(c *call) {
	if c.Cascade == "" || c.served == nil {
		return
	}
	to := c.route.Cascade
	state := s.memory.Of(to.Name)
	state.Guard.Request(c.over)
	s.shareGuard(c, to, c.over)
	s.asker.Telemetry.Metrics().Decision(to.Name, string(c.path), c.reason)
	ttl := to.Settings.Session.TTL
	if c.served.Role == router.RoleEscalation && c.status < 300 && !keepsNoSession[c.reason] && ttl > 0 {
		session := memory.BegunBy(c.Caller.KeyID, c.Header.Get(memory.SessionHeader), &c.Facts)
		s.memory.MarkSession(c.Caller.Tenant.Root, to.Name, memory.Mark{Session: session, At: c.over, TTL: ttl})
	}
	if c.path == router.Escalated && c.mayBeWarm() {
		state.Costs.Escalated(c.over)
	}
}

// learnCost remembers what an attempt cost.
func (s *cascades) learnCost(c *call, a *leg.Attempt) {
	if c.Cascade == "" || a.End.Outcome != record.Completed || a.Price == nil || !c.mayBeWarm() {
		return
	}
	costs, cost, at := &s.memory.Of(c.Cascade).Costs, a.Costs.Total(), a.End.At
	switch a.Role {
	case router.RoleLight:
		costs.Light(cost, c.Facts.InputTokens, at)
	case router.RolePartner:
		costs.Partner(cost, at)
	case router.RoleEscalation:
		costs.Escalation(cost, c.Facts.InputTokens, at)
	}
}
