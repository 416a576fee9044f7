package budget_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter/budget"
	"github.com/sluice-gateway/sluice/internal/meter/embedded"
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/meter/redis"
	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
	"github.com/sluice-gateway/sluice/internal/money"
)

// books is a ledger as these tests need it. Both ledgers are one.
type books interface {
	ledger.Ledger
	ledger.Leaser
	Windows(ctx context.Context, root string) ([]ledger.WindowBook, error)
}

// town is several gateways that share one ledger, and the requests under way.
type town struct {
	t        testing.TB
	books    books
	root     string
	policy   *budget.Policy
	limits   map[record.Unit]int64
	gateways []*gateway
	open     []*request
}

type gateway struct {
	*budget.Limiter
	poster *poster
}

// request is one that was let in. It may come to anything up to its bound.
type request struct {
	from  *gateway
	res   *budget.Reservation
	hold  *budget.Hold
	bound budget.Amounts
}

// pace is how fast limiters tend their leases.
type pace struct{ every, renew, idle, patience, pause time.Duration }

func newTown(t testing.TB, b books, root string, usd, tokens int64, p pace) *town {
	t.Helper()
	policies, err := budget.Compile([]config.Tenant{{
		ID: root, Limits: config.Limits{TokensPerMinute: tokens, ConcurrentRequests: 50},
		Budgets: []config.Budget{{Period: "month", USD: money.Pico(1000 * usd), OnExceed: "reject", TimeZone: "UTC"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	w := &town{
		t: t, books: b, root: root, policy: policies.For(root),
		limits: map[record.Unit]int64{record.UnitUSD: usd, record.UnitTokens: tokens, record.UnitConcurrent: 50},
	}
	for _, name := range []string{"a", "b", "c"} {
		post := &poster{ledger: b, root: root, writer: name}
		w.gateways = append(w.gateways, &gateway{poster: post, Limiter: budget.New(budget.Options{
			Leaser: b, Writer: name, Epoch: 1, Numbers: post.numbers, Timeout: 10 * time.Second,
			Every: p.every, Renew: p.renew, Idle: p.idle, Patience: p.patience, Pause: p.pause,
		})})
	}
	return w
}

// live lets the town do anything for a while, then ends every request at its
// bound.
func (w *town) live(rt *rapid.T, waits []time.Duration) {
	rt.Repeat(map[string]func(*rapid.T){
		"reserve": w.reserve, "burst": w.burst, "end": w.end,
		"wait": func(rt *rapid.T) { time.Sleep(rapid.SampledFrom(waits).Draw(rt, "wait")) },
		"":     func(rt *rapid.T) { w.within(rt) },
	})
	for _, r := range w.open {
		r.complete(w.t, r.bound)
	}
	w.within(rt)
	for _, g := range w.gateways {
		if err := g.Close(context.Background()); err != nil {
			rt.Error(err)
		}
	}
	for _, b := range w.within(rt) {
		if b.Held != 0 {
			rt.Errorf("%d is held of %v", b.Held, b.Window)
		}
	}
}

// within wants every window inside its limit, and returns them all.
func (w *town) within(rt *rapid.T) []ledger.WindowBook {
	all, err := w.books.Windows(context.Background(), w.root)
	if err != nil {
		rt.Fatal(err)
	}
	for _, b := range all {
		if b.Posted+b.Held+b.Suspense > w.limits[b.Unit] {
			rt.Fatalf("%+v is above the limit of %d %v", b.WindowState, w.limits[b.Unit], b.Window)
		}
	}
	return all
}

func (w *town) ask(g *gateway, bound budget.Amounts) (*request, *budget.Refusal) {
	res, refusal := g.Reserve(context.Background(), &budget.Claim{Policy: w.policy, Cost: bound}, time.Now())
	if refusal != nil {
		return nil, refusal
	}
	return &request{g, res, res.Attempt(bound), bound}, nil
}

func anyBound(rt *rapid.T) budget.Amounts {
	return budget.Amounts{
		record.UnitUSD: rapid.Int64Range(1, 400).
			Draw(rt, "usd"),
		record.UnitTokens:   rapid.Int64Range(1, 100).Draw(rt, "tokens"),
		record.UnitRequests: 1, record.UnitConcurrent: 1,
	}
}

// reserve lets one request in, or wants that it did not fit.
func (w *town) reserve(rt *rapid.T) {
	g, bound := rapid.SampledFrom(w.gateways).Draw(rt, "gateway"), anyBound(rt)
	fits := w.fits(rt, g, bound)
	r, refusal := w.ask(g, bound)
	switch {
	case refusal == nil:
		w.open = append(w.open, r)
	case fits && refusal.Reason == budget.UsedUp:
		rt.Fatalf("%v was refused, which fits: %+v", bound, refusal)
	}
}

// fits is whether what nobody leased, and what the gateway leased and does
// not hold, cover a bound in every window.
func (w *town) fits(rt *rapid.T, g *gateway, bound budget.Amounts) bool {
	own := budget.Amounts{}
	for _, r := range w.open {
		if r.from == g {
			own = own.Plus(r.bound)
		}
	}
	left := map[record.Unit]int64{}
	for _, b := range w.within(rt) {
		if !b.End.IsZero() && !b.End.After(time.Now()) {
			continue
		}
		left[b.Unit] = w.limits[b.Unit] - b.Posted - b.Held - b.Suspense
		for _, a := range b.Accounts {
			if a.Writer == g.poster.writer && !a.Expired {
				left[b.Unit] += a.Remains - own[b.Unit]
			}
		}
	}
	for unit, limit := range w.limits {
		room, known := left[unit]
		if !known {
			room = limit
		}
		if room < bound[unit] {
			return false
		}
	}
	return true
}

// burst asks at all gateways at once.
func (w *town) burst(rt *rapid.T) {
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, g := range w.gateways {
		for range rapid.IntRange(0, 4).Draw(rt, "requests") {
			bound := anyBound(rt)
			all.Go(func() {
				r, refusal := w.ask(g, bound)
				if refusal == nil {
					mu.Lock()
					defer mu.Unlock()
					w.open = append(w.open, r)
				}
			})
		}
	}
	all.Wait()
}

// end ends one request: for anything up to its bound, for nothing, or unknown.
func (w *town) end(rt *rapid.T) {
	if len(w.open) == 0 {
		rt.Skip("nothing is open")
	}
	i := rapid.IntRange(0, len(w.open)-1).Draw(rt, "request")
	r := w.open[i]
	w.open = append(w.open[:i], w.open[i+1:]...)
	switch rapid.SampledFrom([]string{"completed", "completed", "failed", "unknown"}).Draw(rt, "outcome") {
	case "failed":
		r.hold.Release()
		r.res.Release()
	case "unknown":
		charges := r.hold.Charges()
		for i := range charges {
			charges[i].Suspense = true
		}
		r.from.poster.post(w.t, charges)
		r.hold.Unknown()
		r.res.Release()
	default:
		spent := r.bound
		for _, unit := range [...]record.Unit{record.UnitUSD, record.UnitTokens} {
			spent[unit] = rapid.Int64Range(0, r.bound[unit]).Draw(rt, "spent")
		}
		r.complete(w.t, spent)
	}
}

func (r *request) complete(t testing.TB, spent budget.Amounts) {
	t.Helper()
	charges := r.hold.Charges()
	for i := range charges {
		charges[i].Amount = spent[charges[i].Window.Unit]
	}
	r.from.poster.post(t, charges)
	r.hold.Settle(spent)
	r.res.Release()
}

// TestLimitHolds is the theorem on the embedded ledger: as long as nothing costs
// more than its bound, no window goes above its limit, and nothing that fits is
// refused.
func TestLimitHolds(t *testing.T) {
	waits := []time.Duration{time.Millisecond, 150 * time.Millisecond, 1100 * time.Millisecond, 70 * time.Second}
	rapid.Check(t, func(rt *rapid.T) {
		usd, tokens := rapid.Int64Range(1, 20_000).Draw(rt, "usd limit"), rapid.Int64Range(1, 4000).Draw(rt, "tokens limit")
		synctest.Test(t, func(t *testing.T) {
			newTown(t, &embedded.State{}, "acme", usd, tokens, pace{}).live(rt, waits)
		})
	})
}

// TestLimitHoldsOnRedis is the theorem on Redis, in real time.
func TestLimitHoldsOnRedis(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a redis-server; not with -short")
	}
	server := redistest.NewServer(t)
	ledger, err := redis.New(
		redis.Options{
			URL: server.URL() + "?read_timeout=30s&pool_timeout=30s",
			Log: slog.New(slog.DiscardHandler),
			Now: time.Now,
		},
	)
	if err != nil {
		t.Fatal(err)
	}
	defer ledger.Close()
	fast := pace{
		5 * time.Millisecond,
		20 * time.Millisecond,
		20 * time.Millisecond,
		5 * time.Millisecond,
		time.Millisecond,
	}
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		if n++; n > 25 { // each takes as long as it lasts
			return
		}
		usd, tokens := rapid.Int64Range(1, 20_000).Draw(rt, "usd limit"), rapid.Int64Range(1, 4000).Draw(rt, "tokens limit")
		newTown(
			t,
			ledger,
			fmt.Sprint("acme", n),
			usd,
			tokens,
			fast,
		).live(rt, []time.Duration{time.Millisecond, 30 * time.Millisecond})
	})
}

// TestMaxDollars holds the largest budget that the configuration takes to what the
// counters of a ledger hold.
func TestMaxDollars(t *testing.T) {
	if most := int64(config.MaxDollars*money.Dollar) / 1000; most != record.MaxValue {
		t.Errorf("%d, want %d", most, int64(record.MaxValue))
	}
}
