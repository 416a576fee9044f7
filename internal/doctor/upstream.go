package doctor

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/config/pools"
	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/role"
	"github.com/sluice-gateway/sluice/internal/snapshot"
	"github.com/sluice-gateway/sluice/internal/tenant"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Ask sends a request to an upstream as a tenant's calls are sent, nil for no tenant's.
// The body, target and operation are set.
type Ask func(ctx context.Context, of *tenant.Tenant, r *engine.Request) (*engine.Response, error)

// Call is one model as somebody's calls reach it.
type Call struct {
	Model    string
	Upstream string
	Tenant   *tenant.Tenant // whose upstream and role it is asked with; nil for the upstream's own
	// Identity is whether it only shows whether AWS accepts who asks, and not whether they
	// may call the model.
	Identity bool
}

func (c *Call) subject() string {
	s := "at upstream " + cmp.Or(c.Upstream, "default")
	if !c.Identity {
		s = c.Model
		if c.Upstream != "" {
			s += " at upstream " + c.Upstream
		}
	}
	if c.Tenant != nil {
		s += " as " + c.Tenant.ID
	}
	return s
}

// way is where the call goes and as whom, which an identity has alike.
func (c *Call) way() string {
	return (&Call{Upstream: c.Upstream, Tenant: c.Tenant, Identity: true}).subject()
}

// maxCalls bounds how many calls are tried.
const maxCalls = 100

// anyModel is what an identity is tried with: whether it may be called does not matter.
const anyModel = "amazon.nova-micro-v1:0"

// Calls are the ways in which tenants reach the models that are named: once for each
// upstream and role, and once without a tenant. Before them is each upstream and role by
// itself, whatever is named.
func Calls(s *snapshot.Snapshot, models []string) []Call {
	all := []Call{{Model: anyModel, Identity: true}}
	for _, name := range slices.Sorted(maps.Keys(s.Config.Upstreams)) {
		all = append(all, Call{Model: anyModel, Upstream: name, Identity: true})
	}
	seen := map[string]bool{}
	for i := range s.Config.Tenants {
		t := s.Tenants.Lookup(s.Config.Tenants[i].ID)
		if t == nil || t.Role() == (role.Role{}) || len(all) >= maxCalls {
			continue
		}
		if as := fmt.Sprint(t.Upstream, t.Role()); !seen[as] {
			seen[as] = true
			at := pools.First(s.Config.Pools, t.Upstream)
			all = append(all, Call{Model: anyModel, Upstream: at, Tenant: t, Identity: true})
		}
	}
	return append(all, namedCalls(s, models)...)
}

func namedCalls(s *snapshot.Snapshot, models []string) (all []Call) {
	type way struct {
		model, upstream string
		role            role.Role
	}
	seen := map[way]bool{}
	add := func(model string, t *tenant.Tenant) {
		name, as := "", role.Role{}
		if t != nil {
			name, as = t.Upstream, t.Role()
		}
		upstream, refused := s.Router.Upstream(model, name)
		w := way{model, upstream, as}
		if refused != nil || seen[w] || len(all) >= maxCalls {
			return
		}
		seen[w] = true
		if as == (role.Role{}) {
			t = nil
		}
		all = append(all, Call{Model: model, Upstream: upstream, Tenant: t})
	}
	for _, model := range models {
		add(model, nil)
		for i := range s.Config.Tenants {
			t := s.Tenants.Lookup(s.Config.Tenants[i].ID)
			own := t != nil && (t.Upstream != "" || t.Role() != role.Role{})
			if own && t.AllowsModel(model, s.Router.Priced(model).ID) {
				add(model, t)
			}
		}
	}
	return all
}

// dryConverse is refused by every model that one may call, before anything is billed: a
// conversation begins with a user. Should one take it, it answers a token.
const dryConverse = `{"messages":[{"role":"assistant","content":[{"text":"."}]}],"inferenceConfig":{"maxTokens":1}}`

// Permissions asks each model for what it refuses, which shows whether it may be called,
// and from the dates of the answers how far this machine's clock is off.
func Permissions(ctx context.Context, s *snapshot.Snapshot, calls []Call, ask Ask, now func() time.Time) []Finding {
	var all []Finding
	var ahead *time.Duration    // of the first answer with a date
	useless := map[string]int{} // how many models were not asked, by the identity that does not work
	for i := range calls {
		c := &calls[i]
		if left, known := useless[c.way()]; known && !c.Identity {
			useless[c.way()] = left + 1
			continue
		}
		sent := now()
		res, err := ask(ctx, c.Tenant, dry(s, c))
		if err != nil {
			all = append(all, unanswered(c, err))
		} else {
			if at, err := http.ParseTime(res.Header.Get("date")); err == nil && ahead == nil {
				took := now().Sub(sent)
				// The date has whole seconds: half a second later is as likely as any.
				d := at.Add(time.Second / 2).Sub(sent.Add(took / 2))
				ahead = &d
			}
			all = append(all, answered(c, res, s.Router.Mantle(c.Upstream)))
		}
		if c.Identity && all[len(all)-1].State == Fail {
			useless[c.way()] = 0
		}
	}
	all = append(all, notAsked(useless)...)
	if ahead != nil {
		all = append(all, clock(*ahead))
	}
	return all
}

// dry is the request that a model refuses. The host bedrock-mantle is asked for its list.
func dry(s *snapshot.Snapshot, c *Call) *engine.Request {
	if s.Router.Mantle(c.Upstream) {
		return &engine.Request{Upstream: c.Upstream, Model: c.Model, Method: http.MethodGet, Target: "/v1/models"}
	}
	t := wire.Target{Op: wire.OpConverse, Model: c.Model}
	body := dryConverse
	if entry := s.Router.Catalogue(c.Model); entry != nil && !entry.Converse {
		t.Op, body = wire.OpInvoke, "{}" // which lacks what every family needs
	}
	return &engine.Request{
		Upstream: c.Upstream, Model: c.Model, Op: t.Op, Method: http.MethodPost, Target: t.String(), Body: []byte(body),
		Header: wire.Header{{Name: "content-type", Value: "application/json"}},
	}
}

const (
	// signatureSlack is how far a clock may be off before AWS refuses signatures.
	signatureSlack = 5 * time.Minute
	badClock       = 5 * time.Second
)

func clock(ahead time.Duration) Finding {
	a, text := about{"clock", "AWS"}, ahead.Abs().Round(time.Second)
	switch {
	case ahead.Abs() >= signatureSlack-30*time.Second:
		return a.fail(setClock, "this machine's clock differs by %s: AWS refuses signatures at %s", text, signatureSlack)
	case ahead.Abs() > badClock:
		return a.warn(setClock, "this machine's clock differs by %s", text)
	}
	return a.ok("this machine's clock differs by less than %s", badClock)
}
