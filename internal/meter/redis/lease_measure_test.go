package redis

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
)

// budgets are what a typical tenant has: its own month and minute, its root's
// month, and concurrency.
func budgets(root string) []record.Window {
	now := time.Now().UTC().Truncate(time.Minute)
	month := now.Truncate(24*time.Hour).AddDate(0, 0, -5)
	return []record.Window{
		{Tenant: root, Unit: record.UnitUSD, Period: "month", Start: month, End: month.AddDate(0, 1, 0)},
		{Tenant: root + "/support", Unit: record.UnitUSD, Period: "month", Start: month, End: month.AddDate(0, 1, 0)},
		{Tenant: root + "/support", Unit: record.UnitTokens, Period: "minute", Start: now, End: now.Add(time.Minute)},
		{Tenant: root + "/support", Unit: record.UnitConcurrent},
	}
}

func asking(root, writer string, granted int64) *ledger.GrantRequest {
	r := &ledger.GrantRequest{Writer: writer, Epoch: 3, Root: root, TTL: 10 * time.Second}
	for _, w := range budgets(root) {
		r.Wants = append(r.Wants, ledger.Want{
			Account: ledger.Account{Window: w, Granted: granted}, Limit: 5_000_000_000_000, Min: 1, Ask: 2_000_000_000,
		})
	}
	return r
}

// TestLeaseMemory measures figures of docs/format/redis.md. It runs when asked
// for, since it proves nothing.
func TestLeaseMemory(t *testing.T) {
	if os.Getenv("SLUICE_MEASURE") == "" {
		t.Skip("SKIPPED: set SLUICE_MEASURE=1 to measure")
	}
	const roots = 1000
	for _, writers := range []int{1, 4, 16} {
		server := redistest.NewServer(t)
		l := newLedger(t, server.URL())
		empty := used(t, server)
		for root := range roots {
			for writer := range writers {
				name := fmt.Sprintf("01JD0000000000000000000%03d", writer)
				if r, err := l.Grant(t.Context(), asking(fmt.Sprintf("root%03d", root), name, 0)); err != nil ||
					r.State != ledger.Granted {
					t.Fatal(r, err)
				}
			}
		}
		n := len(budgets(""))
		t.Logf("%d roots × %d writers × %d windows: %d bytes, %d per root, %d per window",
			roots, writers, n, used(t, server)-empty, (used(t, server)-empty)/roots, (used(t, server)-empty)/roots/n)
		if writers == 16 {
			for _, w := range budgets("root001") {
				t.Log(windowName(w), server.CLI("MEMORY", "USAGE", keysOf("root001").window(windowName(w))))
			}
			k := keysOf("root001")
			for _, key := range []string{k.state(), k.windows(), k.marks()} {
				t.Log(key, server.CLI("MEMORY", "USAGE", key))
			}
		}
	}
}

// BenchmarkGrant and BenchmarkRenew have 16 writers and four windows; they
// report the time that the script keeps the server.
func BenchmarkGrant(b *testing.B) {
	benchLeases(b, func(l *Ledger, writer string, granted int64) error {
		_, err := l.Grant(b.Context(), asking("acme", writer, granted))
		return err
	})
}

func BenchmarkRenew(b *testing.B) {
	benchLeases(b, func(l *Ledger, writer string, _ int64) error {
		r := &ledger.RenewRequest{Writer: writer, Epoch: 3, Root: "acme", TTL: 10 * time.Second}
		for _, w := range budgets("acme") {
			r.Accounts = append(r.Accounts, ledger.Account{Window: w})
		}
		_, err := l.Renew(b.Context(), r)
		return err
	})
}

func benchLeases(b *testing.B, call func(l *Ledger, writer string, granted int64) error) {
	server := redistest.NewServer(b)
	l := newLedger(b, server.URL())
	for writer := range 16 {
		if _, err := l.Grant(b.Context(), asking("acme", fmt.Sprintf("w%02d", writer), 0)); err != nil {
			b.Fatal(err)
		}
	}
	server.CLI("CONFIG", "RESETSTAT")
	i := 0
	for b.Loop() {
		if err := call(l, fmt.Sprintf("w%02d", i%16), 0); err != nil {
			b.Fatal(err)
		}
		i++
	}
	for line := range strings.Lines(server.CLI("INFO", "commandstats")) {
		var calls, usec int
		if _, err := fmt.Sscanf(line, "cmdstat_evalsha:calls=%d,usec=%d", &calls, &usec); err == nil {
			b.ReportMetric(float64(usec)/float64(calls), "script-µs/op")
		}
	}
}
