package certify

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/sluice-gateway/sluice/internal/cascade/answer"
	"github.com/sluice-gateway/sluice/internal/cascade/recorded"
	"github.com/sluice-gateway/sluice/internal/cascade/score"
	"github.com/sluice-gateway/sluice/internal/cascade/value"
	"github.com/sluice-gateway/sluice/internal/money"
)

// taskPair is a pair with the task that decides its share in a mix.
type taskPair struct {
	Pair
	easy bool
}

// The pair of light models stands in for Nova Lite, at its price. Prices in
// pico-dollars per token: $0.06 and $0.24, $3 and $15 per million.
func recordedPairs(t *testing.T) []taskPair {
	t.Helper()
	const mini, flash, sonnet = "gpt-4o-mini-2024-07-18", "gemini-1.5-flash", "claude-3-5-sonnet-20241022"
	recs, err := recorded.Read(recorded.Dir(), "gsm", "crux", "math-l5")
	if err != nil {
		t.Skipf("SKIPPED: no recorded answers (%v); set SLUICE_SHARED", err)
	}
	var req answer.Request
	out := make([]taskPair, len(recs))
	for i := range recs {
		r := &recs[i]
		light, partner, full := r.Answers[mini], r.Answers[flash], r.Answers[sonnet]
		a, b := &answer.Answer{Text: light.Output}, &answer.Answer{Text: partner.Output}
		in := score.Input{Prompt: r.Prompt, Light: a, Partner: b, LightK: answer.KeyOf(&req, a), PartK: answer.KeyOf(&req, b)}
		out[i] = taskPair{
			Pair: Pair{
				Risk: score.Untrained(&in), Light: light.Quality(), Escalation: full.Quality(),
				LightCost: money.Pico(r.InTokens*120_000 + (light.OutTokens+partner.OutTokens)*240_000),
				FullCost:  money.Pico(r.InTokens*3_000_000 + full.OutTokens*15_000_000),
			},
			easy: r.Task == "gsm",
		}
	}
	return out
}

// choicePairs are multiple-choice questions, at the prices of Claude 3.5 Haiku, Llama 3.1
// 70B and Sonnet.
func choicePairs(t *testing.T) []taskPair {
	t.Helper()
	const flash, llama, pro = "gemini-1.5-flash-002", "Meta-Llama-3_1-70B-Instruct", "gemini-1.5-pro-002"
	recs, err := recorded.Read(recorded.Dir(), "mmlu_pro")
	if err != nil {
		t.Skipf("SKIPPED: no recorded answers (%v); set SLUICE_SHARED", err)
	}
	out := make([]taskPair, len(recs))
	for i := range recs {
		r := &recs[i]
		light, partner, full := r.Answers[flash], r.Answers[llama], r.Answers[pro]
		req := answer.Request{Choices: value.Offered(r.Prompt)}
		a, b := &answer.Answer{Text: light.Output}, &answer.Answer{Text: partner.Output}
		in := score.Input{Prompt: r.Prompt, Light: a, Partner: b, LightK: answer.KeyOf(&req, a), PartK: answer.KeyOf(&req, b)}
		risk := score.Never
		if answer.Check(&req, a, nil, answer.Options{}).Veto == "" {
			risk = score.Untrained(&in)
		}
		out[i] = taskPair{Pair: Pair{
			Risk: risk, Light: light.Quality(), Escalation: full.Quality(),
			LightCost: money.Pico(r.InTokens*1_520_000 + light.OutTokens*4_000_000 + partner.OutTokens*720_000),
			FullCost:  money.Pico(r.InTokens*3_000_000 + full.OutTokens*15_000_000),
		}}
	}
	return out
}

// TestChoices certifies choices at two points with 1000 pairs, from the recorded
// questions as from a population.
func TestChoices(t *testing.T) {
	pairs := choicePairs(t)
	mix(pairs, 0)
	const runs = 40
	truth, draw := plain(pairs), sampler(pairs, 1)
	var o outcome
	for range runs {
		log := make([]Pair, 1000)
		for k := range log {
			log[k] = truth[draw()]
			log[k].Weight = 1
		}
		r, err := Calibrate(log, twoPoints)
		o.add(r, err, truth)
	}
	o.log(t, "choices, n 1000")
	if o.broken*10 > o.issued || o.saving/runs < 0.23 {
		t.Errorf("%d of %d broken, saving %.3f (bar 0.23)", o.broken, o.issued, o.saving/runs)
	}
}

// mix sets weights that make easy prompts the given share; 0 leaves the
// natural mix.
func mix(pairs []taskPair, easy float64) {
	var n float64
	for i := range pairs {
		if pairs[i].easy {
			n++
		}
	}
	for i := range pairs {
		switch {
		case easy == 0:
			pairs[i].Weight = 1
		case pairs[i].easy:
			pairs[i].Weight = easy / n
		default:
			pairs[i].Weight = (1 - easy) / (float64(len(pairs)) - n)
		}
	}
}

func plain(pairs []taskPair) []Pair {
	out := make([]Pair, len(pairs))
	for i := range pairs {
		out[i] = pairs[i].Pair
	}
	return out
}

// outcome adds up calibrations.
type outcome struct {
	runs, issued, broken int
	saving, loss         float64 // sums; a refusal saves nothing
}

func (o *outcome) add(r *Report, err error, truth []Pair) {
	o.runs++
	if err != nil {
		return
	}
	at := point(truth, r.Curve[r.Certified].Threshold)
	o.issued++
	o.saving += at.Saving
	o.loss += at.Loss
	if at.Loss > 0.02 {
		o.broken++
	}
}

func (o *outcome) log(t *testing.T, name string) {
	t.Helper()
	t.Logf("%-34s issued %d of %d, saving %.1f%% (refusals as 0: %.1f%%), loss %.2f points, broken %d",
		name, o.issued, o.runs, 100*o.saving/float64(o.issued), 100*o.saving/float64(o.runs),
		100*o.loss/float64(o.issued), o.broken)
}

var twoPoints = Options{MaxLoss: 0.02, Delta: 0.1}

// TestGuarantee draws logs from the recorded prompts as from a population, so
// the true loss of every certificate is known without noise. No more than a
// tenth may be broken; the bars on saving are what was reached, less noise.
func TestGuarantee(t *testing.T) {
	pairs := recordedPairs(t)
	const runs = 50
	f := func(name string, easy float64, n int, bar float64) {
		t.Helper()
		mix(pairs, easy)
		truth, draw := plain(pairs), sampler(pairs, 1)
		var o, normal outcome
		for range runs {
			log := make([]Pair, n)
			for k := range log {
				log[k] = truth[draw()]
				log[k].Weight = 1
			}
			r, err := Calibrate(log, twoPoints)
			o.add(r, err, truth)
			r, err = normalWalk(log)
			normal.add(r, err, truth)
		}
		o.log(t, name)
		normal.log(t, "  normal bound, no guarantee")
		if o.broken*10 > o.issued || o.saving/runs < bar {
			t.Errorf("%s: %d of %d broken, saving %.3f (bar %.2f)", name, o.broken, o.issued, o.saving/runs, bar)
		}
	}
	f("80/20, n 500", 0.8, 500, 0.67)
	f("80/20, n 1000", 0.8, 1000, 0.74)
	f("hard, n 500", 0, 500, 0.53)
	f("hard, n 1000", 0, 1000, 0.61)
	f("80/20, n 2000", 0.8, 2000, 0.77)
}

// normalWalk is the same walk with the usual bound mean + 1.28 standard
// errors, which promises nothing at these sample sizes: the yardstick for what
// the guarantee costs.
func normalWalk(log []Pair) (*Report, error) {
	r := &Report{Certified: -1}
	s := newSample(log, Options{})
	for i, threshold := range DefaultGrid() {
		r.Curve = append(r.Curve, Point{Threshold: threshold})
		if m := s.moments(threshold); m.mean+1.2816*math.Sqrt(m.error) > twoPoints.MaxLoss {
			break
		}
		r.Certified = i
	}
	if r.Certified < 0 {
		return r, &CannotCertify{}
	}
	return r, nil
}

// sampler draws indexes with the chances of the weights.
func sampler(pairs []taskPair, seed uint64) func() int {
	cumulative := make([]float64, len(pairs))
	var total float64
	for i := range pairs {
		total += pairs[i].Weight
		cumulative[i] = total
	}
	rng := rand.New(rand.NewPCG(seed, 2))
	return func() int {
		i, _ := slices.BinarySearch(cumulative, rng.Float64()*total)
		return min(i, len(pairs)-1)
	}
}

// TestResplits calibrates on n prompts and measures on all others, 50 times.
// Parts of one small pool are each other's mirror: a part with few losses
// leaves a rest with many, and the rest is a small sample itself. So this
// counts more broken certificates than there are; TestGuarantee counts right.
func TestResplits(t *testing.T) {
	pairs := recordedPairs(t)
	f := func(name string, easy float64, n int, bar float64) {
		t.Helper()
		rng := rand.New(rand.NewPCG(4, 4))
		var o outcome
		for k := range 50 {
			cal, rest := resplit(pairs, easy, n, rng)
			mix(cal, easy)
			mix(rest, easy)
			options := twoPoints
			options.Seed = uint64(k)
			r, err := Calibrate(plain(cal), options)
			o.add(r, err, plain(rest))
		}
		o.log(t, name)
		if o.issued < 45 || o.saving/50 < bar {
			t.Errorf("%s: %d of 50 issued, saving %.3f (bar %.2f)", name, o.issued, o.saving/50, bar)
		}
	}
	f("80/20, 325 + 175 prompts, weighted", 0.8, 500, 0.69)
	f("80/20, 517 + 483 prompts, weighted", 0.8, 1000, 0.75)
	f("hard, n 500", 0, 500, 0.51)
	f("hard, n 1000", 0, 1000, 0.61)
}

// resplit draws n prompts for calibration: for a mix in the shares that need
// the fewest labels, as far as four fifths of the easy ones go, so that the
// rest can be measured.
func resplit(pairs []taskPair, easy float64, n int, rng *rand.Rand) (cal, rest []taskPair) {
	const easyPool = 517
	room := [2]int{n, n}
	if easy > 0 {
		room[1] = min(int(0.65*float64(n)), easyPool)
		room[0] = n - room[1]
	}
	for _, i := range rng.Perm(len(pairs)) {
		kind := 0
		if pairs[i].easy {
			kind = 1
		}
		if len(cal) < n && room[kind] > 0 {
			room[kind]--
			cal = append(cal, pairs[i])
			continue
		}
		rest = append(rest, pairs[i])
	}
	return cal, rest
}

// TestReportOnRecorded prints what an operator sees.
func TestReportOnRecorded(t *testing.T) {
	pairs := recordedPairs(t)
	mix(pairs, 0)
	r, err := Calibrate(plain(pairs), twoPoints)
	if err != nil {
		t.Fatal(err)
	}
	at := r.Curve[r.Certified]
	t.Logf("n %d, ceiling %.1f%%, threshold %.3f: saving %.1f%% [%.1f, %.1f], loss %.2f, bound %.2f points (%s)\n%s",
		r.N, 100*r.Ceiling, at.Threshold, 100*at.Saving, 100*r.SavingLow, 100*r.SavingHigh,
		100*at.Loss, 100*r.Bound, r.Test, r.Plot(0.02))
	if r.Bound > 0.02 || at.Saving < r.SavingLow || at.Saving > r.SavingHigh {
		t.Errorf("%+v", r)
	}
	_, err = Calibrate(plain(pairs[:60]), twoPoints)
	var short *CannotCertify
	if !errors.As(err, &short) || short.MorePairs == 0 {
		t.Errorf("60 pairs: %v, want more pairs", err)
	}
}
