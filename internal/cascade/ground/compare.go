package ground

import (
	"cmp"
	"math"
)

// agrees compares a number of an answer with one of the source.
func (n *num) agrees(with *num) bool {
	if n.shape == date || with.shape == date {
		return n.dates(with)
	}
	if n.shape == clock || with.shape == clock {
		return n.minutes() == with.minutes()
	}
	factor := 1.0
	if n.unit != noUnit && with.unit != noUnit && n.unit != with.unit {
		mine, other := measures[n.unit], measures[with.unit]
		if mine.dimension == noUnit || mine.dimension != other.dimension {
			return false
		}
		factor = other.factor / mine.factor
	}
	for _, a := range n.values {
		for _, b := range with.values {
			if same(a, b*factor) {
				return true
			}
		}
	}
	return false
}

// minutes is a time of day in minutes: 14:35, 14.35, 14 h; NaN for what is none.
func (n *num) minutes() float64 {
	v := n.values[0]
	switch {
	case n.shape == clock:
		return v
	case n.shape == plain && v <= 24 && (n.unit == hours || n.unit == noUnit && n.digits <= 2):
		return v * 60
	case n.shape == plain && v <= 24 && n.unit == noUnit && n.digits <= 4:
		whole := math.Trunc(v)
		return whole*60 + math.Round((v-whole)*100)
	}
	return none
}

// same compares values that may have been converted.
func same(a, b float64) bool { return a == b || math.Abs(a-b) <= 1e-9*math.Abs(a) }

// dates compares where one of the two is a date. A number agrees with the parts of
// a date.
func (n *num) dates(with *num) bool {
	if n.shape != date {
		v := n.values[0]
		return n.unit == noUnit && (v == float64(with.y) || v == float64(with.d)) || n.unit == years && v == float64(with.y)
	}
	if with.shape != date {
		return n.m == 0 && n.y > 0 && with.shape == plain && with.values[0] == float64(n.y)
	}
	for _, mine := range n.readings() {
		for _, other := range with.readings() {
			if fits(n.y, with.y) && fits(mine[0], other[0]) && fits(mine[1], other[1]) && (mine[0] == other[0] || n.m == 0) {
				return true
			}
		}
	}
	return false
}

// readings are month and day of a date, in both orders where both are possible.
func (n *num) readings() [][2]int {
	if n.swap {
		return [][2]int{{n.m, n.d}, {n.d, n.m}}
	}
	return [][2]int{{n.m, n.d}}
}

func fits(a, b int) bool { return a == 0 || b == 0 || a == b }

// around is where a value may lie that an answer gives in round figures: as far as
// its last figure goes.
func (n *num) around(a float64) (low, high float64) {
	figures := n.digits
	for v := a; !n.scaled && figures > 1 && v >= 10 && math.Mod(v, 10) == 0; v /= 10 { // zeros that were written
		figures--
	}
	last := math.Pow10(int(math.Floor(math.Log10(a))) + 1 - figures) // what one more in the last figure is
	factor := cmp.Or(measures[n.unit].factor, 1)
	return (a - last/2) * factor, (a + last/2) * factor
}
