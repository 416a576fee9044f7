package dialect

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/internal/gateway"
	"github.com/sluice-gateway/sluice/internal/leg"
	"github.com/sluice-gateway/sluice/internal/server/silence"
	"github.com/sluice-gateway/sluice/internal/snapshot"
	"github.com/sluice-gateway/sluice/internal/tenant"
	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/caller"
)

// scripted is a line that asks for the native request, waits, and answers.
type scripted struct {
	wait   time.Duration // before the head
	answer func() *gateway.Response
	panics bool
}

func (s *scripted) Serve(req *gateway.Request) *gateway.Response { return s.Begin(req)() }

func (s *scripted) Begin(req *gateway.Request) func() *gateway.Response {
	caller := &tenant.Identity{Tenant: &tenant.Tenant{}}
	err := req.Translator.Native(&leg.Request{ID: req.ID, Caller: caller})
	return func() *gateway.Response {
		if err != nil {
			return &gateway.Response{Status: err.Status(), Body: err.AppendJSON(nil)}
		}
		time.Sleep(s.wait)
		if s.panics {
			panic("scripted")
		}
		return s.answer()
	}
}

// plain is a dialect of which every frame is an event.
type plain struct{ op wire.Operation }

func (p plain) Native(*caller.Request) (*caller.Native, *caller.Failure) {
	return &caller.Native{Op: p.op, Model: "m.x"}, nil
}
func (p plain) Answer(a *caller.Answer) ([]byte, *caller.Failure) { return a.Body, nil }
func (p plain) Stream(*caller.Answer) caller.Stream               { return p }

func (plain) Frame(dst []byte, f wire.Frame) ([]byte, *caller.Failure) {
	if string(f.Payload) == "panic" {
		panic("scripted")
	}
	return append(append(dst, f.Payload...), "\n\n"...), nil
}
func (plain) Fail(dst []byte, f *caller.Failure) []byte {
	return append(dst, "error: "+f.Message+"\n\n"...)
}
func (plain) End(dst []byte) []byte { return append(dst, "end\n\n"...) }

// frames is a native stream: a frame, or a pause.
type frames struct {
	io.Reader // nobody's
	parts     []any
	closed    bool
}

func (f *frames) Next() (wire.Frame, error) {
	for len(f.parts) > 0 {
		part := f.parts[0]
		f.parts = f.parts[1:]
		switch part := part.(type) {
		case time.Duration:
			time.Sleep(part)
		case string:
			raw := wire.AppendFrame(nil, []wire.Field{{Name: ":event-type", Value: "x"}}, []byte(part))
			return wire.SplitFrame(raw), nil
		case error:
			return wire.Frame{}, part
		}
	}
	return wire.Frame{}, io.EOF
}

func (f *frames) Ready() bool {
	if len(f.parts) == 0 {
		return true
	}
	_, waits := f.parts[0].(time.Duration)
	return !waits
}

func (f *frames) Close() error {
	f.closed = true
	return nil
}

// written is what the edge writes of a stream.
func written(s io.Reader) (string, error) {
	var out bytes.Buffer
	kept := silence.New(&out, []byte("ping\n\n"), DefaultPing)
	_, err := io.Copy(struct{ io.Writer }{kept}, s)
	kept.Stop()
	return out.String(), err
}

func serve(line *scripted, op wire.Operation) *gateway.Response {
	d := Dialect{
		Open:       func(string, string) Exchange { return plain{op} },
		Fail:       func(f *caller.Failure) (int, wire.Header, []byte) { return 418, nil, []byte(f.Message) },
		AppendPing: func(dst []byte) []byte { return append(dst, "ping\n\n"...) },
	}
	h := New(Options{Line: line, Snapshots: &snapshot.Store{}, OpenAI: d, Anthropic: d})
	return h.Serve(&gateway.Request{ID: "01X", Method: "POST", Target: "/v1/messages"})
}

func streamed(parts ...any) (*frames, *scripted) {
	f := &frames{parts: parts}
	return f, &scripted{answer: func() *gateway.Response { return &gateway.Response{Status: 200, Stream: f} }}
}

// TestPings: a stream that is silent for 15 seconds says so, before its head and after it, and every frame leaves as it
// comes.
func TestPings(t *testing.T) {
	f := func(wait time.Duration, want string, parts ...any) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			inner, line := streamed(parts...)
			line.wait = wait
			res := serve(line, wire.OpConverseStream)
			got, err := written(res.Stream)
			if err != nil || got != want || res.Status != 200 || res.Stream.Close() != nil || !inner.closed {
				t.Errorf("%q %v %d", got, err, res.Status)
			}
		})
	}
	f(0, "a\n\nb\n\nend\n\n", "a", "b")
	f(0, "a\n\nping\n\nping\n\nb\n\nend\n\n", "a", 40*time.Second, "b")
	f(40*time.Second, "ping\n\nping\n\na\n\nend\n\n", "a")
	f(0, "a\n\nerror: the stream broke\n\n", "a", errors.New("broken"))
}

// TestLateRefusal: what is refused after the first ping is an error in the stream.
func TestLateRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line := &scripted{wait: 20 * time.Second, answer: func() *gateway.Response {
			return &gateway.Response{Status: 429, Body: []byte(`{"message":"too many"}`)}
		}}
		res := serve(line, wire.OpConverseStream)
		got, _ := io.ReadAll(res.Stream)
		if string(got) != "ping\n\nerror: too many\n\n" || res.Stream.Close() != nil {
			t.Errorf("%q", got)
		}
	})
}

// TestPlainWaits: an answer that is no stream is waited for, however long it takes.
func TestPlainWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line := &scripted{wait: time.Minute, answer: func() *gateway.Response {
			return &gateway.Response{Status: 200, Body: []byte("whole")}
		}}
		if res := serve(line, wire.OpConverse); string(res.Body) != "whole" || res.Stream != nil {
			t.Errorf("%+v", res)
		}
	})
}

// TestCallerLeaves: closing a stream before its end closes the native one, before its head has come too.
func TestCallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, wait := range []time.Duration{0, time.Minute} {
			inner, line := streamed("a", time.Minute, "b")
			line.wait = wait
			res := serve(line, wire.OpConverseStream)
			if _, err := res.Stream.Read(make([]byte, 10)); err != nil {
				t.Error(err)
			}
			if err := res.Stream.Close(); err != nil || !inner.closed {
				t.Error(err)
			}
		}
	})
}

// TestPanics: a panic on either goroutine is one of the goroutine that the edge watches over.
func TestPanics(t *testing.T) {
	f := func(line *scripted, read bool) {
		t.Helper()
		defer func() {
			if v := recover(); v != "scripted" {
				t.Error(v)
			}
		}()
		res := serve(line, wire.OpConverseStream)
		if read {
			io.ReadAll(res.Stream)
		}
		t.Error("it did not panic")
	}
	f(&scripted{panics: true}, false)
	_, line := streamed("a", "panic")
	f(line, true)
}

// TestNativePathsPass: nothing is done to a request of Bedrock's own.
func TestNativePathsPass(t *testing.T) {
	for target, want := range map[string]bool{
		"/model/m.x/converse": false, "/v1/messages": true, "/v1": false, "/v1x/": false, "/guardrail/v1/": false,
	} {
		seen := false
		line := lineFunc(func(req *gateway.Request) *gateway.Response {
			seen = req.Translator != nil
			return &gateway.Response{Status: 400}
		})
		d := Anthropic()
		h := New(Options{Line: line, Snapshots: &snapshot.Store{}, OpenAI: d, Anthropic: d})
		res := h.Serve(&gateway.Request{Method: "POST", Target: target})
		if seen != want || want != strings.Contains(string(res.Body), "error") {
			t.Error(target, seen, string(res.Body))
		}
	}
}

// TestWhoseDialect: the path says whose it is, and for paths that both have the header does.
func TestWhoseDialect(t *testing.T) {
	named := func(name string) Dialect {
		return Dialect{
			Open: func(string, string) Exchange { return plain{wire.OpConverse} },
			Fail: func(*caller.Failure) (int, wire.Header, []byte) { return 400, nil, []byte(name) },
		}
	}
	line := lineFunc(func(*gateway.Request) *gateway.Response { return &gateway.Response{Status: 400} })
	h := New(Options{Line: line, Snapshots: &snapshot.Store{}, OpenAI: named("openai"), Anthropic: named("anthropic")})
	for target, want := range map[string][2]string{
		"/v1/messages": {"anthropic", "anthropic"}, "/v1/messages/count_tokens?beta=true": {"anthropic", "anthropic"},
		"/v1/models": {"openai", "anthropic"}, "/v1/models/a": {"openai", "anthropic"}, "/v1/files": {"openai", "anthropic"},
		"/v1/chat/completions": {"openai", "openai"}, "/v1/": {"openai", "anthropic"}, "/v1/responses": {"openai", "openai"},
	} {
		for i, header := range []wire.Header{nil, {{Name: "Anthropic-Version", Value: "2023-06-01"}}} {
			res := h.Serve(&gateway.Request{Method: "POST", Target: target, Header: header})
			if string(res.Body) != want[i] {
				t.Errorf("%s: %s", target, res.Body)
			}
		}
	}
}

type lineFunc func(*gateway.Request) *gateway.Response

func (f lineFunc) Serve(req *gateway.Request) *gateway.Response { return f(req) }
func (f lineFunc) Begin(req *gateway.Request) func() *gateway.Response {
	return func() *gateway.Response { return f(req) }
}

// TestRefuse: what the edge refuses, it says in the dialect of the caller.
func TestRefuse(t *testing.T) {
	h := New(Options{Snapshots: &snapshot.Store{}, OpenAI: OpenAI(), Anthropic: Anthropic()})
	for target, want := range map[string]string{
		"/model/m/converse":    `{"message":"too many"}`,
		"/v1/messages?beta=1":  `"type":"overloaded_error"`,
		"/v1/chat/completions": `"type":"server_error"`,
		"/v1/whatever":         `"error":{`,
	} {
		res := h.Refuse(&gateway.Request{ID: "x", Method: "POST", Target: target}, &gateway.Response{
			Status: 503, Body: []byte(`{"message":"too many"}`), Header: wire.Header{
				{Name: "x-amzn-ErrorType", Value: "ServiceUnavailableException"}, {Name: "retry-after", Value: "1"},
			},
		})
		if !strings.Contains(string(res.Body), want) || res.Status < 500 || res.Header.Get("retry-after") != "1" {
			t.Errorf("%s: %d %v %s", target, res.Status, res.Header, res.Body)
		}
	}
}
