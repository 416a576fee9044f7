// Package review looks through a configuration that compiles for what is most
// probably not meant: names that refer to nothing, addresses and files that do not
// fit. What cannot work is an error, what may be newer than this program a warning.
// Commands that only read ask for none of it.
package review

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/config/similar"
	"github.com/sluice-gateway/sluice/internal/snapshot"
)

// Of returns what is to be said of a snapshot, as of now. Values that are empty
// because they could not be read are passed over.
func Of(s *snapshot.Snapshot, now time.Time) []config.Problem {
	r := &reviewer{Snapshot: s, now: now, verdicts: map[string]string{}, priced: map[string]bool{}}
	r.ports()
	r.files()
	r.regions()
	r.learnNames()
	r.references()
	r.accounts()
	r.globs()
	r.shadows()
	r.expiredKeys()
	r.certificates()
	r.books()
	return slices.Concat(r.problems, s.Config.Unmatched(), s.Endings(now))
}

type reviewer struct {
	*snapshot.Snapshot
	now      time.Time
	problems []config.Problem
	ids      []string          // names of models that requests may have
	spelt    []string          // the spellings by which globs may name them
	priced   map[string]bool   // models of the operator's own books
	verdicts map[string]string // of globs and names of models, "" for nothing to say
}

func (r *reviewer) refuse(path, format string, args ...any) {
	r.problems = append(r.problems, config.Problem{Path: path, Message: fmt.Sprintf(format, args...)})
}

func (r *reviewer) warn(path, message string) {
	if message != "" {
		r.problems = append(r.problems, config.Problem{Path: path, Message: message, Warning: true})
	}
}

// ports refuses two ports that are one.
func (r *reviewer) ports() {
	c := r.Config
	host, port, err := net.SplitHostPort(c.Listen)
	other, adminPort, adminErr := net.SplitHostPort(c.Admin.Listen)
	if err != nil || adminErr != nil || port != adminPort || port == "0" {
		return
	}
	if everywhere(host) || everywhere(other) || sameHost(host, other) {
		r.refuse("admin.listen", "is the address of listen, %s: the admin port needs one of its own", c.Listen)
	}
}

func everywhere(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.IsUnspecified()
}

func sameHost(a, b string) bool {
	local := func(host string) bool { return host == "localhost" || host == "127.0.0.1" || host == "::1" }
	return a == b || local(a) && local(b) && (a == "localhost" || b == "localhost")
}

// expiredKeys warns of keys that the configuration itself has ended.
func (r *reviewer) expiredKeys() {
	for i := range r.Config.Tenants {
		t := &r.Config.Tenants[i]
		for j, id := range t.Keys {
			if k := t.KeySettings[id]; k != nil && !k.Expires.IsZero() && !r.now.Before(k.Expires) {
				r.warn(fmt.Sprintf("tenants[%d].keys[%d].expires", i, j), "is over: the key is refused")
			}
		}
	}
}

// shadows warns of shadow traffic for which nobody pays, and of judges that are never
// asked.
func (r *reviewer) shadows() {
	var ids []string
	known := map[string]bool{}
	for i := range r.Config.Tenants {
		id := r.Config.Tenants[i].ID
		known[id] = true
		ids = append(ids, id)
	}
	for i := range r.Config.Cascades {
		if payer := r.Config.Cascades[i].Shadow.Tenant; payer != "" && !known[payer] {
			r.warn(fmt.Sprintf("cascades[%d].shadow.tenant", i),
				fmt.Sprintf("there is no tenant %q%s", payer, similar.Hint(payer, ids)))
		}
		r.judge(fmt.Sprintf("cascades[%d].shadow.judge", i), &r.Config.Cascades[i])
	}
}

// judge warns of a judge that the tenant who pays for it may not use.
func (r *reviewer) judge(path string, of *config.Cascade) {
	payer, model := r.Tenants.Lookup(of.Shadow.Tenant), r.Router.Resolve(of.Shadow.Judge)
	if payer != nil && model != "" && model != config.JudgeKeys && !payer.AllowsModel(model) {
		r.warn(path, fmt.Sprintf("%s, which pays for shadows, may not use %s: the judge is never asked", payer.ID, model))
	}
}
