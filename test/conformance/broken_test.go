package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
)

// breakage is something that gateways do wrong, as a proxy before a gateway that does all right.
type breakage struct {
	name string
	fail []string // the rows that fail; no others do
	// out changes requests, back answers, wrap the handler, transport how requests are sent; nil changes nothing.
	out       func(s *suite, r *http.Request)
	back      func(r *http.Response) error
	wrap      func(next http.Handler) http.Handler
	transport http.RoundTripper
	http1     bool // no HTTP/2
	pair      bool // the rows of the key pair run too
	dollar    bool // the rows of the key with one dollar run too
	only      string
}

func breakages() []breakage {
	typed := []string{"bytes/order", "bytes/duplicates", "bytes/big-integers", "bytes/decimals", "bytes/escapes",
		"bytes/spaces"}
	errorRows := []string{"errors/validation", "errors/not-found", "errors/model-error", "errors/throttled",
		"errors/internal", "errors/unavailable"}
	return []breakage{
		{name: "does nothing wrong", pair: true},
		{name: "decodes and encodes requests", fail: typed, out: body(encodeAgain)},
		{name: "keeps only what it knows", fail: append([]string{"bytes/empty", "bytes/depth", "bytes/unknown"}, typed...),
			out: body(knownOnly)},
		{name: "decodes and encodes answers", fail: []string{"answers/bytes", "errors/validation"},
			back: unlessStream(answerBody(encodeAgain))},
		{name: "drops fields of requests", fail: []string{"headers/bedrock", "headers/trace", "headers/content"},
			out: func(_ *suite, r *http.Request) {
				r.Header = http.Header{"Authorization": r.Header["Authorization"], "Content-Type": {"application/json"}}
			}},
		{name: "drops fields of answers", fail: append([]string{"headers/usage", "headers/request-id", "headers/unique-id",
			"credentials/wrong-key", "credentials/no-key"}, errorRows...),
			back: func(r *http.Response) error {
				r.Header = http.Header{"Content-Type": r.Header["Content-Type"]}
				return nil
			}},
		{name: "repeats what failed", fail: []string{"errors/not-repeated", "errors/cut-head", "errors/cut-body"},
			transport: again{}},
		{name: "says 502 where a model failed", fail: []string{"errors/model-error", "errors/cut-head", "errors/cut-body"},
			back: status(http.StatusFailedDependency, http.StatusBadGateway)},
		{name: "says 200 where a request failed", fail: append([]string{"streams/error-first", "errors/unknown-path",
			"errors/bad-json", "credentials/wrong-key", "credentials/no-key"}, without(errorRows, "errors/model-error",
			"errors/internal", "errors/throttled", "errors/unavailable")...),
			back: both(status(400, 200), status(403, 200), status(404, 200))},
		{name: "collects streams", fail: []string{"streams/at-once"}, back: answerBody(func(b []byte) []byte { return b })},
		{name: "collects frames of HTTP/2", fail: []string{"connections/http2-stream"}, wrap: loseOverHTTP2},
		{name: "drops exceptions of streams",
			fail: []string{"streams/at-once", "streams/exception", "streams/cut"}, back: answerBody(noExceptions)},
		{name: "drops what it does not know of streams",
			fail: []string{"streams/at-once", "streams/bytes", "connections/http2-stream"}, back: answerBody(noTomorrow)},
		{name: "lets everybody in", pair: true,
			fail: []string{"credentials/wrong-key", "credentials/no-key", "credentials/tampered"},
			out: func(s *suite, r *http.Request) {
				if k := r.Header.Get("Authorization"); !strings.HasPrefix(k, "Bearer ") || strings.HasSuffix(k, "no-such-key") {
					signIn(r, s.key)
				}
			}},
		{name: "knows no signatures", pair: true, fail: []string{"credentials/signature", "clients/go"},
			out: func(_ *suite, r *http.Request) {
				if strings.HasPrefix(r.Header.Get("Authorization"), "AWS4") {
					signIn(r, "no-such-key")
				}
			}},
		{name: "passes the caller's key on", fail: []string{"credentials/hidden"},
			out: func(s *suite, r *http.Request) { r.Header.Set("X-Amzn-Bedrock-Caller", s.key) }},
		{name: "escapes paths again", fail: []string{"bytes/model"}, out: func(_ *suite, r *http.Request) {
			r.URL.Path, r.URL.RawPath = r.URL.EscapedPath(), ""
		}},
		{name: "knows no HTTP/2", http1: true, fail: []string{"connections/http2", "connections/http2-stream"}},
		{name: "closes connections", fail: []string{"connections/kept"}, wrap: closing},
		{name: "wants a length", fail: []string{"connections/chunked"},
			wrap: refusing(func(r *http.Request) bool { return r.ContentLength < 0 }, http.StatusLengthRequired)},
		{name: "knows no Expect", fail: []string{"connections/expect"},
			wrap: refusing(func(r *http.Request) bool { return r.Header.Get("Expect") != "" }, http.StatusExpectationFailed)},
		{name: "mixes answers up", fail: []string{"connections/parallel"}, back: mixed()},
		{name: "has no caps", fail: []string{"limits/cap-absent", "limits/cap-above", "limits/cap-invoke"},
			out: func(s *suite, r *http.Request) {
				if strings.HasSuffix(r.Header.Get("Authorization"), s.capped) {
					signIn(r, s.key)
				}
			}},
		{name: "has no budgets", fail: []string{"limits/dollar", "limits/dollar-final"}, dollar: true, only: "^limits/",
			out: func(s *suite, r *http.Request) {
				if strings.HasSuffix(r.Header.Get("Authorization"), s.dollar) {
					signIn(r, s.key)
				}
			}},
		{name: "takes small bodies only", fail: []string{"bytes/large"}, only: "^bytes/",
			wrap: refusing(func(r *http.Request) bool { return r.ContentLength > 1e6 }, http.StatusRequestEntityTooLarge)},
		{name: "gives small answers only", fail: []string{"answers/large"}, only: "^answers/",
			back: answerBody(func(b []byte) []byte { return b[:min(len(b), 1e6)] })},
		{name: "serves no streams", only: "^operations/|^streams/",
			fail: []string{"operations/converse-stream", "operations/invoke-stream", "streams/bytes", "streams/at-once",
				"streams/exception", "streams/cut", "streams/error-first"},
			wrap: refusing(func(r *http.Request) bool { return strings.Contains(r.URL.Path, "stream") }, http.StatusNotFound)},
		{name: "serves streams only", only: "^operations/", fail: []string{"operations/converse", "operations/invoke",
			"operations/count-tokens"},
			wrap: refusing(func(r *http.Request) bool { return !strings.Contains(r.URL.Path, "stream") }, http.StatusNotFound)},
		{name: "holds streams of callers who left", only: "hang-up", fail: []string{"callers/hang-up"}, wrap: holding},
		{name: "takes forty callers", only: "^callers/", fail: []string{"callers/crowd"}, wrap: forty()},
	}
}

// TestChecksCanFail puts proxies that do one thing wrong before our gateway. Each fails its rows and no others, and
// each row but those of clients is failed by one of them.
func TestChecksCanFail(t *testing.T) {
	s := start(t, "breaker: {failures: 1000000}, retry: {max_attempts: 1}") // errors of one proxy say nothing of the next
	caught := map[string]bool{"clients/go": true}
	for _, b := range breakages() {
		t.Run(b.name, func(t *testing.T) {
			got := runBroken(t, s, b)
			for _, id := range got {
				caught[id] = true
			}
			slices.Sort(b.fail)
			if slices.Sort(got); !slices.Equal(got, b.fail) {
				t.Errorf("fails %q, want %q", got, b.fail)
			}
		})
	}
	for _, c := range checks() {
		if !caught[c.id] && !strings.HasPrefix(c.id, "clients/") {
			t.Errorf("nothing fails %s", c.id)
		}
	}
}

// runBroken returns the rows that fail behind a proxy.
func runBroken(t *testing.T, s *suite, b breakage) (failed []string) {
	t.Helper()
	behind := s.target
	behind.url = proxied(t, s, b)
	if !b.pair {
		behind.id, behind.secret = "", "" // whoever changes what is signed fails there in any case
	}
	if !b.dollar {
		behind.dollar = ""
	}
	broken, err := newSuite(behind, s.up)
	if err != nil {
		t.Fatal(err)
	}
	if slices.Contains(b.fail, "streams/at-once") || slices.Contains(b.fail, "callers/hang-up") {
		broken.wait = s.wait / 20 // what does not come need not be waited for
	}
	want := regexp.MustCompile(b.only)
	slow := regexp.MustCompile(`/large$|^callers/`)
	for _, r := range broken.run(func(id string) bool {
		return want.MatchString(id) && (b.only != "" || !slow.MatchString(id))
	}, func(result) {}) {
		if r.Verdict == "fail" {
			failed = append(failed, r.ID)
			t.Logf("%s: %s", r.ID, r.Evidence)
		}
	}
	return failed
}

// proxied starts a proxy with a breakage and returns its address.
func proxied(t *testing.T, s *suite, b breakage) string {
	t.Helper()
	to, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	silent := log.New(io.Discard, "", 0)
	proxy := &httputil.ReverseProxy{FlushInterval: -1, ErrorLog: silent, ModifyResponse: b.back, Transport: b.transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Host = r.In.Host // it is signed
			// net/http closes the caller's body as soon as an answer begins, while the transport may still look for its end.
			body(func(b []byte) []byte { return b })(s, r.Out)
			if b.out != nil {
				b.out(s, r.Out)
			}
		}}
	var handler http.Handler = proxy
	if b.wrap != nil {
		handler = b.wrap(proxy)
	}
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = silent
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(!b.http1)
	server.Start()
	t.Cleanup(server.Close)
	return server.URL
}

func without(all []string, some ...string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return slices.Contains(some, s) })
}

func signIn(r *http.Request, key string) {
	r.Header.Set("Authorization", "Bearer "+key)
	r.Header.Del("X-Amz-Date")
}

// encodeAgain is what most gateways do to JSON.
func encodeAgain(b []byte) []byte {
	var v any
	if json.Unmarshal(b, &v) != nil {
		return b
	}
	out, err := json.Marshal(v)
	if err != nil {
		return b
	}
	return out
}

// knownOnly decodes Converse bodies into what was known when the gateway was written.
func knownOnly(b []byte) []byte {
	var v map[string]any
	if json.Unmarshal(b, &v) != nil {
		return b
	}
	for _, name := range []string{"additionalModelRequestFields", "of_tomorrow", "newTopLevel"} {
		delete(v, name)
	}
	out, err := json.Marshal(v)
	if err != nil {
		return b
	}
	return out
}

// body changes the bodies of requests.
func body(change func([]byte) []byte) func(*suite, *http.Request) {
	return func(_ *suite, r *http.Request) {
		if r.Body == nil {
			return
		}
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		b = change(b)
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(b)), int64(len(b))
	}
}

// answerBody changes the bodies of answers.
func answerBody(change func([]byte) []byte) func(*http.Response) error {
	return func(r *http.Response) error {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		b = change(b)
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(b)), int64(len(b))
		r.Header.Del("Content-Length")
		return nil
	}
}

// unlessStream leaves event streams alone.
func unlessStream(change func(*http.Response) error) func(*http.Response) error {
	return func(r *http.Response) error {
		if r.Header.Get("Content-Type") == "application/vnd.amazon.eventstream" {
			return nil
		}
		return change(r)
	}
}

func status(from, to int) func(*http.Response) error {
	return func(r *http.Response) error {
		if r.StatusCode == from {
			r.StatusCode = to
		}
		return nil
	}
}

func both(all ...func(*http.Response) error) func(*http.Response) error {
	return func(r *http.Response) error {
		for _, change := range all {
			if err := change(r); err != nil {
				return err
			}
		}
		return nil
	}
}

// again sends a request a second time when it failed, as many proxies do.
type again struct{}

// RoundTrip implements http.RoundTripper.
func (again) RoundTrip(r *http.Request) (*http.Response, error) {
	var b []byte
	if r.Body != nil {
		var err error
		if b, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	send := func() (*http.Response, error) {
		copied := r.Clone(r.Context())
		copied.Body = io.NopCloser(bytes.NewReader(b))
		return http.DefaultTransport.RoundTrip(copied)
	}
	res, err := send()
	if err == nil && res.StatusCode >= 400 {
		res.Body.Close()
		return send()
	}
	return res, err
}

// refusing answers some requests itself.
func refusing(some func(*http.Request) bool, status int) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if some(r) {
				http.Error(w, "refused", status)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

func closing(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		next.ServeHTTP(w, r)
	})
}

// loseOverHTTP2 loses the last bytes of each stream over HTTP/2.
func loseOverHTTP2(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 2 && strings.Contains(r.URL.Path, "stream") {
			held := httptest.NewRecorder()
			next.ServeHTTP(held, r)
			all := held.Body.Bytes()
			w.Write(all[:len(all)-len(all)/4])
			return
		}
		next.ServeHTTP(w, r)
	})
}

// filtered keeps the frames of a stream that keep holds for.
func filtered(b []byte, keep func(m eventstream.Message) bool) []byte {
	var out bytes.Buffer
	for r := bytes.NewReader(b); r.Len() > 0; {
		m, err := eventstream.NewDecoder().Decode(r, nil)
		if err != nil {
			return b // no stream
		}
		if keep(m) && eventstream.NewEncoder().Encode(&out, m) != nil {
			return b
		}
	}
	return out.Bytes()
}

func noExceptions(b []byte) []byte {
	return filtered(b, func(m eventstream.Message) bool { return m.Headers.Get(":exception-type") == nil })
}

func noTomorrow(b []byte) []byte {
	return filtered(b, func(m eventstream.Message) bool {
		kind := m.Headers.Get(":event-type")
		return kind == nil || kind.String() != "eventOfTomorrow"
	})
}

// mixed gives each answer that names its question to the next who asked.
func mixed() func(*http.Response) error {
	var mu sync.Mutex
	var last []byte
	return unlessStream(answerBody(func(b []byte) []byte {
		if !marks.Match(b) {
			return b
		}
		mu.Lock()
		defer mu.Unlock()
		b, last = last, b
		if b == nil {
			return last
		}
		return b
	}))
}

// holding keeps the stream of a caller who left open for a second, and does not read it.
func holding(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(&stuck{w}, r.WithContext(context.WithoutCancel(r.Context())))
	})
}

// stuck is slow to see that it cannot write.
type stuck struct{ http.ResponseWriter }

func (s *stuck) Write(b []byte) (int, error) {
	n, err := s.ResponseWriter.Write(b)
	if err != nil {
		time.Sleep(time.Second)
	}
	return n, err
}

func (s *stuck) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// forty lets at most forty requests be served at once.
func forty() func(http.Handler) http.Handler {
	free := make(chan struct{}, 40)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			select {
			case free <- struct{}{}:
				defer func() { <-free }()
				next.ServeHTTP(w, r)
			default:
				http.Error(w, "full", http.StatusServiceUnavailable)
			}
		})
	}
}
