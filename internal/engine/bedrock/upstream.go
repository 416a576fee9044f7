package bedrock

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/engine/bedrock/http1"
	"github.com/sluice-gateway/sluice/internal/outbound"
	"github.com/sluice-gateway/sluice/internal/sigv4"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// upstream is one Bedrock endpoint with all that is needed to call it.
type upstream struct {
	client   *http1.Client
	control  *http1.Client // of the control plane
	agents   *http1.Client // of bedrock-agent-runtime
	basePath string        // before each target, "" mostly
	bearer   string        // value of the Authorization field, "" signs
	signer   *sigv4.Signer
	identity *identity // nil with a bearer token
	trouble  *trouble  // of the bearer token
	breakers *breakers
	retries  *engine.RetryPolicy
	maxBody  int64
	outgoing sync.Pool // of *outgoing
	now      func() time.Time
}

func newUpstream(ctx context.Context, name string, s config.Upstream, o *Options, b *background) (*upstream, error) {
	fixed, isFixed := o.Credentials[name]
	calls, err := outbound.New(outbound.Settings{Proxy: s.Proxy, CAFile: s.CAFile, Getenv: o.Getenv, Dial: o.Dial})
	if err != nil {
		return nil, err
	}
	site, err := locate(ctx, s, &chain{calls: calls, log: o.Log}, isFixed || s.BearerToken != "")
	if err != nil {
		return nil, err
	}
	client, err := newClient(site.endpoint, calls, o)
	if err != nil {
		return nil, err
	}
	control, err := newClient(siblingEndpoint(site.endpoint, "bedrock"), calls, o)
	if err != nil {
		return nil, err
	}
	agents, err := newClient(siblingEndpoint(site.endpoint, "bedrock-agent-runtime"), calls, o)
	if err != nil {
		return nil, err
	}
	up := &upstream{
		client: client, control: control, agents: agents, basePath: strings.TrimRight(site.endpoint.EscapedPath(), "/"),
		signer:   sigv4.New(site.region, site.service),
		breakers: newBreakers(s.Breaker), retries: newRetryPolicy(s.Retry, o), maxBody: o.MaxBody, now: o.Now,
	}
	up.breakers.onChange = func(model, state string) { o.OnBreaker(name, model, state) }
	troubles := func(role string) *trouble {
		return &trouble{upstream: name, role: role, now: o.Now, report: o.OnIdentity}
	}
	switch {
	case isFixed:
		up.identity = fixedIdentity(fixed, troubles(""))
	case s.BearerToken != "":
		up.bearer, up.trouble = "Bearer "+s.BearerToken, troubles("")
	default:
		up.identity = newIdentity(site, s.Role, o, b, troubles)
	}
	return up, nil
}

func newClient(endpoint *url.URL, calls *outbound.Calls, o *Options) (*http1.Client, error) {
	route, err := calls.Route(endpoint)
	if err != nil {
		return nil, err
	}
	return http1.New(http1.Options{
		Endpoint: endpoint, Route: route,
		Connect: connectTimeout, FirstByte: o.Timeouts.FirstByte, Idle: o.Timeouts.Idle, Write: o.Timeouts.Write,
		KeepAlive: idleConnection, MaxIdle: maxIdle, MaxConns: maxConnections, Now: o.Now,
	}), nil
}

func newRetryPolicy(r config.Retry, o *Options) *engine.RetryPolicy {
	return engine.NewRetryPolicy(engine.RetryOptions{
		MaxAttempts: r.MaxAttempts, BudgetPercent: r.BudgetPercent, BaseDelay: r.BaseDelay, MaxDelay: r.MaxDelay,
		ColdStart: r.ColdStart,
		OnTimeout: r.OnTimeout, Draw: o.Draw, Now: o.Now,
	})
}

// attempt authorizes and sends one request and reads its answer, of a stream
// only the head.
func (u *upstream) attempt(ctx context.Context, req *engine.Request, b breaker) (*engine.Response, *engine.Error) {
	res := &response{}
	answer, by, failed := u.send(ctx, req, res.room[:0])
	if failed != nil {
		return nil, failed
	}
	res.Status, res.Header = answer.Status, answer.Header
	if frames := framesIn(req.Op, answer.Header, answer.Body, req.Account); frames != nil {
		u.judge(ctx, &res.Response, by)
		res.Timing = answer.Body.Timing()
		res.Frames = newFrameSource(answer.Body, frames, b)
		return &res.Response, nil
	}
	var err error
	if res.Body, err = answer.Body.ReadAll(u.maxBody, req.Account); err != nil {
		return nil, asError(err)
	}
	res.Timing = answer.Body.Timing()
	answer.Free()
	u.judge(ctx, &res.Response, by)
	return &res.Response, nil
}

// proof is what a request proved who we are with.
type proof struct {
	of   *source // nil with a bearer token
	used *aws.Credentials
}

// judge notes whether an answer refuses who signed the request. Then it looks for
// other credentials, so that the attempt can be repeated with them.
func (u *upstream) judge(ctx context.Context, res *engine.Response, by proof) {
	if by.of == nil {
		res.Refusal = u.trouble.judge(res)
		return
	}
	if res.Refusal = by.of.trouble.judge(res); res.Refusal != nil {
		res.Refusal.Renewed = by.of.renew(ctx, by.used)
	}
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
func (u *upstream) send(
	ctx context.Context, req *engine.Request, room wire.Header,
) (*http1.Answer, proof, *engine.Error) {
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
		Parts: req.Parts, Sent: req.Sent, Room: room,
	}
	to := u.client
	switch {
	case req.Op.OfBatch():
		to = u.control
	case req.Op.OnAgents():
		to = u.agents
	}
	by, failed := u.authorize(ctx, to, o, req)
	if failed != nil {
		return nil, proof{}, failed
	}
	answer, err := to.Do(ctx, &o.request)
	if err != nil {
		return nil, proof{}, asError(err)
	}
	return answer, by, nil
}

// authorize adds the fields that prove who we are.
func (u *upstream) authorize(
	ctx context.Context, to *http1.Client, o *outgoing, req *engine.Request,
) (proof, *engine.Error) {
	out := &o.request
	if u.identity == nil {
		if req.Role.ARN != "" {
			return proof{}, misconfigured(errors.New("a role cannot be assumed at an upstream with a bearer token"))
		}
		out.Header = append(out.Header, wire.Field{Name: "Authorization", Value: u.bearer})
		return proof{}, nil
	}
	of := u.identity.of(req.Role)
	c, err := of.get(ctx)
	if err != nil {
		return proof{}, of.unknown(ctx, err)
	}
	path, query, _ := strings.Cut(out.Target, "?")
	o.signed = sigv4.Request{
		Method: out.Method, Path: path, Query: query, Authority: to.Authority(), Header: out.Header,
	}
	o.signed.BodyHash = bodyHash(req)
	creds := sigv4.Credentials{
		AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, SessionToken: c.SessionToken,
	}
	out.Header = u.signer.Sign(out.Header, &o.signed, creds, u.now())
	return proof{of, c}, nil
}

// bodyHash is the hash of a request's body.
func bodyHash(req *engine.Request) (sum [sha256.Size]byte) {
	switch {
	case req.BodyHash != nil:
		return *req.BodyHash
	case req.Parts == nil:
		return sha256.Sum256(req.Body)
	}
	h := sha256.New()
	for _, part := range req.Parts {
		h.Write(part) // never fails
	}
	h.Sum(sum[:0])
	return sum
}

// unknown is the failure of an attempt for which there are no credentials.
func (s *source) unknown(ctx context.Context, err error) *engine.Error {
	failure := engine.NoCredentials
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		failure = engine.TimedOut
	case ctx.Err() != nil:
		failure = engine.Cancelled
	default:
		s.trouble.failed(cmp.Or(refusalBySDK(err), NoCredentials), err.Error())
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
