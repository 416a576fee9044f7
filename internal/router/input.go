package router

import (
	"time"

	"github.com/sluice-gateway/sluice/internal/wire"
)

// Input is what a plan depends on.
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
	// Allowed is the tenant's model policy: whether every id may be used.
	Allowed func(ids ...string) bool
	// DeniesModels is whether that policy names models that must not be used. Then
	// no model may be used of which nobody knows the name.
	DeniesModels bool
	// MaxOutput is the tenant's cap in tokens, 0 without one.
	MaxOutput int64
	Now       time.Time

	view view      // of the last Match
	ids  [3]string // that Allowed was asked about
}
