package dialect

import (
	"strings"

	"github.com/sluice-gateway/sluice/internal/controlplane"
	"github.com/sluice-gateway/sluice/internal/leg"
	"github.com/sluice-gateway/sluice/internal/router"
	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/caller"
)

// makers are whose own names of models are understood, by how they begin.
var makers = []struct{ prefix, maker string }{{"claude-", "anthropic"}}

// modelOf is what is known of the model that a request names.
func modelOf(r *leg.Request, name string) caller.Model {
	routes := r.Snapshot.Router
	m := caller.Model{ID: name}
	if _, aliased := r.Snapshot.Config.Aliases[name]; !aliased {
		for _, own := range makers {
			if strings.HasPrefix(name, own.prefix) {
				m.ID = controlplane.Named(r.Snapshot, r.Caller.Tenant, own.maker, name, r.Received)
			}
		}
	}
	if m.ID == "" {
		return m
	}
	m.Foundation = routes.Priced(routes.Resolve(m.ID)).Foundation
	if d := routes.Dialect(m.ID, nil); d != nil {
		m.Family = d.Name
	}
	if known := routes.Catalogue(m.ID); known != nil {
		m.Listed = true
		m.System, m.Tools, m.Images, m.Documents = known.System, known.Tools, known.Images, known.Documents
		m.CachePoints, m.Reasoning, m.MaxOutput = known.CachePoints, known.Reasoning, known.MaxOutput
	}
	return m
}

// foreign reports whether the cascade of a native request has a model of another family than
// the request is written for. Such a request has to be Converse's.
func foreign(r *leg.Request, n *caller.Native) bool {
	cfg, routes := r.Snapshot.Config, r.Snapshot.Router
	if len(cfg.Cascades) == 0 || !n.Op.IsInvoke() {
		return false
	}
	f := &wire.Facts{}
	dialect := routes.Dialect(n.Model, n.Body)
	if err := f.Read(n.Op, dialect, n.Body); err != nil {
		return false // the line says what is wrong with it
	}
	in := &router.Input{Facts: f, Body: n.Body, Asked: n.Model, Header: r.Header, Now: r.Received}
	in.Tenant, in.Root, in.Key = r.Caller.Tenant.ID, r.Caller.Tenant.Root, r.Caller.KeyID
	in.Policy = r.Caller.Tenant
	c := routes.Match(in).Cascade
	return c != nil && (c.Light.Dialect != dialect || c.Escalation.Dialect != dialect)
}
