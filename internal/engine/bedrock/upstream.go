package bedrock

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http/httpproxy"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/engine/bedrock/http1"
	"github.com/sluice-gateway/sluice/internal/sigv4"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// upstream is one Bedrock endpoint with all that is needed to call it.
type upstream struct {
	client   *http1.Client
	control  *http1.Client // of the control plane
	basePath string        // before each target, "" mostly
	bearer   string        // value of the Authorization field, "" signs
	signer   *sigv4.Signer
	identity *identity // nil with a bearer token
	breakers *breakers
	retries  *engine.RetryPolicy
	maxBody  int64
	outgoing sync.Pool // of *outgoing
	now      func() time.Time
}

func newUpstream(ctx context.Context, name string, s config.Upstream, o *Options, b *background) (*upstream, error) {
	fixed, isFixed := o.Credentials[name]
	site, err := locate(ctx, s, isFixed || s.BearerToken != "")
	if err != nil {
		return nil, err
	}
	client, err := newClient(site.endpoint, s, o)
	if err != nil {
		return nil, err
	}
	control, err := newClient(controlEndpoint(site.endpoint), s, o)
	if err != nil {
		return nil, err
	}
	up := &upstream{
		client: client, control: control, basePath: strings.TrimRight(site.endpoint.EscapedPath(), "/"),
		signer:   sigv4.New(site.region, signingName),
		breakers: newBreakers(s.Breaker), retries: newRetryPolicy(s.Retry, o), maxBody: o.MaxBody, now: o.Now,
	}
	up.breakers.onChange = func(model, state string) { o.OnBreaker(name, model, state) }
	switch {
	case isFixed:
		up.identity = fixedIdentity(fixed)
	case s.BearerToken != "":
		up.bearer = "Bearer " + s.BearerToken
	default:
		up.identity = newIdentity(site.aws, s, o, b)
	}
	return up, nil
}

func newClient(endpoint *url.URL, s config.Upstream, o *Options) (*http1.Client, error) {
	proxy, err := proxyFor(endpoint, s.Proxy, o.Getenv)
	if err != nil {
		return nil, err
	}
	roots, err := loadRoots(s.CAFile)
	if err != nil {
		return nil, err
	}
	return http1.New(http1.Options{
		Endpoint: endpoint, Proxy: proxy, Roots: roots,
		Connect: connectTimeout, FirstByte: o.Timeouts.FirstByte, Idle: o.Timeouts.Idle, Write: o.Timeouts.Write,
		KeepAlive: idleConnection, MaxIdle: maxIdle, MaxConns: maxConnections, Now: o.Now,
	})
}

func newRetryPolicy(r config.Retry, o *Options) *engine.RetryPolicy {
	return engine.NewRetryPolicy(engine.RetryOptions{
		MaxAttempts: r.MaxAttempts, BudgetPercent: r.BudgetPercent, BaseDelay: r.BaseDelay, MaxDelay: r.MaxDelay,
		OnTimeout: r.OnTimeout, Draw: o.Draw, Now: o.Now,
	})
}

// proxyFor returns the configured proxy, or the one that the usual variables name
// for this endpoint (HTTPS_PROXY, HTTP_PROXY, NO_PROXY, and lower case), or nil.
func proxyFor(endpoint *url.URL, configured string, getenv func(string) string) (*url.URL, error) {
	if configured != "" {
		return parseURL("proxy", configured)
	}
	either := func(name string) string {
		if v := getenv(name); v != "" {
			return v
		}
		return getenv(strings.ToLower(name))
	}
	env := httpproxy.Config{
		HTTPProxy: either("HTTP_PROXY"), HTTPSProxy: either("HTTPS_PROXY"), NoProxy: either("NO_PROXY"),
		CGI: getenv("REQUEST_METHOD") != "",
	}
	return env.ProxyFunc()(endpoint)
}

// loadRoots returns the authorities in file, nil for the system's.
func loadRoots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil //nolint:nilnil // the zero of tls.Config.RootCAs
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("ca_file: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ca_file: no certificate in %s", file)
	}
	return roots, nil
}

// attempt authorizes and sends one request and reads its answer, of a stream
// only the head.
func (u *upstream) attempt(ctx context.Context, req *engine.Request, b breaker) (*engine.Response, *engine.Error) {
	res := &response{}
	answer, failed := u.send(ctx, req, res.room[:0])
	if failed != nil {
		return nil, failed
	}
	res.Status, res.Header = answer.Status, answer.Header
	if isEventStream(answer.Header) {
		res.Timing = answer.Body.Timing()
		res.Frames = newFrameSource(answer.Body, b)
		return &res.Response, nil
	}
	var err error
	if res.Body, err = answer.Body.ReadAll(u.maxBody); err != nil {
		return nil, asError(err)
	}
	res.Timing = answer.Body.Timing()
	answer.Free()
	return &res.Response, nil
}

// response is an answer with room for the fields that most have.
type response struct {
	engine.Response
	room [12]wire.Field
}

// outgoing is the memory of a request until its answer begins.
type outgoing struct {
	request http1.Request
	signed  sigv4.Request
	room    [24]wire.Field
}

// send authorizes and sends a request and reads the head of its answer.
func (u *upstream) send(ctx context.Context, req *engine.Request, room wire.Header) (*http1.Answer, *engine.Error) {
	o, ok := u.outgoing.Get().(*outgoing)
	if !ok {
		o = new(outgoing)
	}
	defer func() {
		*o = outgoing{}
		u.outgoing.Put(o)
	}()
	o.request = http1.Request{
		Method: req.Method, Target: u.basePath + req.Target, Header: forwarded(o.room[:0], req.Header), Body: req.Body,
		Sent: req.Sent, Room: room,
	}
	if err := u.authorize(ctx, u.client, o, req); err != nil {
		return nil, err
	}
	answer, err := u.client.Do(ctx, &o.request)
	if err != nil {
		return nil, asError(err)
	}
	return answer, nil
}

// authorize adds the fields that prove who we are.
func (u *upstream) authorize(ctx context.Context, to *http1.Client, o *outgoing, req *engine.Request) *engine.Error {
	out := &o.request
	if u.identity == nil {
		if req.RoleARN != "" {
			return misconfigured(errors.New("a role cannot be assumed at an upstream with a bearer token"))
		}
		out.Header = append(out.Header, wire.Field{Name: "Authorization", Value: u.bearer})
		return nil
	}
	creds, err := u.identity.credentials(ctx, req.RoleARN)
	if err != nil {
		return credentialsError(ctx, err)
	}
	path, query, _ := strings.Cut(out.Target, "?")
	o.signed = sigv4.Request{
		Method: out.Method, Path: path, Query: query, Authority: to.Authority(), Header: out.Header,
	}
	if req.BodyHash != nil {
		o.signed.BodyHash = *req.BodyHash
	} else {
		o.signed.BodyHash = sha256.Sum256(out.Body)
	}
	out.Header = u.signer.Sign(out.Header, &o.signed, creds, u.now())
	return nil
}

func credentialsError(ctx context.Context, err error) *engine.Error {
	failure := engine.Misconfigured
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		failure = engine.TimedOut
	case ctx.Err() != nil:
		failure = engine.Cancelled
	}
	return &engine.Error{Failure: failure, Err: fmt.Errorf("credentials: %w", err)}
}

// neverForwarded are fields of a caller that must not go upstream: its
// credentials, which the gateway replaces, and what would make an answer
// unreadable. The gateway's allow-list has none of them; this is a second check.
var neverForwarded = []string{
	"Authorization", "X-Amz-Date", "X-Amz-Security-Token", "X-Amz-Content-Sha256", "Cookie",
	"Accept-Encoding", "Proxy-Authorization",
}

// forwarded appends h to out without those.
func forwarded(out, h wire.Header) wire.Header {
	for _, f := range h {
		if !wire.NameIn(f.Name, neverForwarded) {
			out = append(out, f)
		}
	}
	return out
}

// asError unwraps what package http1 promises to return.
func asError(err error) *engine.Error {
	var failed *engine.Error
	if !errors.As(err, &failed) {
		panic("BUG: http1 returned an error of another type: " + err.Error())
	}
	return failed
}
