// Package viewstest has what views are made of in tests: a ledger of made-up counters, requests
// that were kept, and somebody of every tenant who may look.
package viewstest

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/decision"
	"github.com/sluice-gateway/sluice/internal/decision/api"
	"github.com/sluice-gateway/sluice/internal/failover"
	"github.com/sluice-gateway/sluice/internal/forecast"
	"github.com/sluice-gateway/sluice/internal/keys"
	"github.com/sluice-gateway/sluice/internal/keys/admin"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/quota"
	"github.com/sluice-gateway/sluice/internal/report"
	"github.com/sluice-gateway/sluice/internal/saving"
	"github.com/sluice-gateway/sluice/internal/signin"
	"github.com/sluice-gateway/sluice/internal/standing"
	"github.com/sluice-gateway/sluice/internal/statement"
	"github.com/sluice-gateway/sluice/internal/tenant"
	"github.com/sluice-gateway/sluice/internal/views"
)

// Now is the time of the rig.
func Now() time.Time { return time.Date(2026, 11, 29, 8, 0, 0, 0, time.UTC) }

// Row is a row of a ledger.
type Row struct {
	Key record.RowKey
	Add record.Counters
}

// Rows is a ledger.
type Rows []Row

// Rows implements report.Source.
func (r Rows) Rows(_ context.Context, from, to time.Time, yield func(record.RowKey, record.Counters) error) error {
	for _, x := range r {
		if !x.Key.Hour.Before(from) && x.Key.Hour.Before(to) {
			if err := yield(x.Key, x.Add); err != nil {
				return err
			}
		}
	}
	return nil
}

// Tenants are two roots, one with a tree.
func Tenants() []string {
	return []string{"acme", "acme/app", "acme/app/web", "acme/apps", "other", "other/x"}
}

// Counted are legs of every tenant in this month and in the one before.
func Counted() Rows {
	var all Rows
	for i, id := range Tenants() {
		for day := range 40 {
			n := int64(i + day + 1)
			path := []string{"direct", "light", "escalated"}[day%3]
			all = append(all, Row{record.RowKey{
				Hour: Now().Truncate(time.Hour).Add(-time.Duration(day) * 23 * time.Hour), Tenant: id, Key: "SLK" + id,
				Path:  path,
				Model: fmt.Sprintf("model-%d", day%4), Cascade: map[bool]string{true: "support"}[day%2 == 0],
			}, record.Counters{
				Requests: n, Legs: n + 1, Escalated: n % 2, Input: 1000 * n, Output: 77 * n,
				CacheRead: int64(day % 5),
				CostInput: money.Pico(3_000_000 * 1000 * n), CostOutput: money.Pico(15_000_000 * 77 * n),
				CostWasted: money.Pico(n), Unknown: n % 3 / 2, Suspense: money.Pico(n % 3 * 1e6), TokensCut: n, CapHits: n % 2,
			}})
		}
	}
	return all
}

// DecisionID is the id of the n-th request of the tests.
func DecisionID(n int) string {
	id := ulid.ULID{15: byte(n)}
	if err := id.SetTime(ulid.Timestamp(Now().Add(time.Duration(n-100) * time.Minute))); err != nil {
		panic(err)
	}
	return id.String()
}

// Decided is a log with a request of each tenant that was served, one that was refused, and at
// last one of nobody.
func Decided(t testing.TB) *decision.Log {
	t.Helper()
	l, err := decision.Open(decision.Options{
		File: filepath.Join(t.TempDir(), "decisions.db"), Keep: 24 * time.Hour, MaxBytes: 1 << 30,
		Log: slog.New(slog.DiscardHandler), Now: Now, Dropped: func(int) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close(context.Background()) })
	add := func(n int, d decision.Decision) {
		d.ID, d.Received = DecisionID(n), Now().Add(time.Duration(n-100)*time.Minute)
		l.Add(&d)
	}
	for i, id := range Tenants() {
		root, _, _ := strings.Cut(id, "/")
		add(2*i, decision.Decision{
			Tenant: id, Asked: "auto", Served: "large", Path: "escalated", Reason: "disagree", Status: 200, Cost: 3e9,
			CostState: "known", Legs: []decision.Leg{
				{Model: "small", Outcome: "completed", UpstreamID: "aws-1", Payer: root, Effects: []decision.Effect{
					{Tenant: id, Unit: "usd", Period: "day", Posted: 5}, {Tenant: root, Unit: "usd", Period: "month", Posted: 7},
				}}, {Index: 1, Model: "large", Outcome: "completed", UpstreamID: "aws-2", Cost: 3e9, CostState: "known"},
			},
		})
		add(2*i+1, decision.Decision{Tenant: id, Asked: "large", Status: 429, Error: "ThrottlingException",
			Step: "reserve", Message: "the budget is used up"})
	}
	add(2*len(Tenants()), decision.Decision{Status: 403, Error: "AccessDeniedException", Step: "authenticate",
		Claimed: "SLKCLAIMED"})
	return l
}

// Rig is the sources of views, the views over them, and who may see them: the holder of the
// admin token, and of one key for each tenant.
type Rig struct {
	Desk    *signin.Desk
	Sources views.Sources
	Shelf   *views.Shelf
	Bearers map[string]string // of keys, by tenant
	Office  *admin.Office
	Secrets *tenant.Secrets
	Config  *config.Admin
	Log     *decision.Log // of Sources.Requests
}

// AdminToken is Config.Token of a new rig.
const AdminToken = "the admin token"

// New returns a rig over a ledger.
func New(t testing.TB, ledger Rows) *Rig {
	t.Helper()
	dir := t.TempDir()
	env := func(name string) string {
		return map[string]string{"SLUICE_ROOT_SECRET": "a root secret for tests"}[name]
	}
	secrets, err := tenant.LoadSecrets(dir, env, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	r := &Rig{Secrets: secrets, Config: &config.Admin{Token: AdminToken}, Log: Decided(t)}
	cfg := r.configured(t)
	directory, problems := tenant.Build(cfg, secrets)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	book, err := keys.Open(keys.Options{DataDir: dir, Sealer: secrets, Log: slog.New(slog.DiscardHandler), Now: Now})
	if err != nil {
		t.Fatal(err)
	}
	directory.Obey(book)
	of := func() *tenant.Directory { return directory }
	r.Desk = &signin.Desk{Sealer: secrets, Config: func() *config.Admin { return r.Config }, Tenants: of, Now: Now}
	r.Office = &admin.Office{Book: book, Secrets: secrets, Tenants: of, Now: Now}
	r.Sources = views.Sources{
		Requests: &api.All{Own: r.Log}, Ledger: ledger, Tenants: of, Now: Now, Keys: r.Office.List, Budgets: budgets,
		Statements: statements(t), Standing: stands,
		Ahead:     func() forecast.Ahead { return forecast.Ahead{} },
		Prices:    func() *record.PriceBook { return nil },
		Baselines: func() []saving.Baseline { return nil },
		Payers:    func() report.Tenants { return report.TenantsOf(cfg.Tenants) },
		Models:    func() map[string]string { return nil },
		Health:    func() (bool, []views.Fact) { return true, []views.Fact{{What: "ledger", State: "well"}} },
	}
	r.Shelf = views.New(r.Sources)
	return r
}

// statements has one of acme.
func statements(t testing.TB) statement.Dir {
	t.Helper()
	d := statement.Dir(t.TempDir())
	amounts := statement.Amounts{MeteredUSD: "3.00", CorrectionsUSD: "0.00", SharedUSD: "1.00", TotalUSD: "4.00",
		DiscountUSD: "0.00", SuspenseUSD: "0.00"}
	_, err := d.Write(&statement.Statement{
		Format: "sluice-statement-1", Root: "acme", Month: "2026-10", Zone: "UTC", Currency: "USD", Totals: amounts,
		From: time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC), To: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC),
		ClosedAt: Now(), UpTo: map[string]uint64{}, Lines: []statement.Line{}, Tenants: []statement.Tenant{
			{Tenant: "acme/app", MeteredUSD: "2.00", SharedUSD: "1.00", TotalUSD: "3.00"},
			{Tenant: "acme/apps", MeteredUSD: "1.00", SharedUSD: "0.00", TotalUSD: "1.00"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// configured is a configuration of all tenants, each with a key.
func (r *Rig) configured(t testing.TB) *config.Config {
	t.Helper()
	r.Bearers = map[string]string{}
	cfg := &config.Config{}
	for _, id := range Tenants() {
		key, err := r.Secrets.NewKeyID(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		c, err := r.Secrets.Credentials(key)
		if err != nil {
			t.Fatal(err)
		}
		r.Bearers[id] = c.Bearer
		one := config.Tenant{ID: id, Keys: []string{key}}
		if id == "other" {
			one.RenamedFrom = "was-other"
		}
		cfg.Tenants = append(cfg.Tenants, one)
	}
	return cfg
}

// stands has a pool with a member that is out, a quota, and capacity that all tenants use, of which nobody bears what
// is idle.
func stands() *standing.State {
	return &standing.State{
		Members: []standing.Member{{Pool: "claude", Order: "weights", Upstream: "west", Region: "us-west-2",
			Account: "210987654321", Role: "arn:aws:iam::210987654321:role/bedrock", Weight: 1, Out: []failover.Out{
				{Upstream: "west", Why: failover.Unreached, Since: Now().Add(-time.Minute), Until: Now().Add(time.Second)},
			}}},
		Quotas: []quota.State{{Key: quota.Key{Upstream: "west", Models: "model-*"}, Limits: quota.Limits{Tokens: 1000},
			Tokens: 700, Running: 200, Waiting: 2, Least: 5, Most: 15}},
		Capacity: []config.Capacity{{Name: "floor", Kind: config.CapacityProvisioned, ARN: "model-1", Units: 2,
			Models: []string{"model-0"}, Hour: 30 * money.Dollar, From: Now().AddDate(0, -1, 0)}},
		Spills: map[string]standing.Calls{"floor": {Served: 5, Left: map[string]int64{"throttled": 3, "full": 4}}},
	}
}

// budgets are one of each tenant.
func budgets(_ context.Context, below string) ([]forecast.State, error) {
	var all []forecast.State
	for i, id := range Tenants() {
		if below == "" || record.Within(id, below) {
			all = append(all, forecast.State{
				Tenant: id, Period: "month", OnExceed: "reject", Start: Now().AddDate(0, 0, -28),
				End: Now().AddDate(0, 0, 2), AsOf: Now(),
				Limit: money.Pico(100e12), Spent: money.Pico(1e12 * int64(i)),
				Left: money.Pico(100e12 - 1e12*int64(i)),
			})
		}
	}
	return all, nil
}
