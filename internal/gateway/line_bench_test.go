package gateway

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/leg"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/telemetry"
	"github.com/sluice-gateway/sluice/internal/wire"
)

const everything = `
aliases: {auto: dear.heavy-v1:0}
cascades:
  - name: bench
    match: request.model == "auto"
    mode: rules
    light: dear.light-v1:0
    escalation: dear.heavy-v1:0
    escalate_if:
      - {id: long, if: request.input_tokens > 500000}
      - {id: tools, if: request.tools > 20}
      - {id: proof, if: 'request.text.contains("prove this theorem")'}
`

// silent keeps no books: the journal has benchmarks of its own.
type silent struct{}

func (silent) Begin(*record.Start) error { return nil }

func (silent) End(s *record.Start, e *record.End, prices *record.PriceBook, b *record.Booked) error {
	b.Derive(s, e, prices)
	return nil
}

// instant is an upstream that answers at once.
type instant struct {
	*fixture
	answer engine.Response
}

func (u *instant) Attempt(context.Context, *engine.Request) (*engine.Response, error) {
	res := u.answer
	return &res, nil
}

// turns is a Converse body with so many turns of 330 bytes.
func turns(n int) string {
	prose := strings.Repeat(`the committee asked for a \"short\" summary of last year, naïve assumptions marked\n`, 4)
	turn := `{"role":"user","content":[{"text":"` + prose + `"}]}`
	tool := `{"toolSpec":{"name":"look_up","description":"looks it up","inputSchema":{"json":{"type":"object"}}}}`
	return `{"messages":[` + turn + strings.Repeat(","+turn, n-1) + `],"system":[{"text":"be brief"}],"toolConfig":{"tools":[` +
		tool + `,` + tool + `]},"inferenceConfig":{"maxTokens":4096,"temperature":0.2}}`
}

const answered = `"output":{"message":{"role":"assistant","content":[{"text":"The answer is 42."}]}}`

// benched is a line without its edge, its journal and its upstream: bearer, a cap,
// budgets, a span that is not recorded.
func benched(b *testing.B, cascade string) *fixture {
	f := newFixtureOf(b, "1000000", "budgets: [{period: day, usd: 1000000}]", cascade)
	tel, err := telemetry.New(b.Context(), telemetry.Options{OTLP: "http://127.0.0.1:1", Sample: 1e-9})
	if err != nil {
		b.Fatal(err)
	}
	res, _ := completed("", 0)
	res.Body = bytes.Replace(res.Body, []byte(`"output":{}`), []byte(answered), 1)
	served := *f.line.snapshots.Load()
	served.Upstream = &instant{f, *res}
	f.line = New(Options{Options: leg.Options{
		Meter: silent{}, Limiter: f.limiter, Log: slog.New(slog.DiscardHandler), Now: time.Now, Telemetry: tel,
		NewID: func() string { return "01ARZ3NDEKTSV4RRFFQ69G5FAV" },
	}})
	f.line.Use(&served)
	return f
}

// serve serves body over and over.
func (f *fixture) serve(b *testing.B, body []byte) {
	caller, leave := context.WithCancel(context.Background())
	defer leave()
	b.ReportAllocs()
	for b.Loop() {
		req := &Request{
			ID: "01REQUEST", Method: "POST", Target: "/model/auto/converse", Authority: "gateway", Caller: caller,
			Header: wire.Header{{Name: "authorization", Value: "Bearer " + f.bearer},
				{Name: "content-type", Value: "application/json"}},
			Body: read(body), Received: time.Now(),
		}
		if res := f.line.Serve(req); res.Status != 200 {
			b.Fatal(string(res.Body))
		}
	}
}

// BenchmarkLine is a request with three rules, of which one reads text.
func BenchmarkLine(b *testing.B) {
	f := benched(b, everything)
	defer f.end(b)
	for _, n := range []int{3, 100} {
		sent := []byte(turns(n))
		b.Run(fmt.Sprintf("%dKB", len(sent)/1000), func(b *testing.B) { f.serve(b, sent) })
	}
}

// BenchmarkCheck is one whose light answer is compared with a partner's.
func BenchmarkCheck(b *testing.B) {
	const checked = "mode: check\n    partner: dear.second-v1:0\n    unknown: accept"
	f := benched(b, strings.ReplaceAll(everything, "mode: rules", checked))
	defer f.end(b)
	f.serve(b, []byte(turns(3)))
}

// read is a body that is in memory.
type read []byte

func (r read) ReadAll() ([]byte, *wire.Error) { return r, nil }
func (r read) Release()                       {}
