package gateway

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/saving"
	"github.com/sluice-gateway/sluice/internal/snapshot"
	"github.com/sluice-gateway/sluice/internal/telemetry"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// reloads is how often prices and budgets change under load.
const reloads = 1000

// bookkeeper prices each END by the book that it is given, and compares that with
// what START says.
type bookkeeper struct {
	t *testing.T

	mu       sync.Mutex // guards the following
	versions map[string]string
	costs    map[string]string
}

func (b *bookkeeper) Begin(*record.Start) error { return nil }

func (b *bookkeeper) End(s *record.Start, e *record.End, prices *record.PriceBook, booked *record.Booked) error {
	booked.Derive(s, e, prices)
	p, costs := &booked.Posting, &booked.Costs
	if p.Row.PriceVersion != s.PriceVersion || costs.Total() == 0 {
		b.t.Errorf("START of %s is priced by %q, its END by %q, and costs %s", s.Model, s.PriceVersion, p.Row.PriceVersion,
			costs.Total())
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.versions[s.ID], b.costs[s.ID] = s.PriceVersion, costs.Total().String()
	return nil
}

// TestOneSnapshotPerRequest reloads prices and budgets a thousand times under
// load: each record's price version, its span and its request's saving come from
// one snapshot. The escalation model always costs twice what the light one does,
// for equal answers, so a light answer saves what it costs. No two snapshots have
// a price in common.
func TestOneSnapshotPerRequest(t *testing.T) {
	s := compiled(t, "    mode: check\n    check_timeout: 1m\n")
	b := limitedBench(t, s, byModel(reply{text: "light", stop: "content_filtered"}, reply{}, reply{text: "strong"}))
	books := &bookkeeper{t: t, versions: map[string]string{}, costs: map[string]string{}}
	b.line.asker.Meter = books
	spans := collect(t)
	tel, err := telemetry.New(t.Context(), telemetry.Options{OTLP: spans.URL, Sample: 1, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	b.line.asker.Telemetry = tel
	b.line.Use(reloaded(t, s, b.upstream, 0))
	for range saving.MinAnswers { // until the length of the escalation model's answers is known
		b.do(b.ask(t.Context(), wire.OpConverse, hello))
	}
	b.upstream.script = byModel(reply{text: "light"}, reply{}, reply{text: "strong"})
	var load sync.WaitGroup
	var over atomic.Bool
	for range 3 {
		load.Go(func() {
			for !over.Load() {
				if got := b.do(b.ask(t.Context(), wire.OpConverseStream, hello)); got.path != "light" {
					t.Errorf("%d %s %s: %s", got.status, got.path, got.reason, got.body)
					return
				}
			}
		})
	}
	for n := range reloads {
		b.line.Use(reloaded(t, s, b.upstream, n+1))
	}
	over.Store(true)
	load.Wait()
	b.line.Close(context.Background())
	tel.Close(context.Background())
	spans.check(t, books)
}

// reloaded is s with prices and a budget that no other number has.
func reloaded(t *testing.T, s *snapshot.Snapshot, u snapshot.Upstream, n int) *snapshot.Snapshot {
	t.Helper()
	cfg := *s.Config
	unit := money.Price(money.Dollar) * money.Price(1+n) / 100
	price := func(model string, unit money.Price) config.Price {
		return config.Price{Models: []string{model}, Effective: time.Unix(0, 0),
			Rates: config.Rates{Input: unit, HasInput: true, Output: unit, HasOutput: true}}
	}
	cfg.Prices = []config.PriceBook{{Prices: []config.Price{
		price(lightModel, unit), price("anthropic.claude-sonnet-4-5-20250929-v1:0", 2*unit),
	}}}
	cfg.Tenants = append([]config.Tenant(nil), cfg.Tenants...)
	cfg.Tenants[0].Budgets = []config.Budget{{Period: "month", USD: money.Pico(1000+n) * money.Dollar, OnExceed: "reject"}}
	secrets, _ := credentials()
	next, problems := snapshot.Compile(&cfg, secrets, time.Now())
	if err := cfg.Report(problems); err != nil {
		t.Fatal(err)
	}
	next.Upstream = u
	return next
}

// spanCollector takes spans by OTLP/HTTP.
type spanCollector struct {
	*httptest.Server
	mu    sync.Mutex // guards spans
	spans []*tracepb.Span
}

func collect(t *testing.T) *spanCollector {
	t.Helper()
	c := &spanCollector{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var batch coltracepb.ExportTraceServiceRequest
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = proto.Unmarshal(body, &batch)
		}
		if err != nil {
			t.Error(err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, resource := range batch.ResourceSpans {
			for _, scope := range resource.ScopeSpans {
				c.spans = append(c.spans, scope.Spans...)
			}
		}
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *spanCollector) check(t *testing.T, books *bookkeeper) {
	t.Helper()
	legs, savings := 0, 0
	for _, s := range c.spans {
		of := map[string]string{}
		for _, a := range s.Attributes {
			of[a.Key] = a.Value.GetStringValue()
		}
		if id := of[telemetry.AttrRecordID]; id != "" {
			legs++
			if of[telemetry.AttrPriceBook] != books.versions[id] || of[telemetry.AttrCost] != books.costs[id] {
				t.Errorf("the span has book %s and cost %s, the record %s and %s",
					of[telemetry.AttrPriceBook], of[telemetry.AttrCost], books.versions[id], books.costs[id])
			}
		} else if saved := of[telemetry.AttrSaved]; saved != "" && of[telemetry.AttrPath] == "light" {
			savings++
			if saved != of[telemetry.AttrCost] {
				t.Errorf("a request that cost %s saved %s: they are of two snapshots", of[telemetry.AttrCost], saved)
			}
		}
	}
	t.Logf("%d records, %d spans of legs, %d savings", len(books.versions), legs, savings)
	if legs < reloads/10 || savings < reloads/10 {
		t.Errorf("%d spans of legs and %d savings are too few to tell", legs, savings)
	}
}
