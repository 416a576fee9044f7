// Package certify finds how many answers of the light model a cascade may serve,
// and proves a bound for it: with confidence 1-δ the mean loss of quality against
// the escalation model is at most ε on traffic like the log.
//
// The method is fixed-sequence testing (Angelopoulos et al., "Learn then Test",
// 2021, section 3): the order of the thresholds, from conservative to liberal, is
// fixed before the labels are looked at; each is tested at the same level; the
// first that fails ends the walk. The chance of certifying any threshold whose loss
// is above ε is then at most δ, whatever the shape of the loss, because the first
// bad threshold of the order must pass for that.
//
// Two things void the guarantee and cannot be detected here: risks that were fitted
// on the pairs that they are tested on (use Split, or risks of score.CrossFit), and pairs that are not like the
// traffic to come (use Monitor).
//
// The package is pure: no clock, no goroutines, no files.
package certify

import (
	"cmp"
	"fmt"
	"math"
	"time"

	"github.com/sluice-gateway/sluice/internal/money"
)

// Pair is one request that both the light and the escalation model answered.
type Pair struct {
	Time       time.Time
	Risk       float64    // rank of the light answer: served when Risk ≤ threshold; see score.Untrained
	Light      float64    // quality of the light answer, 0 to 1
	Escalation float64    // quality of the escalation answer, 0 to 1
	LightCost  money.Pico // of the light and the partner call together
	FullCost   money.Pico // of the escalation call
	Weight     float64    // share in the traffic relative to other pairs; 0 counts as 1
}

// loss is the quality given up when the light answer is served, -1 to 1.
func (p *Pair) loss() float64 { return p.Escalation - p.Light }

func (p *Pair) weight() float64 { return cmp.Or(p.Weight, 1) }

// Options are what the operator asks for.
type Options struct {
	MaxLoss   float64   // ε, mean loss of quality per request, 0 to 1
	Delta     float64   // δ, chance of a wrong certificate
	MinSaving float64   // share of the escalation spend; 0: any saving
	Seed      uint64    // of the bootstrap and of thinning
	Grid      []float64 // thresholds from conservative to liberal; nil: DefaultGrid
	// OneSided is that no label can say that a light answer is better: losses are 0 and 1
	// by what they are, and not by chance.
	OneSided bool
	// CrossFitted is that risks come from models that were trained on the other pairs.
	CrossFitted bool
	// Labels are the pairs by who labelled them, for the certificate; nil when that
	// is not known.
	Labels map[string]int
	// Routes are what the requests of the routes were like, for the certificate.
	Routes []Traffic
}

// DefaultGrid is made for score.Untrained and score.Model.Risk: up to 1 two
// answers agree, above 1 they do not. Steps below 1 leave something to
// certify when agreement as a whole is too much; above 1 the steps are fine
// for answers of 100 to 10,000 bytes, because there every step costs quality.
func DefaultGrid() []float64 {
	var grid []float64
	for k := 5; k < 20; k++ {
		grid = append(grid, float64(k)/50)
	}
	grid = append(grid, 0.4, 0.5, 0.7, 1)
	for k := 148; k < 206; k++ {
		grid = append(grid, float64(k)/128)
	}
	for k := 52; k <= 64; k++ {
		grid = append(grid, float64(k)/32)
	}
	return grid
}

// ease is the part of the largest certified saving that Calibrate gives up to keep
// a distance from the limit of what is proven. The last steps of a walk save little
// and cost most of the quality.
const ease = 0.015

// tested is the share of δ at which thresholds are tested. The rest covers that the
// worst rates of an exact test are searched on a grid.
const tested = 0.96

// crossFitted is the share of δ at which thresholds of a cross-fitted order are tested.
// The proof is for many pairs (see score.CrossFit) and not for any number, and a trained
// order is the more certain the more cautious: this leaves room for both.
const crossFitted = 0.25

// level is the p-value up to which a threshold passes.
func (o *Options) level() float64 {
	if o.CrossFitted {
		return tested * crossFitted * o.Delta
	}
	return tested * o.Delta
}

// ahead is the number of future requests that have to keep the target as well. The
// certificate is about the mean loss; service observes the mean of a sample, which
// exceeds the target more often when the policy is at its very limit.
const ahead = 1000

// Report is what Calibrate found, also when it refuses.
type Report struct {
	N          int     // labelled pairs
	Used       int     // pairs that were tested: fewer than N when weights were levelled
	Ceiling    float64 // the most that could be saved: everything light
	Curve      []Point // along the grid
	Certified  int     // index into Curve, -1 when nothing was certified
	Test       string  // "binomial", "exact" or "betting"
	PValue     float64
	Bound      float64 // upper confidence bound of the mean loss at the threshold
	SavingLow  float64 // 95 % bootstrap interval of the saving at the threshold
	SavingHigh float64
}

// Point is one threshold on the cost-quality curve.
type Point struct {
	Threshold float64
	Accepted  float64 // share of requests that the light model answers
	Saving    float64 // share of the escalation spend, every light call charged
	Loss      float64 // mean loss in the log
}

// CannotCertify is the error when the pairs do not prove the target.
type CannotCertify struct {
	MorePairs int     // estimate of how many more are needed; 0: more would not help
	Loss      float64 // mean loss of the policy that failed
}

func (e *CannotCertify) Error() string {
	if e.MorePairs == 0 {
		return fmt.Sprintf("cannot certify: the measured loss of %.2f points is above the target or too near it", 100*e.Loss)
	}
	return fmt.Sprintf("cannot certify: about %d more pairs needed", e.MorePairs)
}

// AboveCeiling is the error when prices do not allow the saving that was asked for,
// however good the checks are.
type AboveCeiling struct{ Wanted, Ceiling float64 }

func (e *AboveCeiling) Error() string {
	return fmt.Sprintf("target above the ceiling: a saving of %.0f%% was asked for, light alone saves %.0f%%",
		100*e.Wanted, 100*e.Ceiling)
}

// BelowTarget is the error when what could be certified saves less than was asked for.
type BelowTarget struct{ Wanted, Saving float64 }

func (e *BelowTarget) Error() string {
	return fmt.Sprintf("certified saving of %.1f%% is below the target of %.1f%%", 100*e.Saving, 100*e.Wanted)
}

// MinPairs returns how many pairs without any loss a p-value of delta needs:
// (1-ε)^n ≤ δ.
func MinPairs(maxLoss, delta float64) int {
	return int(math.Ceil(math.Log(delta) / math.Log1p(-maxLoss)))
}

// Split cuts a log in the order of time, the earlier share first: train there
// and calibrate on the rest. It does not copy.
func Split[T any](log []T, share float64) (train, calibrate []T) {
	cut := int(share * float64(len(log)))
	return log[:cut], log[cut:]
}

// Calibrate walks the grid and returns, of the thresholds that are certified
// and save nearly as much as the most liberal one (see ease), the one with the
// strongest proof. All that the walk passed are certified together, so any may be
// chosen.
// The error is *CannotCertify, *AboveCeiling or *BelowTarget; the report is
// there in each case.
func Calibrate(pairs []Pair, o Options) (*Report, error) {
	if o.Grid == nil {
		o.Grid = DefaultGrid()
	}
	r := &Report{N: len(pairs), Certified: -1, PValue: 1, Bound: 1}
	if len(pairs) == 0 {
		return r, &CannotCertify{MorePairs: MinPairs(o.MaxLoss, o.level())}
	}
	for _, threshold := range o.Grid {
		r.Curve = append(r.Curve, point(pairs, threshold))
	}
	r.Ceiling = point(pairs, math.Inf(1)).Saving
	if o.MinSaving > r.Ceiling {
		return r, &AboveCeiling{o.MinSaving, r.Ceiling}
	}
	s := newSample(pairs, o)
	r.Used, r.Test = s.used(), s.name()
	r.choose(s.walk(o))
	return r, r.conclude(s, pairs, o)
}

// choose selects one of the certified thresholds, which are the first of the grid,
// by their p-values.
func (r *Report) choose(proven []float64) {
	if len(proven) == 0 {
		return
	}
	enough := (1 - ease) * r.Curve[len(proven)-1].Saving
	for i, p := range proven {
		if r.Curve[i].Saving >= enough && (r.Certified < 0 || p < r.PValue) {
			r.Certified, r.PValue = i, p
		}
	}
}

// conclude fills in the fields that depend on the certified threshold.
func (r *Report) conclude(s *sample, pairs []Pair, o Options) error {
	if r.Certified < 0 || r.Curve[r.Certified].Saving <= 0 {
		r.Certified = -1
		return r.shortfall(s, o)
	}
	at := r.Curve[r.Certified]
	r.Bound = min(s.upperBound(at.Threshold, o.level()/tested), o.MaxLoss) // the walk refused the target itself
	r.SavingLow, r.SavingHigh = savingInterval(pairs, at.Threshold, o.Seed)
	if at.Saving < o.MinSaving {
		return &BelowTarget{o.MinSaving, at.Saving}
	}
	return nil
}

// shortfall estimates what is missing at the first threshold that saves. By
// the normal approximation the mean loss m of n pairs and the foreseen one pass
// four times in five with (z_δ + z_0.8)² σ² (1/n + 1/ahead) = (ε - m)².
func (r *Report) shortfall(s *sample, o Options) error {
	for _, at := range r.Curve {
		if at.Saving <= 0 {
			continue
		}
		m := s.moments(at.Threshold)
		const power = 0.84
		z := normalQuantile(1-o.level()) + power
		gap := o.MaxLoss - m.mean
		room := gap*gap/(z*z) - m.variance/ahead // for the variance of the mean
		if gap <= 0 || room <= 0 {
			return &CannotCertify{Loss: m.mean}
		}
		need := max(m.error*float64(r.Used)/room, float64(MinPairs(o.MaxLoss, o.level())))
		need *= float64(r.N) / float64(r.Used)
		return &CannotCertify{MorePairs: max(int(math.Ceil(need))-r.N, 1), Loss: m.mean}
	}
	return &CannotCertify{}
}

func moments(xs []float64) (mean, variance float64) {
	var sum, squares float64
	for _, x := range xs {
		sum += x
		squares += x * x
	}
	n := float64(len(xs))
	return sum / n, squares/n - sum/n*sum/n
}

func point(pairs []Pair, threshold float64) Point {
	var t tally
	for i := range pairs {
		t.add(&pairs[i], threshold)
	}
	return Point{threshold, t.accepted / t.weight, t.saving(), t.loss / t.weight}
}

// tally adds up a policy. Every light call is paid, also of what is escalated.
type tally struct{ weight, accepted, loss, spent, full float64 }

func (t *tally) add(p *Pair, threshold float64) {
	w := p.weight()
	t.weight += w
	t.full += w * float64(p.FullCost)
	t.spent += w * float64(p.LightCost)
	if p.Risk > threshold {
		t.spent += w * float64(p.FullCost)
		return
	}
	t.accepted += w
	t.loss += w * p.loss()
}

func (t *tally) saving() float64 {
	if t.full == 0 {
		return 0
	}
	return 1 - t.spent/t.full
}
