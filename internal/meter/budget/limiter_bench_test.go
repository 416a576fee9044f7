//go:build unix

package budget

import (
	"context"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
)

// BenchmarkReserve is a whole request against three budgets and three limits,
// all from leases: reserve, one attempt with its charges, settle, release.
func BenchmarkReserve(b *testing.B) {
	m := newModelLeaser(time.Now)
	p := compile(
		b,
		monthly("acme", 1_000_000*money.Dollar, "reject"),
		monthly("acme/team", 1_000_000*money.Dollar, "light_only"),
		config.Tenant{ID: "acme/team/app", Budgets: []config.Budget{{Period: "day", USD: 1_000_000 * money.Dollar}},
			Limits: config.Limits{RequestsPerMinute: 1e12, TokensPerMinute: 1e14, ConcurrentRequests: 1e6}},
	)
	d := newLimiter(b, m, "a")
	defer func() { _ = d.Close(context.Background()) }()
	claim := &Claim{Policy: p.For("acme/team/app"), Cost: usd(10_000)}
	spent := Amounts{9_000, 9, 1, 1}
	now := time.Now()
	var charges []record.Charge
	b.ReportAllocs()
	before := cpu(b)
	for b.Loop() {
		res, refusal := d.Reserve(b.Context(), claim, now)
		if refusal != nil {
			b.Fatalf("%+v", refusal)
		}
		h := res.Attempt(claim.Cost)
		charges = h.Charges()
		h.Settle(spent)
		res.Release()
	}
	b.StopTimer()
	b.ReportMetric(float64(cpu(b)-before)/float64(b.N), "cpu-ns/op")
	if len(charges) != 5 {
		b.Fatalf("%d charges", len(charges))
	}
	b.ReportMetric(float64(d.Stats().LedgerCalls)/float64(b.N), "calls/op")
}

// cpu is what the process has used, which other processes on the machine do not
// change as they do the time.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
