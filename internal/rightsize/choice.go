package rightsize

import (
	"math/big"

	"github.com/sluice-gateway/sluice/internal/money"
)

// Choice is what a number of units comes to in the period.
type Choice struct {
	Name  string // "best", "P90", "70 % of peak"
	Units int64
	Fee   money.Total // for all of them
	Saved money.Total // of what the calls cost on demand
	Net   money.Total // saved less fee: what the choice is worth
	Used  *big.Rat    // share of the units' capacity, as a mean
	// P50, P90 and P99 are the share of capacity that is used in the minute that so many
	// hundredths of the minutes do not exceed.
	P50, P90, P99 *big.Rat
}

// Term is a price of a unit for an hour, and for how long it is bought.
type Term struct {
	Name string
	Hour *big.Rat // pico-dollars of one unit
}

// Advice is what to buy in one term. See Advise.
type Advice struct {
	Term Term
	// BreakEven is the use from which a unit pays, in this traffic's own mix. Above 1 none does.
	BreakEven *big.Rat
	Best      Choice
	Others    []Choice // by percentiles of the load, and by the rule of thumb
	// Less and More are the best choices for a fifth less and a fifth more traffic, and LessNet
	// and MoreNet what Best would be worth then.
	Less, More       Choice
	LessNet, MoreNet money.Total
}

// ruleLow and ruleHigh are the rule of thumb "70 to 80 percent of observed peak", in tenths.
const ruleLow, ruleHigh = 7, 8

// Advise compares numbers of units in one term. Fewer than least are not sold.
func (c *Curve) Advise(t Term, least int64) Advice {
	fee := new(big.Rat).Mul(t.Hour, big.NewRat(c.minutes, 60))
	a := Advice{Term: t, BreakEven: new(big.Rat), Best: c.best("best", fee, least)}
	if full := c.full(); full.Sign() > 0 {
		a.BreakEven.Quo(fee, full)
	}
	peak := c.Peak()
	for _, other := range []struct {
		name string
		load *big.Rat
	}{
		{"P50", c.Load(50, 100)}, {"P90", c.Load(90, 100)}, {"P99", c.Load(99, 100)},
		{"70 % of peak", new(big.Rat).Mul(peak, big.NewRat(ruleLow, 10))},
		{"80 % of peak", new(big.Rat).Mul(peak, big.NewRat(ruleHigh, 10))},
	} {
		a.Others = append(a.Others, c.choice(other.name, nearest(other.load), fee))
	}
	less, more := c.Scaled(4, 5), c.Scaled(6, 5)
	a.Less, a.More = less.best("a fifth less", fee, least), more.best("a fifth more", fee, least)
	a.LessNet, a.MoreNet = less.choice("", a.Best.Units, fee).Net, more.choice("", a.Best.Units, fee).Net
	return a
}

// best is the best choice among none and least or more.
func (c *Curve) best(name string, fee *big.Rat, least int64) Choice {
	units := c.Best(fee)
	if units > 0 && units < least {
		if units = least; c.choice(name, units, fee).worthless() {
			units = 0
		}
	}
	return c.choice(name, units, fee)
}

func (o Choice) worthless() bool { return o.Net.Sign() <= 0 }

// full is what a unit that was always in use would save in the period, at the mean cost of a
// unit's minute.
func (c *Curve) full() *big.Rat {
	if c.load.Sign() == 0 {
		return new(big.Rat)
	}
	perMinute := new(big.Rat).Quo(c.cost.Rat(), c.load)
	return perMinute.Mul(perMinute, whole(c.minutes))
}

func (c *Curve) choice(name string, units int64, fee *big.Rat) Choice {
	o := Choice{Name: name, Units: units, Saved: c.saved(units), Used: c.used(units)}
	o.Fee.AddRat(new(big.Rat).Mul(fee, whole(units)))
	o.Net.AddTotal(&o.Saved)
	o.Net.SubTotal(&o.Fee)
	part := func(percent int64) *big.Rat {
		if units == 0 {
			return new(big.Rat)
		}
		use := new(big.Rat).Quo(c.Load(percent, 100), whole(units))
		if one := whole(1); use.Cmp(one) > 0 {
			return one
		}
		return use
	}
	o.P50, o.P90, o.P99 = part(50), part(90), part(99)
	return o
}

// nearest rounds half up.
func nearest(r *big.Rat) int64 {
	half := new(big.Rat).Add(r, big.NewRat(1, 2))
	return new(big.Int).Quo(half.Num(), half.Denom()).Int64()
}
