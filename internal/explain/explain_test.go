package explain

import (
	"bytes"
	"errors"
	"flag"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/cascade/certify"
	"github.com/sluice-gateway/sluice/internal/snapshot"
	"github.com/sluice-gateway/sluice/internal/wire"
)

var update = flag.Bool("update", false, "write the golden files")

var day = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// subject is a compiled gateway.
type subject struct{ *snapshot.Snapshot }

func load(t *testing.T) subject {
	t.Helper()
	cfg, err := config.Load(filepath.Join("testdata", "gateway.yaml"), func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	s, problems := snapshot.Compile(cfg, nil, day)
	if err := cfg.Report(problems); err != nil {
		t.Fatal(err)
	}
	return subject{s}
}

// ask is a Converse request of a tenant.
func (s subject) ask(id, model, text string) *Request {
	return &Request{
		Op: wire.OpConverse, Model: model, Body: ConverseBody(text, 0), Tenant: s.Tenants.Lookup(id),
		Now: day, Output: 400,
	}
}

// TestGolden explains one request of each kind, in both formats.
func TestGolden(t *testing.T) {
	s := load(t)
	f := func(name string, r *Request) {
		t.Helper()
		var b bytes.Buffer
		e := Explain(s.Snapshot, r)
		if err := e.WriteText(&b); err != nil {
			t.Fatal(err)
		}
		b.WriteString("\n")
		if err := e.WriteJSON(&b); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join("testdata", name+".txt")
		if *update {
			if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), b.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	capped := s.ask("acme", "auto", "")
	capped.Body, capped.Input = ConverseBody("What is 2 + 2?", 4096), 1840
	capped.Escalated, capped.Key = big.NewRat(1, 5), "SLKEXAMPLE"
	f("light", capped)
	f("rule", s.ask("acme", "auto", "Prove it step by step."))
	f("observe", s.ask("free", "watch", "hello"))
	f("partner", s.ask("budget/below", "pair", "hello"))
	f("passthrough", s.ask("free", "europe", "hello"))
	f("unpriced", s.ask("free", "strange", "hello"))
	f("denied", s.ask("poor", "anthropic.claude-3-5-sonnet-20241022-v2:0", "hello"))
	failing := s.ask("free", "watch", "hello")
	failing.Header = wire.Header{{Name: "x-team", Value: "search"}}
	f("header", failing)
}

// TestCertified explains a cascade that enforces, without its certificate and
// with it.
func TestCertified(t *testing.T) {
	s := load(t)
	f := func(path, reason string, legs int, quality string) {
		t.Helper()
		e := Explain(s.Snapshot, s.ask("free", "sure", "hello"))
		if e.Path != path || e.Reason != reason || len(e.Legs) != legs || !strings.Contains(e.Quality, quality) {
			t.Errorf("%s %q, %d legs, %q; want %s %q, %d, %q", e.Path, e.Reason, len(e.Legs), e.Quality, path, reason, legs,
				quality)
		}
		var b bytes.Buffer
		if err := e.WriteText(&b); err != nil || !strings.Contains(b.String(), quality) {
			t.Errorf("%v\n%s", err, b.String())
		}
	}
	f("direct", "uncertified", 1, "uncertified: there is no file ")
	s.Artifacts["sure"] = &snapshot.Artifacts{Certificate: &certify.Certificate{
		Binding: certify.Binding{Schemas: []string{""}}, Threshold: 1.25, Steps: []float64{1, 1.25}, Bound: 0.015,
		Delta: 0.1, N: 600, Hash: "of it",
	}}
	f("light", "", 3, "at most 1.5 points, 90 % sure, n = 600")
	if e := Explain(s.Snapshot, s.ask("free", "sure", "hello")); e.Threshold == nil || *e.Threshold != 1.25 {
		t.Errorf("threshold %v", e.Threshold)
	}
}

// TestLongInput takes a rule by the stated input tokens alone.
func TestLongInput(t *testing.T) {
	s := load(t)
	f := func(input int, path, reason string) {
		t.Helper()
		r := s.ask("free", "auto", "short")
		r.Input = input
		if e := Explain(s.Snapshot, r); e.Path != path || e.Reason != reason {
			t.Errorf("%d: %s %s", input, e.Path, e.Reason)
		}
	}
	f(0, "light", "")
	f(30_000, "light", "")
	f(30_001, "direct", "long")
	f(150_000, "direct", "long")
}

func TestRefusals(t *testing.T) {
	s := load(t)
	f := func(r *Request, kind, message string) {
		t.Helper()
		e := Explain(s.Snapshot, r)
		if e.Refused == nil || e.Refused.Type != kind || !strings.Contains(e.Refused.Message, message) ||
			len(e.Legs) != 0 || e.Reserved.Known {
			t.Errorf("%+v, want %s %s", e.Refused, kind, message)
		}
	}
	stream := s.ask("poor", "auto", "x")
	stream.Op = wire.OpConverseStream
	f(stream, "AccessDeniedException", "converse-stream is not allowed")
	broken := s.ask("free", "auto", "")
	broken.Body = []byte(`{"messages":3`)
	f(broken, "ValidationException", "Malformed")
	much := s.ask("strict", "auto", "")
	much.Body = ConverseBody("x", 2000)
	f(much, "ValidationException", "1000")
	f(s.ask("free", "arn:aws:bedrock:ap-south-1::foundation-model/amazon.nova-lite-v1:0", "x"), "ValidationException",
		"ap-south-1")
	f(s.ask("budget/below", "strange", "x"), "AccessDeniedException", "no known maximum of output tokens")
	bounded := s.ask("budget/below", "strange", "")
	bounded.Body = ConverseBody("x", 100)
	f(bounded, "AccessDeniedException", "acme.unheard-of has no price, and a budget applies")
	if e := Explain(s.Snapshot, s.ask("told", "strange", "x")); e.Refused != nil {
		t.Errorf("a budget that only tells refuses: %+v", e.Refused)
	}
	s.Config.Unpriced = config.UnpricedRefuse
	f(s.ask("free", "strange", "x"), "AccessDeniedException", "has no price")
}

// TestAmounts works the costs of the golden request by hand: Nova Micro at 0.035
// and 0.14, Sonnet 4.5 of the geo profile at 3.30 and 16.50 dollars per million.
func TestAmounts(t *testing.T) {
	s := load(t)
	r := s.ask("acme", "auto", "x")
	r.Input, r.Escalated = 1000, big.NewRat(1, 4)
	e := Explain(s.Snapshot, r)
	f := func(what string, got Amount, want string) {
		t.Helper()
		if got.String() != "$"+want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	f("light expected", e.Legs[0].Expected, "0.000091")          // 1000 * 0.035 + 400 * 0.14
	f("light at estimate", e.Legs[0].AtEstimate, "0.000105")     // 500 output tokens
	f("light reserved", e.Legs[0].Reserved, "0.00014196")        // 1000 + 32 for the turn + 1024 for the frame of a body
	f("escalation expected", e.Legs[1].Expected, "0.0099")       // 1000 * 3.30 + 400 * 16.50
	f("all", e.All, "0.009991")                                  // both
	f("mean", e.Expected, "0.002566")                            // 0.000091 + 0.0099 / 4
	f("escalation at estimate", e.Legs[1].AtEstimate, "0.01485") // all input written to the one-hour cache, 2 * 3.30
	f("escalation reserved", e.Legs[1].Reserved, "0.0218196")
}

func TestParseHTTP(t *testing.T) {
	f := func(text, model, body string, fields int) {
		t.Helper()
		r, err := ParseHTTP([]byte(text), "/bedrock")
		if err != nil {
			t.Fatal(err)
		}
		if r.Op != wire.OpConverseStream || r.Model != model || string(r.Body) != body || len(r.Header) != fields {
			t.Errorf("%+v", r)
		}
	}
	f("POST /model/auto/converse-stream HTTP/1.1\r\nHost: x\r\nX-Team: a: b\r\n\r\n{\r\n}\n", "auto", "{\r\n}\n", 2)
	f("POST /bedrock/model/a%3A1/converse-stream\n\n{}", "a:1", "{}", 0)
	f("POST /model/a/converse-stream\nx-team:", "a", "", 1)
	g := func(text string) {
		t.Helper()
		if _, err := ParseHTTP([]byte(text), ""); !errors.Is(err, ErrRequest) {
			t.Errorf("%q: %v", text, err)
		}
	}
	g("")
	g("POST")
	g("POST /model/a/converse HTTP/1.1 more")
	g("GET /model/a/converse")
	g("POST /elsewhere")
	g("POST /model/a/converse\nno field\n\n")
	g("POST /model/a/converse\n : x\n\n")
}

func FuzzParseHTTP(f *testing.F) {
	f.Add([]byte("POST /model/auto/converse HTTP/1.1\r\nHost: x\r\n\r\n{}"))
	f.Add([]byte("POST /model/a/invoke\n\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := ParseHTTP(data, "")
		if err != nil {
			if !errors.Is(err, ErrRequest) {
				t.Error(err)
			}
			return
		}
		if r.Op == wire.OpUnknown || !bytes.HasSuffix(data, r.Body) {
			t.Errorf("%+v", r)
		}
	})
}
