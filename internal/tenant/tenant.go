package tenant

import (
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/glob"
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
	RoleARN   string
	// Cap is nil when the output is not capped.
	Cap *config.OutputTokens

	Budgets      []config.Budget
	Limits       config.Limits
	OnLedgerLoss string

	models, deny glob.List
	operations   map[wire.Operation]bool
}

// Identity is a verified caller.
type Identity struct {
	Tenant *Tenant
	KeyID  string
}
