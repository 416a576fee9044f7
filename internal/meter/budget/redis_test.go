package budget_test

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter/budget"
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/meter/redis"
	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
	"github.com/sluice-gateway/sluice/internal/money"
)

// poster posts what one writer charges, as the pump does, one record a batch.
type poster struct {
	ledger ledger.Ledger
	root   string
	writer string

	mu  sync.Mutex // guards seq
	seq uint64
}

func (p *poster) numbers(string) (head, applied uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seq, p.seq
}

func (p *poster) post(t testing.TB, charges []record.Charge) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seq++
	posting := record.Posting{
		Seq:     p.seq,
		Root:    p.root,
		Row:     record.RowKey{Hour: time.Now().UTC().Truncate(time.Hour), Tenant: p.root},
		Charges: charges,
	}
	reply, err := p.ledger.Apply(context.Background(), &ledger.Batch{
		Writer: p.writer, Epoch: 1, Root: p.root, From: p.seq, To: p.seq, Postings: []record.Posting{posting},
	})
	if err != nil || reply.Watermark != p.seq {
		t.Errorf("watermark %d of %d: %v", reply.Watermark, p.seq, err)
	}
}

// TestLastDollarOnRedis lets four gateways race for the last dollar of three
// budgets, with a real Redis between them.
func TestLastDollarOnRedis(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a redis-server; not with -short")
	}
	server := redistest.NewServer(t)
	store, err := redis.New(redis.Options{URL: server.URL(), Log: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	policies, err := budget.Compile([]config.Tenant{
		tenantOf("acme", 2*money.Dollar), tenantOf("acme/team", money.Dollar), tenantOf("acme/team/app", money.Dollar),
	})
	if err != nil {
		t.Fatal(err)
	}
	const hold = 30_000_000
	amounts := budget.Amounts{record.UnitUSD: hold}
	claim := &budget.Claim{Policy: policies.For("acme/team/app"), Cost: amounts}
	var served atomic.Int64
	var all sync.WaitGroup
	var limiters []*budget.Limiter
	for _, writer := range []string{"a", "b", "c", "d"} {
		p := &poster{ledger: store, root: "acme", writer: writer}
		d := budget.New(budget.Options{Leaser: store, Writer: writer, Epoch: 1, Numbers: p.numbers, Timeout: 5 * time.Second})
		limiters = append(limiters, d)
		for range 250 {
			all.Go(func() {
				res, refusal := d.Reserve(context.Background(), claim, time.Now())
				if refusal != nil {
					if refusal.Reason != budget.UsedUp {
						t.Errorf("%+v", refusal)
					}
					return
				}
				defer res.Release()
				h := res.Attempt(claim.Cost)
				p.post(t, h.Charges())
				h.Settle(amounts)
				served.Add(1)
			})
		}
	}
	all.Wait()
	for _, d := range limiters {
		if err := d.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}
	if served.Load() != 33 {
		t.Errorf("%d served, want 33", served.Load())
	}
	books, err := store.Windows(context.Background(), "acme")
	if err != nil || len(books) != 3 {
		t.Fatalf("%d windows: %v", len(books), err)
	}
	for _, b := range books {
		if b.WindowState != (ledger.WindowState{Posted: served.Load() * hold}) {
			t.Errorf("%s: %+v", b.Tenant, b.WindowState)
		}
	}
}

func tenantOf(id string, usd money.Pico) config.Tenant {
	return config.Tenant{
		ID:      id,
		Budgets: []config.Budget{{Period: "month", USD: usd, OnExceed: "reject", TimeZone: "UTC"}},
	}
}
