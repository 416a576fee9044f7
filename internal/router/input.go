package router

import (
	"time"

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
