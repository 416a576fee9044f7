package certify

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// made is a log in which one in wrongEvery agreeing light answers is worse.
func made(n, wrongEvery int) []Pair {
	pairs := make([]Pair, n)
	for i := range pairs {
		pairs[i] = Pair{Risk: 0.4 + float64(i%10)/10, Light: 1, Escalation: 1, LightCost: 4, FullCost: 100}
		if wrongEvery > 0 && i%wrongEvery == wrongEvery-1 {
			pairs[i].Light = 0
		}
	}
	return pairs
}

func TestCalibrate(t *testing.T) {
	o := Options{MaxLoss: 0.02, Delta: 0.1}
	r, err := Calibrate(made(500, 0), o)
	if err != nil || r.Curve[r.Certified].Accepted != 1 || math.Abs(r.Ceiling-0.96) > 1e-12 || r.Bound > 0.02 {
		t.Errorf("no loss at all: %v, %+v", err, r)
	}

	var short *CannotCertify
	if _, err = Calibrate(made(100, 0), o); !errors.As(err, &short) || short.MorePairs != MinPairs(0.02, tested*0.1)-100 {
		t.Errorf("100 pairs: %v, want what is missing to the least", err)
	}
	if _, err = Calibrate(nil, o); !errors.As(err, &short) || short.MorePairs != MinPairs(0.02, tested*0.1) {
		t.Errorf("no pairs: %v", err)
	}
	_, err = Calibrate(made(500, 10), Options{MaxLoss: 0.02, Delta: 0.1, Grid: []float64{2}})
	if !errors.As(err, &short) || short.MorePairs != 0 {
		t.Errorf("a loss of ten points: %v, want that more pairs would not help", err)
	}

	var above *AboveCeiling
	o.MinSaving = 0.97
	if _, err = Calibrate(made(500, 0), o); !errors.As(err, &above) {
		t.Errorf("97 %% of 96 %%: %v", err)
	}
	var below *BelowTarget
	o.MinSaving = 0.9
	r, err = Calibrate(made(500, 0), Options{MaxLoss: 0.02, Delta: 0.1, MinSaving: 0.9, Grid: []float64{0.95}})
	if !errors.As(err, &below) || r.Certified != 0 {
		t.Errorf("a saving below the target: %v", err)
	}
	for _, e := range []error{short, above, below} {
		if e.Error() == "" {
			t.Errorf("%T says nothing", e)
		}
	}
}

// TestForeseen refuses what is proven of the mean and would not be seen of the
// next requests, however many pairs there are.
func TestForeseen(t *testing.T) {
	grid := []float64{2}
	f := func(n, wrongEvery int, proven, certified bool) {
		t.Helper()
		pairs := made(n, wrongEvery)
		if p := newSample(pairs, Options{}).pValue(grid[0], 0.02, 0.1); (p <= tested*0.1) != proven {
			t.Errorf("%d pairs, one in %d worse: p = %g", n, wrongEvery, p)
		}
		_, err := Calibrate(pairs, Options{MaxLoss: 0.02, Delta: 0.1, Grid: grid})
		var short *CannotCertify
		if (err == nil) != certified || err != nil && (!errors.As(err, &short) || short.MorePairs != 0) {
			t.Errorf("%d pairs, one in %d worse: %v", n, wrongEvery, err)
		}
	}
	f(50_000, 40, false, false) // 2.5 points
	f(50_000, 60, true, false)  // 1.67 points, which 1000 requests exceed now and then
	f(50_000, 100, true, true)  // 1 point
}

// TestChoose takes the strongest proof among what saves nearly the most.
func TestChoose(t *testing.T) {
	f := func(savings, proven []float64, want int) {
		t.Helper()
		r := &Report{Certified: -1, PValue: 1}
		for _, saving := range savings {
			r.Curve = append(r.Curve, Point{Saving: saving})
		}
		if r.choose(proven); r.Certified != want {
			t.Errorf("savings %v, proven %v: took %d, want %d", savings, proven, r.Certified, want)
		}
	}
	f([]float64{0.5, 0.7}, nil, -1)
	f([]float64{0.5, 0.7, 0.9}, []float64{0.01, 0.05}, 1)
	f([]float64{0.69, 0.7, 0.9}, []float64{0.01, 0.05}, 0)
	f([]float64{0.69, 0.695, 0.7}, []float64{0.05, 0.01, 0.01}, 1)
	f([]float64{0.7, 0.71}, []float64{0.02, 0.01}, 1)
}

func TestSavingCountsEveryLightCall(t *testing.T) {
	pairs := []Pair{{Risk: 0, LightCost: 10, FullCost: 100}, {Risk: 3, LightCost: 10, FullCost: 100}}
	got := point(pairs, 1)
	if diff := cmp.Diff(Point{Threshold: 1, Accepted: 0.5, Saving: 0.4}, got); diff != "" {
		t.Error(diff)
	}
}

func TestGradedLabelsAreBetOn(t *testing.T) {
	pairs := made(600, 0)
	for i := range pairs {
		pairs[i].Light = 0.995
	}
	r, err := Calibrate(pairs, twoPoints)
	if err != nil || r.Test != "betting" || r.Bound < 0.005 || r.Bound > 0.02 {
		t.Errorf("%v, %+v", err, r)
	}
}

// TestWeights makes sure that no pair is thrown away where weights are those of
// two strata, and that other weights are levelled.
func TestWeights(t *testing.T) {
	f := func(weights []float64, low, high int) {
		t.Helper()
		pairs := made(4000, 0)
		for i := range pairs {
			pairs[i].Weight = weights[i%len(weights)]
		}
		r, err := Calibrate(pairs, twoPoints)
		if err != nil || r.Used < low || r.Used > high || r.N != 4000 {
			t.Errorf("%v: used %d of %d with weights %v, want %d to %d", err, r.Used, r.N, weights, low, high)
		}
	}
	f([]float64{1, 0.25}, 4000, 4000)
	f([]float64{1, 0.5, 0.25, 0.25}, 1850, 2150)
}

// TestStrataAgainstEnumeration compares the tail over two strata with a plain
// sum over all outcomes of two small samples.
func TestStrataAgainstEnumeration(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		counts := func(name string) Counts {
			n := rapid.IntRange(1, 6).Draw(t, name)
			worse := rapid.IntRange(0, n).Draw(t, name+" worse")
			return Counts{n, worse, rapid.IntRange(0, n-worse).Draw(t, name+" better")}
		}
		chances := func(name string) rates {
			worse := rapid.Float64Range(0, 0.6).Draw(t, name+" rate")
			return rates{worse, rapid.Float64Range(0, 0.4).Draw(t, name+" other rate")}
		}
		share := rapid.Float64Range(0.05, 0.95).Draw(t, "share")
		a, b := Stratum{share, counts("a")}, Stratum{1 - share, counts("b")}
		at := [2]rates{chances("a"), chances("b")}
		eps := rapid.Float64Range(0.01, 0.5).Draw(t, "eps")
		statistic := func(a, b Stratum) float64 {
			return (a.mean() + b.mean() - eps) / math.Sqrt(a.spread(a.Worse+a.Better)+b.spread(b.Worse+b.Better))
		}
		var want float64
		outcomes(a.Counts, at[0], func(ca Counts, pa float64) {
			outcomes(b.Counts, at[1], func(cb Counts, pb float64) {
				if statistic(Stratum{a.Share, ca}, Stratum{b.Share, cb}) <= statistic(a, b)+1e-9 {
					want += pa * pb
				}
			})
		})
		if got := tailOfTwo(a, b, at, eps); math.Abs(got-want) > 1e-4 {
			t.Fatalf("tailOfTwo = %v, enumeration %v", got, want)
		}
	})
}

// outcomes calls each with all counts of a sample and their chances.
func outcomes(c Counts, at rates, each func(Counts, float64)) {
	for worse := range c.N + 1 {
		for better := range c.N - worse + 1 {
			ways := math.Exp(logBinomial(worse, c.N, 0.5)+logBinomial(better, c.N-worse, 0.5)) *
				math.Pow(2, float64(2*c.N-worse))
			each(Counts{c.N, worse, better}, ways*math.Pow(at.worse, float64(worse))*math.Pow(at.better, float64(better))*
				math.Pow(1-at.any(), float64(c.N-worse-better)))
		}
	}
}

// TestStrataHold draws two strata whose weighted mean loss is exactly ε, spread
// between them in several ways, and counts how often the test is fooled.
func TestStrataHold(t *testing.T) {
	const runs, eps, delta = 400, 0.02, 0.1
	rng := rand.New(rand.NewPCG(9, 9))
	f := func(n [2]int, at [2]rates) {
		t.Helper()
		fooled := 0
		for range runs {
			a, b := Stratum{0.8, drawn(n[0], at[0], rng)}, Stratum{0.2, drawn(n[1], at[1], rng)}
			if StratifiedPValue(a, b, eps, delta/spareShare) <= delta {
				fooled++
			}
		}
		t.Logf("%v %v: fooled %d of %d", n, at, fooled, runs)
		if fooled > runs*delta+3*6 {
			t.Errorf("%v %v: fooled %d times of %d", n, at, fooled, runs)
		}
	}
	f([2]int{150, 150}, [2]rates{{0.025, 0}, {0.01, 0.01}})
	f([2]int{250, 150}, [2]rates{{0.02, 0.01}, {0.10, 0.04}})
	f([2]int{250, 100}, [2]rates{{0, 0}, {0.2, 0.1}})
	f([2]int{100, 300}, [2]rates{{0.05, 0.005}, {0.02, 0.1}})
}

func drawn(n int, at rates, rng *rand.Rand) Counts {
	c := Counts{N: n}
	for range n {
		switch u := rng.Float64(); {
		case u < at.worse:
			c.Worse++
		case u < at.any():
			c.Better++
		}
	}
	return c
}

// TestFewestCounts has strata in which nothing, or everything, happened.
func TestFewestCounts(t *testing.T) {
	f := func(a, b Counts, low, high float64) {
		t.Helper()
		if got := StratifiedPValue(Stratum{0.5, a}, Stratum{0.5, b}, 0.02, 0.002); !(got >= low && got <= high) {
			t.Errorf("p of %v and %v = %v, want %v to %v", a, b, got, low, high)
		}
	}
	f(Counts{N: 500}, Counts{N: 500}, 0, 0.01)
	f(Counts{N: 5}, Counts{N: 5}, 0.5, 1)
	f(Counts{500, 500, 0}, Counts{N: 500}, 0.999, 1)
	f(Counts{500, 0, 500}, Counts{500, 0, 0}, 0, 0.01)
	f(Counts{1, 1, 0}, Counts{1, 0, 1}, 0.1, 1)
}

// TestExactAgainstEnumeration compares the tail with a plain sum over all
// outcomes of a small sample.
func TestExactAgainstEnumeration(t *testing.T) {
	choose := func(n, k int) float64 { return math.Exp(logBinomial(k, n, 0.5)) * math.Pow(2, float64(n)) }
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 14).Draw(t, "n")
		worse := rapid.IntRange(0, n).Draw(t, "worse")
		better := rapid.IntRange(0, n-worse).Draw(t, "better")
		q := rapid.Float64Range(0.05, 0.95).Draw(t, "q")
		eps := rapid.Float64Range(0.01, 0.9).Draw(t, "eps") * q
		theta := (1 + eps/q) / 2
		observed := studentised(worse-better, worse+better, n, eps)
		var want float64
		for w := range n + 1 {
			for b := range n - w + 1 {
				if studentised(w-b, w+b, n, eps) <= observed+1e-9 {
					want += choose(n, w) * choose(n-w, b) * math.Pow(q*theta, float64(w)) *
						math.Pow(q*(1-theta), float64(b)) * math.Pow(1-q, float64(n-w-b))
				}
			}
		}
		if got := tailAt(Counts{n, worse, better}, eps, q); math.Abs(got-want) > 1e-9 {
			t.Fatalf("tailAt = %v, enumeration %v", got, want)
		}
	})
}

// TestPValuesHold draws losses whose mean is exactly ε and counts how often
// each test is fooled: at most δ, with room for the noise of 1,000 draws.
func TestPValuesHold(t *testing.T) {
	const runs, n, eps, delta = 1000, 300, 0.02, 0.1
	rng := rand.New(rand.NewPCG(8, 8))
	for _, better := range []float64{0, 0.01, 0.1} {
		exact, betting, alarms := 0, 0, 0
		for range runs {
			losses := make([]float64, n)
			m := NewMonitor(eps, delta)
			for i := range losses {
				switch u := rng.Float64(); {
				case u < better:
					losses[i] = -1
				case u < 2*better+eps:
					losses[i] = 1
				}
				m.Observe(losses[i])
			}
			if ExactPValue(count(losses), eps, delta/spareShare) <= delta {
				exact++
			}
			if PValue(losses, eps, 1) <= delta {
				betting++
			}
			if m.Alarm() {
				alarms++
			}
		}
		t.Logf("better %.2f: exact %d, betting %d, alarms %d of %d", better, exact, betting, alarms, runs)
		for name, fooled := range map[string]int{"exact": exact, "betting": betting, "monitor": alarms} {
			if fooled > runs*delta+3*10 {
				t.Errorf("%s: fooled %d times of %d with %.2f better", name, fooled, runs, better)
			}
		}
	}
}

func TestUpperBoundCovers(t *testing.T) {
	pairs := made(1000, 100)
	f := func(name string, low, high float64) {
		t.Helper()
		s := newSample(pairs, Options{})
		if got := s.upperBound(3, 0.1); s.name() != name || got < low || got > high {
			t.Errorf("%s: upper bound of ten in a thousand: %v, want %v to %v", s.name(), got, low, high)
		}
	}
	f("exact", 0.012, 0.018)
	pairs[0].Light = 0.999
	f("betting", 0.012, 0.025)
}

func TestMonitorAlarmsAndStays(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	m := NewMonitor(0.02, 0.1)
	n := 0
	for ; !m.Alarm() && n < 2000; n++ {
		loss := 0.0
		if rng.Float64() < 0.08 {
			loss = 1
		}
		m.Observe(loss)
	}
	t.Logf("alarm after %d requests at a loss of 8 points, evidence %.1f", n, m.bettor.most)
	if n == 2000 {
		t.Fatal("no alarm")
	}
	for range 500 {
		m.Observe(0)
	}
	if !m.Alarm() {
		t.Error("the alarm went away")
	}
}

func binding() Binding {
	return Binding{
		Cascade: "support", Models: []string{"light", "partner", "full"}, PricesHash: "p", PolicyHash: "q",
		Schemas: []string{"", "s"}, Scores: map[string]string{"pre_score": "g"},
	}
}

func issued(t *testing.T) *Certificate {
	t.Helper()
	r, err := Calibrate(made(500, 0), twoPoints)
	if err != nil {
		t.Fatal(err)
	}
	return Issue(r, twoPoints, binding(), time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC))
}

func TestCertificateTravels(t *testing.T) {
	c := issued(t)
	c.Routes = []Traffic{TrafficOf("a", []Request{{10, 1}, {20, 2}}), TrafficOf("b", []Request{{30, 1}})}
	c.Hash = c.digest()
	back, err := ParseCertificate(c.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c, back); diff != "" {
		t.Error(diff)
	}
	if err := back.Valid(binding()); err != nil {
		t.Error(err)
	}
	for schema, want := range map[string]bool{"": true, "s": true, "t": false} {
		if back.Covers(schema) != want {
			t.Errorf("Covers(%q) = %v", schema, !want)
		}
	}
	if n := len(back.Steps); n == 0 || back.Steps[n-1] != back.Threshold || !slices.IsSorted(back.Steps) {
		t.Errorf("steps %v to the threshold %v", back.Steps, back.Threshold)
	}
	forged := strings.Replace(string(c.Encode()), `"n": 500`, `"n": 900`, 1)
	var void *Void
	if _, err := ParseCertificate([]byte(forged)); !errors.As(err, &void) || void.Reason != "contents" {
		t.Errorf("a forged certificate: %v", err)
	}
	future := strings.Replace(string(c.Encode()), `"version": 2`, `"version": 3`, 1)
	if _, err := ParseCertificate([]byte(future)); !errors.As(err, &void) || void.Reason != "version" {
		t.Errorf("a certificate of another version: %v", err)
	}
	if _, err := ParseCertificate([]byte("{")); err == nil {
		t.Error("half a certificate was read")
	}
}

// TestTrafficMustBeWhole: what could not be looked up or compared is no certificate.
func TestTrafficMustBeWhole(t *testing.T) {
	whole := Traffic{Route: "a", Pairs: 2, Ends: []int{1, 2}, Shares: []float64{0.5, 1}}
	f := func(wrong string, change func(c *Certificate)) {
		t.Helper()
		c := issued(t)
		c.Routes = []Traffic{whole, whole}
		c.Routes[1].Route = "b"
		change(c)
		c.Hash = c.digest()
		if _, err := ParseCertificate(c.Encode()); (err != nil) != (wrong != "") {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	f("", func(*Certificate) {})
	f("routes out of order", func(c *Certificate) { c.Routes[0].Route = "c" })
	f("no ends", func(c *Certificate) { c.Routes[0].Ends, c.Routes[0].Shares = nil, nil })
	f("more ends than shares", func(c *Certificate) { c.Routes[1].Ends = []int{1, 2, 3} })
	f("of no pairs", func(c *Certificate) { c.Routes[1].Pairs = 0 })
}

func TestCertificateIsVoid(t *testing.T) {
	f := func(reason string, change func(c *Certificate, now *Binding)) {
		t.Helper()
		c, now := issued(t), binding()
		change(c, &now)
		var void *Void
		if err := c.Valid(now); !errors.As(err, &void) || void.Reason != reason {
			t.Errorf("Valid = %v, want reason %q", err, reason)
		}
	}
	f("pairs", func(c *Certificate, _ *Binding) { c.N = MinPairs(c.MaxLoss, c.Delta) - 1 })
	f("target", func(c *Certificate, _ *Binding) { c.Bound = 0.03 })
	f("models", func(_ *Certificate, now *Binding) { now.Models[2] = "other" })
	f("models", func(_ *Certificate, now *Binding) { now.Models = now.Models[:2] })
	f("cascade", func(_ *Certificate, now *Binding) { now.Cascade = "other" })
	f("prices", func(_ *Certificate, now *Binding) { now.PricesHash = "other" })
	f("policy", func(_ *Certificate, now *Binding) { now.PolicyHash = "other" })
	f("rubric", func(_ *Certificate, now *Binding) { now.Rubric = "other words" })
	f("adequate grade", func(_ *Certificate, now *Binding) { now.Adequate = 7 })
	f("scores", func(_ *Certificate, now *Binding) { now.Scores = map[string]string{"pre_score": "other"} })
}

func TestPlots(t *testing.T) {
	r, err := Calibrate(made(500, 0), twoPoints)
	if err != nil {
		t.Fatal(err)
	}
	plot, svg := r.Plot(0.02), r.SVG(0.02)
	if strings.Count(plot, "#") != 2 || strings.Count(plot, "\n") != plotHeight+3 {
		t.Errorf("plot:\n%s", plot)
	}
	for _, want := range []string{"<svg ", "<polyline", "<circle", "certified: saving 96.0%", "</svg>"} {
		if !strings.Contains(svg, want) {
			t.Errorf("no %q in\n%s", want, svg)
		}
	}
	refused := &Report{Certified: -1, Curve: []Point{{Threshold: 1, Saving: 0.5, Loss: 0.5}}, Ceiling: 0.9}
	if strings.Contains(refused.SVG(0.02), "<circle") {
		t.Error("a refusal shows a certified point")
	}
}

// TestSplitKeepsTheOrder makes sure that training never sees later requests.
func TestSplitKeepsTheOrder(t *testing.T) {
	log := made(10, 0)
	for i := range log {
		log[i].Time = time.Unix(int64(i), 0)
	}
	train, rest := Split(log, 0.3)
	if len(train) != 3 || len(rest) != 7 || !train[2].Time.Before(rest[0].Time) {
		t.Errorf("split into %d and %d", len(train), len(rest))
	}
}

// TestOneSided tests losses that cannot be negative by the binomial, which asks for
// fewer pairs, and a cross-fitted order at a part of δ.
func TestOneSided(t *testing.T) {
	worse := func(n int) []Pair {
		pairs := made(400, 0)
		for i := range n {
			pairs[i].Light, pairs[i].Escalation = 0, 1
		}
		return pairs
	}
	f := func(n int, o Options, certified bool) {
		t.Helper()
		o.MaxLoss, o.Delta, o.Grid = 0.03, 0.1, []float64{2}
		r, err := Calibrate(worse(n), o)
		if (err == nil) != certified || o.OneSided != (r.Test == "binomial") {
			t.Errorf("%d of 400 worse, %+v: %s test, %v", n, o, r.Test, err)
		}
	}
	f(7, Options{OneSided: true}, true) // 0.088
	f(8, Options{OneSided: true}, false)
	f(5, Options{OneSided: true, CrossFitted: true}, true) // 0.020
	f(6, Options{OneSided: true, CrossFitted: true}, false)
	f(7, Options{}, true)
	f(7, Options{CrossFitted: true}, false)
}
