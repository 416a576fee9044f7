package cascade

import (
	"testing"

	"github.com/sluice-gateway/sluice/internal/cascade/answer"
)

func TestChecks(t *testing.T) {
	say := func(text string) *answer.Answer { return &answer.Answer{Text: text} }
	f := func(c Checks, a, partner *answer.Answer, want Decision) {
		t.Helper()
		got := c.Beside(&answer.Request{}, a, partner)
		if ranked := c.Certified != nil && a != nil && partner != nil; (got.Risk > 0) != ranked {
			t.Errorf("risk %v", got.Risk)
		}
		if got.Risk = 0; got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	unsure := Decision{Escalate: true, Reason: ReasonUnknown, Uncertain: true}
	same, different, unknown := say("the answer is 1"), say("the answer is 2"), (*answer.Answer)(nil)
	f(Checks{}, same, same, Decision{Reason: ReasonAgree})
	f(Checks{}, same, different, Decision{Escalate: true, Reason: ReasonDisagree, Uncertain: true})
	f(Checks{}, same, unknown, unsure)
	f(Checks{AcceptUnknown: true}, same, unknown, Decision{Reason: ReasonUnknown})
	f(Checks{Certified: &Threshold{AtMost: 1}}, same, same, Decision{Reason: ReasonAgree})
	f(Checks{Certified: &Threshold{AtMost: 0}}, same, same, Decision{Escalate: true, Reason: ReasonScore, Uncertain: true})
	f(Checks{Certified: &Threshold{AtMost: 2}}, same, different, Decision{Reason: ReasonScore})
	f(Checks{Certified: &Threshold{AtMost: 1}}, same, different,
		Decision{Escalate: true, Reason: ReasonDisagree, Uncertain: true})
	f(Checks{Certified: &Threshold{AtMost: 2}}, same, unknown, unsure)
	if d := new(Checks).Alone(&answer.Request{}, nil); d != unsure {
		t.Errorf("an unreadable answer: %+v", d)
	}
}
