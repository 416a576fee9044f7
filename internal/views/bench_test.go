package views_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/views/viewstest"
)

// anybody sees all tenants.
type anybody struct{}

func (anybody) Sees(string) bool { return true }
func (anybody) Home() string     { return "" }

// BenchmarkViews is what each view costs over two months of 200 tenants.
func BenchmarkViews(b *testing.B) {
	var all viewstest.Rows
	for i := range 200 {
		for day := range 60 {
			for _, path := range []string{"light", "escalated"} {
				n := int64(i + day + 1)
				all = append(all, viewstest.Row{Key: record.RowKey{
					Hour: viewstest.Now().Truncate(time.Hour).AddDate(0, 0, -day), Tenant: fmt.Sprintf("root-%d/team-%d", i/10, i),
					Key: fmt.Sprintf("SLK%d", i), Path: path, Model: "model-" + path, Cascade: "support",
				}, Add: record.Counters{
					Requests: n, Legs: n, Input: 1000 * n, Output: 77 * n, CostInput: money.Pico(3_000_000 * 1000 * n),
					CostOutput: money.Pico(15_000_000 * 77 * n),
				}})
			}
		}
	}
	shelf := viewstest.New(b, all).Shelf
	for _, n := range shelf.Names(true) {
		b.Run(n.Name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := shelf.Make(b.Context(), n.Name, anybody{}, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
