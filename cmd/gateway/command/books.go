package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/forecast"
	"github.com/sluice-gateway/sluice/internal/keys"
	"github.com/sluice-gateway/sluice/internal/meter"
	"github.com/sluice-gateway/sluice/internal/meter/budget"
	"github.com/sluice-gateway/sluice/internal/meter/embedded"
	"github.com/sluice-gateway/sluice/internal/meter/exact"
	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/meter/redis"
	"github.com/sluice-gateway/sluice/internal/meter/redis/acts"
)

// OpenBooks opens the ledger of a configuration for reading; the caller calls done. The
// embedded one is read from its journal, so the gateway may run meanwhile.
func OpenBooks(cfg *config.Config) (books forecast.Ledger, done func(), err error) {
	if cfg.Ledger.Redis != "" {
		ledger, err := OpenRedis(cfg)
		if err != nil {
			return nil, nil, err
		}
		return ledger, func() { ledger.Close() }, nil //nolint:errcheck // it was only read
	}
	own, err := openJournal(cfg)
	if err != nil {
		return nil, nil, err
	}
	state, err := embedded.Load(own.replay, own.closed)
	return state, func() {}, err
}

// OpenRows opens the ledger of a configuration for who adds its rows up; the caller calls
// done. The embedded one is read from its journal with each question, in little memory. From
// since on bounds may be within hours; since is nil where no records are kept.
func OpenRows(cfg *config.Config) (rows *exact.Source, since *time.Time, done func(), err error) {
	if cfg.Ledger.Redis != "" {
		shared, err := OpenRedis(cfg)
		if err != nil {
			return nil, nil, nil, err
		}
		rows, since = ExactRows(cfg, shared)
		return rows, since, func() { shared.Close() }, nil //nolint:errcheck // it was only read
	}
	own, err := openJournal(cfg)
	if err != nil {
		return nil, nil, nil, err
	}
	kept, err := meter.KeptSince(JournalDir(cfg))
	if err != nil {
		return nil, nil, nil, err
	}
	stream := embedded.NewStream(own.replay, own.closed)
	return &exact.Source{Ledger: stream, Moments: ownMoments(cfg)}, &kept, func() {}, nil
}

// ExactRows are the rows of a ledger that others post to as well. From since on, its bounds may be within
// hours of which this machine's journals have all records; since is nil where its journal cannot be read.
func ExactRows(cfg *config.Config, of exact.Ledger) (rows *exact.Source, since *time.Time) {
	rows = &exact.Source{Ledger: of, Moments: ownMoments(cfg), Shared: true}
	if kept, err := meter.KeptSince(JournalDir(cfg)); err == nil {
		since = &kept
	}
	return rows, since
}

// ownMoments yields what the records of a data directory post, and when that happened.
func ownMoments(cfg *config.Config) func(func(time.Time, string, *record.Posting) error) error {
	return func(yield func(time.Time, string, *record.Posting) error) error {
		ended := map[string]time.Time{}
		one := func(m *meter.Moment) error { return yield(m.At, m.Writer, &m.Posting) }
		for _, dir := range ownJournals(cfg) {
			if err := meter.Moments(dir, ended, one); err != nil {
				return err
			}
		}
		return nil
	}
}

// ownJournal is what an embedded ledger is made of.
type ownJournal struct {
	replay embedded.Replayer
	closed map[string]ledger.Closings
}

func openJournal(cfg *config.Config) (*ownJournal, error) {
	if _, err := os.Stat(string(JournalDir(cfg))); errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("no journal in %s: has this gateway been started?", cfg.DataDir)
	}
	closed, err := embedded.ReadClosings(ClosingsFile(cfg))
	if err != nil {
		return nil, err
	}
	return &ownJournal{func(yield func(string, record.Posting) error) error {
		for _, dir := range ownJournals(cfg) {
			if err := replay(dir, yield); err != nil {
				return err
			}
		}
		return nil
	}, closed}, nil
}

// ownJournals are the journals that an embedded ledger is made of.
func ownJournals(cfg *config.Config) []journal.Dir {
	all := []journal.Dir{JournalDir(cfg)}
	if dir, ever := Corrected(cfg); ever {
		all = append(all, dir)
	}
	return all
}

func replay(dir journal.Dir, yield func(string, record.Posting) error) error {
	damage, err := meter.Replay(dir, yield)
	for _, d := range damage {
		fmt.Fprintln(os.Stderr, "warning: the journal is damaged:", d)
	}
	return err
}

// ReadBudgets reads how the budgets below a tenant stand, "" for all: those first that run
// out first.
func ReadBudgets(
	ctx context.Context, cfg *config.Config, books forecast.Ledger, tenant string,
) ([]forecast.State, *keys.State, error) {
	policies, err := budget.Compile(cfg.Tenants)
	if err != nil {
		return nil, nil, err
	}
	shared, is := books.(*redis.Ledger)
	of := forecast.Source{Policies: policies, Ledger: books, Late: true, HeldKnown: is}
	if of.Keys, err = readKeys(ctx, cfg, shared); err != nil {
		return nil, nil, err
	}
	states, err := of.Read(ctx, tenant, time.Now())
	return states, of.Keys, err
}

// ReadBudgetsOn is ReadBudgets for those that a request of a tenant and a key, "" for none,
// counts in.
func ReadBudgetsOn(ctx context.Context, cfg *config.Config, tenant, key string) ([]forecast.State, error) {
	books, done, err := OpenBooks(cfg)
	if err != nil {
		return nil, err
	}
	defer done()
	all, of, err := ReadBudgets(ctx, cfg, books, record.RootOf(tenant))
	if err != nil {
		return nil, err
	}
	family := key
	if k := of.Keys[key]; k != nil {
		family = k.Family
	}
	var on []forecast.State
	for i := range all {
		s := &all[i]
		above := record.Within(tenant, s.Tenant)
		if s.Key == "" && above || s.Key != "" && s.Key == family && s.Tenant == tenant {
			on = append(on, *s)
		}
	}
	return on, nil
}

// readKeys reads which keys have budgets of their own. Without the root secret, acts whose
// seal nobody can check give none.
func readKeys(ctx context.Context, cfg *config.Config, shared *redis.Ledger) (*keys.State, error) {
	var sealer keys.Sealer = keys.Nobody{}
	if secrets, err := ExistingSecrets(cfg.DataDir); err == nil {
		sealer = secrets
	}
	book, err := keys.Open(keys.Options{
		DataDir: cfg.DataDir, Sealer: sealer, ReadOnly: true, Log: quiet(), Now: time.Now,
	})
	if err != nil {
		return nil, err
	}
	if shared != nil {
		book.Join(acts.NewBoard(shared), func() time.Duration { return 0 })
	}
	if err := book.Refresh(ctx); err != nil {
		return nil, err
	}
	return book.State().With(keys.NewConfigured(cfg.Tenants), nil), book.Close(ctx)
}
