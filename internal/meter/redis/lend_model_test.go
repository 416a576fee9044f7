package redis

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/internal/meter"
	"github.com/sluice-gateway/sluice/internal/meter/embedded"
	"github.com/sluice-gateway/sluice/internal/meter/ledgertest"
)

// TestLendingAgainstModel sends any requests, honest or not, to this ledger and
// to the embedded one, and wants the same answers and the same windows.
func TestLendingAgainstModel(t *testing.T) {
	f := newFaults(t)
	tb := t
	rapid.Check(t, func(t *rapid.T) {
		s, done := f.lenders(tb, asItIs)
		defer done()
		model := &embedded.State{}
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
	if errors.Is(err, meter.ErrBadRequest) {
		return meter.ErrBadRequest
	}
	return kind(err)
}

// compareWindows wants the same windows. Accounts that hold nothing may be kept
// or not.
func compareWindows(t *rapid.T, model, redis ledgertest.Lender) {
	t.Helper()
	read := func(l ledgertest.Lender) map[meter.Window]meter.WindowBook {
		all, err := l.Windows(t.Context(), "acme")
		if err != nil {
			t.Fatal(err)
		}
		out := make(map[meter.Window]meter.WindowBook)
		for _, b := range all {
			var kept []meter.AccountBook
			for _, a := range b.Accounts {
				if a.Granted == 0 && a.Remains == 0 {
					a.Epoch, a.Returned, a.Expired = 0, 0, false
				}
				if a != (meter.AccountBook{Writer: a.Writer}) {
					kept = append(kept, a)
				}
			}
			b.Accounts = kept
			if b.WindowState != (meter.WindowState{}) || len(kept) > 0 {
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
func anyRequest(t *rapid.T, model *embedded.State) func(context.Context, ledgertest.Lender) (any, error) {
	writer := rapid.SampledFrom([]string{"w1", "w2", "w 3"}).Draw(t, "writer")
	epoch := rapid.SampledFrom([]uint64{1, 1, 1, 2}).Draw(t, "epoch")
	windows := anyWindows(t)
	wm, _ := model.Watermark(t.Context(), writer, "acme")
	claimed := wm + rapid.SampledFrom([]uint64{0, 0, 0, 0, 0, 0, 0, 1}).Draw(t, "claimed")
	n := rapid.Int64Range(0, 40)
	switch rapid.IntRange(0, 3).Draw(t, "call") {
	case 0:
		return anyBatch(t, meter.Batch{Writer: writer, Epoch: epoch, Root: "acme", From: wm + 1, To: wm + 1}, windows)
	case 1:
		r := meter.SettleRequest{
			Writer: writer, Epoch: epoch, Root: "acme", Watermark: wm, Head: claimed, Term: time.Hour,
			Retire: rapid.IntRange(0, 3).Draw(t, "retire") == 0,
		}
		for _, a := range anyAccounts(t, model, writer, windows) {
			r.Accounts, r.Held = append(r.Accounts, a), append(r.Held, n.Draw(t, "held"))
		}
		r.Lapsed = r.Retire && rapid.Bool().Draw(t, "lapsed")
		return func(ctx context.Context, l ledgertest.Lender) (any, error) {
			reply, err := l.Settle(ctx, &r)
			if reply != nil {
				reply.Until = time.Time{}
			}
			return reply, err
		}
	}
	r := meter.GrantRequest{Writer: writer, Epoch: epoch, Root: "acme", Watermark: claimed, Term: time.Hour}
	r.Lost = rapid.IntRange(0, 20).Draw(t, "lost") == 0
	for _, a := range anyAccounts(t, model, writer, windows) {
		least := n.Draw(t, "least")
		r.Wants = append(r.Wants, meter.Want{Account: a, Limit: 100, Min: least, Ask: least + n.Draw(t, "more")})
	}
	return func(ctx context.Context, l ledgertest.Lender) (any, error) {
		reply, err := l.Grant(ctx, &r)
		if reply != nil {
			reply.Until = time.Time{}
		}
		return reply, err
	}
}

func anyWindows(t *rapid.T) []meter.Window {
	day := time.Now().UTC().Truncate(24 * time.Hour)
	all := []meter.Window{
		{Tenant: "acme", Unit: meter.UnitUSD, Period: "month", Start: day, End: day.AddDate(0, 1, 0)},
		{Tenant: "acme/a|b", Unit: meter.UnitTokens, Period: "day", Start: day, End: day.AddDate(0, 0, 2)},
		{Tenant: "acme", Unit: meter.UnitUSD, Period: "day", Start: day.AddDate(0, 0, -2), End: day.AddDate(0, 0, -1)},
		{Tenant: "acme", Unit: meter.UnitConcurrent},
	}
	some := rapid.Permutation(all).Draw(t, "windows")
	return some[:rapid.IntRange(1, 3).Draw(t, "count")]
}

// anyAccounts are mostly what the ledger has, and sometimes anything.
func anyAccounts(t *rapid.T, model *embedded.State, writer string, windows []meter.Window) []meter.Account {
	known, _ := model.Windows(t.Context(), "acme")
	out := make([]meter.Account, len(windows))
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

func anyBatch(t *rapid.T, b meter.Batch, windows []meter.Window) func(context.Context, ledgertest.Lender) (any, error) {
	p := meter.Posting{Seq: b.From, Root: "acme", Row: meter.RowKey{Hour: time.Now(), Tenant: "acme"}, Add: meter.Counters{Legs: 1}}
	for _, w := range windows {
		p.Charges = append(p.Charges, meter.Charge{
			Window: w, Amount: rapid.OneOf(rapid.Int64Range(-5, 30), rapid.SampledFrom([]int64{-meter.MaxValue, meter.MaxValue, 1 << 60})).Draw(t, "amount"),
			Suspense: rapid.Bool().Draw(t, "suspense"),
		})
	}
	b.Postings = []meter.Posting{p}
	b.Holder = rapid.SampledFrom([]string{"", "", "w1", "w2"}).Draw(t, "holder")
	return func(ctx context.Context, l ledgertest.Lender) (any, error) {
		wm, err := l.Apply(ctx, &b)
		if err != nil {
			return nil, err
		}
		return wm, nil
	}
}
