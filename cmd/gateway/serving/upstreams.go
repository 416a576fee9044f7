package serving

import (
	"context"
	"fmt"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/engine/bedrock"
	"github.com/sluice-gateway/sluice/internal/engine/sandbox"
	"github.com/sluice-gateway/sluice/internal/sigv4"
	"github.com/sluice-gateway/sluice/internal/telemetry"
)

// builtIn is the endpoint that means the built-in stand-in for Bedrock.
const builtIn = "sandbox"

// upstreams are the engines of a gateway, and the stand-in that it runs itself.
type upstreams struct {
	bedrock.Generations
	sandbox string // URL of the stand-in, "" when no upstream wanted it at the start
	metrics *telemetry.Metrics
}

// startUpstreams starts the stand-in when an upstream asks for it.
func startUpstreams(cfg *config.Config, metrics *telemetry.Metrics, closing *closers) (*upstreams, error) {
	u := &upstreams{metrics: metrics}
	wanted := cfg.Upstream.Endpoint == builtIn
	for _, further := range cfg.Upstreams {
		wanted = wanted || further.Endpoint == builtIn
	}
	if !wanted {
		return u, nil
	}
	standIn, err := sandbox.New(sandbox.Options{})
	if err != nil {
		return nil, err
	}
	closing.add(func(context.Context) { standIn.Close() }) //nolint:errcheck // it holds nothing
	u.sandbox, err = standIn.Start("127.0.0.1:0")
	return u, err
}

// engine returns the engine for a configuration.
func (u *upstreams) engine(ctx context.Context, cfg *config.Config) (*bedrock.Engine, error) {
	engine, err := u.Engine(ctx, u.options(cfg), cfg.Timeouts.Request, time.Now())
	if err != nil {
		return nil, fmt.Errorf("upstreams: %w", err)
	}
	return engine, nil
}

// options are the upstreams of cfg, with the URL and the fixed keys of the
// stand-in in place of "sandbox".
func (u *upstreams) options(cfg *config.Config) bedrock.Options {
	o := bedrock.Options{
		Upstreams: map[string]config.Upstream{"": cfg.Upstream}, Timeouts: cfg.Timeouts,
		Credentials: map[string]sigv4.Credentials{}, Now: time.Now, OnBreaker: u.showBreaker,
	}
	for name, further := range cfg.Upstreams {
		o.Upstreams[name] = further
	}
	for name, to := range o.Upstreams {
		if to.Endpoint == builtIn {
			to.Endpoint = u.sandbox
			o.Upstreams[name] = to
			o.Credentials[name] = sigv4.Credentials{
				AccessKeyID: sandbox.DefaultAccessKeyID, SecretAccessKey: sandbox.DefaultSecretAccessKey,
			}
		}
	}
	return o
}

// showBreaker keeps the metric of a circuit breaker.
func (u *upstreams) showBreaker(upstream, model, state string) {
	states := map[string]telemetry.BreakerState{
		"closed": telemetry.BreakerClosed, "half-open": telemetry.BreakerHalfOpen, "open": telemetry.BreakerOpen,
	}
	u.metrics.Breaker(upstream, model, states[state])
}
