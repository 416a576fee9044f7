package simulate

import (
	"fmt"
	"math/big"

	"github.com/sluice-gateway/sluice/internal/money"
)

// monthHours is a mean month, as AWS's own calculators have it.
const monthHours = 730

// Demand is a workload as on-demand calls of one model.
type Demand struct {
	Model         string
	Cost          *big.Rat // of all of it, in pico-dollars
	Input, Output int64
	Days          int64
}

// NewDemand is what w costs on m with the levers and the discount of s.
func NewDemand(w Workload, m Model, s Setup, days int64) Demand {
	s = filled(s)
	return Demand{m.ID, s.cost(w, m, big.NewRat(1, 1)), w.Input, w.Output, days}
}

// perToken is what a token costs in the demand's own mix, nil when it costs nothing.
func (d *Demand) perToken() *big.Rat {
	tokens := d.Input + d.Output
	if tokens == 0 || d.Cost.Sign() <= 0 {
		return nil
	}
	return new(big.Rat).Quo(d.Cost, whole(tokens))
}

func (d *Demand) hours() *big.Rat { return whole(24 * d.Days) }

// Capacity is what is paid by the hour, used or not.
type Capacity struct {
	What   string       // "model units", "instances"
	Prices []money.Pico // of one for an hour: one for each term, the dearest first
	Number int64        // how many
	Serves int64        // tokens that one serves in an hour, in the demand's mix; 0 for not known
}

// CapacitySheet compares capacity by the hour with calls on demand: from how many tokens an
// hour it is cheaper, whatever part of it they are.
func CapacitySheet(c Capacity, d Demand) Sheet {
	sheet := Sheet{Title: fmt.Sprintf("%s by the hour, number %d", c.What, c.Number)}
	if d.Model != "" {
		sheet.Title += ", against " + d.Model + " on demand"
	}
	perToken := d.perToken()
	if perToken != nil {
		tokens := whole(d.Input + d.Output)
		sheet.add("tokens an hour", Count, new(big.Rat).Quo(tokens, d.hours()), "")
		sheet.add("output among them", Share, new(big.Rat).Quo(whole(d.Output), tokens), "")
		sheet.add("on demand, an hour", USD, new(big.Rat).Quo(d.Cost, d.hours()), "")
		sheet.add("on demand, all days", USD, d.Cost, "")
	}
	for i, price := range c.Prices {
		hour := product(whole(int64(price)), whole(c.Number))
		name := "at " + usd(whole(int64(price)))
		sheet.add(fmt.Sprintf("%s: %d hours", name, 24*d.Days), USD, product(hour, d.hours()), "")
		sheet.add(fmt.Sprintf("%s: %d hours", name, monthHours), USD, product(hour, whole(monthHours)), "a mean month")
		if i > 0 {
			part := new(big.Rat).Quo(whole(int64(price)), whole(int64(c.Prices[0])))
			sheet.add(name+": below the first price", Share, less(big.NewRat(1, 1), part), "")
		}
		if perToken != nil {
			sheet.addBreakEven(name, c, hour, perToken, d)
		}
	}
	return sheet
}

func (sheet *Sheet) addBreakEven(name string, c Capacity, hour, perToken *big.Rat, d Demand) {
	even := new(big.Rat).Quo(hour, perToken)
	sheet.add(name+": cheaper from tokens an hour", Count, even, "")
	served, note := product(whole(c.Serves), whole(c.Number)), ""
	if c.Serves > 0 && product(served, d.hours()).Cmp(whole(d.Input+d.Output)) < 0 {
		note = "if it served all of it, which it does not"
	}
	part := new(big.Rat).Quo(product(hour, d.hours()), d.Cost)
	sheet.add(name+": saving", Share, less(big.NewRat(1, 1), part), note)
	if c.Serves > 0 {
		sheet.add(name+": cheaper from a use of", Share, new(big.Rat).Quo(even, served), "")
	}
}
