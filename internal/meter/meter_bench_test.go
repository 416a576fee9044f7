package meter

import (
	"testing"
	"time"
)

func BenchmarkBeginEnd(b *testing.B) {
	o := testOptions(b, b.TempDir(), newModelLedger())
	o.Flush, o.Journal.Every = time.Hour, 5*time.Millisecond // without the pump
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
			if _, err := m.End(s, e); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkEncode is Begin and End without the journal.
func BenchmarkEncode(b *testing.B) {
	prices := testPrices(b)
	s := newStart(1, "acme")
	e := newEnd(s, 10, 5)
	c := new(coder)
	b.ReportAllocs()
	for b.Loop() {
		c.b = c.b[:0]
		c.start(s)
		c.b = c.b[:0]
		p, _ := derive(s, e, prices)
		appendEnd(c, &p, e)
	}
}
