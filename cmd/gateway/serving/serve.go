package serving

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/cascade/memory"
	"github.com/sluice-gateway/sluice/internal/engine/bedrock"
	"github.com/sluice-gateway/sluice/internal/engine/sandbox"
	"github.com/sluice-gateway/sluice/internal/gateway"
	"github.com/sluice-gateway/sluice/internal/meter"
	"github.com/sluice-gateway/sluice/internal/meter/estimate"
	"github.com/sluice-gateway/sluice/internal/server"
	"github.com/sluice-gateway/sluice/internal/sigv4"
	"github.com/sluice-gateway/sluice/internal/snapshot"
	"github.com/sluice-gateway/sluice/internal/telemetry"
	"github.com/sluice-gateway/sluice/internal/tenant"
)

// options are what the program and its flags say beside the configuration.
type options struct {
	version string
	profile string // address that serves profiles, "" for none
}

func serveCommand(version string) *cobra.Command {
	o := options{version: version}
	cmd := &cobra.Command{
		Use:   "serve --config FILE",
		Short: "Run the gateway",
		Args:  command.Args(cobra.NoArgs),
	}
	file := command.ConfigFlag(cmd)
	cmd.Flags().StringVar(&o.profile, "pprof", "", "serve profiles at `ADDR`, a loopback address such as 127.0.0.1:6060")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := command.Load(*file)
		if err != nil {
			return err
		}
		load := func() (*config.Config, error) { return command.Read(*file) }
		return serve(cmd.Context(), o, cfg, load)
	}
	return cmd
}

// gate is a running gateway: everything that lives as long as the process.
type gate struct {
	version string
	log     *slog.Logger
	secrets *tenant.Secrets
	tel     *telemetry.Telemetry
	books   *books
	line    *gateway.Line
	edge    *server.Server
	crash   meter.Crash      // nil but in fault tests
	now     func() time.Time // of all that is recorded; time.Now but in fault tests
	sandbox string           // URL of the built-in stand-in, "" when no upstream wants it

	engines   engines
	snapshots snapshot.Store // from which everybody takes what a reload changes
	memory    *memory.Store

	draining atomic.Bool // no new requests are taken

	mu      sync.Mutex // guards the following
	refused time.Time  // when the last reload was, zero when it was not
}

// serve runs the gateway until ctx ends, then drains. load reads the
// configuration again.
func serve(ctx context.Context, o options, cfg *config.Config, load func() (*config.Config, error)) error {
	var closing closers
	defer func() { closing.run(cfg.Timeouts.Drain) }()
	g := &gate{version: o.version, log: newLog(os.Stderr), memory: &memory.Store{}}
	if err := startProfile(o.profile, g.log, &closing); err != nil {
		return err
	}
	if err := g.start(ctx, cfg, &closing); err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- g.edge.Serve(context.WithoutCancel(ctx)) }()
	closing.add(func(ctx context.Context) {
		g.draining.Store(true)
		g.log.Info("draining", "at_most", cfg.Timeouts.Drain)
		if err := g.edge.Shutdown(ctx); err != nil {
			g.log.Warn("requests were cut off", "err", err)
		}
	})
	g.announce(cfg)
	return g.run(ctx, load, served)
}

// start builds the gateway from the bottom up; closing takes it down again.
func (g *gate) start(ctx context.Context, cfg *config.Config, closing *closers) error {
	var err error
	if g.crash, g.now, err = faults(); err != nil {
		return err
	}
	if g.secrets, err = command.Secrets(cfg.DataDir); err != nil {
		return err
	}
	if err := g.startSandbox(cfg, closing); err != nil {
		return err
	}
	if g.tel, err = telemetry.New(ctx, telemetry.Options{
		OTLP: cfg.Telemetry.OTLP, Sample: cfg.Telemetry.Sample, Version: g.version, Log: g.log,
	}); err != nil {
		return err
	}
	closing.add(func(ctx context.Context) { g.tel.Close(ctx) }) //nolint:errcheck // spans that cannot be sent are lost
	first, problems := snapshot.Compile(cfg, g.secrets, time.Now())
	if err := cfg.Report(problems); err != nil {
		return command.Invalid(err)
	}
	warn(g.log, cfg, problems)
	if err := g.connect(ctx, first); err != nil {
		return err
	}
	closing.add(func(context.Context) { g.engines.close() })
	g.snapshots.Use(first)
	if g.books, err = openBooks(ctx, first, g); err != nil {
		return err
	}
	closing.add(g.books.close)
	g.books.meter.SetPrices(first.Prices)
	return g.startEdge(cfg, closing)
}

func (g *gate) startEdge(cfg *config.Config, closing *closers) error {
	g.line = gateway.New(gateway.Options{
		Snapshots: &g.snapshots, Meter: g.books.meter, Budgets: g.books.desk, Estimates: &estimate.Table{}, Jobs: g.books.jobs, Telemetry: g.tel,
		Log: g.log, Now: g.now, Crash: g.crash, PairsDir: filepath.Join(cfg.DataDir, "pairs"), Memory: g.memory,
		Tightened: &memory.Tightened{File: filepath.Join(cfg.DataDir, "tightened.json")},
		NewID:     func() string { return ulid.MustNew(ulid.Now(), rand.Reader).String() },
	})
	closing.add(g.line.Close)
	if err := g.line.Restore(); err != nil {
		return err
	}
	admin, err := g.startAdmin(cfg)
	if err != nil {
		return err
	}
	closing.add(func(ctx context.Context) { admin.Shutdown(ctx) }) //nolint:errcheck // nothing of worth is cut off
	g.edge, err = server.New(server.Options{
		Listen: cfg.Listen, TLS: cfg.TLS, Timeouts: cfg.Timeouts, Limits: cfg.Limits, Handler: g.line, Log: g.log,
		OnGlitch: g.tel.Metrics().Glitch, OnRefusal: g.tel.Metrics().Refusal,
	})
	if err != nil {
		return err
	}
	g.watch()
	return nil
}

// connect gives a snapshot that is not in use yet the engine for its upstreams.
func (g *gate) connect(ctx context.Context, s *snapshot.Snapshot) error {
	engine, err := g.engines.take(ctx, g.engineOptions(s.Config), s.Config.Timeouts.Request)
	if err != nil {
		return err
	}
	s.Upstream = engine
	return nil
}

// engineOptions are the upstreams of cfg, the stand-in's URL and fixed keys in
// place of "sandbox".
func (g *gate) engineOptions(cfg *config.Config) bedrock.Options {
	o := bedrock.Options{
		Upstreams: map[string]config.Upstream{"": cfg.Upstream}, Timeouts: cfg.Timeouts,
		Credentials: map[string]sigv4.Credentials{}, Now: time.Now, OnBreaker: g.showBreaker,
	}
	for name, u := range cfg.Upstreams {
		o.Upstreams[name] = u
	}
	for name, u := range o.Upstreams {
		if u.Endpoint == "sandbox" {
			u.Endpoint = g.sandbox
			o.Upstreams[name] = u
			o.Credentials[name] = sigv4.Credentials{AccessKeyID: sandbox.DefaultAccessKeyID, SecretAccessKey: sandbox.DefaultSecretAccessKey}
		}
	}
	return o
}

// showBreaker keeps the metric of a circuit breaker.
func (g *gate) showBreaker(upstream, model, state string) {
	states := map[string]telemetry.BreakerState{
		"closed": telemetry.BreakerClosed, "half-open": telemetry.BreakerHalfOpen, "open": telemetry.BreakerOpen,
	}
	g.tel.Metrics().Breaker(upstream, model, states[state])
}

// startSandbox starts the built-in stand-in when an upstream asks for it.
func (g *gate) startSandbox(cfg *config.Config, closing *closers) error {
	wanted := cfg.Upstream.Endpoint == "sandbox"
	for _, u := range cfg.Upstreams {
		wanted = wanted || u.Endpoint == "sandbox"
	}
	if !wanted {
		return nil
	}
	standIn, err := sandbox.New(sandbox.Options{})
	if err != nil {
		return err
	}
	closing.add(func(context.Context) { standIn.Close() }) //nolint:errcheck // it holds nothing
	g.sandbox, err = standIn.Start("127.0.0.1:0")
	return err
}

func (g *gate) startAdmin(cfg *config.Config) (*server.Admin, error) {
	admin, err := server.NewAdmin(server.AdminOptions{
		Listen: cfg.Admin.Listen, Token: cfg.Admin.Token, Ready: g.ready, Metrics: g.tel.Handler(), Log: g.log,
	})
	if err != nil {
		return nil, err
	}
	go func() {
		if err := admin.Serve(); err != nil && !errors.Is(err, http.ErrServerClosed) {
			g.log.Error("admin port", "err", err)
		}
	}()
	return admin, nil
}

// run waits for the end, reloading meanwhile.
func (g *gate) run(ctx context.Context, load func() (*config.Config, error), served <-chan error) error {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	r := &reloader{gate: g, load: load, current: g.line.Snapshot().Config}
	r.hash, r.stamp = r.contents(), r.stamps()
	g.tel.Metrics().Loaded(r.name(), time.Now())
	look := time.NewTicker(reloadEvery)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-served:
			return err
		case <-hangup:
			r.reload(ctx)
		case now := <-look.C:
			g.engines.expire(now)
			r.look(ctx)
		}
	}
}

func (g *gate) announce(cfg *config.Config) {
	ledger := "embedded"
	if cfg.Ledger.Redis != "" {
		ledger = "redis"
	}
	upstream := cfg.Upstream.Endpoint
	if upstream == "" {
		upstream = "AWS " + cfg.Upstream.Region
	}
	g.log.Info("serving", "version", g.version, "listen", g.edge.Addr().String(), "admin", cfg.Admin.Listen, "ledger", ledger,
		"upstream", upstream, "tenants", len(cfg.Tenants), "cascades", len(cfg.Cascades), "data_dir", cfg.DataDir)
}

var _ gateway.Recorder = (*meter.Meter)(nil)
