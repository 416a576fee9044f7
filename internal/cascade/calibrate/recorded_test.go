package calibrate

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/sluice-gateway/sluice/internal/cascade/answer"
	"github.com/sluice-gateway/sluice/internal/cascade/certify"
	"github.com/sluice-gateway/sluice/internal/cascade/recorded"
	"github.com/sluice-gateway/sluice/internal/cascade/score"
	"github.com/sluice-gateway/sluice/internal/money"
)

// cast is who answered, with prices in pico-dollars per token.
type cast struct {
	name, light, partner, escalation string
	tasks                            []string
	lightIn, lightOut                int // of both light models together
	fullIn, fullOut                  int
}

// The stand-in pair and Gemini flash are priced as Nova Lite, Gemini pro as Nova
// Pro, the others as on Bedrock.
var casts = []cast{
	{
		"stand-in pair to Sonnet", "gpt-4o-mini-2024-07-18", "gemini-1.5-flash", "claude-3-5-sonnet-20241022",
		[]string{"gsm", "crux", "math-l5"}, 120_000, 240_000, 3_000_000, 15_000_000,
	},
	{
		"Llama 8B + 70B to Sonnet", "Meta-Llama-3.1-8B-Instruct", "Meta-Llama-3.1-70B-Instruct", "claude-3-5-sonnet-20241022",
		[]string{"gsm", "crux", "math-l5"}, 940_000, 940_000, 3_000_000, 15_000_000,
	},
	{
		"Gemini flash + Llama 8B to pro", "gemini-1.5-flash-002", "Meta-Llama-3_1-8B-Instruct", "gemini-1.5-pro-002",
		[]string{"mmlu_pro"}, 120_000, 240_000, 800_000, 3_200_000,
	},
}

func (c *cast) examples(t *testing.T) []example {
	t.Helper()
	rows, err := recorded.Read(recorded.Dir(), c.tasks...)
	if err != nil {
		t.Skipf("SKIPPED: no recorded answers (%v); set SLUICE_SHARED", err)
	}
	var free answer.Request
	examples := make([]example, len(rows))
	for i := range rows {
		r := &rows[i]
		light, partner, full := r.Answers[c.light], r.Answers[c.partner], r.Answers[c.escalation]
		own, other := &answer.Answer{Text: light.Output}, &answer.Answer{Text: partner.Output}
		e := example{
			Row: score.Row{
				Input: score.Input{Prompt: r.Prompt, Route: r.Task}, Light: light.Quality(), Escalation: full.Quality(),
			},
			escalated: answer.Agree(answer.KeyOf(&free, own), answer.KeyOf(&free, other)) != answer.Same,
			lightCost: money.Pico(r.InTokens*c.lightIn + (light.OutTokens+partner.OutTokens)*c.lightOut),
			fullCost:  money.Pico(r.InTokens*c.fullIn + full.OutTokens*c.fullOut),
		}
		examples[i] = e
	}
	return examples
}

// TestBoundsOnRecorded finds bounds on halves of the recorded prompts and holds
// them against the others: what serving light alone below Uncertain adds to the
// mean loss, and what going direct saves.
func TestBoundsOnRecorded(t *testing.T) {
	const splits = 10
	target := certify.Options{MaxLoss: 0.02, Delta: 0.1}
	for _, c := range casts {
		all := c.examples(t)
		var low, direct, loss, saved float64
		found, broken, pays := 0, 0, 0
		for k := range splits {
			rand.New(rand.NewPCG(uint64(k), 1)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
			half := len(all) / 2
			pre, _, err := fitPreScore(all[:half], target)
			if err != nil {
				t.Fatal(err)
			}
			h := hold(pre, all[half:])
			low, direct, loss, saved = low+h.low/splits, direct+h.direct/splits, loss+h.loss/splits, saved+h.saved/splits
			if !math.IsInf(pre.Uncertain, -1) {
				found++
			}
			if h.loss > lightPart*target.MaxLoss {
				broken++
			}
			if !math.IsInf(pre.Direct, 1) {
				pays++
			}
		}
		t.Logf("%-32s n %d: uncertain in %d of %d, below it %.1f %% of the others, "+
			"which lose %.2f points, %d broken; direct in %d, %.1f %%, saves %.2f points",
			c.name, len(all)/2, found, splits, 100*low, 100*loss, broken, pays, 100*direct, 100*saved)
		if broken > splits/5 || saved < -0.001 {
			t.Errorf("%s: %d bounds of %d lose more than was proven, going direct saves %.2f points",
				c.name, broken, splits, 100*saved)
		}
	}
}

// held is what bounds do on requests that had no part in finding them.
type held struct{ low, direct, loss, saved float64 }

func hold(pre *score.PreScore, others []example) (h held) {
	n := float64(len(others))
	var full float64
	for i := range others {
		e := &others[i]
		full += float64(e.fullCost)
		gain, _ := pre.Score(&e.Input, nil)
		switch pre.Band(gain) {
		case score.LightBand:
			h.low += 1 / n
			h.loss += (e.Escalation - e.Light) / n
		case score.DirectBand:
			h.direct += 1 / n
			h.saved += float64(e.lightCost)
			if !e.escalated {
				h.saved -= float64(e.fullCost)
			}
		}
	}
	h.saved /= full
	return h
}
