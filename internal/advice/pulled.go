package advice

import (
	"math/big"
	"time"

	"github.com/sluice-gateway/sluice/internal/decision"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
)

// pulled are the levers of which the books say that they were pulled: by the tier that served. What
// an id was before residency made it a global one, no sum says.
func pulled() []Lever {
	var all []Lever
	for _, tier := range [...]string{"flex", "batch"} {
		all = append(all, Lever{Name: tier, other: func(sku record.SKU) (record.SKU, bool) {
			now := sku.Tier
			sku.Tier = ""
			return sku, now == tier
		}})
	}
	return all
}

// NewPulled is a book of what levers saved that were pulled, against the default tier.
func NewPulled(table *record.PriceBook, at time.Time) *Book {
	b := NewBook(table, at)
	b.levers = pulled()
	return b
}

// AddPulled adds what was used, of which a part was thrown away: a light answer, or a call whose first byte came
// too late. Nobody recorded which. What it is of least is as if the tier were to blame for all of it.
func (b *Book) AddPulled(r *decision.Row, wasted money.Pico) {
	for i := range b.levers {
		saved := -b.saves(r, &b.levers[i])
		if saved == 0 {
			continue
		}
		f := b.finding(key{r.Root, i})
		f.Cost.Add(money.Pico(r.Cost))
		f.Saved.Add(saved)
		f.Least.Add(saved)
		if wasted > 0 && r.Cost > 0 { // at the price of the default tier
			lost := big.NewRat(int64(wasted), int64(r.Cost))
			lost.Mul(lost, new(big.Rat).SetInt64(int64(saved)+int64(r.Cost)))
			f.Least.AddRat(lost.Neg(lost))
		}
	}
}
