package redis

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/ledgertest"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// TestLeasesAgainstReference sends any requests, honest or not, to this ledger and
// to the reference, and wants the same answers and the same windows.
func TestLeasesAgainstReference(t *testing.T) {
	f := newFaults(t)
	tb := t
	rapid.Check(t, func(t *rapid.T) {
		s, done := f.leases(tb, theScripts())
		defer done()
		model := newReference(s.Now)
		for range rapid.IntRange(1, 40).Draw(t, "requests") {
			gateway := s.Gateways[rapid.IntRange(0, 2).Draw(t, "gateway")]
			ask := anyRequest(t, model)
			want, wantErr := ask(t.Context(), model)
			got, err := ask(t.Context(), gateway)
			if kindOf(err) != kindOf(wantErr) {
				t.Fatalf("%v; the model says %v", err, wantErr)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("answers (-model +redis)\n%s", diff)
			}
			compareWindows(t, model, gateway)
		}
	})
}

func kindOf(err error) error {
	if errors.Is(err, ledger.ErrBadRequest) {
		return ledger.ErrBadRequest
	}
	return kind(err)
}

// compareWindows wants the same windows. Accounts that hold nothing may be kept
// or not.
func compareWindows(t *rapid.T, model, redis ledgertest.Leaser) {
	t.Helper()
	read := func(l ledgertest.Leaser) map[record.Window]ledger.WindowBook {
		all, err := l.Windows(t.Context(), "acme")
		if err != nil {
			t.Fatal(err)
		}
		out := make(map[record.Window]ledger.WindowBook)
		for _, b := range all {
			var kept []ledger.AccountBook
			for _, a := range b.Accounts {
				if a.Granted == 0 && a.Remains == 0 {
					a.Epoch, a.Returned, a.Expired = 0, 0, false
				}
				if a != (ledger.AccountBook{Writer: a.Writer}) {
					kept = append(kept, a)
				}
			}
			b.Accounts = kept
			if b.WindowState != (ledger.WindowState{}) || len(kept) > 0 {
				out[b.Window] = b
			}
		}
		return out
	}
	if diff := cmp.Diff(read(model), read(redis)); diff != "" {
		t.Fatalf("windows (-model +redis)\n%s", diff)
	}
}

// anyRequest draws a call. Both ledgers get the same one.
func anyRequest(t *rapid.T, model *reference) func(context.Context, ledgertest.Leaser) (any, error) {
	writer := rapid.SampledFrom([]string{"w1", "w2", "w 3"}).Draw(t, "writer")
	epoch := rapid.SampledFrom([]uint64{1, 1, 1, 2}).Draw(t, "epoch")
	windows := anyWindows(t)
	wm, _ := model.Watermark(t.Context(), writer, "acme")
	claimed := wm + rapid.SampledFrom([]uint64{0, 0, 0, 0, 0, 0, 0, 1}).Draw(t, "claimed")
	n := rapid.Int64Range(0, 40)
	switch rapid.IntRange(0, 3).Draw(t, "call") {
	case 0:
		return anyBatch(t, ledger.Batch{Writer: writer, Epoch: epoch, Root: "acme", From: wm + 1, To: wm + 1}, windows)
	case 1:
		r := ledger.RenewRequest{
			Writer: writer, Epoch: epoch, Root: "acme", Watermark: wm, Head: claimed, TTL: time.Hour,
			Retire: rapid.IntRange(0, 3).Draw(t, "retire") == 0,
		}
		for _, a := range anyAccounts(t, model, writer, windows) {
			r.Accounts, r.Held = append(r.Accounts, a), append(r.Held, n.Draw(t, "held"))
		}
		r.Lapsed = r.Retire && rapid.Bool().Draw(t, "lapsed")
		return func(ctx context.Context, l ledgertest.Leaser) (any, error) {
			reply, err := l.Renew(ctx, &r)
			if reply != nil {
				reply.Until = time.Time{}
			}
			return reply, err
		}
	}
	r := ledger.GrantRequest{Writer: writer, Epoch: epoch, Root: "acme", Watermark: claimed, TTL: time.Hour}
	r.Lost = rapid.IntRange(0, 20).Draw(t, "lost") == 0
	for _, a := range anyAccounts(t, model, writer, windows) {
		least := n.Draw(t, "least")
		r.Wants = append(r.Wants, ledger.Want{Account: a, Limit: 100, Min: least, Ask: least + n.Draw(t, "more")})
	}
	return func(ctx context.Context, l ledgertest.Leaser) (any, error) {
		reply, err := l.Grant(ctx, &r)
		if reply != nil {
			reply.Until = time.Time{}
		}
		return reply, err
	}
}

func anyWindows(t *rapid.T) []record.Window {
	day := time.Now().UTC().Truncate(24 * time.Hour)
	all := []record.Window{
		{Tenant: "acme", Unit: record.UnitUSD, Period: "month", Start: day, End: day.AddDate(0, 1, 0)},
		{Tenant: "acme/a|b", Unit: record.UnitTokens, Period: "day", Start: day, End: day.AddDate(0, 0, 2)},
		{Tenant: "acme", Unit: record.UnitUSD, Period: "day", Start: day.AddDate(0, 0, -2), End: day.AddDate(0, 0, -1)},
		{Tenant: "acme", Unit: record.UnitConcurrent},
	}
	some := rapid.Permutation(all).Draw(t, "windows")
	return some[:rapid.IntRange(1, 3).Draw(t, "count")]
}

// anyAccounts are mostly what the ledger has, and sometimes anything.
func anyAccounts(t *rapid.T, model *reference, writer string, windows []record.Window) []ledger.Account {
	known, _ := model.Windows(t.Context(), "acme")
	out := make([]ledger.Account, len(windows))
	for i, w := range windows {
		out[i].Window = w
		for _, b := range known {
			for _, a := range b.Accounts {
				if b.Window == w && a.Writer == writer {
					out[i].Granted = max(0, a.Granted-rapid.SampledFrom([]int64{0, 0, 0, 5}).Draw(t, "unheard"))
					out[i].Returned = min(out[i].Granted, a.Returned+rapid.Int64Range(0, 9).Draw(t, "returned"))
				}
			}
		}
		if rapid.IntRange(0, 60).Draw(t, "odd") == 0 {
			out[i].Granted += 7
		}
	}
	return out
}

func anyBatch(
	t *rapid.T,
	b ledger.Batch,
	windows []record.Window,
) func(context.Context, ledgertest.Leaser) (any, error) {
	p := record.Posting{
		Seq:  b.From,
		Root: "acme",
		Row:  record.RowKey{Hour: time.Now(), Tenant: "acme"},
		Add:  record.Counters{Legs: 1},
	}
	extremes := rapid.SampledFrom([]int64{-record.MaxValue, record.MaxValue, 1 << 60})
	for _, w := range windows {
		p.Charges = append(p.Charges, record.Charge{
			Window: w, Amount: rapid.OneOf(rapid.Int64Range(-5, 30), extremes).Draw(t, "amount"),
			Suspense: rapid.Bool().Draw(t, "suspense"),
		})
	}
	b.Postings = []record.Posting{p}
	b.Holder = rapid.SampledFrom([]string{"", "", "w1", "w2"}).Draw(t, "holder")
	return func(ctx context.Context, l ledgertest.Leaser) (any, error) {
		reply, err := l.Apply(ctx, &b)
		if err != nil {
			return nil, err
		}
		return reply.Watermark, nil
	}
}
