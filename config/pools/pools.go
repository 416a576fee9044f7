// Package pools is what a configuration says of pools, upstreams that take calls in place of one another, and of the
// quotas of upstreams. It is plain data and its mistakes: package internal/failover chooses among the members of a
// pool, package internal/quota holds calls to quotas.
package pools

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/config/similar"
	"github.com/sluice-gateway/sluice/internal/glob"
)

// Default is the name that the section upstream has as a member of a pool, and "" the name that it has elsewhere.
const Default = "default"

// MaxMembers bounds the members of a pool.
const MaxMembers = 16

// The orders in which members of a pool are asked.
const (
	ByWeight = "weights" // each as often as its weight says
	AsListed = "listed"  // the first one that can take the call
)

// Pool is upstreams that take calls in place of one another.
type Pool struct {
	Order   string // weights (default), listed
	Members []Member
}

// Member is an upstream in a pool.
type Member struct {
	Upstream string // its name, "" for the default one
	Weight   int    // default 1
}

// Quota is what the account of an upstream may use of some models in a minute.
type Quota struct {
	Patterns []string  // of the models, by the ids that are sent, or without their region prefix
	Models   glob.List // the same
	// TokensPerMinute is in tokens of quota; 0 is no limit, as of RequestsPerMinute.
	TokensPerMinute, RequestsPerMinute int64
	Burndown                           int64         // tokens of quota for one of an answer; 0: as AWS has it
	Wait                               time.Duration // the longest that a call waits in line; default 10s
	Waiting                            int           // the most calls that wait, default 100
}

// Mistake is what is wrong with a pool.
type Mistake struct {
	Path string // below the pool
	Text string
}

// Mistakes are what is wrong with a pool of this name. kinds are the upstreams that there are, each with its kind.
func (p *Pool) Mistakes(name string, kinds map[string]string) (found []Mistake) {
	add := func(path, format string, args ...any) {
		found = append(found, Mistake{path, fmt.Sprintf(format, args...)})
	}
	if _, taken := kinds[name]; taken || name == Default {
		add("members", "the name %s of the pool is that of an upstream", name)
	}
	if len(p.Members) == 0 {
		add("members", "needs at least one member")
	}
	if len(p.Members) > MaxMembers {
		add("members", "at most %d", MaxMembers)
	}
	seen := map[string]bool{}
	for i, m := range p.Members {
		at, kind, known := fmt.Sprintf("members[%d].upstream", i), kinds[m.Upstream], false
		if _, known = kinds[m.Upstream]; m.Upstream == Default {
			kind, known = "", true
		}
		switch {
		case m.Upstream == "": // could not be read
		case !known:
			names := slices.Sorted(maps.Keys(kinds))
			add(at, "there is no upstream %q; a member is one of %s%s", m.Upstream,
				strings.Join(append([]string{Default}, names...), ", "), similar.Hint(m.Upstream, names))
		case seen[m.Upstream]:
			add(at, "upstream %q is in this pool already", m.Upstream)
		case kind == "mantle":
			add(at, "is of kind mantle, which has other operations than members of pools")
		}
		seen[m.Upstream] = true
	}
	return found
}

// First is the upstream that a name stands for where one alone can be meant: the first member of a pool, and any other
// name as it is.
func First(all map[string]Pool, name string) string {
	if p, pooled := all[name]; pooled && len(p.Members) > 0 {
		return p.Members[0].Upstream
	}
	return name
}
