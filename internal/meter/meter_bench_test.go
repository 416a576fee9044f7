package meter

import (
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/record"
)

func BenchmarkBeginEnd(b *testing.B) {
	o := testOptions(b, b.TempDir(), newModelLedger())
	o.Flush, o.Journal.Every = time.Hour, 5*time.Millisecond // without the shipper
	m := openMeter(b, o)
	defer closeMeter(b, m)
	defer b.StopTimer()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		s := newStart(1, "acme")
		e := newEnd(s, 10, 5)
		for pb.Next() {
			if err := m.Begin(s); err != nil {
				b.Fatal(err)
			}
			if err := m.End(s, e, testPrices, &record.Booked{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
