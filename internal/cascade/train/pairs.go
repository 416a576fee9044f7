package train

import (
	"fmt"

	"github.com/sluice-gateway/sluice/internal/cascade/answer"
	"github.com/sluice-gateway/sluice/internal/cascade/pairs"
	"github.com/sluice-gateway/sluice/internal/cascade/score"
)

// Labelled is a pair of the log and how good its two answers are.
type Labelled struct {
	Pair    *pairs.Pair
	Verdict pairs.Verdict
}

func (l *Labelled) row(in score.Input) score.Row {
	return score.Row{Input: in, Light: l.Verdict.Light, Escalation: l.Verdict.Escalation, Weight: l.Pair.Weight}
}

// least is how many pairs training takes at least. What is made of so few is
// hardly of use; of fewer it is chance.
const least = 100

// TooFewError says that there are not enough pairs to train on.
type TooFewError struct{ Pairs int }

func (e *TooFewError) Error() string {
	return fmt.Sprintf("cannot train: %d pairs to train on, at least %d are needed", e.Pairs, least)
}

// NoContentError says that no pair to train a score on has the texts of its answers.
type NoContentError struct{ Pairs int }

func (e *NoContentError) Error() string {
	return fmt.Sprintf("cannot train a score: none of %d pairs has the texts of its answers; set telemetry.content: true and observe again", e.Pairs)
}

// Texts reports whether every pair has the text of its request. Pre-scores read it
// only then: pairs with and without would differ in nothing else that it sees.
func Texts(log []Labelled) bool {
	for i := range log {
		if log[i].Pair.Content == nil {
			return false
		}
	}
	return len(log) > 0
}

// PreScoreInput is what a pre-score sees of a pair's request: its route and length, and
// its text when the pair has one.
func PreScoreInput(p *pairs.Pair) score.Input {
	in := score.Input{Route: p.Route, Bytes: p.TextBytes}
	if p.Content != nil {
		in.Prompt = p.Content.Prompt
	}
	return in
}

// Examples makes what a pre-score is trained on, with texts when all pairs have them.
func Examples(log []Labelled) []Example {
	texts := Texts(log)
	examples := make([]Example, len(log))
	for i := range log {
		p := log[i].Pair
		in := PreScoreInput(p)
		if !texts {
			in.Prompt = ""
		}
		examples[i] = Example{
			Row: log[i].row(in), Escalated: escalated(p), LightCost: p.LightCost(), FullCost: p.Escalation.Cost,
		}
	}
	return examples
}

// escalated is what a cascade that checks answers makes of the light one.
func escalated(p *pairs.Pair) bool {
	return p.Veto != "" || p.Second != nil && p.Partner != answer.Same.String()
}

// Ranked is whether a pair's light answer can be ranked by a score.
type Ranked uint8

// The zero value is that it can.
const (
	Rebuilt   Ranked = iota
	Unranked         // no score ranks it: vetoed, or not to be compared; its risk is score.Never
	Textless         // the log has no texts of it
	Shaped           // its request has a schema or tools, which are no texts
	Otherwise        // its texts do not give the risk that was logged
)

// AnswerInput rebuilds from its texts what the light answer of a pair is ranked
// by. The untrained risk of what it returns is the one in the log.
func AnswerInput(p *pairs.Pair) (in score.Input, r Ranked) {
	switch {
	case p.Risk == nil || p.Veto != "":
		return in, Unranked
	case p.SchemaHash != "":
		return in, Shaped
	case p.Content == nil:
		return in, Textless
	}
	free := &answer.Request{}
	light, second := &answer.Answer{Text: p.Content.Light}, &answer.Answer{Text: p.Content.Second}
	in = score.Input{
		Prompt: p.Content.Prompt, Route: p.Route, Light: light, Partner: second,
		LightK: answer.KeyOf(free, light), PartK: answer.KeyOf(free, second),
	}
	if answer.Agree(in.LightK, in.PartK).String() != p.Partner || score.Untrained(&in) != *p.Risk {
		return in, Otherwise
	}
	return in, Rebuilt
}

// Score fits a score to the pairs whose light answers can be ranked, and tells
// how many could not, by why. It fails with *NoContentError when none of them has texts
// and with *TooFewError when those that have are too few.
func Score(log []Labelled, seed uint64) (*score.Model, map[Ranked]int, error) {
	counts := map[Ranked]int{}
	var rows []score.Row
	for i := range log {
		in, r := AnswerInput(log[i].Pair)
		counts[r]++
		if r == Rebuilt {
			rows = append(rows, log[i].row(in))
		}
	}
	switch {
	case len(rows) == 0 && counts[Textless] > 0:
		return nil, counts, &NoContentError{counts[Textless]}
	case len(rows) < least:
		return nil, counts, &TooFewError{len(rows)}
	}
	return score.TrainModel(rows, seed), counts, nil
}
