// Package rightsize finds how much capacity to commit to, out of what was used in each minute
// of a month: model units of provisioned throughput, or reserved tokens a minute.
//
// A unit that is bought serves its part of each minute's load; the rest stays on demand. So the
// first unit is used most, each further one less, and units pay as long as what they save is
// above their fee. Amounts are pico-dollars; what a minute saves is rounded down.
package rightsize

import (
	"math/big"
	"math/bits"
	"slices"

	"github.com/sluice-gateway/sluice/internal/money"
)

// Minute is what was used in one minute, and what of its cost capacity would save.
type Minute struct {
	Input, Output int64 // tokens that capacity is used by
	Cost          money.Pico
}

// Unit is what one unit serves in a minute. A zero side limits nothing.
type Unit struct{ Input, Output int64 }

// point is a minute as a load of num/den units.
type point struct {
	num, den int64
	cost     money.Pico
}

// Curve is the load-duration curve of a period: its minutes by their load in units.
type Curve struct {
	points  []point // with a load, lightest first
	idle    int64   // minutes without any
	load    *big.Rat
	cost    money.Total
	minutes int64
}

// NewCurve is the curve of a period of so many minutes, of which used had calls. A minute's load
// is that of the side that needs more units.
func NewCurve(used []Minute, u Unit, minutes int64) *Curve {
	c := &Curve{load: new(big.Rat), minutes: minutes}
	for _, m := range used {
		p := point{m.Input, max(u.Input, 1), m.Cost}
		if u.Input == 0 {
			p.num = 0
		}
		if o := (point{m.Output, u.Output, m.Cost}); u.Output > 0 && compare(o, p) > 0 {
			p = o
		}
		if p.num > 0 {
			c.points = append(c.points, p)
		}
	}
	c.sort()
	return c
}

// sort orders the points and adds them up.
func (c *Curve) sort() {
	slices.SortFunc(c.points, compare)
	c.minutes = max(c.minutes, int64(len(c.points)))
	c.idle = c.minutes - int64(len(c.points))
	perDen := map[int64]*big.Int{} // a few denominators, so that sums stay small
	for i := range c.points {
		p := &c.points[i]
		if perDen[p.den] == nil {
			perDen[p.den] = new(big.Int)
		}
		perDen[p.den].Add(perDen[p.den], big.NewInt(p.num))
		c.cost.Add(p.cost)
	}
	for den, num := range perDen {
		c.load.Add(c.load, new(big.Rat).SetFrac(num, big.NewInt(den)))
	}
}

// compare orders points by num/den.
func compare(a, b point) int {
	ah, al := bits.Mul64(uint64(a.num), uint64(b.den)) //nolint:gosec // counts are not negative
	bh, bl := bits.Mul64(uint64(b.num), uint64(a.den)) //nolint:gosec // as above
	switch {
	case ah < bh || ah == bh && al < bl:
		return -1
	case ah > bh || al > bl:
		return 1
	}
	return 0
}

// Minutes is how many minutes the period has, and in how many of them there was a load.
func (c *Curve) Minutes() (all, used int64) { return c.minutes, int64(len(c.points)) }

// Cost is what all of it costs on demand.
func (c *Curve) Cost() money.Total { return c.cost }

// Peak is the highest load of a minute, in units.
func (c *Curve) Peak() *big.Rat { return c.Load(1, 1) }

// Mean is the mean load of all minutes, in units.
func (c *Curve) Mean() *big.Rat {
	if c.minutes == 0 {
		return new(big.Rat)
	}
	return new(big.Rat).Quo(c.load, whole(c.minutes))
}

// Load is the load that num/den of the minutes do not exceed, in units: Load(9, 10) is P90.
func (c *Curve) Load(num, den int64) *big.Rat {
	rank := (c.minutes*num + den - 1) / den // of the first that is not below so many
	if rank <= c.idle || len(c.points) == 0 {
		return new(big.Rat)
	}
	p := c.points[rank-c.idle-1]
	return big.NewRat(p.num, p.den)
}

// Above is the share of the minutes whose load is above so many units.
func (c *Curve) Above(units int64) *big.Rat {
	n, _ := slices.BinarySearchFunc(c.points, units, func(p point, units int64) int {
		if p.num > units*p.den {
			return 1
		}
		return -1
	})
	return big.NewRat(int64(len(c.points)-n), max(c.minutes, 1))
}

// saved is what so many units save of the cost.
func (c *Curve) saved(units int64) money.Total {
	var all money.Total
	for i := range c.points {
		p := &c.points[i]
		if can := units * p.den; can < p.num {
			all.Add(money.Pico(mulDiv(int64(p.cost), can, p.num)))
		} else {
			all.Add(p.cost)
		}
	}
	return all
}

// mulDiv is a * b / c, rounded down, for a and b that are not negative and b below c.
func mulDiv(a, b, c int64) int64 {
	hi, lo := bits.Mul64(uint64(a), uint64(b)) //nolint:gosec // not negative
	quo, _ := bits.Div64(hi, lo, uint64(c))    //nolint:gosec // as above
	return int64(quo)                          //nolint:gosec // at most a
}

// used is the load that so many units serve, as a share of what they could: the mean of all
// minutes.
func (c *Curve) used(units int64) *big.Rat {
	if units == 0 || c.minutes == 0 {
		return new(big.Rat)
	}
	full, rest := int64(0), map[int64]*big.Int{}
	for i := range c.points {
		p := &c.points[i]
		if units*p.den <= p.num {
			full++
			continue
		}
		if rest[p.den] == nil {
			rest[p.den] = new(big.Int)
		}
		rest[p.den].Add(rest[p.den], big.NewInt(p.num))
	}
	all := whole(full * units)
	for den, num := range rest {
		all.Add(all, new(big.Rat).SetFrac(num, big.NewInt(den)))
	}
	return all.Quo(all, whole(units*c.minutes))
}

// Scaled is the curve of so many times the traffic.
func (c *Curve) Scaled(num, den int64) *Curve {
	s := &Curve{load: new(big.Rat), minutes: c.minutes}
	for _, p := range c.points {
		cost := new(big.Int).Mul(big.NewInt(int64(p.cost)), big.NewInt(num))
		s.points = append(s.points, point{p.num * num, p.den * den, money.Pico(cost.Quo(cost, big.NewInt(den)).Int64())})
	}
	s.sort()
	return s
}

// Best is the number of units with the highest saving at a fee for each, in pico-dollars for
// the period: the last one that saves at least its fee.
func (c *Curve) Best(fee *big.Rat) int64 {
	low, high := int64(0), c.most()
	for low < high { // units above low pay as far as is known, those above high do not
		middle := low + (high-low+1)/2
		with, before := c.saved(middle), c.saved(middle-1)
		with.SubTotal(&before)
		if with.Rat().Cmp(fee) >= 0 {
			low = middle
		} else {
			high = middle - 1
		}
	}
	return low
}

// most is how many units serve all of it.
func (c *Curve) most() int64 {
	peak := c.Peak()
	up := new(big.Int).Add(peak.Num(), peak.Denom())
	return up.Sub(up, big.NewInt(1)).Quo(up, peak.Denom()).Int64()
}

func whole(n int64) *big.Rat { return new(big.Rat).SetInt64(n) }
