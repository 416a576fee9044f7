package bedrock

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/sigv4"
	"github.com/sluice-gateway/sluice/internal/wire"
)

func itoa(n int) string { return strconv.Itoa(n) }

// received is a request as a handler sees it.
type received struct {
	*http.Request
	body []byte
}

// capture answers everything with 200 and hands over what it saw.
func capture(t testing.TB, seen chan<- received) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		seen <- received{r, body}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// verify checks the signature of what arrived with the verifier for callers.
func verify(t *testing.T, r received, secret string) {
	t.Helper()
	header := wire.Header{}
	for name, values := range r.Header {
		for _, v := range values {
			header = append(header, wire.Field{Name: name, Value: v})
		}
	}
	path, query, _ := strings.Cut(r.RequestURI, "?")
	claim, failed := sigv4.Parse(header, query)
	if failed != nil {
		t.Fatal(failed)
	}
	failed = claim.Verify(&sigv4.Request{
		Method: r.Method, Path: path, Query: query, Authority: r.Host, Header: header, BodyHash: sha256.Sum256(r.body),
	}, secret)
	if failed != nil {
		t.Errorf("signature: %v", failed)
	}
}

func TestRequestIsSignedAsSent(t *testing.T) {
	seen := make(chan received, 1)
	e := newEngine(t, settings(capture(t, seen)+"/prefix/"))
	req := request()
	req.Target += "?x=%20y&z"
	req.Header = append(req.Header,
		wire.Field{Name: "X-Amzn-Bedrock-Trace", Value: "ENABLED"},
		wire.Field{Name: "authorization", Value: "Bearer caller"}, wire.Field{Name: "Cookie", Value: "caller"},
		wire.Field{Name: "x-amz-security-token", Value: "caller"}, wire.Field{Name: "accept-encoding", Value: "gzip"})
	if _, err := e.Attempt(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	got := <-seen
	if want := "/prefix/model/a%3Ab%2Fc/converse?x=%20y&z"; got.RequestURI != want {
		t.Errorf("target %q, want %q", got.RequestURI, want)
	}
	if string(got.body) != `{"a":1}` {
		t.Errorf("body %q", got.body)
	}
	verify(t, got, keys.SecretAccessKey)
	got.Header.Del("Authorization")
	got.Header.Del("X-Amz-Date")
	want := http.Header{
		"Content-Type": {"application/json"}, "Content-Length": {"7"}, "X-Amzn-Bedrock-Trace": {"ENABLED"},
		"X-Amz-Security-Token": {keys.SessionToken},
	}
	if diff := cmp.Diff(want, got.Header); diff != "" {
		t.Error(diff)
	}
}

// TestBodyInPartsIsSigned as the one that it makes up.
func TestBodyInPartsIsSigned(t *testing.T) {
	seen := make(chan received, 1)
	e := newEngine(t, settings(capture(t, seen)))
	req := request()
	req.Body, req.Parts = nil, [][]byte{[]byte(`{"a":`), []byte("12"), []byte("}")}
	if _, err := e.Attempt(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	got := <-seen
	if string(got.body) != `{"a":12}` {
		t.Errorf("body %q", got.body)
	}
	verify(t, got, keys.SecretAccessKey)
}

func TestBearerToken(t *testing.T) {
	seen := make(chan received, 1)
	up := settings(capture(t, seen))
	up.BearerToken = "bedrock-api-key-x"
	e := newEngine(t, up, func(o *Options) { o.Credentials = nil })
	req := request()
	req.Header = nil
	if _, err := e.Attempt(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	got := <-seen
	want := http.Header{"Authorization": {"Bearer bedrock-api-key-x"}, "Content-Length": {"7"}}
	if diff := cmp.Diff(want, got.Header); diff != "" {
		t.Error(diff)
	}

	req.Role.ARN = "arn:aws:iam::123456789012:role/tenant"
	_, err := e.Attempt(t.Context(), req)
	mustFail(t, "role with a bearer token", err, engine.Misconfigured)
}

func TestAnswerIsReturnedAsItCame(t *testing.T) {
	const large = 3 << 20
	f := func(status int, header, body string) {
		t.Helper()
		e := newEngine(t, settings(serve(t, func(_ int, p *peer) {
			p.request()
			p.say(answer(itoa(status), header, body))
			p.gone()
		})))
		res, err := e.Attempt(t.Context(), request())
		if err != nil {
			t.Fatal(err)
		}
		if res.Status != status || string(res.Body) != body || res.Frames != nil {
			t.Errorf("%d %.40q frames=%v, want %d %.40q", res.Status, res.Body, res.Frames, status, body)
		}
		if got := res.Header[0]; got.Name+": "+got.Value+"\r\n" != header {
			t.Errorf("first field %v, want %q", got, header)
		}
		if res.Timing.FirstByte <= 0 || res.Timing.Done < res.Timing.FirstByte || res.Timing.Connected <= 0 {
			t.Errorf("timing %+v", res.Timing)
		}
		e.Close()
	}
	f(200, "X-Odd: a  b\r\n", `{"ok":true}`)
	f(200, "content-type: application/json\r\n", "")
	f(200, "content-type: application/json\r\n", strings.Repeat("x", large))
	f(400, "x-amzn-ErrorType: ValidationException:http://internal.amazon.com/coral/com.amazon.bedrock/\r\n",
		`{"message":"no"}`)
	f(302, "Location: http://169.254.169.254/\r\n", "")
}

func TestAnswerLargerThanTheBound(t *testing.T) {
	e := newEngine(t, settings(serve(t, func(_ int, p *peer) {
		p.request()
		p.say(answer("200", "", strings.Repeat("x", 1001)))
		p.gone()
	})), func(o *Options) { o.MaxBody = 1000 })
	_, err := e.Attempt(t.Context(), request())
	mustFail(t, "1001 bytes", err, engine.Corrupt)
}

// call loops over attempts as the gateway does, without waiting.
func call(t *testing.T, e *Engine) (status, attempts int, err error) {
	t.Helper()
	retries := e.Retries("", time.Time{})
	for attempts = 1; ; attempts++ {
		res, err := e.Attempt(t.Context(), request())
		if _, again := retries.Next(res, err); !again {
			if err != nil {
				return 0, attempts, err
			}
			return res.Status, attempts, nil
		}
	}
}

func TestCallIsRepeated(t *testing.T) {
	f := func(wantStatus, wantAttempts int, answers ...string) {
		t.Helper()
		queue := make(chan string, len(answers))
		for _, a := range answers {
			queue <- a
		}
		e := newEngine(t, settings(serve(t, func(_ int, p *peer) {
			for p.request() != nil {
				select {
				case a := <-queue:
					p.say(a)
				default:
					t.Error("more requests than answers")
					return
				}
			}
		})))
		status, attempts, err := call(t, e)
		if status != wantStatus || attempts != wantAttempts {
			t.Errorf("%.30q: status %d after %d attempts (%v), want %d after %d", answers, status, attempts, err, wantStatus,
				wantAttempts)
		}
		e.Close()
	}
	ok := answer("200", "", "{}")
	throttled := answer("429", "x-amzn-ErrorType: ThrottlingException\r\n", "{}")
	f(200, 1, ok)
	f(200, 2, throttled, ok)
	f(200, 3, throttled, answer("503", "", ""), ok)
	f(429, 3, throttled, throttled, throttled)
	f(200, 2, answer("429", "x-amzn-ErrorType: ModelNotReadyException\r\n", ""), ok)
	f(400, 1, answer("400", "x-amzn-ErrorType: ValidationException\r\n", ""))
	f(408, 1, answer("408", "x-amzn-ErrorType: ModelTimeoutException\r\n", ""))
}

// E9: what was sent whole on a kept connection that ends without an answer is never sent
// again: it may be billed.
func TestSentRequestIsNotRepeated(t *testing.T) {
	e := newEngine(t, settings(serve(t, func(n int, p *peer) {
		p.request()
		p.say(answer("200", "", "{}"))
		p.request() // and closes
	})))
	for i := range 4 {
		status, attempts, err := call(t, e)
		if attempts != 1 || i%2 == 0 && (status != 200 || err != nil) {
			t.Errorf("call %d: status %d after %d attempts, %v", i, status, attempts, err)
		}
		if i%2 == 1 {
			mustFail(t, "reset after the request", err, engine.LostInAnswer)
		}
	}
}

func TestUnreachableIsRepeated(t *testing.T) {
	e := newEngine(t, settings("http://127.0.0.1:1"))
	_, attempts, err := call(t, e)
	mustFail(t, "refused", err, engine.NotSent)
	if attempts != 3 {
		t.Errorf("%d attempts, want 3", attempts)
	}
}

func TestSeveralUpstreams(t *testing.T) {
	seen := make(chan received, 1)
	eu := settings(capture(t, seen))
	eu.Region = "eu-west-1"
	other := sigv4.Credentials{AccessKeyID: "AKIDOTHER", SecretAccessKey: "other"}
	e := newEngine(t, settings("http://127.0.0.1:1"), func(o *Options) {
		o.Upstreams["eu"] = eu
		o.Credentials["eu"] = other
	})
	req := request()
	req.Upstream = "eu"
	if _, err := e.Attempt(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	got := <-seen
	if auth := got.Header.Get("Authorization"); !strings.Contains(auth, "Credential=AKIDOTHER/") ||
		!strings.Contains(auth, "/eu-west-1/bedrock/aws4_request") {
		t.Errorf("authorization %q", auth)
	}
	verify(t, got, other.SecretAccessKey)
	req.Upstream = "mars"
	_, err := e.Attempt(t.Context(), req)
	mustFail(t, "unknown upstream", err, engine.Misconfigured)
	retries := e.Retries("mars", time.Time{})
	if _, again := retries.Next(nil, err); again {
		t.Error("repeated at an unknown upstream")
	}
}

func TestPrivateAuthorityFromFile(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_,
			_ = io.WriteString(w, "tls")
	}))
	t.Cleanup(s.Close)
	file := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(file, block, 0o600); err != nil {
		t.Fatal(err)
	}
	up := settings(s.URL)
	up.CAFile = file
	res, err := newEngine(t, up).Attempt(t.Context(), request())
	if err != nil || string(res.Body) != "tls" {
		t.Errorf("%v %v", res, err)
	}
}

func TestProxyFromEnvironment(t *testing.T) {
	heard := make(chan string, 1)
	proxy := serve(t, func(_ int, p *peer) {
		if req := p.request(); req != nil {
			heard <- req.Method + " " + req.RequestURI
		}
		p.say(answer("200", "", "by proxy"))
	})
	up := settings("http://bedrock.example")
	e := newEngine(t, up, func(o *Options) {
		o.Getenv = func(name string) string {
			return map[string]string{"http_proxy": proxy, "NO_PROXY": "other.example"}[name]
		}
	})
	res, err := e.Attempt(t.Context(), request())
	if err != nil || string(res.Body) != "by proxy" {
		t.Fatalf("%v %v", res, err)
	}
	if got, want := <-heard, "POST http://bedrock.example/model/a%3Ab%2Fc/converse"; got != want {
		t.Errorf("proxy heard %q, want %q", got, want)
	}
}

func TestNewRefuses(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f := func(name string, change func(*config.Upstream)) {
		t.Helper()
		up := settings("http://127.0.0.1:1")
		change(&up)
		o := Options{Upstreams: map[string]config.Upstream{"": up}, Credentials: map[string]sigv4.Credentials{"": keys}}
		if e, err := New(t.Context(), o); err == nil {
			t.Errorf("%s: no error", name)
			e.Close()
		} else if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: the error shows a secret: %v", name, err)
		}
	}
	f("instance metadata", func(u *config.Upstream) { u.Endpoint = "http://169.254.169.254" })
	f("instance metadata over IPv6", func(u *config.Upstream) { u.Endpoint = "http://[fd00:ec2::254]:80/" })
	f("link-local", func(u *config.Upstream) { u.Endpoint = "https://[fe80::1]" })
	f("mapped link-local", func(u *config.Upstream) { u.Endpoint = "http://[::ffff:169.254.169.254]" })
	f("no URL", func(u *config.Upstream) { u.Endpoint = "sandbox" })
	f("other scheme", func(u *config.Upstream) { u.Endpoint = "ftp://x" })
	f("query", func(u *config.Upstream) { u.Endpoint = "http://x/?y" })
	f("password", func(u *config.Upstream) { u.Endpoint = "http://ann:s3cret@x/" })
	f("broken proxy", func(u *config.Upstream) { u.Proxy = "http://ann:s3cret@x:y z/" })
	f("other proxy", func(u *config.Upstream) { u.Proxy = "socks4://ann:s3cret@x/" })
	f("no CA file", func(u *config.Upstream) { u.CAFile = empty + ".missing" })
	f("empty CA file", func(u *config.Upstream) { u.CAFile = empty })
}

func TestCancelledAttempt(t *testing.T) {
	asked := make(chan struct{})
	e := newEngine(t, settings(serve(t, func(_ int, p *peer) {
		p.request()
		close(asked)
		p.gone()
	})))
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	_, err := e.Attempt(ctx, request())
	mustFail(t, "cancelled", err, engine.Cancelled)
}

// Bodies belong to the receiver: a later answer must not change an earlier one.
func TestAnswersDoNotShareMemory(t *testing.T) {
	e := newEngine(t, settings(serve(t, func(_ int, p *peer) {
		for i := byte('a'); p.request() != nil; i++ {
			p.say(answer("200", "X: "+strings.Repeat(string(i), 100)+"\r\n", strings.Repeat(string(i), 1000)))
		}
	})))
	first, err := e.Attempt(t.Context(), request())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Attempt(t.Context(), request()); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.Body, bytes.Repeat([]byte("a"), 1000)) || first.Header.Get("X") != strings.Repeat("a", 100) {
		t.Error("the first answer changed")
	}
}
