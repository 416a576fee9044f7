package cascade

import (
	"github.com/sluice-gateway/sluice/internal/cascade/answer"
	"github.com/sluice-gateway/sluice/internal/cascade/score"
)

// The reasons of decisions on answers. A veto gives its own id.
const (
	ReasonAgree        = "agree"         // light answer and second opinion say the same
	ReasonDisagree     = "disagree"      // they do not
	ReasonUnknown      = "unknown"       // no check can tell
	ReasonScore        = "score"         // the score is on the wrong side of the certified threshold
	ReasonCheckTimeout = "check_timeout" // the checks did not end in time
	ReasonBuffer       = "buffer"        // the answer is too large to be held back
	ReasonGuard        = "guard"         // would be escalated, but the escalation budget is used up
	ReasonParallel     = "parallel"      // asked at the same time as the light model
	ReasonSession      = "session"       // the conversation reached the escalation model before
	ReasonWarm         = "warm"          // its prompt cache makes the escalation model cheaper
	ReasonPreScore     = "pre_score"     // would most likely be escalated anyway
	ReasonShadow       = "shadow"        // asked for a label only
)

// Decision is what becomes of a light answer. The zero value accepts it.
type Decision struct {
	Escalate bool
	// Reason is what decided, "" when an answer passed the vetoes and nothing
	// else was asked.
	Reason string
	// Uncertain is whether the escalation is a precaution: the answer passed the
	// vetoes and may well be right. Only such an escalation can be saved.
	Uncertain bool
	// Cut is whether the token limit ended the answer.
	Cut bool
	// Risk is what a certified threshold was held against, 0 without one.
	Risk float64
}

// Judge holds answers against the checks of one cascade. The zero value checks
// for vetoes alone, without schemas.
type Judge struct {
	Schemas *answer.Schemas
	Options answer.Options
	// AcceptUnknown serves what passes the vetoes when agreement cannot be told.
	AcceptUnknown bool
	// Certified puts a certified threshold on a risk in the place of agreement.
	Certified *Threshold
}

// Threshold is how far a certificate lets light answers through.
type Threshold struct {
	AtMost float64       // risk that is still accepted, on the scale of score.Untrained
	Order  *score.Served // that the certificate was tested with; nil is the untrained one
	// Prompt and Route are the request's, as Order was trained on. The untrained
	// order reads neither.
	Prompt, Route string
}

// Alone decides on an answer without a second opinion. a is nil when the answer
// cannot be read; then no check can tell.
func (j *Judge) Alone(r *answer.Request, a *answer.Answer) Decision {
	if a == nil {
		return j.unknown()
	}
	v := answer.Check(r, a, j.Schemas, j.Options)
	if v.Veto != "" {
		return Decision{Escalate: true, Reason: string(v.Veto), Cut: v.Cut}
	}
	return Decision{Cut: v.Cut}
}

// Beside decides on an answer that passed Alone, given a second opinion, nil
// when there is none to be had.
func (j *Judge) Beside(r *answer.Request, a, partner *answer.Answer) Decision {
	partner = Opinion(r, partner, j.Schemas)
	if a == nil || partner == nil {
		return j.unknown()
	}
	own, other := answer.KeyOf(r, a), answer.KeyOf(r, partner)
	d := j.agreement(own, other)
	if t := j.Certified; t != nil {
		risk := t.Order.Risk(&score.Input{Prompt: t.Prompt, Route: t.Route, Light: a, Partner: partner, LightK: own, PartK: other})
		d.Risk = risk
		return certified(d, risk <= t.AtMost)
	}
	return d
}

// Opinion returns what a partner said, nil when that is no opinion: it said
// nothing, or what would not be served itself. The schemas may be nil.
func Opinion(r *answer.Request, partner *answer.Answer, s *answer.Schemas) *answer.Answer {
	if partner == nil || answer.Check(r, partner, s, answer.Options{}).Veto != "" {
		return nil
	}
	return partner
}

// certified lets a threshold overrule agreement. The reason says which of them
// decided.
func certified(d Decision, accepted bool) Decision {
	if accepted == d.Escalate {
		d.Reason = ReasonScore
	}
	d.Escalate, d.Uncertain = !accepted, !accepted
	return d
}

func (j *Judge) agreement(own, other answer.Key) Decision {
	switch answer.Agree(own, other) {
	case answer.Same:
		return Decision{Reason: ReasonAgree}
	case answer.Different:
		return Decision{Escalate: true, Reason: ReasonDisagree, Uncertain: true}
	default:
		return j.unknown()
	}
}

func (j *Judge) unknown() Decision {
	return Decision{Escalate: !j.AcceptUnknown, Reason: ReasonUnknown, Uncertain: !j.AcceptUnknown}
}
