// Package money holds the one unit and the one rounding rule of the gateway.
//
// The unit is the pico-dollar (1e-12 US dollars) in an int64, which is exact
// for every price per token that Bedrock lists: the smallest, a cached or
// batched Nova Micro token, is some thousands of pico-dollars. An int64 holds
// 9.2 million dollars, far more than one call can cost; sums over many calls
// use math/big (see Total). No float touches money.
package money

import (
	"fmt"
	"math/big"
	"math/bits"
	"strconv"
	"strings"
)

// Pico is an amount in pico-dollars. The zero value is nothing.
type Pico int64

// Dollar is one US dollar.
const Dollar Pico = 1_000_000_000_000

// Price is an amount in pico-dollars per million units (tokens, text units).
// Prices are quoted per thousand or per million, so this is always whole, also
// after a discount of whole percents. The zero value is free.
type Price int64

const perPrice = 1_000_000

// Cost returns n units at price p, rounded half to even. This is the only
// place where money is rounded. It panics when n or p is negative or the
// product exceeds an int64, which no validated price and count can reach.
func Cost(n int64, p Price) Pico {
	if n < 0 || p < 0 {
		panic(fmt.Sprintf("BUG: negative cost: %d units at %d", n, p))
	}
	hi, lo := bits.Mul64(uint64(n), uint64(p))
	if hi >= perPrice {
		panic(fmt.Sprintf("BUG: cost overflows: %d units at %d", n, p))
	}
	q, r := bits.Div64(hi, lo, perPrice)
	if r > perPrice/2 || (r == perPrice/2 && q&1 == 1) {
		q++
	}
	if q > 1<<63-1 {
		panic(fmt.Sprintf("BUG: cost overflows: %d units at %d", n, p))
	}
	return Pico(q)
}

// String returns the amount in dollars with as many decimals as it needs and
// at least two: 1.50, 0.000000035.
func (p Pico) String() string { return format(big.NewInt(int64(p))) }

// ParseDollars reads a decimal number of dollars ("5000", "0.00075") exactly.
// It fails on more than twelve decimals, on exponents and on overflow.
func ParseDollars(s string) (Pico, error) {
	v, err := parseDecimal(s, 12)
	return Pico(v), err
}

// ParsePricePerThousand reads dollars per thousand units, the unit of the
// Bedrock price page, exactly. It fails on more than fifteen decimals.
func ParsePricePerThousand(s string) (Price, error) {
	v, err := parseDecimal(s, 15)
	return Price(v), err
}

// Total is a sum of amounts that cannot overflow. The zero value is zero.
type Total struct{ v big.Int }

// Add adds p.
func (t *Total) Add(p Pico) { t.v.Add(&t.v, big.NewInt(int64(p))) }

// AddTotal adds u.
func (t *Total) AddTotal(u *Total) { t.v.Add(&t.v, &u.v) }

// Sign is -1, 0 or 1.
func (t *Total) Sign() int { return t.v.Sign() }

// String formats like Pico.String.
func (t *Total) String() string { return format(&t.v) }

// Pico returns the sum as an amount, and whether it fits.
func (t *Total) Pico() (Pico, bool) { return Pico(t.v.Int64()), t.v.IsInt64() }

func format(v *big.Int) string {
	digits := new(big.Int).Abs(v).String()
	if len(digits) < 13 {
		digits = strings.Repeat("0", 13-len(digits)) + digits
	}
	point := len(digits) - 12
	whole, cents, rest := digits[:point], digits[point:point+2], digits[point+2:]
	sign := ""
	if v.Sign() < 0 {
		sign = "-"
	}
	return sign + whole + "." + cents + strings.TrimRight(rest, "0")
}

// parseDecimal returns s scaled by ten to the power of scale.
func parseDecimal(s string, scale int) (int64, error) {
	whole, frac, _ := strings.Cut(s, ".")
	if len(frac) > scale {
		return 0, fmt.Errorf("%q has more than %d decimals", s, scale)
	}
	digits := strings.TrimPrefix(whole, "-")
	if digits == "" || strings.TrimLeft(digits+frac, "0123456789") != "" {
		return 0, fmt.Errorf("%q is not a decimal number", s)
	}
	v, err := strconv.ParseInt(whole+frac+strings.Repeat("0", scale-len(frac)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is out of range", s)
	}
	return v, nil
}
