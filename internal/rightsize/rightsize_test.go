package rightsize

import (
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/internal/money"
)

// day is minutes of one unit's load in tenths, at a dollar for a unit's minute.
func day(tenths ...int64) []Minute {
	var all []Minute
	for _, t := range tenths {
		all = append(all, Minute{Input: 100 * t, Cost: money.Pico(t) * money.Dollar / 10})
	}
	return all
}

func text(r *big.Rat) string { return r.FloatString(3) }

// TestCurve has ten minutes that were worked out by hand: loads of 1, 2, 3 and 4 units, and six idle ones.
func TestCurve(t *testing.T) {
	c := NewCurve(day(40, 10, 20, 30), Unit{Input: 1000}, 10)
	f := func(what string, got *big.Rat, want string) {
		t.Helper()
		if text(got) != want {
			t.Errorf("%s is %s, want %s", what, text(got), want)
		}
	}
	f("peak", c.Peak(), "4.000")
	f("mean", c.Mean(), "1.000")
	f("P50", c.Load(50, 100), "0.000")
	f("P60", c.Load(60, 100), "0.000")
	f("P61", c.Load(61, 100), "1.000")
	f("P90", c.Load(90, 100), "3.000")
	f("P99", c.Load(99, 100), "4.000")
	f("above 0", c.Above(0), "0.400")
	f("above 2", c.Above(2), "0.200")
	f("above 4", c.Above(4), "0.000")
	f("use of 1", c.used(1), "0.400")
	f("use of 2", c.used(2), "0.350") // 1 + 2 + 2 + 2 of 20
	f("use of 4", c.used(4), "0.250")
	for units, want := range []string{"0.00", "4.00", "7.00", "9.00", "10.00", "10.00"} {
		if got := c.saved(int64(units)); got.String() != want {
			t.Errorf("%d units save %s, want %s", units, got.String(), want)
		}
	}
	for fee, want := range map[string]int64{"0.5": 4, "1": 4, "1.5": 3, "2": 3, "2.5": 2, "3": 2, "4": 1, "4.1": 0} {
		dollars, _ := new(big.Rat).SetString(fee)
		if got := c.Best(dollars.Mul(dollars, whole(int64(money.Dollar)))); got != want {
			t.Errorf("at %s a unit %d are best, want %d", fee, got, want)
		}
	}
}

// TestAdvise: at 15 dollars an hour a unit costs 2.50 in ten minutes, and would save 10 if it was always in use.
func TestAdvise(t *testing.T) {
	c := NewCurve(day(40, 10, 20, 30), Unit{Input: 1000}, 10)
	a := c.Advise(Term{"none", whole(15 * int64(money.Dollar))}, 0)
	if text(a.BreakEven) != "0.250" || a.Best.Units != 2 || a.Best.Net.String() != "2.00" ||
		a.Best.Fee.String() != "5.00" {
		t.Errorf("%s %+v", text(a.BreakEven), a.Best)
	}
	want := []struct {
		name  string
		units int64
		net   string
	}{{"P50", 0, "0.00"}, {"P90", 3, "1.50"}, {"P99", 4, "0.00"}, {"70 % of peak", 3, "1.50"}, {"80 % of peak", 3, "1.50"}}
	for i, w := range want {
		if o := a.Others[i]; o.Name != w.name || o.Units != w.units || o.Net.String() != w.net {
			t.Errorf("%s: %d units, %s; want %+v", o.Name, o.Units, o.Net.String(), w)
		}
	}
	// A fifth less: 0.8, 1.6, 2.4, 3.2 units, of which one saves 3.8, two 6.4, three 7.8.
	if a.Less.Units != 2 || a.Less.Net.String() != "1.40" || a.LessNet.String() != "1.40" {
		t.Errorf("less: %+v, %s", a.Less, a.LessNet.String())
	}
	// A fifth more: 1.2, 2.4, 3.6, 4.8, of which two save 7.2 and three 9.6, at 2.50 each.
	if a.More.Units != 2 || a.More.Net.String() != "2.20" || a.MoreNet.String() != "2.20" {
		t.Errorf("more: %+v, %s", a.More, a.MoreNet.String())
	}
	if text(a.Best.Used) != "0.350" || text(a.Best.P50) != "0.000" || text(a.Best.P90) != "1.000" {
		t.Errorf("use: %+v", a.Best)
	}
}

// TestLeast: where two units are best and three are the least, three are taken while they are worth something.
func TestLeast(t *testing.T) {
	c := NewCurve(day(40, 10, 20, 30), Unit{Input: 1000}, 10)
	for least, want := range map[int64]int64{0: 2, 2: 2, 3: 3, 4: 0, 5: 0} { // four save 10 for a fee of 10
		if a := c.Advise(Term{"none", whole(15 * int64(money.Dollar))}, least); a.Best.Units != want {
			t.Errorf("at least %d: %d are best, want %d", least, a.Best.Units, want)
		}
	}
}

// TestSides: a minute needs as many units as its greater side, and a side without a limit needs none.
func TestSides(t *testing.T) {
	f := func(u Unit, m Minute, want string) {
		t.Helper()
		if got := text(NewCurve([]Minute{m}, u, 1).Peak()); got != want {
			t.Errorf("%+v of %+v: %s, want %s", m, u, got, want)
		}
	}
	f(Unit{1000, 100}, Minute{Input: 2000, Output: 150}, "2.000")
	f(Unit{1000, 100}, Minute{Input: 2000, Output: 350}, "3.500")
	f(Unit{1000, 0}, Minute{Input: 2000, Output: 350}, "2.000")
	f(Unit{0, 100}, Minute{Input: 2000, Output: 350}, "3.500")
	f(Unit{0, 0}, Minute{Input: 2000, Output: 350}, "0.000")
	none := NewCurve(nil, Unit{1, 1}, 0)
	if none.Best(whole(1)) != 0 || none.Mean().Sign() != 0 || none.Advise(Term{"", whole(1)}, 0).Best.Units != 0 {
		t.Error("no minute at all")
	}
}

// TestBest compares with trying each number of units, in fractions.
func TestBest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var used []Minute
		for range rapid.IntRange(0, 30).Draw(t, "minutes") {
			used = append(used, Minute{
				rapid.Int64Range(0, 9000).Draw(t, "input"), rapid.Int64Range(0, 900).Draw(t, "output"),
				money.Pico(rapid.Int64Range(0, 1<<50).Draw(t, "cost")),
			})
		}
		c := NewCurve(used, Unit{1000, 100}, int64(len(used)+rapid.IntRange(0, 20).Draw(t, "idle")))
		fee := whole(rapid.Int64Range(1, 1<<52).Draw(t, "fee"))
		net := func(units int64) *big.Rat {
			all := new(big.Rat).Neg(new(big.Rat).Mul(fee, whole(units)))
			for _, m := range used {
				load := big.NewRat(max(m.Input, 10*m.Output), 1000)
				part := big.NewRat(1, 1)
				if load.Cmp(whole(units)) > 0 {
					part.Quo(whole(units), load)
				}
				if load.Sign() > 0 {
					all.Add(all, part.Mul(part, whole(int64(m.Cost))))
				}
			}
			return all
		}
		best := c.Best(fee)
		for units := range int64(12) {
			slack := whole(2 * int64(len(used)+1)) // minutes are rounded down
			if over := new(big.Rat).Sub(net(units), net(best)); over.Cmp(slack) > 0 {
				t.Fatalf("%d units are better than %d by %s", units, best, over.FloatString(0))
			}
		}
	})
}
