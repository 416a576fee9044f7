package serving

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/keys"
	"github.com/sluice-gateway/sluice/internal/keys/admin"
	"github.com/sluice-gateway/sluice/internal/tenant"
)

const (
	// keysEvery is how often a gateway looks for what was done to keys, and keysWithin how
	// long one look may take: it is in effect everywhere within two seconds.
	keysEvery  = 500 * time.Millisecond
	keysWithin = time.Second
)

// openKeys reads what was done to keys as the data directory has it.
func openKeys(cfg *config.Config, s *tenant.Secrets, log *slog.Logger, now func() time.Time) (*keys.Book, error) {
	book, err := keys.Open(keys.Options{DataDir: cfg.DataDir, Sealer: s, Log: log, Now: now})
	if err != nil {
		err = fmt.Errorf("what was done to keys cannot be read, so a revoked one might be admitted: %w", err)
	}
	return book, err
}

// startKeys hears from the ledger what was done to keys meanwhile, before anybody is
// served, and goes on to hear it.
func (a *app) startKeys(ctx context.Context, closing *closers) {
	a.keys.Join(a.accounts.acts, a.accounts.health.ahead)
	a.refreshKeys(ctx)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		a.hearOfKeys(stop)
	}()
	closing.add(func(ctx context.Context) {
		close(stop)
		<-done
		ctx, cancel := context.WithTimeout(ctx, keysWithin)
		defer cancel()
		a.keys.Close(ctx) //nolint:errcheck // when keys were last used is for people
	})
}

// hearOfKeys runs until stop is closed.
func (a *app) hearOfKeys(stop <-chan struct{}) {
	look, note := time.NewTicker(keysEvery), time.NewTicker(keys.UsedEvery)
	defer look.Stop()
	defer note.Stop()
	for {
		select {
		case <-stop:
			return
		case <-look.C:
			a.refreshKeys(context.Background())
		case <-note.C:
			ctx, cancel := context.WithTimeout(context.Background(), keysWithin)
			if err := a.keys.NoteUsed(ctx); err != nil {
				a.log.Warn("when keys were last used is not noted everywhere", "err", err)
			}
			cancel()
		}
	}
}

// refreshKeys says in the log when the ledger begins or ceases to answer.
func (a *app) refreshKeys(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, keysWithin)
	defer cancel()
	before := a.keys.Heard()
	switch err := a.keys.Refresh(ctx); {
	case err != nil && before:
		a.log.Warn("what is done to keys elsewhere is not heard", "err", err)
	case err == nil && !before:
		a.log.Info("what is done to keys elsewhere is heard")
	}
}

// keysAPI is the part of the admin port that acts on keys.
func (a *app) keysAPI() http.Handler {
	api := admin.API{
		Office: &admin.Office{
			Book: a.keys, Secrets: a.secrets, Now: time.Now,
			Tenants: func() *tenant.Directory { return a.snapshots.Load().Tenants },
		},
		Callers: admin.ByToken(func() string { return a.snapshots.Load().Config.Admin.Token }),
	}
	return api.Handler()
}
