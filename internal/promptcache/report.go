package promptcache

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/internal/money"
)

// maxRows is how many prefixes of a tenant a report has.
const maxRows = 20

// Row is what the points in the prompts of a tenant came to since the start: what writing cost
// above plain input, what reading spared, and what of the cost nobody read.
type Row struct {
	Tenant              string
	Paid, Saved, Wasted money.Pico
	// Owed is what is not recovered this week, and Limit what that may come to.
	Owed, Limit money.Pico
	Prefixes    []Prefix    // those that cost most, the dearest first
	Differing   []Differing // what keeps prompts from being read from a cache, the dearest first
}

// Prefix is what the points behind one prefix, and behind the longer ones of the same
// conversation, came to.
type Prefix struct {
	ID                  string // a name for it in this process
	Model, Part         string
	Points, Hits        int64
	Paid, Saved, Wasted money.Pico
	Stopped             time.Time // until when nothing is written, zero for not at all
}

// Report is what the points came to, by tenant.
func (s *Store) Report(now time.Time) []Row {
	s.mu.Lock()
	defer s.mu.Unlock()
	prefixes := map[*tenant]map[*chain]bool{}
	for _, p := range s.kept {
		if c := p.chain; c.points > 0 {
			if prefixes[c.tenant] == nil {
				prefixes[c.tenant] = map[*chain]bool{}
			}
			prefixes[c.tenant][c] = true
		}
	}
	var all []Row
	for _, t := range s.tenants {
		t.roll(now)
		r := Row{Tenant: t.id, Paid: t.paid, Saved: t.saved, Wasted: t.wasted, Owed: t.exposed + t.lost,
			Limit: t.spent / share, Differing: slices.Clone(t.differing)}
		for c := range prefixes[t] {
			r.Prefixes = append(r.Prefixes, c.row(now))
		}
		slices.SortFunc(r.Prefixes, func(a, b Prefix) int {
			return cmp.Or(cmp.Compare(b.Paid, a.Paid), strings.Compare(a.ID, b.ID))
		})
		slices.SortFunc(r.Differing, func(a, b Differing) int { return cmp.Compare(b.Lost, a.Lost) })
		r.Prefixes = r.Prefixes[:min(len(r.Prefixes), maxRows)]
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b Row) int { return strings.Compare(a.Tenant, b.Tenant) })
	return all
}

func (c *chain) row(now time.Time) Prefix {
	p := Prefix{ID: fmt.Sprintf("%08x", uint32(c.id)), Model: c.model, Part: partNames[c.part],
		Points: c.points, Hits: c.hits, Paid: c.paid, Saved: c.saved, Wasted: c.wasted}
	if now.Before(c.stopped) {
		p.Stopped = c.stopped
	}
	return p
}
