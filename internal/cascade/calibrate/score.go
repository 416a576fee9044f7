package calibrate

import (
	"fmt"

	"github.com/sluice-gateway/sluice/internal/cascade/answer"
	"github.com/sluice-gateway/sluice/internal/cascade/pairs"
	"github.com/sluice-gateway/sluice/internal/cascade/score"
	"github.com/sluice-gateway/sluice/internal/cascade/value"
)

// minTraining is how many pairs training needs. What is trained on so few is
// hardly of use; on fewer it would be chance.
const minTraining = 100

// TooFewError says that there are not enough pairs to train on.
type TooFewError struct{ Pairs int }

func (e *TooFewError) Error() string {
	return fmt.Sprintf("cannot train: %d pairs to train on, at least %d are needed", e.Pairs, minTraining)
}

// NoContentError says that no pair to train a score on has the texts of its answers.
type NoContentError struct{ Pairs int }

func (e *NoContentError) Error() string {
	return fmt.Sprintf("cannot train a score: none of %d pairs has the texts of its answers; "+
		"set telemetry.content: true and observe again", e.Pairs)
}

// row is a pair for training; in is what is known of its request and answers.
func (p *Pair) row(in score.Input) score.Row {
	return score.Row{Input: in, Light: p.Verdict.Light, Escalation: p.Verdict.Escalation, Weight: p.Pair.Weight}
}

// Rebuild is whether the light answer of a pair could be rebuilt from the log, so
// that a new score can rank it.
type Rebuild uint8

// The zero value is that it could.
const (
	Rebuilt   Rebuild = iota
	Unranked          // no score ranks it: vetoed, or it cannot be compared; its risk is score.Never
	Textless          // the log has no texts of it
	Shaped            // its request has a schema or tools, which are no texts
	Different         // its texts do not give the risk that was logged
)

// rebuild makes from its texts what the light answer of a pair is ranked by. The
// untrained risk of what it returns is the one in the log.
func rebuild(p *pairs.Pair) (in score.Input, r Rebuild) {
	switch {
	case p.Risk == nil || p.Veto != "":
		return in, Unranked
	case p.SchemaHash != "":
		return in, Shaped
	case p.Content == nil:
		return in, Textless
	}
	free := &answer.Request{Choices: value.Offered(p.Content.Prompt)}
	light, second := &answer.Answer{Text: p.Content.Light}, &answer.Answer{Text: p.Content.Second}
	in = score.Input{
		Prompt: p.Content.Prompt, Route: p.Route, Light: light, Partner: second,
		LightK: answer.KeyOf(free, light), PartK: answer.KeyOf(free, second),
	}
	if answer.Agree(in.LightK, in.PartK).String() != p.Partner || score.Untrained(&in) != *p.Risk {
		return in, Different
	}
	return in, Rebuilt
}

// fitScore fits a score to the pairs whose light answers could be rebuilt, and
// counts the pairs by whether they could. It fails with *NoContentError when none
// of them has texts and with *TooFewError when those that have are too few.
func fitScore(log []Pair) (*score.Model, map[Rebuild]int, error) {
	counts := map[Rebuild]int{}
	var rows []score.Row
	for i := range log {
		in, r := rebuild(log[i].Pair)
		counts[r]++
		if r == Rebuilt {
			rows = append(rows, log[i].row(in))
		}
	}
	switch {
	case len(rows) == 0 && counts[Textless] > 0:
		return nil, counts, &NoContentError{counts[Textless]}
	case len(rows) < minTraining:
		return nil, counts, &TooFewError{len(rows)}
	}
	return score.TrainModel(rows, seed), counts, nil
}
