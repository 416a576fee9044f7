package serving

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/snapshot"
)

// reloadEvery is how often the files are looked at. It bounds how long a
// revoked key goes on working.
const reloadEvery = 2 * time.Second

// reloader keeps the gateway on the newest good configuration. What changed is
// told by contents, because mounted files change in ways that events miss.
type reloader struct {
	gate    *gate
	load    func() (*config.Config, error)
	current *config.Config
	hash    [sha256.Size]byte
	stamp   string // of the files that cascades name
}

// contents hashes all files of the configuration in use, and those that it would
// include by now.
func (r *reloader) contents() [sha256.Size]byte {
	h := sha256.New()
	for _, file := range append(r.current.Files(), r.current.Included()...) {
		data, err := os.ReadFile(file)
		if err != nil {
			data = []byte(err.Error())
		}
		h.Write([]byte(file))
		h.Write(data)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// name is a short form of the hash, for people and metrics.
func (r *reloader) name() string { return hex.EncodeToString(r.hash[:6]) }

// reload takes the configuration again. A bad one changes nothing and is said.
func (r *reloader) reload(ctx context.Context) {
	files := r.current.Files()
	r.hash, r.stamp = r.contents(), r.stamps() // before reading, so that a change meanwhile is seen
	if err := r.try(ctx); err != nil {
		r.gate.log.Error("configuration refused, the last good one stays", "err", err)
		r.gate.tel.Metrics().LoadFailed()
		r.gate.reloaded(time.Now())
		return
	}
	r.gate.log.Info("configuration reloaded", "tenants", len(r.current.Tenants), "cascades", len(r.current.Cascades))
	r.gate.reloaded(time.Time{})
	if !slices.Equal(files, r.current.Files()) {
		r.hash = r.contents()
	}
	r.gate.tel.Metrics().Loaded(r.name(), time.Now())
}

func (r *reloader) try(ctx context.Context) error {
	cfg, err := r.load()
	if err != nil {
		return err
	}
	next, problems := snapshot.Compile(cfg, r.gate.secrets, time.Now())
	if err := cfg.Report(problems); err != nil {
		return err
	}
	if changed := config.Changed(r.current, cfg); len(changed) > 0 {
		r.gate.log.Warn("these settings need a restart and keep their old values", "settings", changed)
	}
	if err := r.gate.connect(ctx, next); err != nil {
		return err
	}
	r.gate.line.Use(next)
	r.gate.books.meter.SetPrices(next.Prices)
	r.current = cfg
	return nil
}

// reloaded notes when the last reload was refused, the zero time when it was not.
func (g *gate) reloaded(refused time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refused = refused
}
