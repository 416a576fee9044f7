package test

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
	"github.com/sluice-gateway/sluice/test/harness"
)

// collector takes spans by OTLP/HTTP.
type collector struct {
	*httptest.Server
	mu    sync.Mutex
	raw   []byte
	spans []*tracepb.Span
}

func startCollector(t *testing.T) *collector {
	c := new(collector)
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var batch coltracepb.ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(body, &batch)
		}
		if err != nil || r.URL.Path != "/v1/traces" {
			t.Errorf("collector: %s %s: %v", r.Method, r.URL.Path, err)
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.raw = append(c.raw, body...)
		for _, resource := range batch.ResourceSpans {
			for _, scope := range resource.ScopeSpans {
				c.spans = append(c.spans, scope.Spans...)
			}
		}
	}))
	t.Cleanup(c.Close)
	return c
}

// of returns the spans of a trace by kind.
func (c *collector) of(trace string) (server, client []*tracepb.Span) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		switch {
		case fmt.Sprintf("%x", s.TraceId) != trace:
		case s.Kind == tracepb.Span_SPAN_KIND_SERVER:
			server = append(server, s)
		case s.Kind == tracepb.Span_SPAN_KIND_CLIENT:
			client = append(client, s)
		}
	}
	return server, client
}

func attributes(s *tracepb.Span) map[string]string {
	all := map[string]string{}
	for _, a := range s.Attributes {
		text := a.Value.GetStringValue()
		if text == "" {
			text = strings.TrimSpace(a.Value.String())
			_, text, _ = strings.Cut(text, ":")
		}
		all[a.Key] = text
	}
	return all
}

func wantAttributes(t *testing.T, what string, s *tracepb.Span, want map[string]string) {
	t.Helper()
	got := attributes(s)
	for name, value := range want {
		if have, ok := got[name]; !ok || value != "*" && have != value {
			t.Errorf("%s: attribute %s is %q, want %q; there are %v", what, name, have, value, got)
		}
	}
}

const (
	promptCanary = "canary-in-prompt-7d1f"
	systemCanary = "canary-in-system-88aa"
	answerCanary = "canary-in-answer-c03e"
	errorCanary  = "canary-in-error-51b2"
	callerTrace  = "0af7651916cd43dd8448eb211c80319c"
	callerSpan   = "b7ad6b7169203331"
)

// TestTraces follows requests to a collector: a span per request, one per
// attempt, linked to those of caller and upstream; and no text of a prompt, an
// answer or a secret is anywhere but with caller and upstream.
func TestTraces(t *testing.T) {
	t.Parallel() // it mostly waits
	spans, redis := startCollector(t), redistest.NewServer(t, "--appendonly", "yes", "--aof-use-rdb-preamble", "no")
	answer := strings.Replace(okBody, `"ok"`, `"`+answerCanary+`"`, 1)
	refusal := answerWith(400, jsonHeader+"x-amzn-ErrorType: ValidationException\r\n", `{"message":"`+errorCanary+`"}`)
	frame := func(kind, payload string) []byte { return chunk(harness.EncodeFrame(t, "event", kind, payload)) }
	upstream := harness.StartScripted(t, map[string]harness.Play{
		light:          inTurn(writes(errorWith(429, "ThrottlingException")), writes(refusal)),
		"test.watched": writes(answerWith(200, jsonHeader, answer)),
		escalation:     writes(answerWith(200, jsonHeader+"x-amzn-RequestId: upstream-1\r\n", answer)),
		"test.stream": writes(streamHead, frame("messageStart", `{"role":"assistant"}`),
			frame("contentBlockDelta", `{"delta":{"text":"`+answerCanary+`"}}`),
			frame("messageStop", `{"stopReason":"end_turn"}`), frame("metadata", `{"usage":{"inputTokens":3,"outputTokens":2}}`),
			lastChunk),
		"test.broken": writes([]byte("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n" + jsonHeader + "\r\n" + answerCanary)),
	})
	key := harness.NewKey(t, "acme/support")
	gw := harness.Start(t, harness.Config{YAML: fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: %q, retry: {base_delay: 1ms}}
timeouts: {idle: 1s}
ledger: {redis: %q}
telemetry: {otlp: %q, sample: 0}
aliases: {auto: %q}
tenants: [{id: acme/support, keys: [%s], output_tokens: {max: 100}}, {id: acme/shadow}]
cascades: [{name: watch, match: request.model == "watched", mode: observe, light: test.watched, escalation: %q, shadow: {tenant: acme/shadow, fraction: 1}}, {name: support, match: request.model == "auto", mode: rules, light: %q, escalation: %q, escalate_if: [{id: words, if: 'request.text.contains("contract")'}]}]
`, upstream.URL(), redis.URL(), spans.URL, escalation, key.KeyID, escalation, light, escalation)})

	traced := func(cred harness.Credential, flags string) harness.Credential {
		return func(req *http.Request, body []byte) error {
			err := cred(req, body)
			req.Header.Set("traceparent", "00-"+callerTrace+"-"+callerSpan+"-"+flags)
			req.Header.Set("tracestate", "vendor=1")
			return err
		}
	}
	prompt := `{"system":[{"text":"` + systemCanary + `"}],"messages":[{"role":"user","content":[{"text":"` +
		promptCanary + `"}]}]}`
	got := gw.Post(t, traced(key.BearerCredential, "01"), "/model/auto/converse", prompt)
	if got.Status != http.StatusOK || !bytes.Contains(got.Body, []byte(answerCanary)) {
		t.Fatalf("%d %s", got.Status, got.Body)
	}
	outward := upstream.Head(escalation)
	for _, cred := range []harness.Credential{key.BearerCredential, key.SigV4Credential} {
		gw.Post(t, traced(cred, "00"), "/model/test.stream/converse-stream", prompt)
		gw.Post(t, cred, "/model/test.broken/converse", prompt)
		gw.Post(t, cred, "/model/"+escalation+"/converse", prompt+promptCanary)
		gw.Post(t, cred, "/model/"+promptCanary, prompt)
	}
	gw.Post(t, func(req *http.Request, _ []byte) error {
		req.Header.Set("Authorization", "Bearer "+promptCanary)
		return nil
	}, "/model/auto/converse", prompt)
	const failedTrace = "4bf92f3577b34da6a3ce929d0e0e4736"
	gw.Post(t, func(req *http.Request, body []byte) error {
		req.Header.Set("traceparent", "00-"+failedTrace+"-"+callerSpan+"-01")
		return key.BearerCredential(req, body)
	}, "/model/test.broken/converse", prompt)
	gw.Post(t, key.BearerCredential, "/model/watched/converse", prompt)
	harness.Eventually(t, time.Minute, func() (bool, string) {
		pair, err := os.ReadFile(filepath.Join(gw.Dir, "data", "pairs", "watch.jsonl"))
		return bytes.HasSuffix(pair, []byte("\n")), fmt.Sprint(err)
	})
	_, metrics := gw.Page("/metrics")
	gw.Stop()

	server, client := spans.of(callerTrace)
	if len(server) != 1 || len(client) != 3 || len(spans.spans) != 6 {
		t.Fatalf("%d request spans and %d attempt spans of %d, want 1 and 3 of 6: an unsampled caller is not traced",
			len(server), len(client), len(spans.spans))
	}
	checkSpans(t, server[0], client, key)
	server, failed := spans.of(failedTrace)
	if len(server) != 1 || len(failed) != 1 || server[0].Status.GetCode() != tracepb.Status_STATUS_CODE_ERROR ||
		failed[0].Status.GetCode() != tracepb.Status_STATUS_CODE_ERROR {
		t.Fatalf("the spans of a failed request: %v %v", server, failed)
	}
	wantAttributes(t, "failed request", server[0],
		map[string]string{"error.type": "ModelErrorException", "sluice.cost.state": "unknown"})
	last := client[0]
	for _, s := range client {
		if s.StartTimeUnixNano > last.StartTimeUnixNano {
			last = s
		}
	}
	if want := fmt.Sprintf("00-%s-%x-01", callerTrace, last.SpanId); outward.Get("traceparent") != want ||
		outward.Get("tracestate") != "vendor=1" {
		t.Errorf("the upstream got traceparent %q, tracestate %q, want %q", outward.Get("traceparent"),
			outward.Get("tracestate"), want)
	}
	places := map[string][]byte{"spans": spans.raw, "log": []byte(gw.Log.String()), "metrics": []byte(metrics)}
	readFiles(t, filepath.Join(gw.Dir, "data"), places)
	redis.Shutdown()
	readFiles(t, redis.Dir, places)
	wantNowhere(t, places, promptCanary, systemCanary, answerCanary, errorCanary, key.Bearer, key.SecretAccessKey,
		harness.UpstreamSecret, harness.RootSecret)
	if !anyContains(places, "acme/support") {
		t.Error("not even the tenant's name is in what was searched")
	}
}

func checkSpans(t *testing.T, request *tracepb.Span, attempts []*tracepb.Span, key harness.Key) {
	t.Helper()
	if fmt.Sprintf("%x", request.ParentSpanId) != callerSpan {
		t.Errorf("the request's parent is %x, want the caller's span", request.ParentSpanId)
	}
	wantAttributes(t, "request", request, map[string]string{
		"sluice.tenant": "acme/support", "sluice.key": key.KeyID, "sluice.cascade": "support", "sluice.path": "escalated",
		"sluice.reason": "light_error", "sluice.request.id": "*",
		"sluice.cap.tokens": "100", "sluice.cost.usd": "*",
		"sluice.cost.state":    "known",
		"gen_ai.request.model": "auto", "gen_ai.response.model": escalation,
		"http.request.method":       "POST",
		"http.response.status_code": "200",
	})
	models := map[string]int{}
	for _, s := range attempts {
		if !bytes.Equal(s.ParentSpanId, request.SpanId) {
			t.Errorf("the parent of attempt %q is %x", s.Name, s.ParentSpanId)
		}
		model := attributes(s)["gen_ai.request.model"]
		models[model]++
		want := map[string]string{
			"gen_ai.operation.name": "chat", "gen_ai.provider.name": "aws.bedrock", "sluice.operation": "converse",
			"sluice.record.id": "*", "sluice.outcome": "failed", "http.response.status_code": "*",
		}
		if model == escalation {
			for name, value := range map[string]string{
				"sluice.outcome": "completed", "gen_ai.usage.input_tokens": "3", "gen_ai.usage.output_tokens": "2",
				"gen_ai.request.max_tokens": "100", "aws.request_id": "upstream-1", "sluice.cost.usd": "*",
				"gen_ai.response.finish_reasons": "*",
			} {
				want[name] = value
			}
		}
		wantAttributes(t, s.Name, s, want)
	}
	if models[light] != 2 || models[escalation] != 1 {
		t.Errorf("attempts by model: %v", models)
	}
}

func readFiles(t *testing.T, dir string, into map[string][]byte) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		into[path], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func wantNowhere(t *testing.T, places map[string][]byte, canaries ...string) {
	t.Helper()
	if len(places) < 6 {
		t.Errorf("only %d places were searched", len(places))
	}
	for place, contents := range places {
		for _, canary := range canaries {
			if i := bytes.Index(contents, []byte(canary)); i >= 0 {
				t.Errorf("%q is in %s: …%q…", canary, place, contents[max(0, i-80):min(len(contents), i+80)])
			}
		}
	}
}

func anyContains(places map[string][]byte, text string) bool {
	for _, contents := range places {
		if bytes.Contains(contents, []byte(text)) {
			return true
		}
	}
	return false
}
