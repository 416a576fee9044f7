package cascade

import (
	"github.com/sluice-gateway/sluice/internal/cascade/answer"
	"github.com/sluice-gateway/sluice/internal/cascade/ground"
	"github.com/sluice-gateway/sluice/internal/cascade/score"
)

// The reasons of decisions, as x-sluice-reason shows them. A veto gives its own id.
const (
	ReasonAgree        = "agree"         // the light answer and the second opinion are the same
	ReasonDisagree     = "disagree"      // they differ
	ReasonUnknown      = "unknown"       // no check could decide
	ReasonScore        = "score"         // the certified threshold overruled agreement
	ReasonCheckTimeout = "check_timeout" // the checks did not end in time
	ReasonBuffer       = "buffer"        // the answer is too large to hold back
	ReasonGuard        = "guard"         // not escalated because the escalation budget is used up
	ReasonParallel     = "parallel"      // asked at the same time as the light model
	ReasonSession      = "session"       // the conversation reached the escalation model before
	ReasonWarm         = "warm"          // its prompt cache makes the escalation model cheaper
	ReasonPreScore     = "pre_score"     // would most likely be escalated anyway
	ReasonShadow       = "shadow"        // asked only to compare
)

// Decision is what becomes of a light answer. The zero value accepts it.
type Decision struct {
	Escalate bool
	// Reason is what decided, "" when the answer passed the vetoes and no further
	// check was asked for.
	Reason string
	// Uncertain is whether the escalation is only a precaution: the answer passed
	// the vetoes and may well be right. The escalation budget stops no other kind.
	Uncertain bool
	// Cut is whether the token limit ended the answer.
	Cut bool
	// Risk is what was compared with the certified threshold, 0 without one.
	Risk float64
}

// Checks are the checks of one cascade on light answers. The zero value applies
// vetoes and agreement, without schemas.
type Checks struct {
	Schemas *answer.Schemas
	Options answer.Options
	// Source reads what the request supplies to answer from; nil supplies nothing.
	Source func() *ground.Source
	// Grounded is that an answer that does not stand on its source is not to be served.
	Grounded bool
	// AcceptUnknown serves an answer that passes the vetoes when agreement cannot
	// be determined.
	AcceptUnknown bool
	// Certified decides by a certified threshold on the risk instead of by agreement.
	Certified *Threshold
}

// Threshold is the risk up to which a certificate lets light answers be served.
type Threshold struct {
	AtMost float64      // highest risk that is accepted, on the scale of Order
	Order  *score.Model // the score that the certificate was tested with; nil ranks by keys alone
	// Prompt and Route are the request's, in the form that Order was trained on. Without
	// a score nobody reads them.
	Prompt, Route string
}

// Alone decides on an answer without a second opinion. a is nil when the answer
// cannot be read; then no check can tell, and neither when a part of it is not read.
func (c *Checks) Alone(r *answer.Request, a *answer.Answer) Decision {
	if a == nil {
		return c.unknown()
	}
	v := answer.Check(r, a, c.Schemas, c.Options)
	if v.Veto != "" {
		return Decision{Escalate: true, Reason: string(v.Veto), Cut: v.Cut}
	}
	if a.Unread {
		return c.unknown()
	}
	if c.Grounded {
		why := Ungrounded(c.Source, a)
		return Decision{Escalate: why != "", Reason: why, Cut: v.Cut}
	}
	return Decision{Cut: v.Cut}
}

// Ungrounded is why an answer does not stand on what its request supplies, "" when it
// does, as far as can be seen. The text beside a tool call is only a remark.
func Ungrounded(source func() *ground.Source, a *answer.Answer) string {
	if source == nil || len(a.ToolCalls) > 0 {
		return ""
	}
	f := ground.Look(source(), a.Text)
	return string(f.Verdict())
}

// Beside decides on an answer that passed Alone, given a second opinion, nil
// when there is none. Without one nothing can be told, unless the certificate is about
// answers without one.
func (c *Checks) Beside(r *answer.Request, a, partner *answer.Answer) Decision {
	partner, t := Opinion(r, partner, c.Schemas), c.Certified
	if a == nil || partner == nil && (t == nil || !t.Order.Lone()) {
		return c.unknown()
	}
	in := score.Input{Light: a, Partner: partner, LightK: answer.KeyOf(r, a), Source: c.Source}
	d := c.unknown()
	if partner != nil {
		in.PartK = answer.KeyOf(r, partner)
		d = c.agreement(in.LightK, in.PartK)
	}
	if t == nil {
		return d
	}
	in.Prompt, in.Route = t.Prompt, t.Route
	d.Risk = t.Order.Risk(&in)
	return certified(d, d.Risk <= t.AtMost)
}

// Opinion returns the partner's answer, or nil when it cannot serve as a second
// opinion: there is none, or it would be vetoed itself. The schemas may be nil.
func Opinion(r *answer.Request, partner *answer.Answer, s *answer.Schemas) *answer.Answer {
	if partner == nil || answer.Check(r, partner, s, answer.Options{}).Veto != "" {
		return nil
	}
	return partner
}

// certified applies a certified threshold on top of agreement. The reason says
// which of the two decided.
func certified(d Decision, accepted bool) Decision {
	if accepted == d.Escalate {
		d.Reason = ReasonScore
	}
	d.Escalate, d.Uncertain = !accepted, !accepted
	return d
}

func (c *Checks) agreement(own, other answer.Key) Decision {
	switch answer.Agree(own, other) {
	case answer.Same:
		return Decision{Reason: ReasonAgree}
	case answer.Different:
		return Decision{Escalate: true, Reason: ReasonDisagree, Uncertain: true}
	default:
		return c.unknown()
	}
}

func (c *Checks) unknown() Decision {
	return Decision{Escalate: !c.AcceptUnknown, Reason: ReasonUnknown, Uncertain: !c.AcceptUnknown}
}
