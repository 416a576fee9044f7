package money

import "math/big"

// SubTotal takes u off; the sum may become negative.
func (t *Total) SubTotal(u *Total) { t.v.Sub(&t.v, &u.v) }

// Rat returns the sum in pico-dollars, as a fraction that further exact
// arithmetic can start from.
func (t *Total) Rat() *big.Rat { return new(big.Rat).SetInt(&t.v) }

// AddRat adds r pico-dollars, rounded half to even like Cost. It is for
// amounts that come out of shares and means, which need not be whole.
func (t *Total) AddRat(r *big.Rat) {
	whole, rest := new(big.Int).DivMod(r.Num(), r.Denom(), new(big.Int))
	half := rest.Lsh(rest, 1).Cmp(r.Denom())
	if half > 0 || half == 0 && whole.Bit(0) == 1 {
		whole.Add(whole, big.NewInt(1))
	}
	t.v.Add(&t.v, whole)
}
