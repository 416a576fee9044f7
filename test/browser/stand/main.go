// Command stand serves the page over made-up counters of a month, for browsers to go through:
// the real page, API, sign-in and ledger, at / and behind a prefix as a proxy would have it.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/api"
	"github.com/sluice-gateway/sluice/internal/dashboard"
	"github.com/sluice-gateway/sluice/internal/decision"
	decisions "github.com/sluice-gateway/sluice/internal/decision/api"
	"github.com/sluice-gateway/sluice/internal/failover"
	"github.com/sluice-gateway/sluice/internal/forecast"
	"github.com/sluice-gateway/sluice/internal/keys"
	"github.com/sluice-gateway/sluice/internal/keys/admin"
	"github.com/sluice-gateway/sluice/internal/meter/embedded"
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/quota"
	"github.com/sluice-gateway/sluice/internal/report"
	"github.com/sluice-gateway/sluice/internal/saving"
	"github.com/sluice-gateway/sluice/internal/signin"
	"github.com/sluice-gateway/sluice/internal/snapshot"
	"github.com/sluice-gateway/sluice/internal/standing"
	"github.com/sluice-gateway/sluice/internal/statement"
	"github.com/sluice-gateway/sluice/internal/tenant"
	"github.com/sluice-gateway/sluice/internal/views"
)

const (
	token = "the admin token"
	light = "amazon.nova-lite-v1:0"
	large = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
)

// now is the time of the stand: an evening of a month, the last one unless it is told.
var now = time.Date(2026, 10, 31, 20, 0, 0, 0, time.UTC)

func clock() time.Time { return now }

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "where to listen")
	teams := flag.Int("teams", 200, "how many tenants")
	hours := flag.Int("hours", 24, "in how many hours of a day they have traffic")
	times := flag.Bool("times", false, "print what each view takes, first and in the median of later ones, and end")
	day := flag.Int("day", now.Day(), "of the month that it is")
	flag.Parse()
	now = time.Date(now.Year(), now.Month(), *day, now.Hour(), 0, 0, 0, time.UTC)
	if err := run(*listen, *teams, *hours, *times); err != nil {
		log.Fatal(err)
	}
}

func run(listen string, teams, hours int, times bool) error {
	dir, err := os.MkdirTemp("", "sluice-stand")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	secrets, err := tenant.LoadSecrets(dir, func(string) string { return "" }, source{rand.New(rand.NewPCG(1, 2))})
	if err != nil {
		return err
	}
	s, bearer, err := compiled(dir, teams, secrets)
	if err != nil {
		return err
	}
	book, err := keys.Open(keys.Options{DataDir: dir, Sealer: secrets, Log: slog.New(slog.DiscardHandler),
		Now: clock})
	if err != nil {
		return err
	}
	s.Tenants.Obey(book)
	state := &embedded.State{}
	if err := fill(state, s.Config.Tenants, hours); err != nil {
		return err
	}
	board := &forecast.Board{}
	budgets := forecast.Source{Policies: s.Budgets, Ledger: state, HeldKnown: true}
	if err := board.Refresh(context.Background(), &budgets, now); err != nil {
		return err
	}
	log, err := decided(dir, s.Config.Tenants)
	if err != nil {
		return err
	}
	st, err := closed(dir)
	if err != nil {
		return err
	}
	wire := func() (http.Handler, *views.Shelf) { return wired(s, state, book, secrets, board, log, st) }
	if times {
		return printTimes(os.Stdout, wire)
	}
	handler, _ := wire()
	mux := http.NewServeMux()
	mux.Handle("/some/prefix/", http.StripPrefix("/some/prefix", handler))
	mux.Handle("/", handler)
	mux.HandleFunc("GET /keys-of-the-stand", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"key":%q}`, bearer)
	})
	return (&http.Server{Addr: listen, Handler: mux, ReadHeaderTimeout: time.Second}).ListenAndServe()
}

// source makes the same bytes each time.
type source struct{ *rand.Rand }

func (s source) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(s.Uint32())
	}
	return len(p), nil
}

// compiled is a configuration of so many tenants, ten to a root, and a cascade, with a key of
// the first tenant.
func compiled(dir string, teams int, secrets *tenant.Secrets) (*snapshot.Snapshot, string, error) {
	id, err := secrets.NewKeyID(source{rand.New(rand.NewPCG(3, 4))})
	if err != nil {
		return nil, "", err
	}
	var text strings.Builder
	fmt.Fprintf(&text, "data_dir: %s\nupstream: {region: us-east-1, endpoint: sandbox}\nadmin: {token: %q}\n", dir,
		token)
	fmt.Fprintf(&text, "cascades:\n  - {name: support, match: 'true', light: %q, escalation: %q}\ntenants:\n", light,
		large)
	for i := range teams {
		fmt.Fprintf(&text,
			"  - {id: %s, cost_center: \"cc-%d\", budgets: [{period: month, usd: %d}], output_tokens: {default: 500, max: %d}",
			name(i), i/10, 4+i%17, 1000+500*(i%3))
		if i == 0 {
			fmt.Fprintf(&text, ", keys: [%s]", id)
		}
		text.WriteString("}\n")
	}
	file := dir + "/sluice.yaml"
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		return nil, "", err
	}
	cfg, err := config.Load(file, func(string) string { return "" })
	if err != nil {
		return nil, "", err
	}
	s, problems := snapshot.Compile(cfg, secrets, now)
	if err := cfg.Report(problems); err != nil {
		return nil, "", err
	}
	c, err := secrets.Credentials(id)
	return s, c.Bearer, err
}

func name(i int) string {
	teams := []string{"support", "search", "billing", "web", "mobile", "risk", "sales", "legal", "data", "research"}
	roots := []string{"acme", "globex", "initech", "umbrella", "hooli"}
	root := roots[i/10%len(roots)]
	if n := i / 10 / len(roots); n > 0 {
		root = fmt.Sprintf("%s-%d", root, n)
	}
	return root + "/" + teams[i%10]
}

// fill posts two months of counters.
func fill(state *embedded.State, tenants []config.Tenant, hours int) error {
	r := rand.New(rand.NewPCG(5, 6))
	seq := map[string]uint64{}
	for i := range tenants {
		of := tenants[i].ID
		root, _, _ := strings.Cut(of, "/")
		b := ledger.Batch{Writer: "stand", Epoch: 1, Root: root, From: seq[root] + 1}
		for at := now.AddDate(0, -2,
			0).Truncate(24 * time.Hour); at.Before(now); at = at.Add(24 * time.Hour / time.Duration(hours)) {
			for _, path := range []string{"light", "escalated"} {
				seq[root]++
				b.Postings = append(b.Postings, posting(seq[root], root, of, path, at, i, r))
			}
		}
		b.To = seq[root]
		if _, err := state.Apply(context.Background(), &b); err != nil {
			return err
		}
	}
	return nil
}

func posting(seq uint64, root, of, path string, at time.Time, i int, r *rand.Rand) record.Posting {
	n := int64(3+r.IntN(20)) * int64(1+i%7) / int64(map[bool]int{true: 3, false: 1}[at.Weekday()%6 == 0])
	p := record.Posting{Seq: seq, Root: root, Row: record.RowKey{
		Hour: at, Tenant: of, Key: fmt.Sprintf("SLKKEY%d", i), Model: light, Scope: "foundation", Tier: "standard",
		Cascade: "support",
		Path:    path, PriceVersion: "p1", Region: "us-east-1",
	}, Add: record.Counters{
		Requests: n, Legs: n, Input: 900 * n, Output: 210 * n, CostInput: money.Pico(900 * n * 60_000),
		CostOutput: money.Pico(210 * n * 240_000), CacheRead: 300 * n, CostCacheRead: money.Pico(300 * n * 15_000),
		TokensCut: n % 40, CapHits: n % 7,
	}}
	if path == "escalated" {
		m := n/9 + 1
		p.Row.Model = large
		p.Add = record.Counters{
			Requests: m, Legs: m, Escalated: m, Input: 900 * m, Output: 420 * m,
			CostInput:  money.Pico(900 * m * 3_000_000),
			CostOutput: money.Pico(420 * m * 15_000_000), CostWasted: money.Pico(m * 60_000_000),
		}
	}
	if r.IntN(300) == 0 {
		p.Add.Unknown, p.Add.SuspenseTokens, p.Add.Suspense = 1, 1200, money.Pico(5e9)
	}
	return p
}

func wired(s *snapshot.Snapshot, state *embedded.State, book *keys.Book, secrets *tenant.Secrets,
	board *forecast.Board, log *decision.Log, closed statement.Dir,
) (http.Handler, *views.Shelf) {
	tenants := func() *tenant.Directory { return s.Tenants }
	office := &admin.Office{Book: book, Secrets: secrets, Tenants: tenants, Now: clock}
	desk := &signin.Desk{Sealer: secrets, Config: func() *config.Admin { return &s.Config.Admin },
		Tenants: tenants, Now: clock}
	shelf := views.New(views.Sources{
		Ledger: state, Tenants: tenants, Now: clock, Keys: office.List,
		Baselines: func() []saving.Baseline { return s.Baselines() },
		Prices:    func() *record.PriceBook { return s.Prices },
		Requests:  &decisions.All{Own: log}, Statements: closed, Standing: stands(),
		Gateways: func(context.Context) ([]report.Gateway, error) {
			return []report.Gateway{{Name: "gw-1", UpTo: now}, {Name: "gw-2", UpTo: now.Add(-2 * time.Second)}}, nil
		},
		Ahead:   func() forecast.Ahead { return board.Ahead(now) },
		Payers:  func() report.Tenants { return report.TenantsOf(s.Config.Tenants) },
		Models:  func() map[string]string { return s.Config.Behind },
		Budgets: func(_ context.Context, below string) ([]forecast.State, error) { return board.States(below, now) },
		Health: func() (bool, []views.Fact) {
			return true, []views.Fact{{What: "records that wait for the ledger", State: "0"},
				{What: "requests in flight", State: "12"}}
		},
	})
	mux := http.NewServeMux()
	mux.Handle("/api/", (&api.API{
		Desk: desk, Shelf: shelf, Keys: http.NotFoundHandler(), Decisions: decisions.Handler(log),
	}).Handler())
	mux.Handle("/", dashboard.New(desk, shelf, office).Handler())
	return mux, shelf
}

// stands has a member of a pool that is out, one that is in, a quota with calls in line, and capacity that the light
// model's calls were served by.
func stands() func() *standing.State {
	s := &standing.State{
		Members: []standing.Member{
			{Pool: "claude", Order: "weights", Upstream: "default", Region: "us-east-1", Weight: 3},
			{Pool: "claude", Order: "weights", Upstream: "west", Region: "us-west-2", Account: "210987654321",
				Role: "arn:aws:iam::210987654321:role/bedrock", Weight: 1, Out: []failover.Out{{Upstream: "west", Model: large,
					Why: failover.Throttled, Since: now.Add(-time.Minute), Until: now.Add(time.Minute)}}},
		},
		Quotas: []quota.State{{Key: quota.Key{Upstream: "west", Models: "us.anthropic.claude-*"}, Waiting: 2, Tokens: 170_000,
			Running: 60_000, Requests: 12, Limits: quota.Limits{Tokens: 200_000}, Least: 5, Most: 15, Cap: 1024, Freed: 90_000}},
		Capacity: []config.Capacity{{Name: "floor <b>", Kind: config.CapacityProvisioned, ARN: light, Units: 2,
			Models: []string{light}, Input: 100_000, Hour: 30 * money.Dollar, Term: "1-month", From: now.AddDate(0, 0, -40)}},
		Spills: map[string]standing.Calls{"floor <b>": {Served: 5, Left: map[string]int64{"throttled": 3, "full": 4}}},
	}
	return func() *standing.State { return s }
}

// closed has the statement of a month of one root.
func closed(dir string) (statement.Dir, error) {
	d := statement.Dir(dir + "/statements")
	month := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
	_, err := d.Write(&statement.Statement{
		Format: "sluice-statement-1", Root: "acme", Month: month.AddDate(0, -1, 0).Format("2006-01"), Zone: "UTC",
		Currency: "USD", From: month.AddDate(0, -1, 0), To: month, ClosedAt: month.Add(10 * time.Hour), ClosedBy: "ann",
		UpTo: map[string]uint64{}, Lines: []statement.Line{}, Totals: statement.Amounts{
			MeteredUSD: "18211.40", CorrectionsUSD: "0.00", SharedUSD: "4000.00", TotalUSD: "22211.40", DiscountUSD: "0.00",
			SuspenseUSD: "0.00",
		},
		Tenants: []statement.Tenant{
			{Tenant: "acme/support", MeteredUSD: "12211.40", SharedUSD: "3000.00", TotalUSD: "15211.40"},
			{Tenant: "acme/search", MeteredUSD: "6000.00", SharedUSD: "1000.00", TotalUSD: "7000.00"},
		},
	})
	return d, err
}
