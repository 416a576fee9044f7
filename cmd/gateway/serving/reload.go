package serving

import (
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/review"
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
		r.reload(ctx)
	case r.stamps() != r.stamp:
		r.reloadArtifacts()
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
		r.app.refused.Store(&now)
		return
	}
	r.app.log.Info("configuration reloaded", "tenants", len(r.current.Tenants), "cascades", len(r.current.Cascades))
	r.app.refused.Store(nil)
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
	next, problems := snapshot.Compile(cfg, r.app.secrets, time.Now())
	problems = append(problems, review.Of(next, time.Now())...)
	if err := cfg.Report(problems); err != nil {
		return err
	}
	warn(r.app.log, cfg, problems)
	if changed := config.Changed(r.current, cfg); len(changed) > 0 {
		r.app.log.Warn("these settings need a restart and keep their old values", "settings", changed)
	}
	if err := r.app.connect(ctx, next); err != nil {
		return err
	}
	r.app.accounts.peers.Use(next.Budgets)
	r.app.line.Use(next)
	r.noteGone(cfg)
	r.current = cfg
	return nil
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
	r.app.gone.Store(gone)
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
