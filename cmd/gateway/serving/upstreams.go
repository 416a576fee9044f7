package serving

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/engine/bedrock"
	"github.com/sluice-gateway/sluice/internal/engine/sandbox"
	"github.com/sluice-gateway/sluice/internal/outbound"
	"github.com/sluice-gateway/sluice/internal/sigv4"
	"github.com/sluice-gateway/sluice/internal/telemetry"
)

// upstreams are the engines of a gateway, and the stand-in that it runs itself.
type upstreams struct {
	bedrock.Generations
	sandbox string // URL of the stand-in, "" as long as no upstream wanted it
	closing *closers
	metrics *telemetry.Metrics
	log     *slog.Logger

	mu     sync.Mutex
	warned map[string]time.Time // when a WARN named an identity last; guarded by mu
}

// startUpstreams starts the stand-in when an upstream asks for it.
func startUpstreams(
	cfg *config.Config, log *slog.Logger, metrics *telemetry.Metrics, closing *closers,
) (*upstreams, error) {
	u := &upstreams{metrics: metrics, log: log, closing: closing, warned: map[string]time.Time{}}
	return u, u.startStandIn(cfg)
}

// startStandIn starts the stand-in when an upstream asks for the first time for it.
func (u *upstreams) startStandIn(cfg *config.Config) error {
	wanted := cfg.Upstream.Endpoint == config.Sandbox
	for _, further := range cfg.Upstreams {
		wanted = wanted || further.Endpoint == config.Sandbox
	}
	if !wanted || u.sandbox != "" {
		return nil
	}
	standIn, err := sandbox.New(sandbox.Options{})
	if err != nil {
		return err
	}
	u.closing.add(func(context.Context) { standIn.Close() }) //nolint:errcheck // it holds nothing
	u.sandbox, err = standIn.Start("127.0.0.1:0")
	return err
}

// engine returns the engine for a configuration.
func (u *upstreams) engine(ctx context.Context, cfg *config.Config) (*bedrock.Engine, error) {
	if err := u.startStandIn(cfg); err != nil {
		return nil, err
	}
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
		OnIdentity: u.showIdentity, Log: u.log,
	}
	for name, further := range cfg.Upstreams {
		o.Upstreams[name] = further
	}
	for name, to := range o.Upstreams {
		if to.Endpoint == config.Sandbox {
			to.Endpoint, to.Proxy = u.sandbox, ""
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

// warnAgain is how often a WARN names an identity that goes on failing.
const warnAgain = time.Minute

// showIdentity counts what became of an identity of the gateway, and logs when it
// begins to fail, each minute while it does, and when it is accepted again.
func (u *upstreams) showIdentity(t bedrock.IdentityTrouble) {
	name := cmp.Or(t.Upstream, "default")
	attrs := []any{"upstream", name, "role", t.Role, "kind", t.Kind, "failures", t.Count}
	u.mu.Lock()
	defer u.mu.Unlock()
	who := t.Upstream + " " + t.Role
	if t.Healed {
		delete(u.warned, who)
		u.log.Info("the gateway's own AWS identity is accepted again", attrs...)
		return
	}
	u.metrics.IdentityFailure(t.Upstream, t.Kind)
	now := time.Now()
	if last, before := u.warned[who]; before && t.Count > 1 && now.Sub(last) < warnAgain {
		return
	}
	u.warned[who] = now
	u.log.Warn("AWS refuses the gateway's own identity, or there is none; callers cannot mend it",
		append(attrs, "said", t.Text)...)
}

// identityTrouble is what /readyz has of identities that fail, "" while none does.
func identityTrouble(all []bedrock.IdentityTrouble) string {
	var texts []string
	for _, t := range all {
		texts = append(texts, fmt.Sprintf("upstream %s: %s since %s, %d failures", cmp.Or(t.Upstream, "default"), t.Kind,
			t.Since.UTC().Format(time.RFC3339), t.Count))
	}
	if len(texts) == 0 {
		return ""
	}
	return "AWS refuses the gateway's own identity, or there is none: " + strings.Join(texts, "; ") +
		"; the log has what AWS said"
}

// troubles are the identities that fail, of the engine in use.
func (a *app) troubles() []bedrock.IdentityTrouble {
	engine, ok := a.snapshots.Load().Upstream.(*bedrock.Engine)
	if !ok {
		return nil
	}
	return engine.Troubles()
}

// outboundSettings are how calls leave that belong to no upstream.
func outboundSettings(cfg *config.Config) outbound.Settings {
	return outbound.Settings{Proxy: cfg.Upstream.Proxy, CAFile: cfg.Upstream.CAFile}
}
