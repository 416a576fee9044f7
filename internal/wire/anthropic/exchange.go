package anthropic

import (
	"cmp"
	"net/url"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/caller"
	"github.com/sluice-gateway/sluice/internal/wire/converse"
)

// body is a request's body.
type body struct{ *caller.Body }

// Exchange is one request and its answer. Make it with Open.
type Exchange struct {
	kind    kind
	fits    bool   // the path takes the method
	asked   string // the model
	query   string
	renamed converse.Renamed
}

// Open begins the exchange of a request.
func Open(method, path string) *Exchange {
	x := &Exchange{}
	x.kind, x.fits = find(method, path)
	return x
}

// Native translates the request. It fails with what the caller is told.
func (x *Exchange) Native(r *caller.Request) (*caller.Native, *caller.Failure) {
	if words, ok := absent[x.kind]; ok {
		return nil, &caller.Failure{Class: caller.ClassNotFound, Message: words}
	}
	if !x.fits {
		return nil, &caller.Failure{Class: caller.ClassMethod, Message: "this path does not take the method"}
	}
	x.query = r.Query
	if x.kind == models || x.kind == model {
		x.asked = strings.TrimPrefix(strings.TrimPrefix(r.Path, "/v1/models"), "/")
		if name, err := url.PathUnescape(x.asked); err == nil && x.kind == model {
			x.asked = cmp.Or(r.Model(name).ID, name)
		}
		return &caller.Native{Op: wire.OpListFoundationModels}, nil
	}
	read, failure := caller.ReadBody(r.Body, fields.Name, insideTexts)
	if failure != nil {
		return nil, failure
	}
	b := &body{read}
	if b.Model == "" {
		return nil, caller.Invalid("model", "model: Field required")
	}
	x.asked = b.Model
	m := r.Model(b.Model)
	if m.ID == "" {
		return nil, noModel(b.Model)
	}
	if x.kind == count {
		return b.count(r, &m)
	}
	return x.message(r, b, &m)
}

// message translates a request of Messages: for Claude to InvokeModel, where everything stays what
// it is, or to the path that the host bedrock-mantle has, and for all others to Converse. A cascade
// that has both kinds of models gets Converse, provided that nothing is lost by it; else the request
// stays Claude's alone.
func (x *Exchange) message(r *caller.Request, b *body, m *caller.Model) (*caller.Native, *caller.Failure) {
	if m.Mantle && m.Family == Family {
		return x.mantle(r, b, m)
	}
	return x.runtime(r, b, m)
}

// runtime translates a request of Messages for the runtime host.
func (x *Exchange) runtime(r *caller.Request, b *body, m *caller.Model) (*caller.Native, *caller.Failure) {
	if tier := b.Find("service_tier"); tier != nil && !slices.Contains(tiers, string(b.Text(tier))) {
		return nil, caller.Invalid("service_tier", "service_tier: Input should be 'auto' or 'standard_only'")
	}
	if m.Family != Family {
		return x.translate(r, b, m)
	}
	n := &caller.Native{Op: wire.OpInvoke, Model: m.ID, Session: session(r.Header)}
	if b.Stream {
		n.Op = wire.OpInvokeStream
	}
	if failure := b.invoke(r, n); failure != nil {
		return nil, failure
	}
	if !r.Foreign(n) {
		return n, nil
	}
	strict := *r
	strict.Policy = caller.PolicyRefuse
	if both, failure := x.translate(&strict, b, m); failure == nil && !b.special() {
		both.Dropped = n.Dropped
		return both, nil
	}
	x.renamed = nil
	return n, nil
}

// tiers are the values of service_tier, in JSON. Bedrock's default tier is each of them.
var tiers = []string{`"auto"`, `"standard_only"`, `null`}

// claudesOwn are members that mean something to Claude alone, although Converse can carry them.
var claudesOwn = []string{"thinking", "output_config", "output_format", "top_k"}

// special reports whether the request has what only Claude understands.
func (b *body) special() bool {
	return slices.ContainsFunc(claudesOwn, func(name string) bool { return b.Find(name) != nil })
}

// translate makes a request of Converse's.
func (x *Exchange) translate(r *caller.Request, b *body, m *caller.Model) (*caller.Native, *caller.Failure) {
	t, failure := translate(r, m, false)
	if failure != nil {
		return nil, failure
	}
	n := &caller.Native{Op: wire.OpConverse, Model: m.ID, Session: session(r.Header), Body: t.body(), Dropped: t.Dropped}
	if b.Stream {
		n.Op = wire.OpConverseStream
	}
	x.renamed = t.b.Renamed()
	return n, nil
}

// session is what Claude Code calls its session.
func session(h wire.Header) string { return h.Get("x-claude-code-session-id") }

func noModel(name string) *caller.Failure {
	return &caller.Failure{Class: caller.ClassNotFound, Param: "model", Code: "model_not_found", Message: "model: " + name}
}

// Answer translates a whole answer.
func (x *Exchange) Answer(a *caller.Answer) ([]byte, *caller.Failure) {
	switch {
	case x.kind == models:
		return list(a.Models, x.query)
	case x.kind == model:
		return single(a.Models, x.asked)
	case a.Op.IsInvoke(), a.Op.IsMessages(), a.Op == wire.OpCountMessages && !a.Estimated:
		return a.Body, nil
	case x.kind == count:
		return counted(a)
	}
	return x.converse(a)
}

// Stream begins the translation of a stream.
func (x *Exchange) Stream(a *caller.Answer) caller.Stream {
	switch {
	case a.Op.IsMessages():
		return passed{}
	case a.Op.IsInvoke():
		return &reframed{}
	}
	return &stream{exchange: x, id: a.ID, open: map[int64]*openBlock{}}
}
