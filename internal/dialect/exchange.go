package dialect

import (
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/internal/cascade/memory"
	"github.com/sluice-gateway/sluice/internal/controlplane"
	"github.com/sluice-gateway/sluice/internal/gateway"
	"github.com/sluice-gateway/sluice/internal/heap/pool"
	"github.com/sluice-gateway/sluice/internal/leg"
	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/caller"
)

// exchange is one request and its answer. It is the line's translator.
type exchange struct {
	handler     *Handler
	request     *gateway.Request
	dialect     *Dialect
	own         Exchange
	path, query string
	asked       caller.Request // what the dialect is asked and told, in memory of the exchange
	said        caller.Answer

	// What the line has asked for; written before Begin returns.
	native  *caller.Native
	failure *caller.Failure // of the dialect's own
	taken   int64           // bytes of memory, for the translation
}

// policies are those of the configuration by their words.
var policies = map[string]caller.Policy{"refuse": caller.PolicyRefuse, "drop": caller.PolicyDrop}

// outcome is what the line made of the request: an answer, or a panic.
type outcome struct {
	response *gateway.Response
	panicked any
}

// serve takes the request down the line and translates the answer. A stream whose answer has
// not begun within the ping interval is begun without it.
func (x *exchange) serve() *gateway.Response {
	rest := x.handler.opts.Line.Begin(x.request)
	if x.native == nil || !x.native.Op.Streams() {
		return x.answer(outcome{response: rest()})
	}
	done := make(chan outcome, 1)
	go func() {
		defer func() {
			if v := recover(); v != nil {
				done <- outcome{panicked: v}
			}
		}()
		leg.Grow()
		done <- outcome{response: rest()}
	}()
	silence := time.NewTimer(x.handler.opts.Ping)
	defer silence.Stop()
	select {
	case o := <-done:
		return x.answer(o)
	case <-silence.C:
		return x.early(done)
	}
}

// Native implements gateway.Translator.
func (x *exchange) Native(r *leg.Request) *wire.Error {
	x.asked = caller.Request{
		ID: r.ID, Method: r.Method, Path: x.path, Query: x.query, Header: r.Header, Body: r.Body, Received: r.Received,
		Memory:   x,
		Policy:   policies[r.Caller.Tenant.UnsupportedFields],
		Model:    func(name string) caller.Model { return modelOf(r, name) },
		Foreign:  func(n *caller.Native) bool { return foreign(r, n) },
		Cascaded: func(made func() *caller.Native) bool { return cascaded(r, made) },
		Stores:   r.Caller.Tenant.Stores,
	}
	native, failure := x.own.Native(&x.asked)
	r.Account.Give(max(0, x.taken-kept(native, r.Body)), pool.Answer)
	if failure != nil {
		x.failure = failure
		return failure.Native()
	}
	x.native = native
	r.Further = native.Further
	r.Method, r.Body, r.Header = native.Op.Method(), native.Body, nativeHeader(r.Header, native)
	r.Target = wire.Target{Op: native.Op, Model: native.Model, Resource: native.Resource}
	if native.Model != "" && !wire.ValidID(native.Model) {
		x.failure = &caller.Failure{
			Class: caller.ClassNotFound, Param: "model", Code: "model_not_found", Message: "there is no model " + native.Model,
		}
		return x.failure.Native()
	}
	return nil
}

// Take implements caller.Memory.
func (x *exchange) Take(n int64) *caller.Failure {
	a := x.request.Account
	switch {
	case !a.CouldGrow(n):
		return &caller.Failure{
			Class: caller.ClassTooLarge, Message: "The request takes more memory than the gateway may use for it.",
		}
	case !a.Grow(n):
		full := leg.NoRoom()
		return &caller.Failure{
			Class: caller.ClassUnavailable, Message: full.Message, RetryAfterMillis: full.RetryAfterMillis,
		}
	}
	x.taken += n
	return nil
}

// kept is how many bytes a native request takes beside the caller's body.
func kept(n *caller.Native, body []byte) int64 {
	if n == nil {
		return 0
	}
	all := n.Kept + int64(cap(n.Count))
	if len(n.Body) > 0 && (len(body) == 0 || &n.Body[0] != &body[0]) {
		all += int64(cap(n.Body))
	}
	return all
}

// Describe implements gateway.Translator: it lists the models that the tenant may use.
func (x *exchange) Describe(r *leg.Request) ([]byte, *wire.Error) {
	models := controlplane.Callable(r.Snapshot, r.Caller.Tenant, r.Received)
	body, failure := x.own.Answer(&caller.Answer{ID: r.ID, Op: r.Target.Op, Received: r.Received, Models: models})
	if failure != nil {
		x.failure = failure
		return nil, failure.Native()
	}
	return body, nil
}

// callersOnly are fields about the caller's own dialect and credentials, which neither the
// upstream nor a rule of a cascade gets.
var callersOnly = []string{
	"accept", "content-type", "content-length", "x-api-key", "anthropic-version", "anthropic-beta", "openai-beta",
}

// nativeHeader is the caller's header as the native request has it.
func nativeHeader(h wire.Header, n *caller.Native) wire.Header {
	out := make(wire.Header, 0, len(h)+3)
	for _, f := range h {
		if !wire.NameIn(f.Name, callersOnly) {
			out = append(out, f)
		}
	}
	out = append(out, wire.Field{Name: "content-type", Value: "application/json"})
	if n.Session != "" && out.Get(memory.SessionHeader) == "" {
		out = append(out, wire.Field{Name: memory.SessionHeader, Value: n.Session})
	}
	return append(out, n.Header...)
}

// answer translates what the line answers.
func (x *exchange) answer(o outcome) *gateway.Response {
	if o.panicked != nil {
		panic(o.panicked)
	}
	res := o.response
	if res.Status >= 300 {
		switch {
		case x.estimates(res):
			return x.estimate(res)
		case x.native != nil && x.native.Own != nil && x.native.Own(res.Body):
			return x.finish(res)
		}
		return x.fail(x.failed(res), res)
	}
	if x.native == nil {
		panic("BUG: the line answered what it was not asked for")
	}
	if x.native.Op.Control() { // Describe has spoken
		return x.finish(res)
	}
	if res.Stream != nil {
		res.Stream = x.newStream(res)
		return x.finish(res)
	}
	told := x.told(res)
	told.Body = res.Body
	for _, part := range res.Parts {
		told.Parts = append(told.Parts, caller.Part{Header: part.Header, Body: part.Body})
	}
	body, failure := x.own.Answer(told)
	if failure != nil {
		return x.fail(failure, res)
	}
	res.Body = body
	x.native.Dropped = append(x.native.Dropped, told.Lost...)
	return x.finish(res)
}

// told is what a dialect is told of an answer.
func (x *exchange) told(res *gateway.Response) *caller.Answer {
	x.said = caller.Answer{
		ID: x.request.ID, Op: x.native.Op, Model: res.Header.Get("x-sluice-model"), Received: x.request.Received,
		Header: res.Header, Memory: x,
	}
	return &x.said
}

// failed is the failure that the line's answer speaks of.
func (x *exchange) failed(res *gateway.Response) *caller.Failure {
	if x.failure != nil {
		return x.failure
	}
	f := caller.FailureOf(res.Status, res.Header, res.Body)
	if f.Class == caller.ClassPermission && strings.HasPrefix(f.Message, "Authentication failed") {
		f.Class = caller.ClassAuthentication
	}
	return f
}

// fail makes the answer one about a failure.
func (x *exchange) fail(f *caller.Failure, res *gateway.Response) *gateway.Response {
	f.ID = x.request.ID
	status, header, body := x.dialect.Fail(f)
	res.Status, res.Body = status, body
	x.finish(res)
	for _, field := range header {
		res.Header = set(res.Header, field)
	}
	return res
}

// finish makes the header one of the dialect.
func (x *exchange) finish(res *gateway.Response) *gateway.Response {
	kept := res.Header[:0]
	for _, f := range res.Header {
		if wire.NameIn(f.Name, nativeOnly) {
			continue
		}
		if x.dialect.Field != nil {
			f = x.dialect.Field(f, x.handler.opts.Now())
		}
		kept = append(kept, f)
	}
	kind := "application/json"
	if res.Stream != nil {
		kind = "text/event-stream; charset=utf-8"
		kept = append(kept, wire.Field{Name: "cache-control", Value: "no-cache"})
	}
	kept = append(kept, wire.Field{Name: "content-type", Value: kind},
		wire.Field{Name: "request-id", Value: x.request.ID}, wire.Field{Name: "x-request-id", Value: x.request.ID})
	if x.native != nil && len(x.native.Dropped) > 0 {
		kept = append(kept, wire.Field{Name: "x-sluice-dropped", Value: strings.Join(x.native.Dropped, ",")})
	}
	res.Header = kept
	return res
}

// nativeOnly are fields of a native answer that mean nothing in another dialect.
var nativeOnly = []string{"content-type", "content-length", "x-amzn-errortype", "x-amzn-bedrock-content-type"}

// set replaces a field, or adds it.
func set(h wire.Header, f wire.Field) wire.Header {
	for i := range h {
		if strings.EqualFold(h[i].Name, f.Name) {
			h[i].Value = f.Value
			return h
		}
	}
	return append(h, f)
}
