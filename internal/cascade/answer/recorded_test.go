package answer

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/cascade/recorded"
	"github.com/sluice-gateway/sluice/internal/cascade/value"
)

const (
	mini   = "gpt-4o-mini-2024-07-18" // with flash: stand-ins for Nova Lite
	flash  = "gemini-1.5-flash"
	sonnet = "claude-3-5-sonnet-20241022"
	llama8 = "Meta-Llama-3.1-8B-Instruct"
	llama7 = "Meta-Llama-3.1-70B-Instruct"
)

// read returns the recorded answers, or skips the test.
func read(t testing.TB, tasks ...string) []recorded.Row {
	t.Helper()
	rows, err := recorded.Read(recorded.Dir(), tasks...)
	if err != nil {
		t.Skipf("SKIPPED: no recorded answers (%v); set SLUICE_SHARED", err)
	}
	return rows
}

// Prices in dollars per million tokens, input and output. The light pair of the
// first case stands in for Nova Lite and is charged its price.
var prices = map[string][2]float64{
	mini: {.06, .24}, flash: {.06, .24}, llama8: {.22, .22}, llama7: {.72, .72}, sonnet: {3, 15},
}

func cost(r *recorded.Row, model string) float64 {
	p := prices[model]
	return float64(r.InTokens)*p[0] + float64(r.Answers[model].OutTokens)*p[1]
}

// pairResult is what serving on agreement brings, with weights per task.
type pairResult struct{ saving, diff, accepted float64 }

// evaluate serves light when it passes the vetoes and agrees with partner, and
// charges every call.
func evaluate(rows []recorded.Row, light, partner string, weight map[string]float64) pairResult {
	var req Request
	var spent, strong, diff, accepted, total float64
	for i := range rows {
		r := &rows[i]
		w := weight[r.Task]
		a := Answer{Text: r.Answers[light].Output, StopReason: "end_turn"}
		b := Answer{Text: r.Answers[partner].Output, StopReason: "end_turn"}
		ok := Check(&req, &a, nil, Options{}).Veto == "" && Agree(KeyOf(&req, &a), KeyOf(&req, &b)) == Same
		spent += w * (cost(r, light) + cost(r, partner))
		strong += w * cost(r, sonnet)
		total += w
		if !ok {
			spent += w * cost(r, sonnet)
			continue
		}
		accepted += w
		diff += w * (r.Answers[light].Quality() - r.Answers[sonnet].Quality())
	}
	return pairResult{1 - spent/strong, diff / total, accepted / total}
}

// weights gives the shares of a mix: easy of GSM8K, the rest natural.
func weights(rows []recorded.Row, easy float64) map[string]float64 {
	n := map[string]float64{}
	for i := range rows {
		n[rows[i].Task]++
	}
	if easy == 0 {
		return map[string]float64{"gsm": 1, "crux": 1, "math-l5": 1}
	}
	hard := (1 - easy) / (n["crux"] + n["math-l5"])
	return map[string]float64{"gsm": easy / n["gsm"], "crux": hard, "math-l5": hard}
}

// TestUntrainedAgreement measures what agreement brings without any training.
// The bars are what was reached, less the noise of other prompts of the kind.
func TestUntrainedAgreement(t *testing.T) {
	rows := read(t, "gsm", "crux", "math-l5")
	f := func(name, light, partner string, easy, bar float64) {
		t.Helper()
		w := weights(rows, easy)
		got := evaluate(rows, light, partner, w)
		lo, hi := interval(rows, light, partner, w)
		t.Logf("%-28s n %d: saving %.1f%%, accuracy %+.2f points [%+.2f, %+.2f], accepted %.1f%%",
			name, len(rows), 100*got.saving, 100*got.diff, 100*lo, 100*hi, 100*got.accepted)
		if got.saving < bar || lo < -0.015 {
			t.Errorf("%s: saving %.4f (bar %.2f), lower bound %.4f (bar -0.015)", name, got.saving, bar, lo)
		}
	}
	f("Nova-class pair, 80/20", mini, flash, 0.8, 0.715)
	f("Nova-class pair, hard", mini, flash, 0, 0.535)
	f("Llama 8B + 70B, 80/20", llama8, llama7, 0.8, 0.525)
	f("Llama 70B + 8B, 80/20", llama7, llama8, 0.8, 0.525)
}

// TestFalseAgreement counts, by kind of prompt, the pairs that agree although the
// light answer is wrong and the second opinion or the escalation answer is right.
// The bars are what was reached; docs/equivalences.md has the table.
func TestFalseAgreement(t *testing.T) {
	f := func(light, partner, escalation, task string, most int) {
		t.Helper()
		agreed, wrong := 0, 0
		for _, r := range read(t, task) {
			req := Request{Choices: value.Offered(r.Prompt)}
			a, b := Answer{Text: r.Answers[light].Output}, Answer{Text: r.Answers[partner].Output}
			if _, asked := r.Answers[light]; !asked || Check(&req, &a, nil, Options{}).Veto != "" ||
				Agree(KeyOf(&req, &a), KeyOf(&req, &b)) != Same {
				continue
			}
			agreed++
			if !r.Answers[light].Correct && (r.Answers[partner].Correct || r.Answers[escalation].Correct) {
				wrong++
			}
		}
		t.Logf("%s + %s, %s: %d agree, %d falsely", light, partner, task, agreed, wrong)
		if wrong > most {
			t.Errorf("%s + %s, %s: %d of %d agree falsely, at most %d", light, partner, task, wrong, agreed, most)
		}
	}
	f(mini, flash, sonnet, "gsm", 6)
	f(mini, flash, sonnet, "crux", 11)
	f(mini, flash, sonnet, "math-l5", 7)
	f(llama8, llama7, sonnet, "gsm", 2)
	f(llama8, llama7, sonnet, "crux", 21)
	f(llama8, llama7, sonnet, "math-l5", 2)
	f("gemini-1.5-flash-002", "Meta-Llama-3_1-70B-Instruct", "gemini-1.5-pro-002", "mmlu_pro", 50)
}

// interval is the 95 % percentile bootstrap of the accuracy difference,
// resampled within each task, as the mix fixes the shares.
func interval(rows []recorded.Row, light, partner string, w map[string]float64) (lo, hi float64) {
	diffs := map[string][]float64{}
	for i := range rows {
		diffs[rows[i].Task] = append(diffs[rows[i].Task],
			evaluate(rows[i:i+1], light, partner, w).diff)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	means := make([]float64, 2000)
	for k := range means {
		var sum, total float64
		for _, task := range []string{"gsm", "crux", "math-l5"} {
			d := diffs[task]
			for range d {
				sum += w[task] * d[rng.IntN(len(d))]
				total += w[task]
			}
		}
		means[k] = sum / total
	}
	slices.Sort(means)
	return means[50], means[1949]
}

// TestChecksFireRarely holds the vetoes to hygiene: on sound answers of strong
// models they stay silent.
func TestChecksFireRarely(t *testing.T) {
	rows := read(t, "gsm", "crux", "math-l5", "mmlu_pro")
	fired := map[Veto]int{}
	wrong, n := 0, 0
	for i := range rows {
		for model, a := range rows[i].Answers {
			v := Check(&Request{}, &Answer{Text: a.Output}, nil, Options{}).Veto
			n++
			if v == "" {
				continue
			}
			fired[v]++
			if a.Correct {
				wrong++
				if testing.Verbose() && wrong <= 10 {
					t.Logf("%s on a right answer of %s: …%q", v, model, a.Output[max(0, len(a.Output)-80):])
				}
			}
		}
	}
	t.Logf("%d answers, fired %v, on right answers %d", n, fired, wrong)
	if wrong*500 > n {
		t.Errorf("the vetoes fire on %d of %d answers that are right", wrong, n)
	}
}

// BenchmarkChecks is the CPU of all checks of one request: vetoes and keys of
// two answers. It reports the p99 over the recorded answers.
func BenchmarkChecks(b *testing.B) {
	rows := read(b, "gsm", "crux", "math-l5")
	var req Request
	var took []time.Duration
	for b.Loop() {
		for i := range rows {
			start := time.Now()
			x, y := Answer{Text: rows[i].Answers[mini].Output}, Answer{Text: rows[i].Answers[flash].Output}
			Check(&req, &x, nil, Options{})
			Check(&req, &y, nil, Options{})
			Agree(KeyOf(&req, &x), KeyOf(&req, &y))
			took = append(took, time.Since(start))
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
}
