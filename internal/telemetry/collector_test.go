package telemetry

import (
	"compress/gzip"
	"context"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

func resourceSpans(t *testing.T, schema string) []byte {
	t.Helper()
	b, err := proto.Marshal(&tracepb.ResourceSpans{SchemaUrl: schema})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// received is what a collector was sent.
type received struct {
	header http.Header
	spans  *coltracepb.ExportTraceServiceRequest
}

// collectorAt answers each request as reply says, and keeps the requests.
func collectorAt(t *testing.T, reply func(http.ResponseWriter, int)) (*httptest.Server, *[]received) {
	t.Helper()
	var all []received
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := io.Reader(r.Body)
		if r.Header.Get("Content-Encoding") == "gzip" {
			z, err := gzip.NewReader(body)
			if err != nil {
				t.Error(err)
				return
			}
			body = z
		}
		data, err := io.ReadAll(body)
		got := received{r.Header, &coltracepb.ExportTraceServiceRequest{}}
		if err == nil {
			err = proto.Unmarshal(data, got.spans)
		}
		if err != nil {
			t.Error(err)
		}
		all = append(all, got)
		reply(w, len(all))
	}))
	t.Cleanup(s.Close)
	return s, &all
}

func settings(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

// TestCollectorSettings: what OTEL_EXPORTER_OTLP_* says is heeded, and a setting that cannot be is an error that
// names it.
func TestCollectorSettings(t *testing.T) {
	s, all := collectorAt(t, func(http.ResponseWriter, int) {})
	s.StartTLS()
	dir := t.TempDir()
	ca, empty := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "empty.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	for name, text := range map[string][]byte{ca: block, empty: nil} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := newCollector(s.URL, nil, settings("OTEL_EXPORTER_OTLP_CERTIFICATE", ca,
		"OTEL_EXPORTER_OTLP_HEADERS", "x-token=a%20b, x-other = c", "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "gzip",
		"OTEL_EXPORTER_OTLP_COMPRESSION", "none", "OTEL_EXPORTER_OTLP_TIMEOUT", "60000"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	if err := c.send(t.Context(), resourceSpans(t, "here")); err != nil {
		t.Fatal(err)
	}
	got := (*all)[0]
	if got.header.Get("x-token") != "a b" || got.header.Get("x-other") != "c" ||
		got.header.Get("Content-Type") != "application/x-protobuf" || got.header.Get("Content-Encoding") != "gzip" {
		t.Errorf("%v", got.header)
	}
	if rs := got.spans.GetResourceSpans(); len(rs) != 1 || rs[0].GetSchemaUrl() != "here" {
		t.Errorf("%v", got.spans)
	}

	f := func(want string, pairs ...string) {
		t.Helper()
		if _, err := newCollector(s.URL, nil, settings(pairs...)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v", pairs, err)
		}
	}
	f("OTLP_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT", "10s")
	f("OTLP_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS", "token")
	f("OTLP_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE", filepath.Join(dir, "absent.pem"))
	f("has no certificate", "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", empty)
	f("CLIENT_CERTIFICATE", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", ca)
}

// TestCollectorTroubles: what a collector may get over is sent again, what it refuses is an error at once.
func TestCollectorTroubles(t *testing.T) {
	f := func(name, want string, attempts int, reply func(http.ResponseWriter, int)) {
		t.Helper()
		s, all := collectorAt(t, reply)
		s.Start()
		c, err := newCollector(s.URL, nil, settings())
		if err != nil {
			t.Fatal(err)
		}
		defer c.close()
		c.first = time.Millisecond
		err = c.send(t.Context(), resourceSpans(t, "here"))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
		if len(*all) != attempts {
			t.Errorf("%s: %d attempts, want %d", name, len(*all), attempts)
		}
	}
	answer := func(status int, text string) func(http.ResponseWriter, int) {
		return func(w http.ResponseWriter, _ int) {
			w.WriteHeader(status)
			io.WriteString(w, text)
		}
	}
	f("taken", "", 1, answer(200, ""))
	f("taken with words of another type", "", 1, answer(202, "fine"))
	f("refused", "no such tenant", 1, answer(400, "no such tenant"))
	f("not there", "404", 1, answer(404, ""))
	for _, status := range []int{429, 502, 503, 504} {
		f("away for two", "", 3, func(w http.ResponseWriter, n int) {
			if n < 3 {
				w.WriteHeader(status)
			}
		})
	}
	f("a part", "refused 7 spans: too many", 1, func(w http.ResponseWriter, _ int) {
		w.Header().Set("Content-Type", "application/x-protobuf")
		reply, err := proto.Marshal(&coltracepb.ExportTraceServiceResponse{
			PartialSuccess: &coltracepb.ExportTracePartialSuccess{RejectedSpans: 7, ErrorMessage: "too many"}})
		if err != nil {
			t.Error(err)
		}
		w.Write(reply)
	})
	f("nonsense for an answer", "", 1, func(w http.ResponseWriter, _ int) {
		w.Header().Set("Content-Type", "application/x-protobuf")
		io.WriteString(w, "\x0a\xff")
	})
	f("hung up once", "", 2, func(w http.ResponseWriter, n int) {
		if n == 1 {
			panic(http.ErrAbortHandler)
		}
	})
}

// TestCollectorAway: sending to a collector that never takes anything ends with its context.
func TestCollectorAway(t *testing.T) {
	s, _ := collectorAt(t, func(w http.ResponseWriter, _ int) { w.WriteHeader(http.StatusServiceUnavailable) })
	s.Start()
	c, err := newCollector(s.URL, nil, settings())
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.send(ctx, resourceSpans(t, "")) }()
	cancel()
	if err := <-ended; err == nil {
		t.Error("sent")
	}
}
