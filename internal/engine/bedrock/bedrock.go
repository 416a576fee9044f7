// Package bedrock is the real upstream: it signs one attempt, sends it over a
// kept connection and returns the answer's bytes as they came. It picks
// credentials, resolves endpoints and keeps a circuit breaker per upstream and
// model. It does not read bodies, price, or repeat an attempt: each attempt has
// its own usage record, so the caller loops, asking Retries after each one.
//
// Invariant: every error that leaves Attempt or a FrameSource, io.EOF excepted,
// is an *engine.Error.
package bedrock

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/sigv4"
)

// Options configure an Engine. The zero value has no upstream.
type Options struct {
	// Upstreams by name, "" is the default one. An endpoint "sandbox" must have
	// been replaced by its URL.
	Upstreams map[string]config.Upstream
	// Credentials are fixed keys by upstream name. They win over a bearer token
	// and over roles; an upstream without an entry uses the AWS default chain.
	Credentials map[string]sigv4.Credentials
	// Timeouts of zero are the defaults of package config.
	Timeouts config.Timeouts
	MaxBody  int64               // bytes of an answer that is not a stream; 0: 64 MiB
	Draw     func(n int64) int64 // random numbers in [0, n); nil: math/rand/v2
	Now      func() time.Time    // runs with real time, socket deadlines use it; nil: time.Now
	Getenv   func(string) string // for proxy variables; nil: os.Getenv
	// Dial makes the connections; nil makes those of TCP.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// OnBreaker gets the new state of a breaker: closed, half-open or open.
	// It must not call the engine. May be nil.
	OnBreaker func(upstream, model, state string)
	// OnIdentity gets each attempt for which the gateway is refused, or has no
	// credentials, and once when it is accepted again. It must not call the engine.
	// May be nil.
	OnIdentity func(IdentityTrouble)
	Log        *slog.Logger // of the AWS SDK; nil: nowhere
}

// signingName is the service in the scope of every signature for Bedrock
// (AWS service model bedrock-runtime 2023-09-30, signingName).
const signingName = "bedrock"

// mantleName is the same for the host bedrock-mantle (Bedrock user guide, bedrock-mantle).
const mantleName = "bedrock-mantle"

const (
	defaultMaxBody = 64 << 20
	connectTimeout = 10 * time.Second
	// idleConnection is below the 60 s after which AWS front ends close.
	idleConnection = 50 * time.Second
	maxIdle        = 512
	maxConnections = 10_000
)

func (o *Options) setDefaults() {
	o.MaxBody = cmp.Or(o.MaxBody, defaultMaxBody)
	o.Timeouts.FirstByte = cmp.Or(o.Timeouts.FirstByte, 65*time.Minute)
	o.Timeouts.Idle = cmp.Or(o.Timeouts.Idle, 65*time.Minute)
	o.Timeouts.Write = cmp.Or(o.Timeouts.Write, 30*time.Second)
	if o.Draw == nil {
		o.Draw = rand.Int64N
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.OnBreaker == nil {
		o.OnBreaker = func(string, string, string) {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.OnIdentity == nil {
		o.OnIdentity = func(IdentityTrouble) {}
	}
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
}

// Engine makes attempts at the configured upstreams. It is safe for concurrent
// use.
type Engine struct {
	upstreams  map[string]*upstream
	background *background
}

// New prepares every upstream without connecting to any. It reads certificate
// and AWS configuration files; ctx bounds that and carries values to the
// refreshing of credentials, which goes on until Close.
func New(ctx context.Context, o Options) (*Engine, error) {
	o.setDefaults()
	e := &Engine{upstreams: make(map[string]*upstream, len(o.Upstreams)), background: newBackground(ctx)}
	for name, settings := range o.Upstreams {
		up, err := newUpstream(ctx, name, settings, &o, e.background)
		if err != nil {
			e.Close()
			return nil, fmt.Errorf("upstream %q: %w", name, err)
		}
		e.upstreams[name] = up
	}
	files := keyFiles(o.Getenv)
	e.background.start(func(ctx context.Context) { e.watchKeys(ctx, files) })
	return e, nil
}

// Close closes idle connections and ends the refreshing of credentials. Answers
// that are being read go on; their connections close with them.
func (e *Engine) Close() {
	for _, up := range e.upstreams {
		up.client.Close()
		up.control.Close()
		up.agents.Close()
	}
	e.background.close()
}

// Attempt sends one request and returns its answer, whatever its status. The
// frames of a stream must be closed. Every error is an *engine.Error; when ctx
// ends, now or while frames are read, the connection is closed at once.
func (e *Engine) Attempt(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	up := e.upstreams[req.Upstream]
	if up == nil {
		return nil, misconfigured(fmt.Errorf("no upstream %q", req.Upstream))
	}
	breaker := up.breakers.of(req.Model)
	report, err := breaker.Allow()
	if err != nil {
		return nil, &engine.Error{Failure: engine.CircuitOpen, Err: err}
	}
	res, failed := up.attempt(ctx, req, breaker)
	report(health(res, failed))
	if failed != nil {
		return nil, failed
	}
	return res, nil
}

// Retries begins a call at an upstream and returns what decides about its
// attempts. Nothing is repeated at an upstream that is not configured.
func (e *Engine) Retries(upstream string, deadline time.Time) engine.Retries {
	if up := e.upstreams[upstream]; up != nil {
		return up.retries.Begin(deadline)
	}
	//nolint:forbidigo // never called: nothing is repeated
	return engine.NewRetryPolicy(engine.RetryOptions{Now: time.Now}).Begin(deadline)
}

func misconfigured(err error) *engine.Error {
	return &engine.Error{Failure: engine.Misconfigured, Err: err}
}
