package record

import (
	"strings"
	"sync"
	"time"
)

// Other is in place of what would make too many rows of a tenant, or too long ones. No id
// or tier that anybody answers to is like it.
const Other = "(other)"

const (
	// maxFailing is how many rows an hour a tenant gets of a process for calls of which
	// nothing but failures is known, and maxAnswered for others, in a day.
	maxFailing  = 100
	maxAnswered = 1000
	// maxShapes bounds what is remembered of a day. Behind it all begins anew.
	maxShapes = 200_000
	// maxModel is how long an id in a row may be. ARNs of profiles have some 120
	// bytes.
	maxModel = 256
)

// Shapes bounds the rows of a tenant: callers choose what is in a shape, and a row stays
// for 400 days. What is beyond the bound is folded into rows of Other, so that sums
// stay what they are: first of all users, then tiers and latencies, then models. The zero
// value is ready; it may be used concurrently.
type Shapes struct {
	mu    sync.Mutex // guards the following
	day   time.Time
	seen  map[shape]bool   // whether it was ever answered
	count map[string]taken // by tenant
}

// shape is what callers choose of a row. Everything else is the operator's, or follows
// from the model.
type shape struct{ tenant, model, tier, latency, user string }

// taken is how many shapes a tenant has, of those that were answered and the others.
type taken struct{ answered, failing int }

// Bound folds the row of an attempt that ended so.
func (s *Shapes) Bound(p *Posting, how Outcome) {
	if p.Root == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if day := p.Row.Hour.Truncate(24 * time.Hour); s.seen == nil || !day.Equal(s.day) || len(s.seen) > maxShapes {
		s.day, s.seen, s.count = day, map[shape]bool{}, map[string]taken{}
	}
	r := &p.Row
	if len(r.Model) > maxModel || r.Model == Other { // which a caller may name, too
		r.foldModel()
	}
	for extra := 0; !s.fits(r, how != Failed, extra); extra++ {
		switch {
		case extra == 0 && r.User != "":
			r.User = Other
		case extra <= 1 && (r.Tier != "" || r.Latency != ""):
			r.foldTier()
		default:
			r.foldModel()
			return
		}
	}
}

func (r *RowKey) foldTier() {
	for _, part := range [...]*string{&r.Tier, &r.Latency} {
		if *part != "" {
			*part = Other
		}
	}
}

// foldModel leaves nothing that a caller chose, or that follows from it.
func (r *RowKey) foldModel() {
	r.Model, r.PriceVersion = Other, ""
	r.Scope, r.Tier, r.Region, r.Latency, r.Context, r.User = "", "", "", "", "", ""
}

// fits reports whether the row's shape has a place. What is folded has a few more, so
// that it is not folded further when the others are full.
func (s *Shapes) fits(r *RowKey, answered bool, extra int) bool {
	of := shape{r.Tenant, r.Model, r.Tier, r.Latency, r.User}
	before, known := s.seen[of]
	if r.Model == Other || before || known && !answered {
		return true
	}
	have := s.count[of.tenant]
	switch {
	case !answered && have.failing < maxFailing+extra*maxFailing/10:
		have.failing++
	case answered && have.answered < maxAnswered+extra*maxAnswered/10:
		have.answered++
		if known {
			have.failing--
		}
	default:
		return known
	}
	if !known { // it outlives the request
		for _, part := range [...]*string{&of.model, &of.tier, &of.latency, &of.user} {
			*part = strings.Clone(*part)
		}
	}
	s.seen[of], s.count[of.tenant] = answered, have
	return true
}
