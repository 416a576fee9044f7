package main

import (
	"fmt"

	"github.com/sluice-gateway/sluice/internal/cascade/recorded"
	"github.com/sluice-gateway/sluice/internal/cascade/score"
)

// preScore is one row about the gate: a light and an escalation model on the
// tasks whose name begins so.
type preScore struct {
	name, task, light, escalation string
	routes                        bool // the task is the route, as a tenant or a system prompt is in service
}

var preScores = []preScore{
	{"Llama 3.1 8B to Sonnet, GSM8K", "gsm", llama8, sonnet, false},
	{"Gemini 1.5 flash to pro, MMLU-Pro, category as route", "mmlu", choiceFlash, choicePro, true},
	{"Gemini 1.5 flash to pro, MMLU-Pro, text only", "mmlu", choiceFlash, choicePro, false},
}

// rows are the recorded prompts of a row of the table. Gates read no answers.
func (p *preScore) rows(from []recorded.Row) []score.Row {
	var out []score.Row
	for i := range from {
		r := &from[i]
		light, known := r.Answers[p.light]
		full, alsoKnown := r.Answers[p.escalation]
		if !known || !alsoKnown || len(r.Task) < len(p.task) || r.Task[:len(p.task)] != p.task {
			continue
		}
		in := score.Input{Prompt: r.Prompt}
		if p.routes {
			in.Route = r.Task
		}
		out = append(out, score.Row{Input: in, Light: light.Quality(), Escalation: full.Quality()})
	}
	return out
}

// preScoreBars train the gate on TRAIN and score the prompts of DATA that are
// not in it, or cross-validate where there are none.
func preScoreBars(data, train []recorded.Row) []bar {
	seen := map[string]bool{}
	for i := range train {
		seen[train[i].Prompt] = true
	}
	var fresh []recorded.Row
	for i := range data {
		if !seen[data[i].Prompt] {
			fresh = append(fresh, data[i])
		}
	}
	bars := make([]bar, len(preScores))
	for i := range preScores {
		p := &preScores[i]
		b := bar{task: "pre-score APGR, " + p.name, reach: "report", aim: "0.66", verdict: notRunnable}
		rows, scores, how := p.score(p.rows(train), p.rows(fresh), p.rows(data))
		if len(rows) >= 2*least {
			b.got, b.verdict = apgrOf(rows, scores)+how, reported
		}
		bars[i] = b
	}
	return bars
}

func (p *preScore) score(train, fresh, all []score.Row) (rows []score.Row, scores []float64, how string) {
	if len(fresh) < 2*least || len(train) < 2*least {
		return all, score.CrossPreScore(all, 5, 1), "; five-fold cross-validation"
	}
	gate := score.TrainPreScore(train, 1)
	scores = make([]float64, len(fresh))
	var buffer []uint32
	for i := range fresh {
		scores[i], buffer = gate.Score(&fresh[i].Input, buffer)
	}
	return fresh, scores, fmt.Sprintf("; trained on %d prompts of TRAIN", len(train))
}

func apgrOf(rows []score.Row, scores []float64) string {
	low, high := score.APGRInterval(scores, rows, 1)
	return fmt.Sprintf("%.3f [%.3f, %.3f], n = %d", score.APGR(scores, rows), low, high, len(rows))
}
