package quota

import "math/bits"

// powers is how many powers of two lengths of answers are told apart by.
const powers = 40

// answers are how long answers were, and how long they might have been: what is between is quota that was held for
// nothing.
type answers struct {
	n     int64
	long  [powers]int64 // answers by the power of two that their length does not exceed
	asked [powers]struct {
		tokens int64 // of quota, that answers of such a length might have taken
		rates  int64 // the sum of their rates of burn-down
	}
}

// power is the smallest power of two that is not below n, as an exponent.
func power(n int64) int { return min(bits.Len64(uint64(max(n, 1)-1)), powers-1) }

func (a *answers) add(asked, length, rate int64) {
	a.n++
	a.long[power(length)]++
	of := &a.asked[power(asked)]
	of.tokens, of.rates = of.tokens+asked*rate, of.rates+rate
}

// headroom is the smallest power of two that 99 of 100 answers keep to, and what it would have freed as a limit of all
// that were asked for; 0 without answers.
func (a *answers) headroom() (most, freed int64) {
	if a.n == 0 {
		return 0, 0
	}
	within, p := int64(0), 0
	for ; p < powers; p++ {
		if within += a.long[p]; within*100 >= a.n*99 {
			break
		}
	}
	most = 1 << p
	for i := p + 1; i < powers; i++ {
		freed += a.asked[i].tokens - a.asked[i].rates*most
	}
	return most, freed
}
