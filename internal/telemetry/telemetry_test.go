package telemetry

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sink is a client that keeps what it is to send.
type sink struct {
	mu   sync.Mutex
	sent []byte // of the last batch
	all  []*tracepb.Span
	fail error
}

func (s *sink) close() {}

func (s *sink) send(_ context.Context, resourceSpans []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	s.sent = bytes.Clone(resourceSpans)
	var read tracepb.ResourceSpans
	err := proto.Unmarshal(s.sent, &read)
	if err == nil {
		for _, scope := range read.GetScopeSpans() {
			s.all = append(s.all, scope.GetSpans()...)
		}
	}
	return err
}

func traced(t testing.TB, opts Options) (*Telemetry, *sink) {
	t.Helper()
	e := &sink{}
	tel, err := newWith(t.Context(), e, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tel.Close(context.Background()) })
	return tel, e
}

func spans(t *testing.T, tel *Telemetry, e *sink) map[string]*tracepb.Span {
	t.Helper()
	tel.batches.export(t.Context())
	byName := map[string]*tracepb.Span{}
	for _, s := range e.all {
		byName[s.Name] = s
	}
	return byName
}

func attrsOf(s *tracepb.Span) map[string]string {
	m := map[string]string{}
	for _, a := range s.GetAttributes() {
		switch v := a.GetValue().GetValue().(type) {
		case *commonpb.AnyValue_StringValue:
			m[a.Key] = v.StringValue
		case *commonpb.AnyValue_BoolValue:
			m[a.Key] = strconv.FormatBool(v.BoolValue)
		case *commonpb.AnyValue_IntValue:
			m[a.Key] = strconv.FormatInt(v.IntValue, 10)
		case *commonpb.AnyValue_DoubleValue:
			m[a.Key] = strconv.FormatFloat(v.DoubleValue, 'g', -1, 64)
		case *commonpb.AnyValue_ArrayValue:
			m[a.Key] = fmt.Sprintf("[%q]", v.ArrayValue.GetValues()[0].GetStringValue())
		}
	}
	return m
}

func serve(tel *Telemetry, h wire.Header) *LegSpan {
	r := tel.Request(h)
	leg := r.Leg(LegStart{
		Operation: "converse-stream", Model: "amazon.nova-lite-v1:0", Upstream: "eu", Address: "bedrock.example", Port: 443,
		MaxTokens: 500, Stream: true, RecordID: "REC", Leg: 0, Attempt: 1,
	})
	leg.End(LegEnd{
		Status: 200, Outcome: "completed", Verdict: "accept", AWSRequestID: "aws-1", FirstByte: 250 * time.Millisecond,
		Cost: money.Dollar / 1000, CostState: "known", PriceBook: "v1",
		Usage: wire.Usage{
			Input: wire.Known(10), Output: wire.Known(7), CacheRead: wire.Known(100), CacheWrite1h: wire.Known(5),
			StopReason: "end_turn",
		},
	})
	r.End(RequestEnd{
		ID: "REQ", Method: "POST", Operation: "converse-stream", Status: 200, Tenant: "acme/support", Key: "K1",
		Asked:  "auto",
		Served: "amazon.nova-lite-v1:0", Cascade: "support", Path: "light", Reason: "agreed", Cap: 500, Cut: 1500,
		Cost: money.Dollar / 1000, CostState: "known",
	})
	return leg
}

func TestSpans(t *testing.T) {
	tel, e := traced(t, Options{Sample: 1})
	serve(tel, nil)
	got := spans(t, tel, e)
	request, leg := got["converse-stream auto"], got["chat amazon.nova-lite-v1:0"]
	if !bytes.Equal(leg.GetParentSpanId(), request.GetSpanId()) || len(request.GetSpanId()) == 0 {
		t.Errorf("the leg is not a child of the request: %v", maps.Collect(maps.All(got)))
	}
	want := map[string]string{
		AttrRequestID: "REQ", AttrHTTPMethod: "POST", AttrOperation: "converse-stream", AttrTenant: "acme/support",
		AttrKey:               "K1",
		AttrGenAIRequestModel: "auto", AttrGenAIModel: "amazon.nova-lite-v1:0", AttrCascade: "support", AttrPath: "light",
		AttrReason: "agreed", AttrHTTPStatus: "200", AttrCapTokens: "500", AttrCapCut: "1500", AttrCostState: "known",
		AttrCost: "0.001", AttrBuffered: "false",
	}
	if diff := cmp.Diff(want, attrsOf(request)); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
	want = map[string]string{
		AttrGenAIOperation: "chat", AttrGenAIProvider: "aws.bedrock", AttrGenAISystem: "aws.bedrock", AttrGenAIStream: "true",
		AttrLeg: "0", AttrAttempt: "1", AttrGenAIRequestModel: "amazon.nova-lite-v1:0", AttrServerAddress: "bedrock.example",
		AttrServerPort: "443", AttrUpstream: "eu", AttrRecordID: "REC", AttrOperation: "converse-stream",
		AttrGenAIMaxTokens: "500",
		AttrGenAIInput:     "115", AttrGenAIOutput: "7", AttrGenAICacheRead: "100", AttrGenAICacheWrite: "5",
		AttrGenAIFinish: `["end_turn"]`, AttrOutcome: "completed", AttrVerdict: "accept", AttrAWSRequestID: "aws-1",
		AttrPriceBook: "v1", AttrHTTPStatus: "200", AttrCostState: "known", AttrCost: "0.001", AttrGenAIFirstChunk: "0.25",
	}
	if diff := cmp.Diff(want, attrsOf(leg)); diff != "" {
		t.Errorf("leg (-want +got):\n%s", diff)
	}
}

const (
	callerTrace    = "4bf92f3577b34da6a3ce929d0e0e4736"
	sampledParent  = "00-" + callerTrace + "-00f067aa0ba902b7-01"
	droppedParent  = "00-" + callerTrace + "-00f067aa0ba902b7-00"
	nonsenseParent = "00-xyz-1-2"
)

func TestSamplingAndPropagation(t *testing.T) {
	f := func(parent string, sample float64, recorded bool) {
		t.Helper()
		tel, e := traced(t, Options{Sample: sample})
		var h wire.Header
		if parent != "" {
			h = wire.Header{{Name: "Traceparent", Value: parent}, {Name: "tracestate", Value: "a=b"}}
		}
		out := serve(tel, h).AppendHeader(nil)
		got := spans(t, tel, e)
		if (len(got) == 2) != recorded || (len(got) == 0) == recorded {
			t.Errorf("%q at %v: %d spans, want recorded %v", parent, sample, len(got), recorded)
		}
		tp := out.Get("traceparent")
		flag := "-00"
		if recorded {
			flag = "-01"
		}
		if !strings.HasSuffix(tp, flag) {
			t.Errorf("%q at %v: out %q", parent, sample, tp)
		}
		follows := strings.Contains(parent, callerTrace)
		if strings.Contains(tp, callerTrace) != follows || (out.Get("tracestate") == "a=b") != follows {
			t.Errorf("%q at %v: out %v", parent, sample, out)
		}
		if recorded && strings.Contains(tp, "00f067aa0ba902b7") {
			t.Errorf("%q: the upstream is told the caller's span, not the leg's", parent)
		}
	}
	f("", 1, true)
	f("", 0, false)
	f(sampledParent, 0, true)
	f(droppedParent, 1, false)
	f(nonsenseParent, 1, true)
	f(nonsenseParent, 0, false)
}

func TestNothingIsTracedWithoutACollector(t *testing.T) {
	off, err := New(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, tel := range []*Telemetry{nil, off} {
		leg := serve(tel, wire.Header{{Name: "traceparent", Value: sampledParent}})
		if h := leg.AppendHeader(nil); h != nil {
			t.Errorf("fields %v", h)
		}
		if r := tel.Request(nil); r.Sampled() || r.TraceID() != "" {
			t.Error("sampled")
		}
		tel.Close(t.Context())
	}
}

func TestUsageCounts(t *testing.T) {
	f := func(u wire.Usage, want wire.Count) {
		t.Helper()
		if got := allInput(&u); got != want {
			t.Errorf("%+v: %+v, want %+v", u, got, want)
		}
	}
	f(wire.Usage{}, wire.Count{})
	f(wire.Usage{CacheRead: wire.Known(5)}, wire.Count{})
	f(wire.Usage{Input: wire.Known(0)}, wire.Known(0))
	f(wire.Usage{Input: wire.Known(1), CacheRead: wire.Known(2), CacheWrite5m: wire.Known(4), CacheWrite1h: wire.Known(8)},
		wire.Known(15))
}

func TestErrorsAndCuts(t *testing.T) {
	f := func(end LegEnd, status tracepb.Status_StatusCode, finish string) {
		t.Helper()
		tel, e := traced(t, Options{Sample: 1})
		r := tel.Request(nil)
		r.Leg(LegStart{Operation: "count-tokens", Model: "m"}).End(end)
		r.End(RequestEnd{Operation: "x"})
		leg, ok := spans(t, tel, e)["count-tokens m"]
		if !ok || leg.GetStatus().GetCode() != status || attrsOf(leg)[AttrGenAIFinish] != finish {
			t.Errorf("%+v: %v, finish %s", end, leg.GetStatus(), attrsOf(leg)[AttrGenAIFinish])
		}
	}
	f(LegEnd{Status: 200}, tracepb.Status_STATUS_CODE_UNSET, "")
	f(LegEnd{Status: 400, Error: "ValidationException"}, tracepb.Status_STATUS_CODE_UNSET, "")
	f(LegEnd{Status: 424, Error: "ModelErrorException"}, tracepb.Status_STATUS_CODE_ERROR, "")
	f(LegEnd{Status: 503, Error: "ServiceUnavailableException"}, tracepb.Status_STATUS_CODE_ERROR, "")
	f(LegEnd{Error: "timed_out"}, tracepb.Status_STATUS_CODE_ERROR, "")
	cut := LegEnd{Status: 200, CutStream: true, Usage: wire.Usage{StopReason: "end_turn"}}
	f(cut, tracepb.Status_STATUS_CODE_UNSET, `["error"]`)
}

// The real exporter reaches a collector, and its errors are counted.
func TestOTLP(t *testing.T) {
	paths := make(chan string, 10)
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		paths <- r.URL.Path
		if strings.HasPrefix(r.URL.Path, "/broken") {
			w.WriteHeader(http.StatusBadRequest)
		}
	}))
	defer collector.Close()
	f := func(url, path string, errors string) {
		t.Helper()
		tel, err := New(t.Context(), Options{OTLP: url, Sample: 1})
		if err != nil {
			t.Fatal(err)
		}
		serve(tel, nil)
		tel.Close(context.Background())
		if got := <-paths; got != path {
			t.Errorf("%s: sent to %s", url, got)
		}
		if got := scrape(t, tel); !strings.Contains(got, "sluice_trace_export_errors_total "+errors) {
			t.Errorf("%s: errors are not %s", url, errors)
		}
	}
	f(collector.URL, "/v1/traces", "0")
	f(collector.URL+"/x/v1/traces", "/x/v1/traces", "0")
	f(collector.URL+"/broken", "/broken", "1")
	http.DefaultClient.CloseIdleConnections()
}

func scrape(t *testing.T, tel *Telemetry) string {
	t.Helper()
	w := httptest.NewRecorder()
	tel.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	body, _ := io.ReadAll(w.Result().Body)
	return string(body)
}

func TestMetrics(t *testing.T) {
	tel, err := New(t.Context(), Options{Version: "1.2", Commit: "abc"})
	if err != nil {
		t.Fatal(err)
	}
	m := tel.Metrics()
	m.Request(RequestCount{Operation: "converse", Path: "light", Status: 200, Added: 30 * time.Microsecond,
		FirstByte: time.Second, Duration: 2 * time.Second})
	m.Request(RequestCount{Operation: "converse", Path: "light", Status: 204})
	m.Request(RequestCount{Operation: "", Path: "", Status: 999})
	m.Leg("eu", "completed")
	u := wire.Usage{Input: wire.Known(10), Output: wire.Known(5), CacheRead: wire.Known(3)}
	m.Usage("acme", &u, money.Dollar/2)
	m.CapCut(100)
	m.Retry("eu", "429")
	m.Breaker("eu", "m", BreakerOpen)
	m.RuleError("support")
	m.Glitch("ping")
	m.Refusals(413, 1)
	m.Loaded("old", time.Unix(5, 0))
	m.Loaded("h4sh", time.Unix(7, 0))
	m.LoadFailed()
	m.Watch(GaugeInFlight, func() float64 { return 42 })
	m.Watch(GaugeLedgerDegraded, func() float64 { return 1 })
	got := scrape(t, tel)
	for _, want := range []string{
		`sluice_requests_total{operation="converse",path="light",status="2xx"} 2`,
		`sluice_requests_total{operation="",path="",status="other"} 1`,
		`sluice_added_latency_seconds_bucket{le="5e-05"} 3`,
		`sluice_first_byte_seconds_sum 1`, `sluice_request_duration_seconds_count 3`,
		`sluice_legs_total{outcome="completed",upstream="eu"} 1`,
		`sluice_tokens_total{class="input"} 10`, `sluice_tokens_total{class="cache_read"} 3`,
		`sluice_tenant_tokens_total{tenant="acme"} 18`, `sluice_tenant_cost_usd_total{tenant="acme"} 0.5`,
		`sluice_cost_usd_total 0.5`,
		`sluice_cap_cuts_total 1`, `sluice_cap_cut_tokens_total 100`,
		`sluice_retries_total{reason="429",upstream="eu"} 1`, `sluice_breaker_state{model="m",upstream="eu"} 2`,
		`sluice_rule_errors_total{cascade="support"} 1`, `sluice_h2_glitches_total{kind="ping"} 1`,
		`sluice_refusals_total{status="413"} 1`,
		`sluice_config_reloads_total{result="taken"} 2`, `sluice_config_reloads_total{result="refused"} 1`,
		`sluice_config_last_reload_success 0`, `sluice_config_last_reload_timestamp_seconds 7`,
		`sluice_config_info{hash="h4sh"} 1`,
		`sluice_requests_in_flight 42`, `sluice_ledger_degraded 1`, `sluice_build_info{commit="abc",go="go1.`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("missing: %s", want)
		}
	}
	if strings.Contains(got, `hash="old"`) {
		t.Error("the old configuration is still shown")
	}
}

func TestEveryGaugeHasAName(t *testing.T) {
	tel, _ := New(t.Context(), Options{})
	for g := range Gauge(len(gaugeNames)) {
		tel.Metrics().Watch(g, func() float64 { return 0 })
		if !strings.Contains(scrape(t, tel), gaugeNames[g][0]+" 0") {
			t.Errorf("gauge %d is not shown", g)
		}
	}
}

func TestLabelsAreBounded(t *testing.T) {
	tel, _ := New(t.Context(), Options{})
	u := wire.Usage{Input: wire.Known(1)}
	for i := range maxLabels + 50 {
		tel.Metrics().Usage(fmt.Sprintf("tenant-%d", i), &u, 0)
	}
	got := scrape(t, tel)
	if n := strings.Count(got, "\nsluice_tenant_tokens_total{"); n != maxLabels+1 {
		t.Errorf("%d tenants", n)
	}
	if !strings.Contains(got, `sluice_tenant_tokens_total{tenant="other"} 50`) {
		t.Error("the others are not counted as other")
	}
}

func TestNilMetrics(*testing.T) {
	var m *Metrics
	m.Request(RequestCount{})
	m.Leg("", "")
	m.Usage("", nil, 0)
	m.CapCut(1)
	m.Retry("", "")
	m.Breaker("", "", BreakerClosed)
	m.RuleError("")
	m.Glitch("")
	m.Refusals(0, 1)
	m.Loaded("", time.Time{})
	m.LoadFailed()
	m.Watch(GaugeInFlight, nil)
}

func BenchmarkUnsampled(b *testing.B) {
	tel, _ := traced(b, Options{Sample: 0})
	b.ReportAllocs()
	for b.Loop() {
		serve(tel, nil)
	}
}

func BenchmarkSampled(b *testing.B) {
	tel, err := newWith(b.Context(), discard{}, Options{Sample: 1})
	if err != nil {
		b.Fatal(err)
	}
	defer tel.Close(context.Background())
	b.ReportAllocs()
	for b.Loop() {
		serve(tel, nil)
	}
}

type discard struct{}

func (discard) send(context.Context, []byte) error { return nil }
func (discard) close()                             {}

func BenchmarkMetrics(b *testing.B) {
	tel, _ := New(b.Context(), Options{})
	m := tel.Metrics()
	u := wire.Usage{Input: wire.Known(10), Output: wire.Known(5)}
	b.ReportAllocs()
	for b.Loop() {
		m.Request(RequestCount{Operation: "converse", Path: "light", Status: 200, Added: time.Millisecond})
		m.Leg("", "completed")
		m.Usage("acme", &u, 5)
	}
}

func TestServerTiming(t *testing.T) {
	for _, c := range []struct {
		gateway, upstream time.Duration
		want              string
	}{
		{0, 0, "gateway;dur=0.000, upstream;dur=0.000"},
		{412*time.Microsecond + 999, 830500 * time.Microsecond, "gateway;dur=0.412, upstream;dur=830.500"},
		{-time.Second, time.Hour, "gateway;dur=0.000, upstream;dur=3600000.000"},
	} {
		if got := ServerTiming(c.gateway, c.upstream); got != c.want {
			t.Errorf("%v, %v: %q, want %q", c.gateway, c.upstream, got, c.want)
		}
	}
}
