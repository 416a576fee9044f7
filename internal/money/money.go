// Package money has the one unit and the one rounding rule of the gateway.
//
// The unit is the pico-dollar (1e-12 US dollars) in an int64, which is exact
// for every price per token that Bedrock lists: the smallest, a cached or
// batched Nova Micro token, is some thousands of pico-dollars. An int64 holds
// 9.2 million dollars, far more than one call can cost; sums over many calls
// use math/big (Total). No float touches money.
package money

import (
	"cmp"
	"errors"
	"fmt"
	"math/big"
	"math/bits"
	"strconv"
	"strings"
)

// Pico is an amount in pico-dollars. The zero value is nothing.
type Pico int64

const (
	// Dollar is one US dollar.
	Dollar Pico = 1_000_000_000_000
	// Nano is a nano-dollar, the unit of budgets and of the ledger.
	Nano Pico = 1000
)

// NanosUp is the amount in nano-dollars, rounded up, so that a budget never counts
// less than was spent.
func (p Pico) NanosUp() int64 {
	nanos := int64(p / Nano)
	if p%Nano > 0 {
		nanos++
	}
	return nanos
}

// Price is an amount in pico-dollars per million units (tokens, text units).
// Prices are quoted per thousand or per million, so this is always whole, also
// after a discount of whole percents. The zero value is free.
type Price int64

const perPrice = 1_000_000

// Cost returns n units at price p, rounded half to even. It panics when n or p is negative or the
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
func (p Pico) String() string {
	var text [32]byte
	return string(p.Append(text[:0]))
}

// Append appends the amount as String has it.
func (p Pico) Append(b []byte) []byte {
	n := uint64(p)
	if p < 0 {
		b, n = append(b, '-'), -n
	}
	b = append(strconv.AppendUint(b, n/uint64(Dollar), 10), '.')
	least := len(b) + 2
	for unit, rest := uint64(Dollar)/10, n%uint64(Dollar); unit > 0; unit /= 10 {
		b = append(b, '0'+byte(rest/unit%10))
	}
	for len(b) > least && b[len(b)-1] == '0' {
		b = b[:len(b)-1]
	}
	return b
}

// decimals is how many decimals of a dollar a pico-dollar is.
const decimals = 12

// ErrRange is wrapped by what ParseDollars returns for a number of dollars that no
// Pico holds.
var ErrRange = errors.New("out of range")

// ParseDollars reads a decimal number of dollars ("5000", "0.00075") exactly.
// It fails on more than twelve decimals, on exponents and on overflow.
func ParseDollars(s string) (Pico, error) {
	whole, frac, _ := strings.Cut(s, ".")
	if len(frac) > decimals {
		return 0, fmt.Errorf("%q has more than %d decimals", s, decimals)
	}
	digits := strings.TrimPrefix(whole, "-")
	if digits == "" || strings.TrimLeft(digits+frac, "0123456789") != "" {
		return 0, fmt.Errorf("%q is not a decimal number; write it as 1250 or 0.75, without a sign of a currency", s)
	}
	v, err := strconv.ParseInt(whole+frac+strings.Repeat("0", decimals-len(frac)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is %w", s, ErrRange)
	}
	return Pico(v), nil
}

// Total is a sum of amounts that cannot overflow. The zero value is zero. A copy is a sum
// of its own.
type Total struct {
	small Pico     // part of the sum: adding to it needs no memory
	large *big.Int // the rest, when small would overflow: nil for none, and never changed
}

// Add adds p.
func (t *Total) Add(p Pico) {
	if sum := t.small + p; p == 0 || (sum > t.small) == (p > 0) {
		t.small = sum
		return
	}
	t.addLarge(big.NewInt(int64(p)))
}

func (t *Total) addLarge(n *big.Int) {
	sum := new(big.Int).Set(n)
	if t.large != nil {
		sum.Add(sum, t.large)
	}
	t.large = sum
}

// AddTotal adds u.
func (t *Total) AddTotal(u *Total) {
	small := u.small // t may be u
	if u.large != nil {
		t.addLarge(u.large)
	}
	t.Add(small)
}

// SubTotal subtracts u; the sum may become negative.
func (t *Total) SubTotal(u *Total) {
	difference := new(big.Int).Sub(t.sum(), u.sum())
	t.small, t.large = 0, difference
	if difference.IsInt64() {
		t.small, t.large = Pico(difference.Int64()), nil
	}
}

// sum is the whole of it.
func (t *Total) sum() *big.Int {
	sum := big.NewInt(int64(t.small))
	if t.large != nil {
		sum.Add(sum, t.large)
	}
	return sum
}

// Sign is -1, 0 or 1.
func (t *Total) Sign() int {
	if t.large == nil {
		return cmp.Compare(t.small, 0)
	}
	return t.sum().Sign()
}

// String formats like Pico.String.
func (t *Total) String() string {
	if t.large == nil {
		return t.small.String()
	}
	return format(t.sum())
}

// Rounded formats for people: two decimals, and six below a dollar, so that a
// small amount does not look like none.
func (t *Total) Rounded() string {
	amount := new(big.Rat).SetFrac(t.sum(), big.NewInt(int64(Dollar)))
	if t.Sign() != 0 && new(big.Rat).Abs(amount).Cmp(big.NewRat(1, 1)) < 0 {
		return amount.FloatString(6)
	}
	return amount.FloatString(2)
}

// Pico returns the sum as an amount, and whether it fits.
func (t *Total) Pico() (Pico, bool) {
	sum := t.sum()
	return Pico(sum.Int64()), sum.IsInt64()
}

// Rat returns the sum in pico-dollars, as a fraction that further exact
// arithmetic can start from.
func (t *Total) Rat() *big.Rat { return new(big.Rat).SetInt(t.sum()) }

// AddRat adds r pico-dollars, rounded half to even like Cost. It is for
// amounts that come out of shares and means, which need not be whole.
func (t *Total) AddRat(r *big.Rat) {
	whole, rest := new(big.Int).DivMod(r.Num(), r.Denom(), new(big.Int))
	half := rest.Lsh(rest, 1).Cmp(r.Denom())
	if half > 0 || half == 0 && whole.Bit(0) == 1 {
		whole.Add(whole, big.NewInt(1))
	}
	if whole.IsInt64() {
		t.Add(Pico(whole.Int64()))
		return
	}
	t.addLarge(whole)
}

func format(v *big.Int) string {
	digits := new(big.Int).Abs(v).String()
	if short := decimals + 1 - len(digits); short > 0 {
		digits = strings.Repeat("0", short) + digits
	}
	point := len(digits) - decimals
	whole, cents, rest := digits[:point], digits[point:point+2], digits[point+2:]
	sign := ""
	if v.Sign() < 0 {
		sign = "-"
	}
	return sign + whole + "." + cents + strings.TrimRight(rest, "0")
}
