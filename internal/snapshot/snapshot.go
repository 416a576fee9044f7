// Package snapshot is everything that a reload changes: the configuration and
// what each package compiles of it, the files that its cascades name, and the
// upstreams. It is compiled as a whole and swapped as a whole, so a request that
// loads the snapshot once never sees two configurations or two price books.
//
// A snapshot is immutable once it is in use.
package snapshot

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/batchjob"
	"github.com/sluice-gateway/sluice/internal/capacity"
	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/meter/budget"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/perimeter"
	"github.com/sluice-gateway/sluice/internal/router"
	"github.com/sluice-gateway/sluice/internal/tenant"
)

// Upstream makes attempts and decides about further ones. *bedrock.Engine is the real one.
type Upstream interface {
	// Attempt makes one call and keeps nothing of r. Its error is always an
	// *engine.Error.
	Attempt(ctx context.Context, r *engine.Request) (*engine.Response, error)
	// Retries decides about the attempts of one leg.
	Retries(upstream string, deadline time.Time) engine.Retries
}

// Snapshot is one compiled configuration.
type Snapshot struct {
	Config  *config.Config
	Tenants *tenant.Directory
	Router  *router.Router
	// Perimeter is which resources requests may name.
	Perimeter *perimeter.Perimeter
	Prices    *record.PriceBook
	Budgets   *budget.Policies // nil: nobody is limited
	Capacity  *capacity.Table
	// Artifacts are what the files of each cascade contain, by its name.
	Artifacts map[string]*Artifacts
	// Roots are the root tenants whose facts of other gateways matter here, also
	// those without traffic: the next request of a conversation may come here.
	Roots []string
	// Inputs reads what batch jobs are asked. It is nil where no tenant's are read, and like Upstream.
	Inputs *batchjob.Inputs
	// Upstream is nil in commands that send nothing. serve sets it before use.
	Upstream Upstream
}

// Compile has every package compile its part of a configuration, as of now, and
// returns the mistakes of all of them in one go. A problem that is no warning
// makes the snapshot unfit for use. Without secrets it accepts no caller's
// credentials and checks everything else.
func Compile(cfg *config.Config, secrets *tenant.Secrets, now time.Time) (*Snapshot, []config.Problem) {
	s := &Snapshot{Config: cfg, Roots: roots(cfg), Perimeter: perimeter.Compile(cfg)}
	var all, problems []config.Problem
	s.Tenants, problems = tenant.Build(cfg, secrets)
	all = append(all, problems...)
	s.Router, problems = router.Compile(cfg)
	all = append(all, problems...)
	s.Prices, problems = record.Compile(cfg)
	all = append(all, problems...)
	s.Capacity, problems = capacity.Compile(cfg)
	all = append(all, problems...)
	var err error
	if s.Budgets, err = budget.Compile(cfg.Tenants); err != nil {
		all = append(all, config.Problem{Path: "tenants", Message: err.Error()})
	}
	s.Artifacts, problems = s.readAll(now)
	return s, append(all, problems...)
}

// roots are those of all tenants, none without a cascade.
func roots(cfg *config.Config) []string {
	if len(cfg.Cascades) == 0 {
		return nil
	}
	var all []string
	for i := range cfg.Tenants {
		root, _, _ := strings.Cut(cfg.Tenants[i].ID, "/")
		if len(all) == 0 || all[len(all)-1] != root { // there may be very many tenants of few roots
			all = append(all, root)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Store holds the snapshot in use. The zero value holds none; it is safe for
// concurrent use.
type Store struct{ current atomic.Pointer[Snapshot] }

// Load returns the snapshot in use, nil before the first Use.
func (s *Store) Load() *Snapshot { return s.current.Load() }

// Use makes next the snapshot of all requests that come from now on.
func (s *Store) Use(next *Snapshot) { s.current.Store(next) }
