package router

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/capability"
)

// Match finds the cascade of a request: the first one that matches. Only the
// four inference operations cascade: CountTokens counts for the model asked for,
// and an asynchronous job has no answer that could be checked.
//
// A match that fails counts as not matched: the request then keeps the model
// that its caller named. A rule that fails counts as matched.
func (r *Router) Match(in *Input) Match {
	var m Match
	if op := in.Facts.Op; !op.IsConverse() && !op.IsInvoke() || len(r.cascades) == 0 {
		return m
	}
	in.view = view{in: in}
	v := &in.view
	for _, c := range r.cascades {
		matched, err := c.match.eval(v)
		if err != nil {
			m.RuleErrors = append(m.RuleErrors, RuleError{c.Name, c.match.id, err})
		}
		if matched && err == nil {
			m.Cascade = c
			m.Direct = c.direct(v, &m)
			break
		}
	}
	return m
}

// Legs decides what to try. Without a cascade, the model asked for is the only
// leg.
//
// It fails with access denied when the tenant may use no leg, and with a
// validation error when an InvokeModel body fits no leg. The plan then has no
// legs, but still its match.
func (r *Router) Legs(in *Input, m Match) (*Plan, *wire.Error) {
	plan := &in.plan
	*plan = Plan{Match: m, Path: Passthrough, Legs: in.legs[:0], Skipped: in.skipped[:0]}
	if m.Cascade == nil {
		return plan, r.passthrough(in, plan)
	}
	return plan, r.cascade(in, plan)
}

func (r *Router) passthrough(in *Input, plan *Plan) *wire.Error {
	leg := r.placed(in, r.Leg(RoleSole, in.Asked))
	plan.Legs = append(plan.Legs, leg)
	if in.Asked == "" {
		return nil
	}
	v := r.may(in, leg)
	if v.reason == "" {
		return nil
	}
	plan.Legs = plan.Legs[:0]
	if v.why != "" {
		return Unbound(in.Asked, v.why)
	}
	if in.Policy.DeniesModels() && r.Hidden(leg.Model) {
		return wire.Errorf(wire.KindAccessDenied, "You do not have access to the model %s"+
			": a policy denies models, and nobody knows which one this is. %s", in.Asked, MapHint(leg.Model))
	}
	return denied(in.Asked)
}

// allowed asks the policy about the id asked for, the model that is sent, and
// the model behind an opaque ARN.
func (r *Router) allowed(in *Input, model string) bool {
	in.ids = [...]string{in.Asked, model, r.catalogue.named(model)}
	return in.Policy.AllowsModel(in.ids[:]...) && (!in.Policy.DeniesModels() || !r.Hidden(model))
}

// Hidden reports whether nobody knows which model an ARN is for, or a name that
// is no model's id: provisioned throughput may be called by its name.
func (r *Router) Hidden(model string) bool {
	return r.catalogue.foundation(model) == ""
}

// MapHint is the line of configuration that says which model an id is for.
func MapHint(model string) string {
	if strings.HasPrefix(model, "arn:") {
		return fmt.Sprintf("Add to the configuration: model_map: {%q: MODEL-ID}.", model)
	}
	if wire.ParseModelID(model).Foundation == "" {
		return fmt.Sprintf("Add to the configuration: aliases: {%q: MODEL-ID}.", model)
	}
	return fmt.Sprintf("Add to a file of models: - {ids: [%q], dialect: NAME}.", model)
}

// Unbound is the refusal of a model that is outside of what a tenant's policy allows, and why.
func Unbound(model, why string) *wire.Error {
	return wire.Errorf(wire.KindAccessDenied, "You do not have access to the model %s. %s", model, why)
}

func denied(models ...string) *wire.Error {
	return wire.Errorf(wire.KindAccessDenied, "You do not have access to the model %s.", strings.Join(models, " or "))
}

// cascade puts the legs that can serve into the plan.
func (r *Router) cascade(in *Input, plan *Plan) *wire.Error {
	in.ids[0] = in.Asked
	if !in.Policy.AllowsModel(in.ids[:1]...) {
		return denied(in.Asked)
	}
	c := plan.Cascade
	last := r.placed(in, c.Escalation)
	plan.Light = r.placed(in, c.Light)
	light := r.fit(in, plan.Light)
	escalation := r.fit(in, last)
	if light.reason == "" && c.foreignReasoning(in.Facts, c.Light) {
		light = unfit{reason: ReasonUnsupported, need: "reasoning"}
	}
	switch {
	case plan.Direct != "":
		plan.skip(plan.Light, unfit{reason: plan.Direct})
	case light.reason != "":
		plan.skip(plan.Light, light)
	default:
		plan.Legs = append(plan.Legs, plan.Light)
	}
	if escalation.reason == "" {
		plan.Legs = append(plan.Legs, last)
	} else {
		plan.skip(last, escalation)
	}
	if len(plan.Legs) == 0 {
		return because(plan.lastResort(in, last, light.reason, escalation.reason), light, escalation)
	}
	plan.Path, plan.Reason = Light, ""
	if plan.Legs[0].Role == RoleEscalation {
		plan.Path, plan.Reason = Direct, plan.Skipped[0].Reason
	}
	r.second(in, plan, light)
	return nil
}

// second adds the legs whose answers nobody gets: the partner of a checked
// light leg, or the shadows of a cascade that observes, and the judge.
func (r *Router) second(in *Input, plan *Plan, light unfit) {
	c := plan.Cascade
	if in.judge = r.placed(in, c.Judge); c.Judged() && r.may(in, in.judge).reason == "" {
		plan.Judge = &in.judge
	}
	in.partner = r.placed(in, c.Partner)
	partnered := c.Partner.Model != "" && r.fit(in, in.partner).reason == "" && !c.foreignReasoning(in.Facts, c.Partner)
	switch {
	case c.Checks() && len(plan.Legs) == 2 && partnered:
		plan.Partner = &in.partner
	case plan.Reason == ReasonObserve && light.reason == "":
		plan.Shadows = append(plan.Shadows, plan.Light)
		if partnered {
			plan.Shadows = append(plan.Shadows, in.partner)
		}
	}
}

func (p *Plan) skip(leg Leg, v unfit) {
	p.Skipped = append(p.Skipped, Skip{leg.Model, v.reason, v.need})
}

// unfit is why a leg cannot serve; the zero value is that it can. why is for the caller, "" where the reason says it.
type unfit struct{ reason, need, why string }

// because adds to a refusal which setting of the tenant it comes from.
func because(refused *wire.Error, legs ...unfit) *wire.Error {
	for _, leg := range legs {
		if refused != nil && refused.Kind == wire.KindAccessDenied && leg.why != "" {
			refused.Message += " " + leg.why
			break
		}
	}
	return refused
}

// fit says whether a leg can serve a request. What the tenant may not use
// comes first, then what the body cannot be, then what the model cannot do.
func (r *Router) fit(in *Input, leg Leg) unfit {
	if v := r.may(in, leg); v.reason != "" {
		return v
	}
	f := in.Facts
	if f.Op.IsInvoke() && f.Dialect != nil && leg.Dialect != nil && !f.Fits(leg.Dialect) {
		return unfit{reason: ReasonDialect}
	}
	if need := leg.Spec.unmet(f, in.MaxOutput); need != "" {
		return unfit{reason: ReasonUnsupported, need: need}
	}
	if f.Prefilled && capability.Of(r.Priced(leg.Model).Foundation).NoPrefill {
		return unfit{reason: ReasonUnsupported, need: "prefill"}
	}
	return unfit{}
}

// may says whether the tenant may use the model of a leg.
func (r *Router) may(in *Input, leg Leg) unfit {
	if !r.allowed(in, leg.Model) {
		return unfit{reason: ReasonDenied}
	}
	if setting, why := r.Bars(&in.Bounds, &leg); why != "" {
		return unfit{ReasonDenied, setting, why}
	}
	return unfit{}
}

// foreignReasoning is whether the conversation carries signed reasoning that
// the model of leg most likely did not write. Only the family that wrote it can
// read it, and the body does not say which did; the escalation model's is the
// safer guess, provided that it reasons at all.
func (c *Cascade) foreignReasoning(f *wire.Facts, leg Leg) bool {
	return f.ReasoningHistory &&
		(c.Escalation.Spec == nil || c.Escalation.Spec.Reasoning) &&
		family(leg.Model) != family(c.Escalation.Model)
}

// family is the maker in a model id: "anthropic". It is "" for opaque ids.
func family(model string) string {
	maker, _, _ := strings.Cut(wire.ParseModelID(model).Foundation, ".")
	return maker
}

// lastResort decides when no leg is left in order. What the tenant may not use
// stays out. A body that another leg fits goes there even past a rule, and
// unsupported never leaves a request without a model: the catalogue may be
// behind, and then Bedrock's own answer is the honest one.
func (p *Plan) lastResort(in *Input, last Leg, light, escalation string) *wire.Error {
	c := p.Cascade
	switch {
	case escalation == ReasonDenied && (p.Direct != "" || light != ReasonUnsupported):
		return denied(refused(c, light)...)
	case light == "", light == ReasonUnsupported && escalation != ReasonUnsupported:
		p.serve(p.Light, Light, escalation)
	case escalation == ReasonUnsupported:
		p.serve(last, Direct, cmp.Or(p.Direct, escalation))
	case light == ReasonDenied:
		return denied(c.Light.Model)
	default:
		return wire.Errorf(wire.KindValidation,
			"The request body is written for another model family than %s offers (%s, %s). "+
				"Use Converse or the body of one of them.",
			in.Asked, c.Light.Model, c.Escalation.Model)
	}
	return nil
}

// refused names the models of c that the tenant may not use, given that the
// escalation model is one.
func refused(c *Cascade, light string) []string {
	if light == ReasonDenied {
		return []string{c.Light.Model, c.Escalation.Model}
	}
	return []string{c.Escalation.Model}
}

// serve makes leg the only one, and no longer skipped.
func (p *Plan) serve(leg Leg, path Path, reason string) {
	kept := p.Skipped[:0]
	for _, s := range p.Skipped {
		if s.Model != leg.Model {
			kept = append(kept, s)
		}
	}
	p.Skipped = kept
	p.Legs, p.Path, p.Reason = append(p.Legs[:0], leg), path, reason
}
