package meter

import (
	"context"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// BenchmarkShip is what an END costs the shipper, with a START before each: read
// from the journal and posted to a ledger that costs nothing.
func BenchmarkShip(b *testing.B) {
	o := testOptions(b, b.TempDir(), taker{newModelLedger()})
	o.Flush, o.Journal.Fsync = time.Hour, journal.FsyncOS
	m := openMeter(b, o)
	defer closeMeter(b, m)
	defer b.StopTimer()
	s := newStart(1, "acme")
	e := newEnd(s, 10, 5)
	b.ReportAllocs()
	b.ResetTimer()
	var used time.Duration
	for shipped := 0; shipped < b.N; shipped += 1000 {
		b.StopTimer()
		for range 1000 {
			if err := m.Begin(s); err != nil {
				b.Fatal(err)
			}
			if err := m.End(s, e, testPrices, &record.Booked{}); err != nil {
				b.Fatal(err)
			}
		}
		b.StartTimer()
		before := cpu(b)
		if err := m.ship.pass(context.Background()); err != nil {
			b.Fatal(err)
		}
		used += cpu(b) - before
	}
	b.ReportMetric(float64(used)/float64(b.N), "cpu-ns/op")
}

// taker takes every batch and keeps nothing.
type taker struct{ ledger.Ledger }

func (taker) Apply(_ context.Context, b *ledger.Batch) (ledger.Reply, error) {
	return ledger.Reply{Watermark: b.To}, nil
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
