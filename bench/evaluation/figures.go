package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/internal/cascade"
	"github.com/sluice-gateway/sluice/internal/cascade/answer"
	"github.com/sluice-gateway/sluice/internal/cascade/certify"
	"github.com/sluice-gateway/sluice/internal/cascade/recorded"
	"github.com/sluice-gateway/sluice/internal/cascade/score"
	"github.com/sluice-gateway/sluice/internal/cascade/value"
)

// easyShare is the weight of GSM8K in the 80/20 mix; natural leaves all
// prompts the same weight.
const (
	easyShare = 0.8
	natural   = 0
)

// maxLoss is the bound of the certificates.
const maxLoss = 0.02

// noBar is for rows that are only reported.
const noBar = 0

// bar is one row of the table.
type bar struct{ task, reach, aim, got, verdict string }

const (
	passed      = "passed"
	missed      = "MISSED"
	reported    = "reported"
	notRunnable = "not runnable"
)

func judged(ok bool) string {
	if ok {
		return passed
	}
	return missed
}

// least is how many prompts of a kind a row needs.
const least = 50

// outcome is one prompt under one policy.
type outcome struct {
	easy        bool
	spent, full float64 // pico-dollars
	gain        float64 // quality served less quality of the escalation model
	light       float64 // 1 when the light model served
}

// scorer knows what is right: recorded rows by id. Nothing that is sent is made
// from it.
type scorer map[string]*recorded.Row

func scorerOf(rows []recorded.Row) scorer {
	s := scorer{}
	for i := range rows {
		s[rows[i].ID] = &rows[i]
	}
	return s
}

// full is what the escalation model alone would have cost.
func (s scorer) full(l *line) float64 {
	r := s[l.ID]
	return float64(cost(l.policy.escalation, r.InTokens, r.Answers[l.policy.escalation].OutTokens))
}

// outcomes scores the requests of a policy.
func (s scorer) outcomes(lines []line, p policy) []outcome {
	var out []outcome
	for i := range lines {
		l := &lines[i]
		if l.Cascade != p.name {
			continue
		}
		r := s[l.ID]
		gain := r.Answers[l.served].Quality() - r.Answers[p.escalation].Quality()
		o := outcome{easy: easy(r.Task), full: s.full(l), gain: gain}
		for _, g := range l.Legs {
			o.spent += float64(g.cost)
		}
		if l.served == p.light {
			o.light = 1
		}
		out = append(out, o)
	}
	return out
}

// mean are weighted results.
type mean struct{ saving, gain, light float64 }

// meanOf weighs the easy outcomes with a share, natural with the same weight
// as all others.
func meanOf(xs []outcome, share float64) mean {
	var n float64
	for i := range xs {
		if xs[i].easy {
			n++
		}
	}
	var spent, full, gain, light, total float64
	for i := range xs {
		w := 1.0
		switch {
		case share == natural:
		case xs[i].easy:
			w = share / n
		default:
			w = (1 - share) / (float64(len(xs)) - n)
		}
		spent, full = spent+w*xs[i].spent, full+w*xs[i].full
		gain, light, total = gain+w*xs[i].gain, light+w*xs[i].light, total+w
	}
	return mean{1 - spent/full, gain / total, light / total}
}

// draws is how often the bootstrap resamples.
const draws = 4000

// interval is a 95 % paired bootstrap within the easy and the other prompts:
// a prompt is drawn with all its answers.
func interval(xs []outcome, share float64, seed uint64) (low, high mean) {
	rng := rand.New(rand.NewPCG(seed, 7))
	var kinds [2][]outcome
	for _, x := range xs {
		k := 0
		if x.easy {
			k = 1
		}
		kinds[k] = append(kinds[k], x)
	}
	saving, gain := make([]float64, draws), make([]float64, draws)
	sample := make([]outcome, len(xs))
	for d := range draws {
		i := 0
		for _, kind := range kinds {
			for range kind {
				sample[i] = kind[rng.IntN(len(kind))]
				i++
			}
		}
		m := meanOf(sample, share)
		saving[d], gain[d] = m.saving, m.gain
	}
	slices.Sort(saving)
	slices.Sort(gain)
	at := func(xs []float64, q float64) float64 { return xs[int(q*draws)] }
	return mean{saving: at(saving, 0.025), gain: at(gain, 0.025)}, mean{saving: at(saving, 0.975), gain: at(gain, 0.975)}
}

// enough reports whether a row can be measured on so many prompts.
func enough(all, easy int, share float64) bool {
	return all >= 2*least && (share == natural || easy >= least && all-easy >= least)
}

// agreementBar is a row measured through the gateway.
func agreementBar(b bar, xs []outcome, share, reach float64) bar {
	n := 0
	for i := range xs {
		if xs[i].easy {
			n++
		}
	}
	if !enough(len(xs), n, share) {
		b.got, b.verdict = fmt.Sprintf("%d prompts", len(xs)), notRunnable
		return b
	}
	m := meanOf(xs, share)
	low, high := interval(xs, share, 1)
	b.got = fmt.Sprintf("%.1f %% [%.1f, %.1f]; accuracy %+.2f points [%+.2f, %+.2f]; %.1f %% served by light; n = %d",
		100*m.saving, 100*low.saving, 100*high.saving, 100*m.gain, 100*low.gain, 100*high.gain, 100*m.light, len(xs))
	b.verdict = judged(m.saving >= reach && low.gain >= -0.015)
	if reach == noBar {
		b.verdict = reported
	}
	return b
}

// pair is a labelled pair, and whether its prompt is an easy one.
type pair struct {
	certify.Pair
	easy   bool
	id     string
	prompt string
}

// pairsOf labels recorded answers. Only here, in labelOf, preScore.rows and
// outcomes is read which of them are right.
func pairsOf(rows []recorded.Row, p policy) []pair {
	var out []pair
	for _, r := range usable(rows, p) {
		light, partner, full := r.Answers[p.light], r.Answers[p.partner], r.Answers[p.escalation]
		out = append(out, pair{easy: easy(r.Task), id: r.ID, prompt: r.Prompt, Pair: certify.Pair{
			Risk:  riskOf(r.Prompt, light.Output, partner.Output),
			Light: light.Quality(), Escalation: full.Quality(),
			LightCost: cost(p.light, r.InTokens, light.OutTokens) + cost(p.partner, r.InTokens, partner.OutTokens),
			FullCost:  cost(p.escalation, r.InTokens, full.OutTokens),
		}})
	}
	return out
}

// riskOf is what the gateway makes of two answers.
func riskOf(prompt, light, partner string) float64 {
	req := answer.Request{Choices: value.Offered(prompt)}
	a := &answer.Answer{Text: light}
	if answer.Check(&req, a, nil, answer.Options{}).Veto != "" {
		return score.Never
	}
	in := score.Input{Prompt: prompt, Light: a, LightK: answer.KeyOf(&req, a)}
	if in.Partner = cascade.Opinion(&req, &answer.Answer{Text: partner}, nil); in.Partner != nil {
		in.PartK = answer.KeyOf(&req, in.Partner)
	}
	return score.Untrained(&in)
}

// served is what a threshold does to a pair.
func (p *pair) served(threshold float64) outcome {
	o := outcome{easy: p.easy, spent: float64(p.LightCost), full: float64(p.FullCost)}
	if p.Risk <= threshold {
		o.light, o.gain = 1, p.Light-p.Escalation
	} else {
		o.spent += float64(p.FullCost)
	}
	return o
}

// splits is how many calibrations a certified row is the mean of. The mean of
// one batch of 50 moves by points with the seed, so there are several.
const (
	batch  = 50
	splits = 4 * batch
)

// certified is the sum over calibrations. A refusal saves nothing.
type certified struct {
	issued, broken int
	saving, loss   float64
	batches        [splits / batch]float64 // sums of savings
}

// refused is the threshold without a certificate: nothing is served by light.
var refused = math.Inf(-1)

// thresholdOf is what pairs certify.
func thresholdOf(pairs []pair, share float64) float64 {
	r, err := certify.Calibrate(weighed(pairs, share), certify.Options{MaxLoss: maxLoss, Delta: 0.1, Seed: 1})
	if err != nil {
		return refused
	}
	return r.Curve[r.Certified].Threshold
}

// drawing is what the draws of a row come from: those that go through the
// gateway are the first of those that are computed.
func drawing() *rand.Rand { return rand.New(rand.NewPCG(4, 4)) }

// calibrations calibrates on n pairs of train, splits times, and measures on all
// prompts of data that it did not see. ok is false when there are too few.
func calibrations(train, data []pair, n int, share float64) (c certified, ok bool) {
	rng := drawing()
	for k := range splits {
		cal, used := drawPairs(train, n, share, rng)
		var rest []pair
		easy := 0
		for i := range data {
			if used[data[i].prompt] {
				continue
			}
			rest = append(rest, data[i])
			if data[i].easy {
				easy++
			}
		}
		if len(cal) < n || !enough(len(rest), easy, share) {
			return certified{}, false
		}
		threshold := thresholdOf(cal, share)
		if threshold == refused {
			continue
		}
		xs := make([]outcome, len(rest))
		for i := range rest {
			xs[i] = rest[i].served(threshold)
		}
		c.add(k, meanOf(xs, share), maxLoss)
	}
	return c, true
}

// add counts what the certificate of split k did.
func (c *certified) add(k int, m mean, maxLoss float64) {
	c.issued++
	c.saving += m.saving
	c.batches[k/batch] += m.saving
	c.loss -= m.gain
	if -m.gain > maxLoss {
		c.broken++
	}
}

// easyDraw is the share of easy prompts among the drawn. In traffic it is
// easyShare, but losses are rarer there, so a label of another prompt tells
// more: the variance of the weighted mean is least near this share.
const easyDraw = 0.65

// drawPairs takes n pairs, for the mix in fixed shares as far as four fifths of
// the easy ones go. used are their prompts.
func drawPairs(train []pair, n int, share float64, rng *rand.Rand) (cal []pair, used map[string]bool) {
	pool := 0
	for i := range train {
		if train[i].easy {
			pool++
		}
	}
	room := map[bool]int{true: n, false: n}
	if share != natural {
		room[true] = min(int(easyDraw*float64(n)), pool*4/5)
		room[false] = n - room[true]
	}
	used = map[string]bool{}
	for _, i := range rng.Perm(len(train)) {
		if p := train[i]; len(cal) < n && room[p.easy] > 0 {
			room[p.easy]--
			cal, used[p.prompt] = append(cal, p), true
		}
	}
	return cal, used
}

func weighed(pairs []pair, share float64) []certify.Pair {
	n := 0
	for i := range pairs {
		if pairs[i].easy {
			n++
		}
	}
	out := make([]certify.Pair, len(pairs))
	for i, p := range pairs {
		out[i] = p.Pair
		switch {
		case share == natural:
			out[i].Weight = 1
		case p.easy:
			out[i].Weight = share / float64(n)
		default:
			out[i].Weight = (1 - share) / float64(len(pairs)-n)
		}
	}
	return out
}

// certifiedBar is a row computed offline.
func certifiedBar(b bar, c certified, ok bool, reach float64) bar {
	if !ok {
		b.got, b.verdict = "too few pairs", notRunnable
		return b
	}
	b.got = fmt.Sprintf("%.1f %%, a refusal as 0 (batches of %d: %.1f to %.1f); %d of %d issued; %d broken",
		100*c.saving/splits, batch, 100*slices.Min(c.batches[:])/batch, 100*slices.Max(c.batches[:])/batch,
		c.issued, splits, c.broken)
	if c.issued > 0 {
		b.got += fmt.Sprintf("; loss %.2f points", 100*c.loss/float64(c.issued))
	}
	b.verdict = judged(c.saving/splits >= reach)
	return b
}

// checksP99 is how long vetoes and keys of two answers take.
func checksP99(rows []*recorded.Row, p policy) time.Duration {
	if len(rows) == 0 {
		return 0
	}
	var checks cascade.Checks
	var req answer.Request
	took := make([]time.Duration, len(rows))
	for i, r := range rows {
		a, b := &answer.Answer{Text: r.Answers[p.light].Output}, &answer.Answer{Text: r.Answers[p.partner].Output}
		took[i] = time.Hour
		for range 5 { // the least, because a busy machine adds time but takes none away
			start := time.Now()
			checks.Alone(&req, a)
			checks.Beside(&req, a, b)
			took[i] = min(took[i], time.Since(start))
		}
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}
