package saving

import (
	"testing"

	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// week is a tally of a busy week of one cascade.
func week() *Tally {
	t := &Tally{}
	for hour := range 168 {
		for _, path := range []string{"light", "partner", "shadow", "direct", "escalated"} {
			r := counted("c", path, strong, hour, record.Counters{Requests: 50, Legs: 50, Input: 1000, Output: 20_000 +
				int64(hour), CostInput: cent})
			t.Add(&r.Key, &r.Add)
		}
	}
	return t
}

// BenchmarkAdd is what each attempt of a cascade pays.
func BenchmarkAdd(b *testing.B) {
	t := week()
	r := counted("c", "light", weak, 167, record.Counters{Requests: 1, Legs: 1, Input: 1000, Output: 300, CostInput: 1,
		CostOutput: 2})
	b.ReportAllocs()
	for b.Loop() {
		t.Add(&r.Key, &r.Add)
	}
}

// BenchmarkRequest is what each request of a cascade pays that is traced.
func BenchmarkRequest(b *testing.B) {
	t, prices := week(), strongPrices(b)
	light := counted("c", "light", weak, 167, record.Counters{Requests: 1, Legs: 1, Input: 1000, Output: 300, CostInput: 1,
		CostOutput: 2})
	b.ReportAllocs()
	for b.Loop() {
		t.Request(baseline("c"), prices, []Row{light})
	}
}

// BenchmarkSavings is what each scrape of the metrics pays.
func BenchmarkSavings(b *testing.B) {
	t, prices := week(), strongPrices(b)
	b.ReportAllocs()
	for b.Loop() {
		t.Savings([]Baseline{baseline("c")}, prices, at(8, 0))
	}
}
