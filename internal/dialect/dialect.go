// Package dialect serves callers who speak another dialect than Bedrock's, at the paths below
// /v1/. It stands between the edge and the request line: the line asks it for the native
// request once the caller is authenticated and the body is there, and what the line answers is
// translated on its way out, frame by frame. How a dialect is spelt is the work of
// wire/anthropic and wire/openai. Requests at native paths pass without being looked at.
package dialect

import (
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/internal/gateway"
	"github.com/sluice-gateway/sluice/internal/snapshot"
	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/anthropic"
	"github.com/sluice-gateway/sluice/internal/wire/caller"
	"github.com/sluice-gateway/sluice/internal/wire/openai"
)

// Line is the request line.
type Line interface {
	Serve(req *gateway.Request) *gateway.Response
	// Begin takes a request as far as its native one is known. rest is the rest of the line, and has to be called.
	Begin(req *gateway.Request) (rest func() *gateway.Response)
}

// Dialect is how the callers of one API speak.
type Dialect struct {
	// Open begins the exchange of one request. An exchange for a path that the dialect does not
	// know refuses the request when it is asked for the native one.
	Open func(method, path string) Exchange
	// Fail is a failure in the dialect: its status, fields of its header, and its body.
	Fail func(f *caller.Failure) (status int, header wire.Header, body []byte)
	// AppendPing appends what keeps a silent stream alive.
	AppendPing func(dst []byte) []byte
	// Field is how the dialect calls a field about limits at a time; nil as OpenAI does.
	Field func(f wire.Field, now time.Time) wire.Field
}

// Anthropic is the dialect of Anthropic's API.
func Anthropic() Dialect {
	open := func(method, path string) Exchange { return anthropic.Open(method, path) }
	return Dialect{Open: open, Fail: anthropic.Fail, AppendPing: anthropic.AppendPing, Field: anthropic.Field}
}

// OpenAI is the dialect of OpenAI's API.
func OpenAI() Dialect {
	open := func(method, path string) Exchange { return openai.Open(method, path) }
	return Dialect{Open: open, Fail: openai.Fail, AppendPing: openai.AppendPing}
}

// Exchange is one request and its answer.
type Exchange interface {
	// Native translates the request.
	Native(r *caller.Request) (*caller.Native, *caller.Failure)
	// Answer translates a whole answer.
	Answer(a *caller.Answer) ([]byte, *caller.Failure)
	// Stream begins the translation of a stream.
	Stream(a *caller.Answer) caller.Stream
}

// Options is what a Handler needs.
type Options struct {
	Line      Line
	Snapshots *snapshot.Store
	// Anthropic serves /v1/messages, and what names an anthropic-version unless the path is OpenAI's
	// alone; OpenAI serves all else.
	Anthropic, OpenAI Dialect
	// Ping is how long a stream may be silent; 0 is DefaultPing.
	Ping time.Duration
	Now  func() time.Time // nil is time.Now
}

// DefaultPing is how long a stream is silent before the caller gets a sign of life. Clients
// give up after 300 seconds, and some proxies after 30.
const DefaultPing = 15 * time.Second

// Handler serves all callers. Make it with New.
type Handler struct {
	opts Options
}

// New returns a handler.
func New(o Options) *Handler {
	if o.Ping == 0 {
		o.Ping = DefaultPing
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Handler{o}
}

const prefix = "/v1/"

// Serve answers one request.
func (h *Handler) Serve(req *gateway.Request) *gateway.Response {
	if !h.foreign(req.Target) {
		return h.opts.Line.Serve(req)
	}
	x := h.open(req)
	req.Header = credentials(req.Header)
	req.Translator = x
	return x.serve()
}

// Refuse says res, which refuses req in Bedrock's dialect, in that of its caller.
func (h *Handler) Refuse(req *gateway.Request, res *gateway.Response) *gateway.Response {
	if !h.foreign(req.Target) {
		return res
	}
	x := h.open(req)
	return x.fail(x.failed(res), res)
}

// foreign reports whether a target is of another dialect than Bedrock's.
func (h *Handler) foreign(target string) bool {
	_, ok := h.below(target)
	return ok
}

// below is a target of another dialect than Bedrock's, without the base path.
func (h *Handler) below(target string) (path string, ok bool) {
	if ofOthers(target) {
		return target, true
	}
	base := h.basePath()
	path, ok = strings.CutPrefix(target, base)
	return path, ok && base != "" && ofOthers(path)
}

// ofOthers reports whether a path is one of the other dialects, or of their callers who have a wrong base URL.
func ofOthers(path string) bool { return strings.HasPrefix(path, prefix) || astray(path) }

func (h *Handler) basePath() string {
	if s := h.opts.Snapshots.Load(); s != nil {
		return strings.TrimSuffix(s.Config.BasePath, "/")
	}
	return ""
}

// open begins the exchange of a request of another dialect.
func (h *Handler) open(req *gateway.Request) *exchange {
	below, _ := h.below(req.Target)
	path, query, _ := strings.Cut(below, "?")
	x := &exchange{handler: h, request: req, path: path, query: query, dialect: &h.opts.OpenAI}
	if strings.HasPrefix(path, "/v1/messages") || strings.HasPrefix(path, "/messages") ||
		!openai.Owns(path) && req.Header.Get("anthropic-version") != "" { // the header decides for what both have
		x.dialect = &h.opts.Anthropic
	}
	x.own = x.dialect.Open(req.Method, path)
	if astray(path) {
		x.own = stray{}
	}
	return x
}

// credentials makes a bearer key of x-api-key, where there is no other credential.
func credentials(h wire.Header) wire.Header {
	key := h.Get("x-api-key")
	if key == "" || h.Count("authorization") > 0 {
		return h
	}
	out := make(wire.Header, 0, len(h)+1)
	for _, f := range h {
		if !strings.EqualFold(f.Name, "x-api-key") {
			out = append(out, f)
		}
	}
	return append(out, wire.Field{Name: "authorization", Value: "Bearer " + key})
}
