package serving

import (
	"context"
	"encoding/json"
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

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/gateway"
	"github.com/sluice-gateway/sluice/internal/meter"
	"github.com/sluice-gateway/sluice/internal/meter/budget"
	"github.com/sluice-gateway/sluice/internal/meter/embedded"
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/notify"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/meter/redis"
	"github.com/sluice-gateway/sluice/internal/snapshot"
)

// lendingLedger is what both ledgers are: counters, and budgets to borrow from.
type lendingLedger interface {
	ledger.Ledger
	ledger.Leaser
	// Rotate replaces the mark of the root secret.
	Rotate(ctx context.Context, fp string) error
}

// books is what keeps the accounts: the meter with its journal, the ledger
// below, and who started which job.
type books struct {
	meter     *meter.Meter
	desk      *budget.Desk
	jobs      gateway.Jobs
	fold      func(ctx context.Context, now time.Time) error
	done      []io.Closer
	told      *notify.Outbox
	snapshots *snapshot.Store // they say where a tenant's webhook is

	stop chan struct{}
	wg   sync.WaitGroup
}

// openBooks opens the journal and the ledger. A ledger that is away does not
// stop the start: records wait in the journal.
func openBooks(ctx context.Context, s *snapshot.Snapshot, g *gate) (*books, error) {
	cfg := s.Config
	dir := command.JournalDir(cfg)
	if err := os.MkdirAll(string(dir), 0o700); err != nil {
		return nil, err
	}
	b := &books{snapshots: &g.snapshots, stop: make(chan struct{})}
	var ledger lendingLedger
	var notices notify.Store
	var correct func(ctx context.Context) error // nil: whoever corrects posts to the ledger
	if cfg.Ledger.Redis != "" {
		g.shareMemory()
		shared, err := command.OpenRedisWith(cfg, redis.Options{Log: g.log, Now: g.now, Board: g.memory.Board()})
		if err != nil {
			return nil, err
		}
		if err := checkRedis(ctx, shared); redis.Refused(err) {
			return nil, err
		} else if err != nil {
			g.log.Warn("the ledger is away; records wait in the journal", "err", err)
		}
		ledger, notices, b.jobs, b.fold, b.done = shared, shared, shared, shared.Fold, append(b.done, shared)
	} else {
		state := &embedded.State{FingerprintFile: filepath.Join(cfg.DataDir, "fingerprint")}
		jobs, err := embedded.OpenJobs(filepath.Join(cfg.DataDir, "jobs"))
		if err != nil {
			return nil, err
		}
		kept, err := embedded.OpenNotices(filepath.Join(cfg.DataDir, "notices"), time.Now)
		if err != nil {
			return nil, err
		}
		ledger, notices, b.jobs, b.fold, b.done = state, kept, jobs, state.Fold, append(b.done, jobs, kept)
		correct = func(ctx context.Context) error { return takeCorrections(ctx, state, cfg) }
	}
	if err := checkFingerprint(ctx, ledger, g); err != nil {
		return nil, err
	}
	var err error
	if b.meter, err = meter.Open(ctx, meterOptions(cfg, ledger, g)); err != nil {
		return nil, err
	}
	b.told = notify.NewOutbox(notify.OutboxOptions{
		Store: notices, Sender: notify.New(notify.Options{Log: g.log, Now: g.now}), Hook: b.hook, Log: g.log, Now: g.now,
	})
	_, id := b.meter.Journal()
	b.desk = budget.New(budget.Options{
		Leaser: ledger, Writer: id.Writer, Epoch: id.Epoch, Numbers: b.meter.Numbers, Log: g.log, Now: g.now,
		Roots: limitedRoots(cfg.Tenants), Notice: b.notice, Past: b.pastOf(cfg.Ledger.Redis != ""),
	})
	b.wg.Go(func() { b.foldDaily(g.log) })
	if correct != nil {
		b.wg.Go(func() { b.follow(correct, g.log) })
	}
	b.wg.Go(func() { b.inheritAll(g.log) })
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

func meterOptions(cfg *config.Config, store ledger.Ledger, g *gate) meter.Options {
	o := command.MeterOptions(cfg, store)
	o.Now, o.Log, o.Crash, o.Listen = g.now, g.log, g.crash, g.listens
	return o
}

// checkRedis asks a ledger whether it can be used, for at most 5 seconds.
func checkRedis(ctx context.Context, ledger *redis.Ledger) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return ledger.Check(ctx)
}

// checkFingerprint stops a start under another root secret than the ledger was
// made with: its keys would belong to other tenants. A ledger that has the
// previous secret's mark takes the current one's: the secret is being rotated.
func checkFingerprint(ctx context.Context, store lendingLedger, g *gate) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	err := store.Fingerprint(ctx, g.secrets.Fingerprint())
	if previous := g.secrets.PreviousFingerprint(); errors.Is(err, ledger.ErrFingerprint) && previous != "" {
		if err = store.Fingerprint(ctx, previous); err == nil {
			err = store.Rotate(ctx, g.secrets.Fingerprint())
		}
	}
	if err == nil {
		return nil
	}
	if errors.Is(err, ledger.ErrFingerprint) {
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

// pastOf is what a desk must know of a root before it borrows. The embedded
// ledger is made from the journal at each start: all must be posted, and nothing
// is lost. Redis may have lost what the journal says it had, and then others may
// have borrowed what it does not know of.
func (b *books) pastOf(shared bool) func(root string) (known, lost bool) {
	if !shared {
		return func(root string) (bool, bool) { return b.meter.Past(root).Posted, false }
	}
	return func(root string) (bool, bool) {
		past := b.meter.Past(root)
		return past.Known, past.Lost
	}
}

// inheritEvery is how often the slices of processes that died are looked after
// while there are any.
const inheritEvery = time.Second

// inheritAll gives back what earlier processes of this data directory did not.
func (b *books) inheritAll(log *slog.Logger) {
	tick := time.NewTicker(inheritEvery)
	defer tick.Stop()
	for {
		left, err := b.inherit(context.Background())
		if err != nil {
			log.Warn("slices of an earlier process were not given back yet", "err", err)
		}
		if left == 0 {
			return
		}
		select {
		case <-b.stop:
			return
		case <-tick.C:
		}
	}
}

// inherit does so once and returns how many such processes are left.
func (b *books) inherit(ctx context.Context) (left int, failed error) {
	before, posted := b.meter.Predecessors()
	if !posted {
		return 1, nil
	}
	for i := range before {
		done, err := b.desk.Inherit(ctx, &before[i])
		if err == nil && done {
			err = b.meter.Settled(before[i].Writer)
		} else {
			left++
		}
		failed = errors.Join(failed, err)
	}
	return left, failed
}

// noticeKeep is how long after its window a threshold may still be told.
const noticeKeep = 24 * time.Hour

// correctionsEvery is how long the embedded ledger may not know of a correction.
const correctionsEvery = 2 * time.Second

// takeCorrections gives the embedded ledger what commands have corrected.
func takeCorrections(ctx context.Context, state *embedded.State, cfg *config.Config) error {
	if _, err := os.Stat(string(command.CorrectionsDir(cfg))); errors.Is(err, os.ErrNotExist) {
		return nil // nothing was ever corrected
	}
	return meter.EachCorrection(command.CorrectionsDir(cfg), func(writer string, p *record.Posting) error {
		return state.Correct(ctx, writer, p)
	})
}

// follow takes corrections in, at once and while the gateway runs.
func (b *books) follow(correct func(ctx context.Context) error, log *slog.Logger) {
	tick := time.NewTicker(correctionsEvery)
	defer tick.Stop()
	for {
		if err := correct(context.Background()); err != nil {
			log.Warn("corrections are not counted by budgets", "err", err)
		}
		select {
		case <-b.stop:
			return
		case <-tick.C:
		}
	}
}

// notice hands on what a budget's threshold tells.
func (b *books) notice(n budget.Notice) {
	body, err := json.Marshal(n.Body())
	if err != nil {
		panic("BUG: a notice has no JSON: " + err.Error())
	}
	b.told.Tell(notify.Notice{ID: n.ID, Tenant: n.Tenant, Body: body, Until: n.End.Add(noticeKeep)})
}

// hook is where the notices of a tenant go.
func (b *books) hook(tenant string) (url, secret string) {
	h := b.snapshots.Load().Budgets.Hook(tenant)
	return h.URL, h.Secret
}

// lastNotices is how long a stop waits for webhooks. One that is away may not
// hold it up.
const lastNotices = 5 * time.Second

func (b *books) close(ctx context.Context) {
	close(b.stop)
	b.wg.Wait()
	b.meter.Retire(ctx) //nolint:errcheck // what the ledger lacks waits in the journal for the next start
	b.inherit(ctx)      //nolint:errcheck // the next start tries again
	b.desk.Close(ctx)   //nolint:errcheck // slices that were not given back expire
	last, cancel := context.WithTimeout(ctx, lastNotices)
	defer cancel()
	b.told.Close(last)
	for _, c := range b.done {
		c.Close() //nolint:errcheck // nothing is written here
	}
}
