package api_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/api"
	"github.com/sluice-gateway/sluice/internal/decision"
	"github.com/sluice-gateway/sluice/internal/forecast"
	"github.com/sluice-gateway/sluice/internal/keys"
	"github.com/sluice-gateway/sluice/internal/keys/admin"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/report"
	"github.com/sluice-gateway/sluice/internal/saving"
	"github.com/sluice-gateway/sluice/internal/signin"
	"github.com/sluice-gateway/sluice/internal/tenant"
	"github.com/sluice-gateway/sluice/internal/views"
)

var now = time.Date(2026, 11, 29, 8, 0, 0, 0, time.UTC)

// rows is a ledger.
type rows []struct {
	key record.RowKey
	add record.Counters
}

func (r rows) Rows(_ context.Context, from, to time.Time, yield func(record.RowKey, record.Counters) error) error {
	for _, x := range r {
		if !x.key.Hour.Before(from) && x.key.Hour.Before(to) {
			if err := yield(x.key, x.add); err != nil {
				return err
			}
		}
	}
	return nil
}

// tenants of the tests: two roots, one with a tree.
var tenants = []string{"acme", "acme/app", "acme/app/web", "acme/apps", "other", "other/x"}

// counted are legs of every tenant in this month and in the one before.
func counted() rows {
	var all rows
	for i, id := range tenants {
		for day := range 40 {
			n := int64(i + day + 1)
			path := []string{"direct", "light", "escalated"}[day%3]
			all = append(all, struct {
				key record.RowKey
				add record.Counters
			}{record.RowKey{
				Hour: now.Truncate(time.Hour).Add(-time.Duration(day) * 23 * time.Hour), Tenant: id, Key: "SLK" + id,
				Path:  path,
				Model: fmt.Sprintf("model-%d", day%4), Cascade: map[bool]string{true: "support"}[day%2 == 0],
			}, record.Counters{
				Requests: n, Legs: n + 1, Escalated: n % 2, Input: 1000 * n, Output: 77 * n,
				CacheRead: int64(day % 5),
				CostInput: money.Pico(3_000_000 * 1000 * n), CostOutput: money.Pico(15_000_000 * 77 * n),
				CostWasted: money.Pico(n), Unknown: n % 3 / 2, Suspense: money.Pico(n % 3 * 1e6), TokensCut: n,
			}})
		}
	}
	return all
}

// decisionID is the id of the n-th request of the tests.
func decisionID(n int) string {
	id := ulid.ULID{15: byte(n)}
	if err := id.SetTime(ulid.Timestamp(now.Add(time.Duration(n-100) * time.Minute))); err != nil {
		panic(err)
	}
	return id.String()
}

// decided is a log with a request of each tenant that was served, one that was refused, and at
// last one of nobody.
func decided(t *testing.T) *decision.Log {
	t.Helper()
	l, err := decision.Open(decision.Options{
		File: filepath.Join(t.TempDir(), "decisions.db"), Keep: 24 * time.Hour, MaxBytes: 1 << 30,
		Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return now }, Dropped: func(int) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close(context.Background()) })
	add := func(n int, d decision.Decision) {
		d.ID, d.Received = decisionID(n), now.Add(time.Duration(n-100)*time.Minute)
		l.Add(&d)
	}
	for i, id := range tenants {
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
	add(2*len(tenants), decision.Decision{Status: 403, Error: "AccessDeniedException", Step: "authenticate",
		Claimed: "SLKCLAIMED"})
	return l
}

// rig is the API over a ledger, with one key for each tenant.
type rig struct {
	handler http.Handler
	desk    *signin.Desk
	shelf   *views.Shelf
	sources views.Sources
	keys    map[string]string // bearers by tenant
	book    *keys.Book
	office  *admin.Office
	secrets *tenant.Secrets
	config  *config.Admin
}

const adminToken = "the admin token"

func newRig(t *testing.T, ledger rows) *rig {
	t.Helper()
	dir := t.TempDir()
	env := func(name string) string {
		return map[string]string{"SLUICE_ROOT_SECRET": "a root secret for tests"}[name]
	}
	secrets, err := tenant.LoadSecrets(dir, env, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{keys: map[string]string{}, secrets: secrets, config: &config.Admin{Token: adminToken}}
	cfg := &config.Config{}
	for _, id := range tenants {
		key, err := secrets.NewKeyID(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		c, err := secrets.Credentials(key)
		if err != nil {
			t.Fatal(err)
		}
		r.keys[id] = c.Bearer
		one := config.Tenant{ID: id, Keys: []string{key}}
		if id == "other" {
			one.RenamedFrom = "was-other"
		}
		cfg.Tenants = append(cfg.Tenants, one)
	}
	directory, problems := tenant.Build(cfg, secrets)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if r.book, err = keys.Open(keys.Options{
		DataDir: dir, Sealer: secrets, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return now },
	}); err != nil {
		t.Fatal(err)
	}
	directory.Obey(r.book)
	of := func() *tenant.Directory { return directory }
	r.desk = &signin.Desk{
		Sealer: secrets, Config: func() *config.Admin { return r.config },
		Tenants: of, Now: func() time.Time { return now },
	}
	r.office = &admin.Office{Book: r.book, Secrets: secrets, Tenants: of, Now: func() time.Time { return now }}
	r.sources = views.Sources{
		Requests: decided(t),
		Ledger:   ledger, Tenants: of, Now: func() time.Time { return now },
		Prices:    func() *record.PriceBook { return nil },
		Baselines: func() []saving.Baseline { return nil },
		Payers:    func() report.Tenants { return report.TenantsOf(cfg.Tenants) },
		Keys:      r.office.List,
		Models:    func() map[string]string { return nil },
		Budgets: func(_ context.Context, below string) ([]forecast.State, error) {
			var all []forecast.State
			for i, id := range tenants {
				if below == "" || tenant.Within(id, below) {
					all = append(all, forecast.State{
						Tenant: id, Period: "month", OnExceed: "reject", Start: now.AddDate(0, 0, -28),
						End: now.AddDate(0, 0, 2), AsOf: now,
						Limit: money.Pico(100e12), Spent: money.Pico(1e12 * int64(i)),
						Left: money.Pico(100e12 - 1e12*int64(i)),
					})
				}
			}
			return all, nil
		},
		Health: func() (bool, []views.Fact) { return true, []views.Fact{{What: "ledger", State: "well"}} },
	}
	r.serve()
	return r
}

// serve begins to serve what the sources have.
func (r *rig) serve() {
	r.shelf = views.New(r.sources)
	r.handler = (&api.API{Desk: r.desk, Shelf: r.shelf, Keys: http.NotFoundHandler()}).Handler()
}

// get asks with a bearer token, "" for none.
func (r *rig) get(t *testing.T, path, bearer string) (int, http.Header, string) {
	t.Helper()
	return r.do(t, http.MethodGet, path, bearer)
}

func (r *rig) do(t *testing.T, method, path, bearer string) (int, http.Header, string) {
	t.Helper()
	req := httptest.NewRequest(method, path, nil)
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	w := httptest.NewRecorder()
	r.handler.ServeHTTP(w, req)
	body, err := io.ReadAll(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, w.Header(), string(body)
}
