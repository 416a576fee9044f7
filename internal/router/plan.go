package router

import (
	"cmp"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Input is what a plan depends on. It also has the memory of the plan, so the plan
// is valid for as long as its input and until the next one is made of that.
type Input struct {
	Facts *wire.Facts
	// Body is read only when a condition names a text.
	Body  []byte
	Asked string // the model id or alias that the caller named, "" when the operation names none
	// Header is the caller's; conditions see it without credentials.
	Header wire.Header
	Tenant string // path, "acme/support"
	Root   string // "acme"
	Key    string // key id
	Policy Policy // of the tenant
	Bounds Bounds // of the tenant
	// MaxOutput is the tenant's cap in tokens, 0 without one.
	MaxOutput int64
	Now       time.Time

	view view      // of the last Match
	ids  [3]string // that the policy was asked about

	plan    Plan
	legs    [2]Leg // of plan, with the following
	partner Leg
	judge   Leg
	skipped [2]Skip
}

// Policy says which models a tenant may use. *tenant.Tenant is the real one.
type Policy interface {
	// AllowsModel reports whether every one of the ids may be used.
	AllowsModel(ids ...string) bool
	// DeniesModels reports whether there are models that must not be used. Then no
	// model may be used of which nobody knows the name.
	DeniesModels() bool
	// Profile is the application inference profile that is asked in place of a model, "" for none.
	Profile(model string) string
}

// Path says how a request was answered. It is the x-sluice-path header.
type Path string

// The paths.
const (
	Passthrough Path = "passthrough" // no cascade matched
	Direct      Path = "direct"      // a cascade matched, and the escalation model is asked first
	Light       Path = "light"       // the light leg answered
	Escalated   Path = "escalated"   // a light leg was tried and left behind
	Partner     Path = "partner"     // a second opinion; of records only, never of an answer
	Shadow      Path = "shadow"      // asked for labels after the answer; of records only
)

// The reasons that the router gives itself. A rule gives its own id.
const (
	ReasonUnsupported = "unsupported"  // the model cannot take this request
	ReasonDialect     = "dialect"      // the InvokeModel body is another family's
	ReasonDenied      = "denied"       // the tenant may not use the model
	ReasonObserve     = "mode_observe" // the cascade only watches
	ReasonUncertified = "uncertified"  // the cascade would enforce but has no certificate
)

// Leg is one model to try.
type Leg struct {
	Role  Role
	Model string       // id to send upstream, alias resolved
	Named string       // the id for which Model is a global profile, "" where it is not another than was named
	Spec  *Model       // catalogue entry, nil when the model is not listed
	Tier  *config.Tier // of the leg in its cascade, nil for the caller's
	// Dialect is how the model spells InvokeModel bodies, nil when not known.
	Dialect *wire.Dialect
}

// Role is a leg's place in a cascade.
type Role uint8

// The roles. The zero value is the only leg of a request without a cascade.
const (
	RoleSole Role = iota
	RoleLight
	RolePartner
	RoleEscalation
	RoleJudge
)

// Skip is a leg that was left out, and why.
type Skip struct {
	Model  string
	Reason string // unsupported, dialect, denied, mode_observe, uncertified, rule id
	// Need is what the model lacks when the reason is unsupported: "images",
	// "context"; and the setting that says so when it is denied by residency or
	// require. It is for traces.
	Need string
}

// RuleError is a condition that failed on a request. A failed escalate_if
// counts as matched, a failed match as not matched: both err towards the better
// model.
type RuleError struct {
	Cascade string
	Rule    string // its id; "match" for the cascade's match
	Err     error
}

// Match is the cascade of a request and what its rules and its mode decide.
type Match struct {
	Cascade *Cascade // nil without a match
	// Direct is why the escalation model is asked first: a rule's id or a reason.
	// It is "" when neither the rules nor the mode of the cascade decide. Whoever
	// knows more may then set a reason, before it asks for the legs.
	Direct string
	// RuleErrors are the conditions that failed, for a metric.
	RuleErrors []RuleError
}

// Open reports whether there is a cascade, and nothing yet keeps the request
// from its light model.
func (m *Match) Open() bool { return m.Cascade != nil && m.Direct == "" }

// Plan is what will be tried, in order. It has at least one leg.
type Plan struct {
	Match
	Legs    []Leg
	Light   Leg // of the cascade, whether it is among Legs or not
	Skipped []Skip
	// Partner gives a second opinion on the light leg's answer, which is the
	// first of Legs. It is nil when the answer is not checked, or without one.
	Partner *Leg
	// Shadows are asked after the answer of the first leg was served, for labels
	// alone: the light leg and the partner of a cascade that only observes.
	Shadows []Leg
	// Judge labels a sample of the request: nil when keys alone do, and when the
	// tenant may not use the judge's model.
	Judge *Leg
	// Path and Reason are those of the first leg; leaving a leg behind makes
	// the path Escalated.
	Path   Path
	Reason string
}

// Checked reports whether the answer of the first leg is looked at before the
// caller gets it. stream is whether the caller asks for a stream.
func (p *Plan) Checked(stream bool) bool {
	checked := p.Cascade != nil && p.Cascade.Checks() && len(p.Legs) > 1 && p.Legs[0].Role == RoleLight
	return checked && (!stream || p.Cascade.Settings.Stream != "pre_only")
}

// WantsPartner reports whether the partner is asked for a second opinion. sure is
// whether a pre-score trusts the light model with the request; without a pre-score
// every answer is uncertain.
func (p *Plan) WantsPartner(stream, sure bool) bool {
	if p.Partner == nil || !p.Checked(stream) {
		return false
	}
	return p.Cascade.Mode == "enforce" || p.Cascade.Settings.PartnerWhen != "uncertain" || !sure
}

// Origin is the id that decides which upstream takes the calls.
func (l *Leg) Origin() string { return cmp.Or(l.Named, l.Model) }

// Shadowed are the models that a sample of the request is asked of: those that do
// not serve. checked is Checked.
func (p *Plan) Shadowed(checked bool) []Leg {
	if checked {
		return p.Legs[len(p.Legs)-1:]
	}
	return p.Shadows
}

// Unfit reports whether a model was left out because it cannot serve the request
// or must not, and not because a rule or a mode prefers another one.
func (p *Plan) Unfit(model string) bool {
	for _, s := range p.Skipped {
		if s.Model == model {
			return s.Reason == ReasonUnsupported || s.Reason == ReasonDialect || s.Reason == ReasonDenied
		}
	}
	return false
}

// PathOf is how the request was answered when Legs[leg] served it.
func (p *Plan) PathOf(leg int) Path {
	if leg > 0 {
		return Escalated
	}
	return p.Path
}
