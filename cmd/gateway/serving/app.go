package serving

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/cmd/gateway/serving/batches"
	"github.com/sluice-gateway/sluice/cmd/gateway/serving/history"
	"github.com/sluice-gateway/sluice/cmd/gateway/serving/succession"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/batchjob"
	"github.com/sluice-gateway/sluice/internal/cascade/memory"
	"github.com/sluice-gateway/sluice/internal/dialect"
	"github.com/sluice-gateway/sluice/internal/failover"
	"github.com/sluice-gateway/sluice/internal/forecast"
	"github.com/sluice-gateway/sluice/internal/gateway"
	"github.com/sluice-gateway/sluice/internal/heap"
	"github.com/sluice-gateway/sluice/internal/keys"
	"github.com/sluice-gateway/sluice/internal/leg"
	"github.com/sluice-gateway/sluice/internal/meter"
	"github.com/sluice-gateway/sluice/internal/meter/embedded"
	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/meter/prices"
	"github.com/sluice-gateway/sluice/internal/outbound"
	"github.com/sluice-gateway/sluice/internal/promptcache"
	"github.com/sluice-gateway/sluice/internal/quiet"
	"github.com/sluice-gateway/sluice/internal/quota"
	"github.com/sluice-gateway/sluice/internal/requestlog"
	"github.com/sluice-gateway/sluice/internal/review"
	"github.com/sluice-gateway/sluice/internal/server"
	"github.com/sluice-gateway/sluice/internal/snapshot"
	"github.com/sluice-gateway/sluice/internal/telemetry"
	"github.com/sluice-gateway/sluice/internal/tenant"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// app is a running gateway: everything that lives as long as the process.
type app struct {
	log       *slog.Logger
	storms    *quiet.Storms
	requests  *requestlog.Log
	secrets   *tenant.Secrets
	telemetry *telemetry.Telemetry
	snapshots snapshot.Store // from which everybody takes what a reload changes
	upstreams *upstreams
	inputs    *batchjob.Inputs // of batch jobs; nil: no tenant's are read
	calls     outbound.Shared  // how webhooks and traces leave
	memory    *memory.Store
	accounts  *accounts
	keys      *keys.Book
	board     forecast.Board     // how budgets stand
	history   *history.History   // nil: off
	prompts   *promptcache.Store // what models have in their caches
	members   failover.Store     // which members of pools are out
	quotas    quota.Store        // what calls take of the quotas of upstreams
	line      *gateway.Line
	edge      *server.Server
	admin     *server.Admin

	succession *succession.Succession
	draining   atomic.Bool // no new requests are taken
	reloads    reloads
}

// start builds the gateway from the bottom up; closing takes it down again.
func start(ctx context.Context, o options, cfg *config.Config, closing *closers) (*app, error) {
	a := &app{}
	a.openLog(newLog(os.Stderr).Handler(), closing)
	crash, now, err := command.Faults()
	if err != nil {
		return nil, err
	}
	if a.secrets, err = command.Secrets(cfg.DataDir); err != nil {
		return nil, err
	}
	first, err := a.compile(cfg)
	if err != nil {
		return nil, err
	}
	if err := a.calls.Use(outboundSettings(cfg)); err != nil {
		return nil, err
	}
	closing.add(func(context.Context) { a.calls.CloseIdleConnections() })
	if a.telemetry, err = telemetry.New(ctx, telemetry.Options{
		OTLP: cfg.Telemetry.OTLP, Sample: cfg.Telemetry.Sample, Version: o.version, Log: a.log, Now: now,
		Calls: &a.calls,
	}); err != nil {
		return nil, err
	}
	closing.add(a.telemetry.Close)
	if err := a.openRequestLog(cfg, closing); err != nil {
		return nil, err
	}
	if a.upstreams, err = startUpstreams(cfg, a.log, a.telemetry.Metrics(), closing); err != nil {
		return nil, err
	}
	if a.keys, err = openKeys(cfg, a.secrets, a.log, now); err != nil {
		return nil, err
	}
	if err := a.connect(ctx, first); err != nil {
		return nil, err
	}
	a.snapshots.Use(first)
	closing.add(func(context.Context) { a.upstreams.Close() })
	a.memory = newMemory(cfg)
	if err := a.succeed(ctx, cfg, o.takeOver, closing); err != nil {
		return nil, err
	}
	if a.accounts, err = openAccounts(ctx, accountsOptions{
		log: a.log, now: now, crash: crash, secrets: a.secrets, memory: a.memory, snapshots: &a.snapshots,
		calls: &a.calls, succession: a.succession,
	}); err != nil {
		return nil, err
	}
	closing.add(a.accounts.close)
	a.startKeys(ctx, closing)
	if err := a.startHistory(ctx, cfg, now, closing); err != nil {
		return nil, err
	}
	if err := a.startLine(cfg, now, crash, closing); err != nil {
		return nil, err
	}
	return a, a.startEdge(cfg, closing)
}

// compile makes the first snapshot.
func (a *app) compile(cfg *config.Config) (*snapshot.Snapshot, error) {
	first, problems := snapshot.Compile(cfg, a.secrets, time.Now())
	problems = append(problems, review.Of(first, time.Now())...)
	if err := cfg.Report(problems); err != nil {
		return nil, command.Invalid(err)
	}
	warn(a.log, cfg, problems)
	return first, nil
}

// connect gives a snapshot that is not in use yet the engine for its upstreams.
func (a *app) connect(ctx context.Context, s *snapshot.Snapshot) error {
	if err := prices.Keep(s.Config.DataDir, s.Prices); err != nil {
		return fmt.Errorf("keep the price versions: %w", err)
	}
	engine, err := a.upstreams.engine(ctx, s.Config)
	if err != nil {
		return err
	}
	s.Upstream = engine
	if a.inputs == nil && slices.ContainsFunc(s.Config.Tenants, batches.Reads) {
		objects, err := command.OpenS3(ctx, s.Config, &a.calls)
		if err != nil {
			return fmt.Errorf("tenants.batch.input: %w", err)
		}
		a.inputs = batchjob.NewInputs(objects)
	}
	s.Inputs = a.inputs
	s.Tenants.Obey(a.keys)
	return a.calls.Use(outboundSettings(s.Config))
}

// newMemory is the memory of cascades. A shared ledger carries it to other
// gateways; a random name distinguishes this process from all others, so that what it
// counted before a restart still counts.
func newMemory(cfg *config.Config) *memory.Store {
	if cfg.Ledger.Redis == "" {
		return &memory.Store{}
	}
	return memory.New(rand.Text()[:8], time.Now)
}

func (a *app) startLine(cfg *config.Config, now func() time.Time, crash meter.Crash, closing *closers) error {
	ids := server.NewIDs()
	a.prompts, a.quotas.Now = promptcache.New(), now
	a.line = gateway.New(gateway.Options{
		Options: leg.Options{
			Meter: a.accounts.meter, Limiter: a.accounts.limiter, Telemetry: a.telemetry, Log: a.log, Now: now, Crash: crash,
			NewID: func() string { return ids.Next(time.Now()) }, Jobs: a.accounts.jobs,
			Prompts: a.prompts, Batches: settlerOf(a, now, crash, closing), Members: &a.members, Quotas: &a.quotas,
		},
		Observer: a.requests, Decisions: a.history.Decisions(),
		Snapshots: &a.snapshots, Memory: a.memory,
		PairsDir:  filepath.Join(cfg.DataDir, "pairs"),
		Tightened: &memory.Tightened{File: filepath.Join(cfg.DataDir, "tightened.json")},
	})
	closing.add(a.line.Close)
	return a.line.Restore()
}

// settlerOf settles batch jobs. An embedded ledger reads corrections from their journal: an empty one takes its place.
func settlerOf(a *app, now func() time.Time, crash meter.Crash, closing *closers) leg.Batches {
	o := batches.Options{
		Snapshots: &a.snapshots, Owners: a.accounts.jobs, Ledger: &embedded.State{}, Crash: crash, Log: a.log, Now: now,
	}
	if a.accounts.shared != nil {
		o.Ledger = a.accounts.shared
	}
	s := batches.Start(context.Background(), o)
	closing.add(s.Close)
	return s
}

// startHistory opens what is kept of single requests, and begins its export.
func (a *app) startHistory(ctx context.Context, cfg *config.Config, now func() time.Time, closing *closers) error {
	_, id := a.accounts.meter.Journal()
	of := history.Options{
		Config: cfg, Folder: a.succession.Folder(), Others: a.succession.Others(),
		Writer: id.Writer, Dropped: a.telemetry.Metrics().DecisionsDropped, Log: a.log, Now: now,
	}
	a.history = history.Open(of)
	closing.add(a.history.Close)
	export, err := a.history.StartExport(ctx, of, a.accounts.meter, &a.calls, a.succession.Gone())
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	closing.add(export.Close)
	return nil
}

// startEdge opens the two ports. Nothing is served yet on the one for callers.
func (a *app) startEdge(cfg *config.Config, closing *closers) error {
	adminPort, err := a.succession.Admin(cfg.Admin.Listen)
	if err != nil {
		return cannotListen(cfg, "admin.listen", cfg.Admin.Listen, err)
	}
	api, page := a.apiAndPage()
	if a.admin, err = server.NewAdmin(server.AdminOptions{
		Listener: adminPort, Token: cfg.Admin.Token, Proxies: cfg.TrustedProxies, Ready: a.ready,
		Metrics: a.telemetry.Handler(), Log: a.log, API: api, Pages: page,
		OnRefused: a.requests.AdminRefused,
	}); err != nil {
		return cannotListen(cfg, "admin.listen", cfg.Admin.Listen, err)
	}
	closing.add(func(ctx context.Context) { a.admin.Shutdown(ctx) }) //nolint:errcheck // it may be cut off
	closing.add(a.history.Announce(a.accounts.shared, a.admin.Addr()).Close)
	port, err := a.succession.Edge()
	if err != nil {
		return cannotListen(cfg, "listen", cfg.Listen, err)
	}
	metrics, handler := a.telemetry.Metrics(), a.handler()
	if a.edge, err = server.New(server.Options{
		Listener: port, TLS: cfg.TLS, Timeouts: cfg.Timeouts, Limits: cfg.Limits,
		Proxies: cfg.TrustedProxies, Handler: handler, Log: a.log,
		Memory: heap.Bound(heap.Limit("/")), Now: time.Now, OnGlitch: metrics.Glitch, Translate: handler.Refuse,
		OnRefusal: func(id string, from netip.Addr, err *wire.Error) {
			a.requests.Edge(id, from, err, time.Now())
			a.history.Edge(id, from, err)
		},
		OnShed: func(id string, from netip.Addr, err *wire.Error, more int64) {
			a.requests.Shed(id, from, err, more, time.Now())
			if more > 0 {
				err.Message += fmt.Sprintf(" Since the last one that is listed, %d more were refused alike.", more)
			}
			a.history.Edge(id, from, err)
		},
	}); err != nil {
		return cannotListen(cfg, "listen", cfg.Listen, err)
	}
	a.watch(metrics)
	go func() { // after the main port listens: /readyz must not say ready before
		if err := a.admin.Serve(); err != nil && !errors.Is(err, http.ErrServerClosed) {
			a.log.Error("admin port", "err", err)
		}
	}()
	return nil
}

// handler is the line, with what translates for callers of other dialects before it.
func (a *app) handler() *dialect.Handler {
	return dialect.New(dialect.Options{
		Line: a.line, Snapshots: &a.snapshots, Anthropic: dialect.Anthropic(), OpenAI: dialect.OpenAI(),
	})
}

// cannotListen says which key names the port that the system refuses.
func cannotListen(cfg *config.Config, path, addr string, err error) error {
	var refused *net.OpError
	if !errors.As(err, &refused) {
		return err
	}
	at := cfg.At(path)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("another program listens at %s: end that, or change %s (%s:%d)", addr, path, at.File, at.Line)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("this machine has no address %s: change %s (%s:%d)", addr, path, at.File, at.Line)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("this user may not listen at %s: let %s (%s:%d) have a port from 1024, or give the program "+
			"CAP_NET_BIND_SERVICE", addr, path, at.File, at.Line)
	}
	return fmt.Errorf("%s:%d: %s: %w", at.File, at.Line, path, err)
}

// cannotOpen says which key names a data directory that another gateway uses.
func cannotOpen(cfg *config.Config, err error) error {
	if !errors.Is(err, journal.ErrLocked) {
		return command.Unusable(cfg.DataDir, err)
	}
	at := cfg.At("data_dir")
	return fmt.Errorf("another gateway uses %s: end that, or change data_dir (%s:%d): %w",
		cfg.DataDir, at.File, at.Line, err)
}

// lastAnswers is how long requests that were cut off have to be answered.
const lastAnswers = 3 * time.Second

// How long a stop waits for a request on a connection whose caller was not told to leave
// yet. Nobody waits for a process that another one has taken over from, unless that needs its ledger.
const leaveQuiet, leaveQuietTaken = 300 * time.Millisecond, 10 * time.Second

// succeed finds out which process this one follows, and where its journal is.
func (a *app) succeed(ctx context.Context, cfg *config.Config, takeOver bool, closing *closers) (err error) {
	if a.succession, err = succession.Begin(cfg, takeOver, a.log); err != nil {
		return err
	}
	closing.add(func(context.Context) { a.succession.Close() })
	if err := a.succession.Journal(ctx); err != nil {
		return cannotListen(cfg, "listen", cfg.Listen, err)
	}
	return nil
}

// drain stops taking requests and waits for those under way. What is left when ctx
// ends is cut off, and answered so that no SDK repeats it.
func (a *app) drain(ctx context.Context) {
	a.draining.Store(true)
	a.log.Info("draining", "at_most", a.snapshots.Load().Config.Timeouts.Drain)
	cut := context.AfterFunc(ctx, a.line.CutOff)
	defer cut()
	a.succession.Close() // the sockets are about to close
	quiet := leaveQuiet
	if a.succession.WasTaken() {
		if a.accounts.shared != nil {
			quiet = leaveQuietTaken
		}
		a.admin.Shutdown(ctx) //nolint:errcheck // the next process answers there
	}
	a.edge.Leave(quiet)
	until, _ := ctx.Deadline()
	answered, cancel := context.WithDeadline(context.WithoutCancel(ctx), until.Add(lastAnswers))
	defer cancel()
	if err := a.edge.Shutdown(answered); err != nil {
		a.log.Warn("requests were cut off", "err", err)
	}
}

func (a *app) announce(version string, cfg *config.Config) {
	ledger, upstream := "embedded", cfg.Upstream.Endpoint
	if cfg.Ledger.Redis != "" {
		ledger = "redis"
	}
	if upstream == "" {
		upstream = "AWS " + cfg.Upstream.Region
	}
	for _, refusal := range a.snapshots.Load().Refusals() {
		a.log.Info("refused by this configuration", "what", refusal)
	}
	a.log.Info("serving", "version", version, "listen", a.edge.Addr().String(), "admin", cfg.Admin.Listen,
		"ledger", ledger, "upstream", upstream, "tenants", len(cfg.Tenants), "cascades", len(cfg.Cascades),
		"data_dir", cfg.DataDir)
}

var _ leg.Recorder = (*meter.Meter)(nil)
