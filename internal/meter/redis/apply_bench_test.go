package redis

import (
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
)

// BenchmarkApply adds batches of 500 postings to 50 rows.
func BenchmarkApply(b *testing.B) {
	l := newLedger(b, redistest.NewServer(b).URL())
	batch := ledger.Batch{Writer: "w", Epoch: 1, Root: "acme", To: 0}
	hour := time.Now()
	for r := range 500 {
		batch.Postings = append(batch.Postings, typical(hour, r%50))
		batch.Postings[r].Root = "acme"
	}
	for b.Loop() {
		batch.From, batch.To = batch.To+1, batch.To+500
		for i := range batch.Postings {
			batch.Postings[i].Seq = batch.From + uint64(i)
		}
		if _, err := l.Apply(b.Context(), &batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(500*b.N)/b.Elapsed().Seconds(), "postings/s")
}
