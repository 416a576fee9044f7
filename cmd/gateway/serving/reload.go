package serving

import (
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/review"
	"github.com/sluice-gateway/sluice/internal/server"
	"github.com/sluice-gateway/sluice/internal/snapshot"
	"github.com/sluice-gateway/sluice/internal/watch"
)

// reloadEvery is how often the files are looked at. It bounds how long a
// revoked key goes on working.
const reloadEvery = 2 * time.Second

// reloader keeps the gateway on the newest good configuration. It compares
// contents, because mounted files change in ways that events miss.
type reloader struct {
	app     *app
	load    func(previous *config.Config) (*config.Config, error)
	current *config.Config
	files   watch.Files
	hash    watch.Hash
	stamp   string // of the files that cascades name
}

// reloads is what /readyz shows of them. The zero value is of a gateway that has had none.
type reloads struct {
	refused   atomic.Pointer[time.Time] // when the last one was, nil when it was not
	gone      atomic.Int64              // tenants with budgets that it took away
	shortened atomic.Pointer[string]    // what files lost at their ends
	restart   atomic.Pointer[[]string]  // keys that it could not take
}

// trouble adds what is wrong to what /readyz lists, and returns the keys that need a
// restart.
func (r *reloads) trouble(degraded map[string]string) (restart []string) {
	if what := r.shortened.Load(); what != nil && *what != "" {
		degraded["configuration"] = "it may be cut off, SIGHUP confirms it: " + *what
	}
	if refused := r.refused.Load(); refused != nil {
		degraded["configuration"] = "refused at " + refused.UTC().Format(time.RFC3339) +
			"; the log and gateway check say why"
	}
	if gone := r.gone.Load(); gone > 0 {
		degraded["tenants"] = fmt.Sprintf("%d with budgets are gone since the last reload; the log names them, and "+
			"renamed_from carries what they spent", gone)
	}
	if keys := r.restart.Load(); keys != nil {
		return *keys
	}
	return nil
}

// newReloader begins with the configuration in use. load reads it again,
// and may take from the previous one what has not changed.
func newReloader(a *app, load func(previous *config.Config) (*config.Config, error)) *reloader {
	r := &reloader{app: a, load: load, current: a.snapshots.Load().Config}
	r.hash, r.stamp = r.contents(), r.stamps()
	r.noteLoaded()
	return r
}

// contents hashes all files of the configuration in use, and those that it would
// include by now.
func (r *reloader) contents() watch.Hash {
	return r.files.Hash(append(r.current.Files(), r.current.Included()...), time.Now())
}

// stamps identifies the states of the files that cascades name, without reading
// them: they may be large, and are written by programs.
func (r *reloader) stamps() string {
	var b strings.Builder
	for i := range r.current.Cascades {
		c := &r.current.Cascades[i]
		for _, file := range []string{c.PreScore, c.Score, c.Certificate} {
			if info, err := os.Stat(file); err == nil {
				fmt.Fprintln(&b, file, info.ModTime().UnixNano(), info.Size())
			}
		}
	}
	return b.String()
}

// look reloads what changed: the whole configuration, or the files that its
// cascades name.
func (r *reloader) look(ctx context.Context) {
	switch {
	case r.contents() != r.hash:
		r.settle(ctx)
		r.reload(ctx)
	case r.stamps() != r.stamp:
		r.reloadArtifacts()
	}
}

// settle waits until the files stay as they are, for some time: editors and copying
// programs write in several steps.
func (r *reloader) settle(ctx context.Context) {
	const steps, step = 10, 50 * time.Millisecond
	before := r.contents()
	for range steps {
		select {
		case <-ctx.Done():
			return
		case <-time.After(step):
		}
		now := r.contents()
		if now == before {
			return
		}
		before = now
	}
}

// reload reads the configuration again. A bad one changes nothing and is logged.
func (r *reloader) reload(ctx context.Context) {
	files := r.current.Files()
	r.hash, r.stamp = r.contents(), r.stamps() // before reading, so that a change meanwhile is seen
	if err := r.try(ctx); err != nil {
		r.app.log.Error("configuration refused, the last good one stays", "err", err)
		r.app.telemetry.Metrics().LoadFailed()
		now := time.Now()
		r.app.reloads.refused.Store(&now)
		return
	}
	r.app.log.Info("configuration reloaded", "tenants", len(r.current.Tenants), "cascades", len(r.current.Cascades))
	r.app.reloads.refused.Store(nil)
	if !slices.Equal(files, r.current.Files()) {
		r.hash = r.contents()
	}
	r.noteLoaded()
}

// noteLoaded shows in the metrics which configuration is in use, by a short form
// of its hash.
func (r *reloader) noteLoaded() {
	r.app.telemetry.Metrics().Loaded(hex.EncodeToString(r.hash[:6]), time.Now())
}

func (r *reloader) try(ctx context.Context) error {
	cfg, err := r.load(r.current)
	if err != nil {
		return err
	}
	restart := config.Keep(r.current, cfg)
	next, problems := snapshot.Compile(cfg, r.app.secrets, time.Now())
	problems = append(problems, review.Of(next, time.Now())...)
	problems = append(problems, config.Losses(r.current, cfg)...)
	if err := cfg.Report(problems); err != nil {
		return err
	}
	warn(r.app.log, cfg, problems)
	if err := r.app.connect(ctx, next); err != nil {
		return err
	}
	if err := r.app.edge.Use(server.Settings{
		TLS: cfg.TLS, Timeouts: cfg.Timeouts, Limits: cfg.Limits, Proxies: cfg.TrustedProxies,
	}); err != nil {
		return err
	}
	if len(restart) > 0 {
		r.app.log.Warn("these settings need a restart and keep their old values", "settings", restart)
	}
	r.app.reloads.restart.Store(&restart)
	r.app.admin.Use(cfg.Admin.Token, cfg.TrustedProxies)
	r.app.telemetry.Sample(cfg.Telemetry.Sample)
	r.noteShortened(cfg)
	r.app.accounts.peers.Use(next.Budgets)
	r.app.line.Use(next)
	r.noteGone(cfg)
	r.current = cfg
	return nil
}

// noteShortened says that files end where they had more: somebody may have removed it, or
// they were cut. Reading the same once more confirms it.
func (r *reloader) noteShortened(next *config.Config) {
	what := next.Shortened(r.current)
	if what != "" {
		r.app.log.Warn("the configuration may be cut off; SIGHUP confirms it", "what", what)
	}
	r.app.reloads.shortened.Store(&what)
}

// noteGone names tenants with budgets that are not in the next configuration, by
// their name or as what another one is renamed from.
func (r *reloader) noteGone(next *config.Config) {
	kept := map[string]bool{}
	for i := range next.Tenants {
		kept[next.Tenants[i].ID], kept[next.Tenants[i].RenamedFrom] = true, true
	}
	gone := int64(0)
	for i := range r.current.Tenants {
		if t := &r.current.Tenants[i]; len(t.Budgets) > 0 && !kept[t.ID] {
			gone++
			r.app.log.Warn("a tenant with open budgets is gone; renamed_from at the one that it is now carries what it spent",
				"tenant", t.ID)
		}
	}
	r.app.reloads.gone.Store(gone)
}

// reloadArtifacts reads changed certificates and score files. What does not fit
// changes nothing and is logged.
func (r *reloader) reloadArtifacts() {
	r.stamp = r.stamps() // before reading, so that a change meanwhile is seen
	next, problems := r.app.snapshots.Load().ReloadArtifacts(time.Now())
	for _, p := range problems {
		r.app.log.Error("file of a cascade refused, what it had stays", at(r.current, p)...)
	}
	r.app.line.Use(next)
	for name, artifacts := range next.Artifacts {
		if c := artifacts.Certificate; c != nil {
			r.app.log.Info("files of a cascade looked at",
				"cascade", name, "certificate", c.Hash, "score", artifacts.Score.Hash())
		}
	}
}
