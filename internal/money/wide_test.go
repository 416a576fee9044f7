package money

import (
	"math/big"
	"testing"
)

func TestAddRat(t *testing.T) {
	f := func(num, den int64, want string) {
		t.Helper()
		var sum Total
		sum.AddRat(big.NewRat(num, den))
		if got := sum.Rat().Num().String(); got != want {
			t.Errorf("%d/%d rounds to %s, want %s", num, den, got, want)
		}
	}
	f(0, 1, "0")
	f(7, 1, "7")
	f(1, 2, "0")
	f(3, 2, "2")
	f(5, 2, "2")
	f(-1, 2, "0")
	f(-3, 2, "-2")
	f(1, 3, "0")
	f(2, 3, "1")
	f(-1, 3, "0")
	f(-2, 3, "-1")
}

func TestSubTotal(t *testing.T) {
	var a, b Total
	a.Add(Dollar)
	b.Add(3 * Dollar)
	a.SubTotal(&b)
	if got := a.String(); got != "-2.00" {
		t.Errorf("1 - 3 = %s", got)
	}
	if got := b.String(); got != "3.00" {
		t.Errorf("what is taken off became %s", got)
	}
}
