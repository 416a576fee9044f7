package advice

import (
	"cmp"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/internal/decision"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/saving"
)

// Saved is what a lever saved that is pulled.
type Saved struct {
	Tenant, Lever     string
	Amount, Low, High money.Total
	Known             bool   // the amount
	Bounded           bool   // Low and High are known
	How               string // how sure it is, or why it is not known
}

// Pulled adds up what levers saved that were pulled. Make it with NewPulled.
type Pulled struct {
	tiers  *Book // nil without prices
	caches Caches
	cut    map[string]int64 // tokens that were not asked for, by tenant
}

// NewPulled is for rows at the prices of a table at one moment; without prices it knows nothing of tiers.
func NewPulled(table *record.PriceBook, at time.Time) *Pulled {
	p := &Pulled{caches: Caches{}, cut: map[string]int64{}}
	if table != nil {
		p.tiers = NewBook(table, at, nil)
		p.tiers.levers = tiers()
	}
	return p
}

// tiers are the levers of which the books say that they were pulled: by the tier that served. What an id was before
// residency made it a global one, no sum says.
func tiers() []Lever {
	var all []Lever
	for _, tier := range [...]string{Flex, Batch} {
		all = append(all, Lever{Name: tier, other: func(sku record.SKU) (record.SKU, bool) {
			now := sku.Tier
			sku.Tier = ""
			return sku, now == tier
		}})
	}
	return all
}

// Add adds a row of a ledger.
func (p *Pulled) Add(k *record.RowKey, c *record.Counters) {
	if p.tiers != nil {
		p.tiers.addPulled(Use(k, c), c.CostWasted)
	}
	p.caches.Add(k, c)
	if c.TokensCut > 0 {
		p.cut[k.Tenant] += c.TokensCut
	}
}

// Saved are what each lever saved each tenant: tiers, the prompt cache, output caps.
func (p *Pulled) Saved() []Saved {
	return slices.Concat(p.byTiers(), p.byCaches(), p.byCaps())
}

// addPulled adds what was used, of which a part was thrown away: a light answer, or a call whose first byte came
// too late. Nobody recorded which. What it is of least is as if the tier were to blame for all of it.
func (b *Book) addPulled(r *decision.Row, wasted money.Pico) {
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

// byTiers are what tiers saved against the default one.
func (p *Pulled) byTiers() (all []Saved) {
	if p.tiers == nil {
		return nil
	}
	for _, f := range p.tiers.Findings() {
		s := Saved{Tenant: f.Tenant, Lever: f.Lever.Name, Amount: f.Saved, Low: f.Low(), High: f.Saved, Bounded: true}
		if s.Known, s.How = s.Low.String() == s.High.String(), exactly; !s.Known {
			s.How = "an interval: calls that were thrown away saved nothing"
		}
		all = append(all, s)
	}
	return all
}

const exactly = "exact"

// byCaches are what the prompt cache saved, by tenant.
func (p *Pulled) byCaches() (all []Saved) {
	type owner struct {
		saved big.Rat
		blind int64
	}
	by := map[string]*owner{}
	for k, c := range p.caches {
		if by[k.Tenant] == nil {
			by[k.Tenant] = &owner{}
		}
		o := by[k.Tenant]
		if c.Blind {
			o.blind++
			continue
		}
		o.saved.Add(&o.saved, c.Saved())
	}
	for _, id := range slices.Sorted(maps.Keys(by)) {
		s := Saved{Tenant: id, Lever: PromptCache}
		if n := by[id].blind; n > 0 {
			s.How = fmt.Sprintf("not known: %d models had no plain input to compare with", n)
		} else {
			s.Amount.AddRat(&by[id].saved)
			s.Low, s.High, s.Known, s.Bounded, s.How = s.Amount, s.Amount, true, true, exactly
		}
		all = append(all, s)
	}
	return all
}

// byCaps are what output caps cut off of what was asked for, which is quota and not dollars.
func (p *Pulled) byCaps() (all []Saved) {
	for _, id := range slices.Sorted(maps.Keys(p.cut)) {
		all = append(all, Saved{Tenant: id, Lever: "output cap", How: fmt.Sprintf(
			"quota, %d tokens of it; what longer answers would have cost is not recorded", p.cut[id])})
	}
	return all
}

// ByCascades are what cascades saved a tenant and those below it, "" for all, together.
func ByCascades(savings []saving.Saving, tenant string) (all []Saved) {
	for i := range savings {
		s := &savings[i]
		if s.Requests == 0 && s.Spent.Sign() == 0 {
			continue
		}
		one := Saved{Tenant: tenant, Lever: "cascade " + s.Cascade, How: cmp.Or(s.NotMeasured, "an interval of 95 %")}
		if one.Known = s.NotMeasured == ""; one.Known {
			one.Amount = s.Saved
			if one.Bounded = s.Interval; one.Bounded {
				one.Low, one.High = s.Low, s.High
			} else {
				one.How = "an estimate without an interval"
			}
		}
		all = append(all, one)
	}
	return all
}
