package tenant

import (
	"maps"
	"slices"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/glob"
	"github.com/sluice-gateway/sluice/internal/keys"
	"github.com/sluice-gateway/sluice/internal/role"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Tenant is who pays and what they may do. It is immutable.
type Tenant struct {
	ID   string // path, "acme/support"
	Root string // "acme"
	// Ancestors are the tenant and all above it that are configured, nearest
	// first: their budgets and limits apply as well.
	Ancestors []*Tenant
	Upstream  string
	// Cap is nil when the output is not capped.
	Cap *config.OutputTokens

	Budgets      []config.Budget
	Limits       config.Limits
	OnLedgerLoss string
	// UnsupportedFields is that of the configuration.
	UnsupportedFields string
	// Residency is how far its requests may go, "" where nothing says so, and Require the terms that its models must
	// come with: the strictest of its own and of those above it.
	Residency string
	Spill     []string // what a model is asked as, in turn, when it throttles: named, global
	Require   []string
	// Tier is which service tier its calls try, nil for none: its own, or that of the nearest tenant above it.
	Tier *config.Tier
	// Session is what each of its sessions may spend, nil for no bound: its own, or that of the nearest tenant above it.
	Session *config.SessionBudget
	// Batch is under which terms it starts batch jobs, nil for none: its own alone.
	Batch *config.Batch
	// Stores is whether AWS may keep its responses.
	Stores bool
	// Injects is whether points are put into its prompts where that pays.
	Injects bool
	// GuardsNewTurn is whether guardrails read the new turn of a conversation alone.
	GuardsNewTurn bool
	// Converse is whether Chat Completions and Responses go by Converse where AWS has these paths, too.
	Converse bool

	role         *role.Role // nil for that of its upstream: there may be 100,000 tenants
	models, deny glob.List
	operations   map[wire.Operation]bool
	profiles     map[modelKey]string // those above it have too, nil for none
}

// Role is the role that is assumed for it, where that differs from its upstream's; zero for nowhere.
func (t *Tenant) Role() role.Role {
	if t.role == nil {
		return role.Role{}
	}
	return *t.role
}

// modelKey is a model in whatever spelling, with the scope of its profile.
type modelKey struct{ foundation, scope string }

func keyOf(model string) modelKey {
	id := wire.ParseModelID(model)
	return modelKey{id.Foundation, id.Scope}
}

// Profile is the application inference profile that Bedrock is asked for in place of a model, "" for none: that of the
// tenant, or of the nearest one above it that has one.
func (t *Tenant) Profile(model string) string {
	if t.profiles == nil {
		return ""
	}
	return t.profiles[keyOf(model)]
}

// Identity is a verified caller.
type Identity struct {
	Tenant *Tenant
	KeyID  string
	// Own is what limits the key itself, nil for nothing.
	Own *keys.Own
	// Tier is in place of the tenant's, nil for that, and so is Session.
	Tier    *config.Tier
	Session *config.SessionBudget
}

// defaultOperations are allowed to a tenant that names none.
var defaultOperations = []string{
	"converse", "converse-stream", "invoke", "invoke-with-response-stream", "count-tokens", "apply-guardrail",
}

// AllowsModel reports whether the tenant may use a model, given by every id
// that it goes by: as it was asked for and as it resolved. Each must match
// models, and none may match deny_models in any spelling: with a region prefix,
// as an ARN, as the foundation model, in capitals. Without any id it reports false.
func (t *Tenant) AllowsModel(ids ...string) bool {
	for _, id := range ids {
		if !t.models.Match(id) || len(t.deny) > 0 && t.denies(id) {
			return false
		}
	}
	return len(ids) > 0
}

func (t *Tenant) denies(id string) bool {
	return slices.ContainsFunc(wire.ParseModelID(id).Names(), t.deny.Match)
}

// DeniesModels reports whether there are models that the tenant may not use by
// name: then it may use none of which nobody knows the name.
func (t *Tenant) DeniesModels() bool { return len(t.deny) > 0 }

// DefaultOperations reports whether the tenant may call what one may that names no operations, and nothing else.
func (t *Tenant) DefaultOperations() bool {
	return maps.Equal(t.operations, operations(defaultOperations))
}

// AllowsOperation reports whether the tenant may call the operation.
func (t *Tenant) AllowsOperation(op wire.Operation) bool { return t.operations[op.Granted()] }
