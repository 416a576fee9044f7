package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/gateway"
	"github.com/sluice-gateway/sluice/internal/meter"
	"github.com/sluice-gateway/sluice/internal/meter/budget"
	"github.com/sluice-gateway/sluice/internal/meter/embedded"
	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/meter/notify"
	"github.com/sluice-gateway/sluice/internal/meter/redis"
	"github.com/sluice-gateway/sluice/internal/meter/share"
)

// lendingLedger is what both ledgers are: counters, and budgets to borrow from.
type lendingLedger interface {
	meter.Ledger
	meter.Lender
	// Rotate replaces the mark of the root secret.
	Rotate(ctx context.Context, fp string) error
}

// books is what keeps the accounts: the meter with its journal, the ledger
// below, and who started which job.
type books struct {
	meter *meter.Meter
	desk  *budget.Desk
	jobs  gateway.Jobs
	fold  func(ctx context.Context, now time.Time) error
	done  []io.Closer
	hooks *notify.Sender

	stop chan struct{}
	wg   sync.WaitGroup
}

// openRedis reads where the ledger is. Commands share nothing: their board is nil.
func openRedis(cfg *config.Config, log *slog.Logger, now func() time.Time, board *share.Board) (*redis.Ledger, error) {
	ledger, err := redis.New(redis.Options{URL: cfg.Ledger.Redis, Log: log, Now: now, Board: board})
	if err != nil {
		return nil, invalid{fmt.Errorf("%s: ledger.redis: %w", cfg.At("ledger.redis").File, err)}
	}
	return ledger, nil
}

func quietLog() *slog.Logger { return slog.New(slog.DiscardHandler) }

// openBooks opens the journal and the ledger. A ledger that is away does not
// stop the start: records wait in the journal.
func openBooks(ctx context.Context, cfg *config.Config, g *gate) (*books, error) {
	dir := journalDir(cfg)
	if err := os.MkdirAll(string(dir), 0o700); err != nil {
		return nil, err
	}
	b := &books{stop: make(chan struct{})}
	var ledger lendingLedger
	if cfg.Ledger.Redis != "" {
		g.shareMemory(cfg)
		shared, err := openRedis(cfg, g.log, g.now, g.memory.Board())
		if err != nil {
			return nil, err
		}
		if err := checkRedis(ctx, shared); redis.Refused(err) {
			return nil, err
		} else if err != nil {
			g.log.Warn("the ledger is away; records wait in the journal", "err", err)
		}
		ledger, b.jobs, b.fold, b.done = shared, shared, shared.Fold, append(b.done, shared)
	} else {
		state := &embedded.State{FingerprintFile: filepath.Join(cfg.DataDir, "fingerprint")}
		jobs, err := embedded.OpenJobs(filepath.Join(cfg.DataDir, "jobs"))
		if err != nil {
			return nil, err
		}
		ledger, b.jobs, b.fold, b.done = state, jobs, state.Fold, append(b.done, jobs)
	}
	if err := checkFingerprint(ctx, ledger, g); err != nil {
		return nil, err
	}
	var err error
	if b.meter, err = meter.Open(ctx, meterOptions(cfg, ledger, g)); err != nil {
		return nil, err
	}
	b.hooks = notify.New(notify.Options{Log: g.log, Now: g.now})
	_, id := b.meter.Journal()
	b.desk = budget.New(budget.Options{
		Lender: ledger, Writer: id.Writer, Epoch: id.Epoch, Numbers: b.meter.Numbers, Log: g.log, Now: g.now,
		Roots: limitedRoots(cfg.Tenants), Notice: b.notice,
	})
	b.wg.Go(func() { b.foldDaily(g.log) })
	return b, nil
}

// limitedRoots are the root tenants that have a budget or limit below them.
func limitedRoots(tenants []config.Tenant) []string {
	var roots []string
	for i := range tenants {
		if root, _, _ := strings.Cut(tenants[i].ID, "/"); tenants[i].Budgets != nil || tenants[i].Limits != (config.Limits{}) {
			roots = append(roots, root)
		}
	}
	slices.Sort(roots)
	return slices.Compact(roots)
}

func meterOptions(cfg *config.Config, ledger meter.Ledger, g *gate) meter.Options {
	fsync := map[string]journal.Fsync{"always": journal.FsyncAlways, "os": journal.FsyncOS}[cfg.Journal.Fsync]
	return meter.Options{
		Disk: journalDir(cfg), Journal: journal.Options{Fsync: fsync, Every: cfg.Journal.Every, SegmentBytes: cfg.Journal.SegmentBytes},
		Keep: cfg.Journal.Keep, Ledger: ledger, Now: g.now, Log: g.log, Crash: g.crash, Listen: g.listens,
	}
}

// checkFingerprint stops a start under another root secret than the ledger was
// made with: its keys would belong to other tenants. A ledger that has the
// previous secret's mark takes the current one's: the secret is being rotated.
func checkFingerprint(ctx context.Context, ledger lendingLedger, g *gate) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	err := ledger.Fingerprint(ctx, g.secrets.Fingerprint())
	if previous := g.secrets.PreviousFingerprint(); errors.Is(err, meter.ErrFingerprint) && previous != "" {
		if err = ledger.Fingerprint(ctx, previous); err == nil {
			err = ledger.Rotate(ctx, g.secrets.Fingerprint())
		}
	}
	if err == nil {
		return nil
	}
	if errors.Is(err, meter.ErrFingerprint) {
		return fmt.Errorf("%w: the root secret is not the one that this ledger's keys were derived from", err)
	}
	g.log.Warn("the ledger's fingerprint could not be checked", "err", err)
	return nil
}

// foldDaily turns hours that are old enough into days.
func (b *books) foldDaily(log *slog.Logger) {
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		select {
		case <-b.stop:
			return
		case now := <-tick.C:
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			if err := b.fold(ctx, now); err != nil {
				log.Warn("old counters not folded", "err", err)
			}
			cancel()
		}
	}
}

// notice posts what a budget's threshold tells to the tenant's webhook.
func (b *books) notice(n budget.Notice) {
	if n.Hook.URL != "" {
		b.hooks.Post(notify.Message{URL: n.Hook.URL, Secret: n.Hook.Secret, Body: n.Body()})
	}
}

// lastNotices is how long a stop waits for webhooks. One that is away may not
// hold it up.
const lastNotices = 5 * time.Second

func (b *books) close(ctx context.Context) {
	close(b.stop)
	b.wg.Wait()
	b.meter.Retire(ctx) //nolint:errcheck // what the ledger lacks waits in the journal for the next start
	b.desk.Close(ctx)   //nolint:errcheck // slices that were not given back expire
	last, cancel := context.WithTimeout(ctx, lastNotices)
	defer cancel()
	b.hooks.Close(last)
	for _, c := range b.done {
		c.Close() //nolint:errcheck // nothing is written here
	}
}
