package router

// Path says how a request was answered. It is the x-sluice-path header.
type Path string

// The paths.
const (
	Passthrough Path = "passthrough" // no cascade matched
	Direct      Path = "direct"      // a cascade matched, a rule sent it straight to escalation
	Light       Path = "light"       // the light leg answered
	Escalated   Path = "escalated"   // a light leg was tried and left behind
)

// Leg is one model to try.
type Leg struct {
	Role  Role
	Model string // id to send upstream, alias resolved
	Spec  *Model // catalogue entry, nil when the model is not listed
}

// Role is a leg's place in a cascade.
type Role uint8

// The roles. The zero value is the only leg of a request without a cascade.
const (
	RoleSole Role = iota
	RoleLight
	RolePartner
	RoleEscalation
)

// Skip is a leg that was left out, and why.
type Skip struct {
	Model  string
	Reason string // unsupported, dialect, denied, rule id
}

// Plan is what will be tried, in order. It has at least one leg.
type Plan struct {
	Cascade *Cascade // nil without a match
	Legs    []Leg
	Skipped []Skip
	// Path and Reason are those of the first leg; leaving a leg behind makes
	// the path Escalated.
	Path   Path
	Reason string
}
