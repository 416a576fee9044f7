package router

import (
	"testing"

	"github.com/sluice-gateway/sluice/internal/wire"
)

// TestLastResort walks all ways in which no leg is left in order: why the light
// leg is out, why escalation is, and whether a rule had asked for escalation.
func TestLastResort(t *testing.T) {
	c := &Cascade{Light: Leg{Role: RoleLight, Model: lite}, Escalation: Leg{Role: RoleEscalation, Model: sonnet}}
	in := converse("auto")
	f := func(light, escalation, direct, want string) {
		t.Helper()
		p := &Plan{Match: Match{Cascade: c, Direct: direct}, Light: c.Light}
		p.skip(c.Light, unfit{reason: light})
		p.skip(c.Escalation, unfit{reason: escalation})
		got := "denied"
		if err := p.lastResort(in, c.Escalation, light, escalation); err == nil {
			got = show(&Plan{Legs: p.Legs, Path: p.Path, Reason: p.Reason}, nil)
		} else if err.Kind == wire.KindValidation {
			got = "invalid"
		}
		if got != want {
			t.Errorf("light %q, escalation %q, rule %q: got %q, want %q", light, escalation, direct, got, want)
		}
	}
	const light, escalation = "light lite; light ", "escalation sonnet; direct "
	f(ReasonDenied, ReasonDenied, "", "denied")
	f(ReasonDenied, ReasonDialect, "", "denied")
	f(ReasonDenied, ReasonUnsupported, "", escalation+ReasonUnsupported)
	f(ReasonDialect, ReasonDenied, "", "denied")
	f(ReasonDialect, ReasonDialect, "", "invalid")
	f(ReasonDialect, ReasonUnsupported, "", escalation+ReasonUnsupported)
	f(ReasonUnsupported, ReasonDenied, "", light+ReasonDenied)
	f(ReasonUnsupported, ReasonDialect, "", light+ReasonDialect)
	f(ReasonUnsupported, ReasonUnsupported, "", escalation+ReasonUnsupported)

	f("", ReasonDenied, "rule", "denied")
	f("", ReasonDialect, "rule", light+ReasonDialect)
	f("", ReasonUnsupported, "rule", light+ReasonUnsupported)
	f(ReasonDenied, ReasonDenied, "rule", "denied")
	f(ReasonDenied, ReasonDialect, "rule", "denied")
	f(ReasonDenied, ReasonUnsupported, "rule", escalation+"rule")
	f(ReasonDialect, ReasonDenied, "rule", "denied")
	f(ReasonDialect, ReasonDialect, "rule", "invalid")
	f(ReasonDialect, ReasonUnsupported, "rule", escalation+"rule")
	f(ReasonUnsupported, ReasonDenied, "rule", "denied")
	f(ReasonUnsupported, ReasonDialect, "rule", light+ReasonDialect)
	f(ReasonUnsupported, ReasonUnsupported, "rule", escalation+"rule")
}
