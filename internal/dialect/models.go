package dialect

import (
	"strings"

	"github.com/sluice-gateway/sluice/internal/controlplane"
	"github.com/sluice-gateway/sluice/internal/leg"
	"github.com/sluice-gateway/sluice/internal/router"
	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/caller"
	"github.com/sluice-gateway/sluice/internal/wire/capability"
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
	resolved := routes.Resolve(m.ID)
	m.Chat, m.Responses = ownPaths(resolved, m.Foundation)
	if at, err := routes.Upstream(resolved, r.Caller.Tenant.Upstream); r.Caller.Tenant.Converse {
		m.Chat, m.Responses = false, false
	} else if err == nil && routes.Mantle(at) {
		m.Mantle = true
		m.Chat = !strings.HasPrefix(m.Foundation, "anthropic.")
		m.Responses = m.Chat
	}
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

// ownPaths reports which of OpenAI's paths AWS serves for a model. Responses is served by profiles of several regions
// alone, and not by application profiles.
func ownPaths(id, foundation string) (chat, responses bool) {
	can, kind := capability.Of(foundation), wire.ParseModelID(id).Kind
	chat = can.Chat && (kind == wire.ModelFoundation || kind == wire.ModelProfile || kind == wire.ModelApplicationProfile)
	return chat, can.Responses && kind == wire.ModelProfile
}

// cascaded reports whether a cascade takes the native request that made makes, which is asked for only where there are
// cascades.
func cascaded(r *leg.Request, made func() *caller.Native) bool {
	if len(r.Snapshot.Config.Cascades) == 0 {
		return false
	}
	n := made()
	if n == nil {
		return false
	}
	return cascadeOf(r, n) != nil
}

// foreign reports whether the cascade of a native request has a model of another family than
// the request is written for. Such a request has to be Converse's.
func foreign(r *leg.Request, n *caller.Native) bool {
	if len(r.Snapshot.Config.Cascades) == 0 || !n.Op.IsInvoke() {
		return false
	}
	c := cascadeOf(r, n)
	return c != nil && (c.Light.Dialect != r.Facts.Dialect || c.Escalation.Dialect != r.Facts.Dialect)
}

// cascadeOf is the cascade that takes a native request, nil for none. Its facts are then those of the request.
func cascadeOf(r *leg.Request, n *caller.Native) *router.Cascade {
	if err := r.FactsOf(&leg.Read{Op: n.Op, Model: n.Model, Body: n.Body}); err != nil {
		return nil // the line says what is wrong with it
	}
	in := r.RouterInput()
	in.Body, in.Asked = n.Body, n.Model
	return r.Snapshot.Router.Match(in).Cascade
}
