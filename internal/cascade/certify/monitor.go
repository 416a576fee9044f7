package certify

import (
	"math"
	"slices"
)

// Monitor watches a certified policy in service: it collects evidence that the
// mean loss has come above ε. While it has not, the capital ever reaches 1/δ
// with probability at most δ, so it may be looked at after every request.
// Make one with NewMonitor; it is not safe for concurrent use.
type Monitor struct {
	bettor Bettor
	delta  float64
}

// NewMonitor watches "the mean loss is at most maxLoss".
func NewMonitor(maxLoss, delta float64) *Monitor {
	// Betting that the mean of -l is below -ε is betting that l is above ε.
	return &Monitor{*NewBettor(-maxLoss, 1), delta}
}

// Observe takes the loss of one request sampled from all requests of the
// cascade, 0 when it was escalated. A sample of light answers only watches the
// loss per light answer, which is larger.
func (m *Monitor) Observe(loss float64) { m.bettor.Observe(-loss) }

// Evidence returns the largest capital so far, 1 at the start.
func (m *Monitor) Evidence() float64 { return m.bettor.most }

// Alarm reports that the certificate is refuted. It stays.
func (m *Monitor) Alarm() bool { return m.bettor.most >= 1/m.delta }

// PSI is the population stability index between two histograms over the same
// bins: Σ (now - base) · ln(now / base) of the shares. Above 0.25 is by custom
// a shift that needs a look. Empty bins count as half a request.
func PSI(base, now []int) float64 {
	b, n := shares(base), shares(now)
	var sum float64
	for i := range b {
		sum += (n[i] - b[i]) * math.Log(n[i]/b[i])
	}
	return sum
}

func shares(counts []int) []float64 {
	out := make([]float64, len(counts))
	var total float64
	for i, c := range counts {
		out[i] = max(float64(c), 0.5)
		total += out[i]
	}
	for i := range out {
		out[i] /= total
	}
	return out
}

// KS is the two-sample Kolmogorov-Smirnov test of "both come from the same
// distribution": the largest distance between the distribution functions, and
// its asymptotic p-value (Smirnov 1948, with Stephens' correction).
func KS(a, b []float64) (distance, p float64) {
	if len(a) == 0 || len(b) == 0 {
		return 0, 1
	}
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	for i, j := 0, 0; i < len(a) && j < len(b); {
		x := min(a[i], b[j])
		for i < len(a) && a[i] == x {
			i++
		}
		for j < len(b) && b[j] == x {
			j++
		}
		distance = max(distance, math.Abs(float64(i)/float64(len(a))-float64(j)/float64(len(b))))
	}
	n := math.Sqrt(float64(len(a)) * float64(len(b)) / float64(len(a)+len(b)))
	return distance, kolmogorov((n + 0.12 + 0.11/n) * distance)
}

// kolmogorov is 2 Σ (-1)^(k-1) exp(-2 k² x²).
func kolmogorov(x float64) float64 {
	if x < 0.2 {
		return 1
	}
	var sum float64
	sign := 1.0
	for k := 1.0; k <= 100; k++ {
		sum += sign * math.Exp(-2*k*k*x*x)
		sign = -sign
	}
	return min(max(2*sum, 0), 1)
}
