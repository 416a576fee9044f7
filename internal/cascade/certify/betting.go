package certify

// The test behind every certificate: is the mean loss at most eps? A gambler
// with capital 1 bets on each loss being below eps, at odds that are fair when
// the mean is exactly eps:
//
//	K_t = K_(t-1) · (1 + λ_t (eps − l_t)),   0 ≤ λ_t ≤ c / (B − eps)
//
// where B bounds the losses from above and λ_t may depend on what came before,
// never on l_t. If the mean is eps or more, K is a non-negative supermartingale,
// so by Ville's inequality it ever reaches 1/δ with probability at most δ:
// p = 1 / max_t K_t is a p-value, valid at any sample size and however often it
// is looked at. Waudby-Smith and Ramdas, "Estimating means of bounded random
// variables by betting", JRSS B 2024, section 4.
//
// The bets are a mixture (a mean of capitals is a supermartingale too) of
// constant ones and of aGRAPA, which bets the plug-in estimate
// λ_t = (eps − m) / (v + (eps − m)²) of the growth-optimal stake (section B.3
// of the same paper), with m and v the running mean and variance.

// caution is c above: no loss may take more than this share of the capital.
const caution = 0.9

// The running estimates of aGRAPA start from a belief worth priorWeight
// losses: no loss on average, and one loss in priorEvery. A wrong belief costs
// power, never validity.
const (
	priorWeight = 20
	priorEvery  = 25
)

// stakes are the constant bets as parts of the largest allowed.
var stakes = [...]float64{0.08, 0.16, 0.3, 0.5, 0.75, 1}

// Bettor is the capital after the losses so far. Make one with NewBettor.
type Bettor struct {
	eps, largest float64 // largest stake
	capital      [len(stakes) + 1]float64
	n            float64
	sum, squares float64
	bound        float64
	most         float64
}

// NewBettor bets that the mean loss is below eps, for losses of at most bound.
func NewBettor(eps, bound float64) *Bettor {
	b := &Bettor{
		eps: eps, largest: caution / (bound - eps), bound: bound, most: 1,
		n: priorWeight, squares: float64(priorWeight) / priorEvery,
	}
	for i := range b.capital {
		b.capital[i] = 1
	}
	return b
}

// Observe adds the next loss. A loss above the bound counts as the bound.
func (b *Bettor) Observe(loss float64) {
	loss = min(loss, b.bound)
	win := b.eps - loss
	for i, s := range stakes {
		b.capital[i] *= 1 + s*b.largest*win
	}
	b.capital[len(stakes)] *= 1 + b.plugIn()*win
	b.n++
	b.sum += loss
	b.squares += loss * loss
	b.most = max(b.most, b.Capital())
}

func (b *Bettor) plugIn() float64 {
	m := b.sum / b.n
	v := b.squares/b.n - m*m
	lead := b.eps - m
	return min(max(lead/(v+lead*lead), 0), b.largest)
}

// Capital returns the capital now, 1 before the first loss.
func (b *Bettor) Capital() float64 {
	var plain float64
	for _, c := range b.capital[:len(stakes)] {
		plain += c
	}
	return (plain/float64(len(stakes)) + b.capital[len(stakes)]) / 2
}

// PValue returns the p-value of "the mean loss is eps or more".
func (b *Bettor) PValue() float64 { return 1 / b.most }

// PValue tests losses in their order; each is at most bound.
func PValue(losses []float64, eps, bound float64) float64 {
	b := NewBettor(eps, bound)
	for _, l := range losses {
		b.Observe(l)
	}
	return b.PValue()
}
