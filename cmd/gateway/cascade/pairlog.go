package cascade

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"os"
	"slices"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/internal/cascade/certify"
	"github.com/sluice-gateway/sluice/internal/cascade/pairs"
	"github.com/sluice-gateway/sluice/internal/cascade/score"
	"github.com/sluice-gateway/sluice/internal/cascade/train"
)

// pairLog is the labelled pairs that belong to a binding, and what was left out.
type pairLog struct {
	labelled                                  []labelled // in the order of time
	skipped, elsewhere, otherwise, unlabelled int
}

// labelled is a pair with the best label that there is, and whose it was.
type labelled struct {
	train.Labelled
	by string
}

// readPairs reads the pairs that belong to a binding, in the order of time.
func readPairs(file string, b *certify.Binding, from *labels) (*pairLog, error) {
	data, err := os.Open(file)
	if err != nil {
		return nil, command.Invalid(err)
	}
	defer data.Close() //nolint:errcheck // it was only read
	l := &pairLog{}
	l.skipped, err = pairs.Read(data, func(p *pairs.Pair) error {
		l.take(p, b, from)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	slices.SortStableFunc(l.labelled, func(a, b labelled) int { return a.Pair.Time.Compare(b.Pair.Time) })
	return l, nil
}

func (l *pairLog) take(p *pairs.Pair, b *certify.Binding, from *labels) {
	switch {
	case p.Cascade != b.Cascade:
		l.elsewhere++
		return
	case p.PolicyHash != b.PolicyHash || p.PricesHash != b.PricesHash || !sameModels(p, b.Models):
		l.otherwise++
		return
	}
	verdict, by := from.of(p)
	if by == "" {
		l.unlabelled++
		return
	}
	l.labelled = append(l.labelled, labelled{train.Labelled{Pair: p, Verdict: verdict}, by})
}

// sameModels compares models of their own: without prices their hash is that of
// any others.
func sameModels(p *pairs.Pair, models []string) bool {
	return p.Light.Model == models[0] && (p.Second == nil || p.Second.Model == models[1]) && p.Escalation.Model == models[2]
}

// ranked is the pairs that a certificate may rest on.
type ranked struct {
	pairs    []certify.Pair
	schemas  []string
	used     map[string]int // pairs by who labelled them
	unpriced int            // of the pairs

	weight, straight float64 // of all pairs, and of those that are sent past the light model

	unscored int // left out: not ranked by the file that the cascade names
	left     map[train.Ranked]int
}

// rank puts labelled pairs into an order of risk.
func rank(log []labelled, by *order) *ranked {
	r := &ranked{used: map[string]int{}, left: map[train.Ranked]int{}}
	for i := range log {
		p := log[i].Pair
		one := certify.Pair{
			Time: p.Time, Light: log[i].Verdict.Light, Escalation: log[i].Verdict.Escalation,
			LightCost: p.Light.Cost, FullCost: p.Escalation.Cost, Weight: p.Weight,
		}
		if p.Second != nil {
			one.LightCost += p.Second.Cost
		}
		if !r.place(&one, p, by) {
			continue
		}
		r.weigh(&one)
		if p.Light.Cost == 0 || p.Escalation.Cost == 0 {
			r.unpriced++
		}
		r.used[log[i].by]++
		r.pairs = append(r.pairs, one)
		r.schemas = append(r.schemas, p.SchemaHash)
	}
	return r
}

// weigh adds a pair to what straightShare divides.
func (r *ranked) weigh(one *certify.Pair) {
	w := cmp.Or(one.Weight, 1)
	r.weight += w
	if math.IsInf(one.Risk, -1) {
		r.straight += w
	}
}

// straightShare is the part of the requests that is sent past the light model.
func (r *ranked) straightShare() float64 { return r.straight / max(r.weight, 1e-9) }

// place gives a pair its risk, or counts why it has none.
func (r *ranked) place(one *certify.Pair, p *pairs.Pair, by *order) (placed bool) {
	if by.gate != nil && by.texts && p.Content == nil {
		r.left[train.Textless]++
		return false
	}
	if by.straight(p) {
		// Whatever the threshold, the escalation model answers: nothing is lost, and
		// its call is all that there is to pay.
		one.Risk, one.LightCost, one.Light = math.Inf(-1), one.FullCost, one.Escalation
		return true
	}
	if by.score == nil {
		risk, known := riskOf(p, by.file)
		if !known {
			r.unscored++
		}
		one.Risk = atMost(risk, p)
		return known
	}
	in, how := train.AnswerInput(p)
	switch how {
	case train.Rebuilt:
		one.Risk = by.score.Risk(&in)
	case train.Unranked:
		one.Risk = score.Never
	default:
		r.left[how]++
		return false
	}
	return true
}

// order is what ranks light answers. The zero value is the untrained order.
type order struct {
	file  string          // hash of the score file whose risks the log has, "" for none
	score *score.Served   // a score trained just now goes before file; nil for none
	gate  *score.PreScore // a gate trained just now, nil for none
	texts bool            // whether the gate was trained on texts
}

// straight reports whether the gate sends a pair's request past the light model.
func (o *order) straight(p *pairs.Pair) bool {
	if o.gate == nil {
		return false
	}
	in := train.PreScoreInput(p)
	gain, _ := o.gate.Score(&in, nil)
	return o.gate.Band(gain) == score.DirectBand
}

// riskOf is the risk of a pair by a score file, "" for none, and whether the log
// has it. A file ranks only what was logged after it was there, so it was not
// trained on these pairs.
func riskOf(p *pairs.Pair, file string) (risk *float64, ranked bool) {
	switch {
	case file == "":
		return p.Risk, true
	case p.Scored == nil || p.Scored.File != file:
		return nil, false
	}
	return p.Scored.Risk, true
}

// atMost is a logged risk as certificates have it.
func atMost(risk *float64, p *pairs.Pair) float64 {
	if risk == nil || p.Veto != "" {
		return score.Never
	}
	return *risk
}

// leftOut is how a report puts it that pairs have no place in a trained order.
var leftOut = [...]string{
	train.Textless:  "without the texts that it reads (telemetry.content)",
	train.Shaped:    "with a schema or tools, which cannot be rebuilt from texts",
	train.Otherwise: "with texts that do not give the risk that was logged",
}

func printLeft(out io.Writer, left map[train.Ranked]int) {
	for why, text := range leftOut {
		if n := left[train.Ranked(why)]; n > 0 && text != "" {
			fmt.Fprintf(out, "  %d pairs left out: %s\n", n, text)
		}
	}
}

func (l *pairLog) print(out io.Writer, file string, r *ranked) {
	fmt.Fprintf(out, "%s: %d pairs taken\n", file, len(r.pairs))
	for _, left := range []struct {
		n   int
		why string
	}{
		{l.skipped, "lines left out: not whole, or of another version"},
		{l.elsewhere, "pairs left out: of another cascade"},
		{l.otherwise, "pairs left out: of another policy, other models or other prices"},
		{l.unlabelled, "pairs left out: label unknown; the guarantee is for requests like the labelled ones"},
		{r.unscored, "pairs left out: not ranked by the score file that the cascade names"},
		{r.unpriced, "pairs without a price for a model: the saving is not what it would be"},
	} {
		if left.n > 0 {
			fmt.Fprintf(out, "  %d %s\n", left.n, left.why)
		}
	}
	printLeft(out, r.left)
}
