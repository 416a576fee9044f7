package serving

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/advice"
	"github.com/sluice-gateway/sluice/internal/api"
	"github.com/sluice-gateway/sluice/internal/dashboard"
	"github.com/sluice-gateway/sluice/internal/forecast"
	"github.com/sluice-gateway/sluice/internal/keys"
	"github.com/sluice-gateway/sluice/internal/keys/admin"
	"github.com/sluice-gateway/sluice/internal/meter/exact"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/promptcache"
	"github.com/sluice-gateway/sluice/internal/report"
	"github.com/sluice-gateway/sluice/internal/saving"
	"github.com/sluice-gateway/sluice/internal/signin"
	"github.com/sluice-gateway/sluice/internal/standing"
	"github.com/sluice-gateway/sluice/internal/statement"
	"github.com/sluice-gateway/sluice/internal/tenant"
	"github.com/sluice-gateway/sluice/internal/views"
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

// apiAndPage are the parts of the admin port that know who asks.
func (a *app) apiAndPage() (http.Handler, http.Handler) {
	tenants := func() *tenant.Directory { return a.snapshots.Load().Tenants }
	office := &admin.Office{Book: a.keys, Secrets: a.secrets, Now: time.Now, Tenants: tenants}
	onKeys := admin.API{
		Office: office, Callers: admin.ByToken(func() string { return a.snapshots.Load().Config.Admin.Token }),
	}
	desk := &signin.Desk{
		Sealer: a.secrets, Config: func() *config.Admin { return &a.snapshots.Load().Config.Admin },
		Tenants: tenants, Now: time.Now, Calls: &a.calls,
	}
	var requests views.Requests
	self := func() net.Addr { return a.admin.Addr() }
	if all := a.history.Everywhere(a.accounts.shared, self, desk.Sign); all != nil { // in an interface it would not be nil
		requests = all
	}
	shelf := views.New(views.Sources{
		Requests: requests, Prompts: func() []promptcache.Row { return a.prompts.Report(time.Now()) },
		Ledger: a.accounts.ledger, Tenants: tenants, Now: time.Now, Health: a.facts, Keys: office.List,
		Policy: func() advice.Policy { return a.snapshots.Load() },
		Standing: func() *standing.State {
			return standing.Of(a.snapshots.Load().Config, a.members.Out(time.Now()), a.quotas.States(),
				a.telemetry.Metrics().Levers().CapacityCalls())
		},
		Baselines: func() []saving.Baseline { return a.snapshots.Load().Baselines() },
		Prices:    func() *record.PriceBook { return a.snapshots.Load().Prices },
		Payers:    func() report.Tenants { return report.TenantsOf(a.snapshots.Load().Config.Tenants) },
		Models:    func() map[string]string { return a.snapshots.Load().Config.Behind }, Budgets: a.budgets,
		Ahead: func() forecast.Ahead { return a.board.Ahead(a.ledgerNow()) }, Gateways: a.postedUpTo,
		Statements: statement.Dir(filepath.Join(a.snapshots.Load().Config.DataDir, "statements")),
		Closings:   a.accounts.ledger.Closings,
		Reconciled: command.ReconciledDir(a.snapshots.Load().Config).Of,
		Exact:      a.exactRows,
		Complete: func(ctx context.Context, q *report.Query) error {
			s := a.snapshots.Load()
			return command.CorrectQuery(ctx, s.Config, s.Prices, a.accounts.ledger, q)
		},
	})
	return (&api.API{Desk: desk, Shelf: shelf, Keys: onKeys.Handler(), Decisions: a.history.Handler()}).Handler(),
		dashboard.New(desk, shelf, office).Handler()
}

// exactRows is the ledger with the records of this gateway's journal.
func (a *app) exactRows() (rows *exact.Source, since *time.Time, err error) {
	cfg := a.snapshots.Load().Config
	if a.accounts.shared != nil {
		rows, since = command.ExactRows(cfg, a.accounts.shared)
		return rows, since, nil
	}
	rows, since, _, err = command.OpenRows(cfg) // of the journal, which there is nothing to close of
	return rows, since, err
}

// postedUpTo is how far each gateway of the ledger is, or this one alone.
func (a *app) postedUpTo(ctx context.Context) ([]report.Gateway, error) {
	if a.accounts.shared != nil {
		return command.Gateways(ctx, a.accounts.shared, time.Now())
	}
	_, id := a.accounts.meter.Journal()
	waits := a.accounts.meter.Status().Since
	return []report.Gateway{{
		Name: gatewayName(id.Writer), UpTo: time.Now().Add(-waits).UTC(), Behind: waits > command.Late,
	}}, nil
}

// budgets are all budgets below a tenant: what is read anyway, or the ledger while that is too old.
func (a *app) budgets(ctx context.Context, below string) ([]forecast.State, error) {
	if all, err := a.board.States(below, a.ledgerNow()); err == nil {
		return all, nil
	}
	return a.budgetSource().Read(ctx, below, a.ledgerNow())
}

// budgetSource is where how budgets stand is read.
func (a *app) budgetSource() *forecast.Source {
	s := a.snapshots.Load()
	return &forecast.Source{
		Policies: s.Budgets, Keys: s.Tenants.Keys(), Ledger: a.accounts.ledger, HeldKnown: true,
	}
}

// facts are what the view of health shows.
func (a *app) facts() (ready bool, facts []views.Fact) {
	r, s := a.readiness(), a.accounts.meter.Status()
	edge := a.edge.Stats()
	facts = []views.Fact{
		{What: "records that wait for the ledger", State: strconv.FormatUint(s.Backlog, 10),
			Detail: "for " + s.Since.Round(time.Millisecond).String()},
		{What: "requests in flight", State: strconv.FormatInt(a.inFlight(), 10)},
		{What: "connections", State: strconv.Itoa(int(edge.Connections))},
	}
	for _, what := range slices.Sorted(maps.Keys(r.Degraded)) {
		facts = append(facts, views.Fact{What: what, State: "degraded", Detail: r.Degraded[what]})
	}
	for _, key := range r.Restart {
		facts = append(facts, views.Fact{What: key, State: "restart needed",
			Detail: "the file has another value than is in use"})
	}
	return r.Ready, facts
}
