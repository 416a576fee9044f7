package shadow

import (
	"context"

	"github.com/sluice-gateway/sluice/internal/cascade/answer"
	"github.com/sluice-gateway/sluice/internal/cascade/pairs"
	"github.com/sluice-gateway/sluice/internal/cascade/rubric"
	"github.com/sluice-gateway/sluice/internal/money"
)

// grade asks the judge for the grade of each answer by itself, and of a sample of the
// pairs a second time. It returns nil when no judge can tell, when the payer cannot
// afford it, and when a first reply is no grade; wasted is then what the replies cost.
func (j *job) grade(ctx context.Context, light, strong *answer.Answer) (g *pairs.Grades, wasted money.Pico) {
	if !j.judgeable(light, strong) {
		return nil, 0
	}
	questions := j.readings(rubric.First, light, strong)
	if j.Random() < j.Route.Cascade.Settings.Shadow.SecondReadings {
		questions = append(questions, j.readings(rubric.Second, light, strong)...)
	}
	replies := j.ask(ctx, questions)
	if replies == nil {
		return nil, 0
	}
	cost := costOf(replies)
	first, ok := reading(replies[:2])
	if !ok {
		return nil, cost
	}
	g = &pairs.Grades{Judge: j.Route.Judge.Model, Rubric: rubric.Hash(), Reading: first, Cost: cost}
	if again, ok := reading(replies[2:]); ok {
		g.Again = &again
	}
	return g, 0
}

// readings are the questions of one reading, of the light answer and of the other.
func (j *job) readings(r rubric.Reading, light, strong *answer.Answer) []question {
	mark, prompt, model := j.Request.ID, j.Request.Prompt(), *j.Route.Judge
	at := firstJudge + 2*int(r)
	return []question{
		{j.judgeCall(rubric.Question(mark, prompt, spoken(light), r)), model, at},
		{j.judgeCall(rubric.Question(mark, prompt, spoken(strong), r)), model, at + 1},
	}
}

// reading is what the two replies of a reading say. It reports false when one of
// them is no grade, or there are none.
func reading(replies []reply) (r pairs.Reading, ok bool) {
	if len(replies) < 2 {
		return r, false
	}
	light, one := rubric.Read(textOf(replies[0].Answer()))
	strong, other := rubric.Read(textOf(replies[1].Answer()))
	return pairs.Reading{Light: light, Escalation: strong}, one && other
}
