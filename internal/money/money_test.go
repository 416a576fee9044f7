package money

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

func TestCost(t *testing.T) {
	f := func(n int64, p Price, want Pico) {
		t.Helper()
		if got := Cost(n, p); got != want {
			t.Errorf("Cost(%d, %d) = %d, want %d", n, p, got, want)
		}
	}
	perThousand := func(s string) Price {
		perUnit, err := ParseDollars(s)
		if err != nil {
			t.Fatal(err)
		}
		return Price(perUnit) * 1000 // per million units
	}
	f(0, perThousand("0.003"), 0)
	f(1, perThousand("0.003"), 3_000_000)         // $3 per million
	f(1, perThousand("0.000035"), 35_000)         // Nova Micro input
	f(1000, perThousand("0.075"), 75*Dollar/1000) // Opus output
	f(1<<31, perThousand("0.075"), 161_061_273_600_000_000)
	f(1, 500_000, 0) // half to even
	f(3, 500_000, 2)
	f(1, 500_001, 1)
}

func TestCostAgainstBig(t *testing.T) {
	for n := int64(1); n < 1<<40; n = n*7 + 3 {
		for p := int64(1); p < 1<<22; p = p*5 + 1 {
			prod := new(big.Int).Mul(big.NewInt(n), big.NewInt(p))
			q, r := new(big.Int).QuoRem(prod, big.NewInt(perPrice), new(big.Int))
			if twice := r.Int64() * 2; twice > perPrice || twice == perPrice && q.Bit(0) == 1 {
				q.Add(q, big.NewInt(1))
			}
			if got := Cost(n, Price(p)); int64(got) != q.Int64() {
				t.Fatalf("Cost(%d, %d) = %d, want %s", n, p, got, q)
			}
		}
	}
}

func TestString(t *testing.T) {
	f := func(p Pico, want string) {
		t.Helper()
		if got := p.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		back, err := ParseDollars(want)
		if err != nil || back != p {
			t.Errorf("ParseDollars(%s) = %d, %v", want, back, err)
		}
	}
	f(0, "0.00")
	f(Dollar, "1.00")
	f(3*Dollar/2, "1.50")
	f(35_000, "0.000000035")
	f(-1, "-0.000000000001")
	f(1<<63-1, "9223372.036854775807")
}

func TestParseErrors(t *testing.T) {
	for _, s := range []string{"", ".", "-", "1e3", "1.0000000000001", "99999999999", "1,5", " 1", "0x1"} {
		if v, err := ParseDollars(s); err == nil {
			t.Errorf("ParseDollars(%q) = %d, want an error", s, v)
		}
	}
}

func TestTotal(t *testing.T) {
	var a, b Total
	for range 3 {
		a.Add(1<<63 - 1)
	}
	b.AddTotal(&a)
	if got := b.String(); got != "27670116.110564327421" {
		t.Error(got)
	}
	if _, ok := b.Pico(); ok {
		t.Error("fits an int64")
	}
}

func TestRounded(t *testing.T) {
	for amount, want := range map[Pico]string{
		0: "0.00", 1: "0.000000", Dollar / 2: "0.500000", Dollar: "1.00", -Dollar / 4: "-0.250000",
		1234567 * Dollar / 1000: "1234.57",
	} {
		var total Total
		total.Add(amount)
		if got := total.Rounded(); got != want {
			t.Errorf("%d: %s, want %s", amount, got, want)
		}
	}
}

func TestStringAgainstBig(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		whole, small, least := rapid.Int64(), rapid.Int64Range(-1000, 1000), rapid.Just(int64(math.MinInt64))
		p := Pico(rapid.OneOf(whole, small, least).Draw(rt, "pico"))
		if got, want := p.String(), format(big.NewInt(int64(p))); got != want {
			rt.Fatalf("%d: got %s, want %s", p, got, want)
		}
	})
}

// TestTotalAgainstBig adds and subtracts amounts at the edges of an int64.
func TestTotalAgainstBig(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	edges := []Pico{0, 1, -1, math.MaxInt64, math.MinInt64, math.MaxInt64 / 2, math.MinInt64 / 2}
	for range 2000 {
		var sum, other Total
		want, wantOther := new(big.Int), new(big.Int)
		for range random.IntN(12) {
			p := edges[random.IntN(len(edges))] + Pico(random.IntN(3)-1)
			sum.Add(p)
			want.Add(want, big.NewInt(int64(p)))
			switch random.IntN(4) {
			case 0:
				other.AddTotal(&sum)
				wantOther.Add(wantOther, want)
			case 1:
				sum.SubTotal(&other)
				want.Sub(want, wantOther)
			case 2:
				sum.AddTotal(&sum)
				want.Add(want, want)
			}
		}
		if sum.String() != format(want) || sum.Sign() != want.Sign() {
			t.Fatalf("%s, want %s", sum.String(), format(want))
		}
	}
}
