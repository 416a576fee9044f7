package anthropic

import (
	"strings"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/caller"
)

// Exchange is one request and its answer. Make it with Open.
type Exchange struct {
	kind   kind
	fits   bool // the path takes the method
	asked  string
	native *caller.Native
	query  string
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
	var failure *caller.Failure
	switch x.kind {
	case models, model:
		x.native = &caller.Native{Op: wire.OpListFoundationModels}
		x.asked = strings.TrimPrefix(strings.TrimPrefix(r.Path, "/v1/models"), "/")
	default:
		x.native, failure = x.message(r)
	}
	return x.native, failure
}

// message translates a request of Messages, or for the count of its tokens.
func (x *Exchange) message(r *caller.Request) (*caller.Native, *caller.Failure) {
	b, failure := readBody(r.Body)
	if failure != nil {
		return nil, failure
	}
	if b.model == "" {
		return nil, caller.Invalid("model", "model: Field required")
	}
	x.asked = b.model
	m := r.Model(b.model)
	if m.ID == "" {
		return nil, noModel(b.model)
	}
	x.native = &caller.Native{Op: wire.OpInvoke, Model: m.ID, Session: session(r.Header)}
	if b.stream {
		x.native.Op = wire.OpInvokeStream
	}
	if m.Family != Family {
		return nil, caller.Invalid("model", "model "+b.model+" is not one of Claude's")
	}
	return x.native, b.invoke(r, x.native)
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
	case a.Op.IsInvoke():
		return a.Body, nil
	}
	return nil, &caller.Failure{Class: caller.ClassInternal, Message: "the answer cannot be translated"}
}

// Stream begins the translation of a stream.
func (x *Exchange) Stream(*caller.Answer) caller.Stream { return &reframed{} }
