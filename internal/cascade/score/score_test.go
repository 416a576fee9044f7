package score

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/internal/cascade/answer"
	"github.com/sluice-gateway/sluice/internal/cascade/recorded"
)

// input makes an Input with keys from two texts.
func input(prompt, light, partner string) Input {
	var req answer.Request
	a, b := &answer.Answer{Text: light}, &answer.Answer{Text: partner}
	return Input{Prompt: prompt, Light: a, Partner: b, LightK: answer.KeyOf(&req, a), PartK: answer.KeyOf(&req, b)}
}

// rowsOf makes rows for a pair of models and an escalation model.
func rowsOf(t testing.TB, light, partner, escalation string, tasks ...string) []Row {
	t.Helper()
	recs, err := recorded.Read(recorded.Dir(), tasks...)
	if err != nil {
		t.Skipf("SKIPPED: no recorded answers (%v); set SLUICE_SHARED", err)
	}
	rows := make([]Row, len(recs))
	for i := range recs {
		r := &recs[i]
		in := input(r.Prompt, r.Answers[light].Output, r.Answers[partner].Output)
		in.Route = r.Task
		rows[i] = Row{Input: in, Light: r.Answers[light].Quality(), Escalation: r.Answers[escalation].Quality()}
	}
	return rows
}

// madeRows are rows with a rule in them: code is hard for the light model.
func madeRows(n int) []Row {
	rng := rand.New(rand.NewPCG(1, 1))
	rows := make([]Row, n)
	for i := range rows {
		a := rng.IntN(50)
		prompt, light := fmt.Sprintf("What is %d plus one?", a), 1.0
		if i%2 == 0 {
			prompt, light = fmt.Sprintf("def f(x): return x\nassert f(%d) == ??", a), 0
		}
		in := input(prompt, fmt.Sprintf(`{"answer": %d}`, a+1), fmt.Sprintf(`{"answer": %d}`, a+1-i%2))
		in.Route = fmt.Sprint("route", i%2)
		rows[i] = Row{Input: in, Light: light, Escalation: 1}
	}
	return rows
}

func TestUntrained(t *testing.T) {
	f := func(light, partner string, low, high float64) {
		t.Helper()
		in := input("q", light, partner)
		if got := Untrained(&in); got < low || got > high {
			t.Errorf("Untrained(%q, %q) = %v, want %v to %v", light, partner, got, low, high)
		}
	}
	f(`{"answer": 1}`, `{"answer": 1.0}`, 0, 0.999)
	f(`{"answer": 1}`, `{"answer": 2}`, 1, 2)
	f("prose without any key\nthat goes on for long and longer", `{"answer": 2}`, Never, Never)
	long, short := input("q", `{"why": "because of this", "answer": 1}`, `{"answer": 2}`),
		input("q", `{"answer": 1}`, `{"answer": 2}`)
	if Untrained(&long) >= Untrained(&short) {
		t.Error("of two disagreements the longer answer has to come first")
	}
	alone := input("q", "a", "b")
	alone.Partner = nil
	if Untrained(&alone) != Never {
		t.Error("without a partner nothing agrees")
	}
}

func TestGateLearnsGain(t *testing.T) {
	rows := madeRows(300)
	g := TrainPreScore(rows, 7)
	if g.Bounds != Unbounded() {
		t.Errorf("bounds %v before anybody found them", g.Bounds)
	}
	g.Bounds = Bounds{0.1, 0.7}
	back, err := DecodePreScore(g.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if back.Bounds != g.Bounds {
		t.Errorf("bounds %v", back.Bounds)
	}
	hard, buffer := back.Score(&rows[0].Input, nil)
	easy, _ := back.Score(&rows[1].Input, buffer)
	if hard < easy+0.2 {
		t.Errorf("gain of a hard request %v, of an easy one %v", hard, easy)
	}
	stranger := Input{Prompt: "def f(x): return x\nassert f(3) == ??", Route: "unseen"}
	if s, _ := back.Score(&stranger, nil); s < easy {
		t.Errorf("words tell nothing on a new route: %v", s)
	}
}

func TestDecodeRefuses(t *testing.T) {
	model, pre := madeModel(50).Encode(), TrainPreScore(madeRows(50), 1).Encode()
	f := func(what string, data []byte) {
		t.Helper()
		if _, err := DecodeModel(data); !errors.Is(err, ErrFile) {
			t.Errorf("%s: %v, want ErrFile", what, err)
		}
	}
	f("nothing", nil)
	f("a pre-score", pre)
	f("a cut file", model[:len(model)-1])
	flipped := slices.Clone(model)
	flipped[len(flipped)/2] ^= 1
	f("a flipped bit", flipped)
	if _, err := DecodePreScore(model); !errors.Is(err, ErrFile) {
		t.Errorf("a model as a pre-score: %v", err)
	}
	g := func(what string, bounds Bounds) {
		t.Helper()
		pre := TrainPreScore(nil, 1)
		pre.Bounds = bounds
		if _, err := DecodePreScore(pre.Encode()); !errors.Is(err, ErrFile) {
			t.Errorf("%s: %v, want ErrFile", what, err)
		}
	}
	g("bounds in the wrong order", Bounds{0.5, 0.4})
	g("no number", Bounds{math.NaN(), 1})
	w := &writer{}
	w.Write(pre[:len(pre)-32])
	w.Bytes()[len(fileMagic)+1] = 1
	if _, err := DecodePreScore(w.seal()); !errors.Is(err, ErrFile) || !strings.Contains(err.Error(), "version 1") {
		t.Errorf("a file of the version before: %v", err)
	}
}

// TestBand cuts a scale in three, and knows nothing where no bound was found.
func TestBand(t *testing.T) {
	f := func(b Bounds, score float64, want Band) {
		t.Helper()
		if got := b.Band(score); got != want {
			t.Errorf("%v of %v: %v, want %v", score, b, got, want)
		}
	}
	both := Bounds{0.2, 0.6}
	f(both, 0.1, LightBand)
	f(both, 0.2, UncertainBand)
	f(both, 0.6, DirectBand)
	f(Unbounded(), 1, NoBand)
	f(Bounds{math.Inf(-1), 0.6}, 0.5, NoBand)
	f(Bounds{math.Inf(-1), 0.6}, 0.6, DirectBand)
	f(Bounds{0.2, math.Inf(1)}, 1, UncertainBand)
}

func FuzzDecode(f *testing.F) {
	f.Add(madeModel(20).Encode(), true)
	f.Add(TrainPreScore(madeRows(20), 1).Encode(), true)
	f.Add([]byte(fileMagic), false)
	f.Fuzz(func(t *testing.T, data []byte, sealed bool) {
		if sealed && len(data) > 32 {
			w := &writer{}
			w.Write(data[:len(data)-32])
			data = w.seal()
		}
		in := input("a", `{"answer": 1}`, "2")
		if m, err := DecodeModel(data); err == nil {
			m.Risk(&in)
		}
		if g, err := DecodePreScore(data); err == nil {
			gain, _ := g.Score(&in, nil)
			if g.Uncertain > g.Direct || g.Band(g.Direct) != DirectBand {
				t.Errorf("gain %v between bounds %v", gain, g.Bounds)
			}
		}
	})
}

func TestAPGR(t *testing.T) {
	rows := []Row{{Escalation: 1}, {Escalation: 1}, {Light: 1, Escalation: 1}, {Light: 1, Escalation: 1}}
	f := func(scores []float64, want float64) {
		t.Helper()
		if got := APGR(scores, rows); math.Abs(got-want) > 1e-12 {
			t.Errorf("APGR(%v) = %v, want %v", scores, got, want)
		}
	}
	f([]float64{4, 3, 2, 1}, 0.75)
	f([]float64{1, 2, 3, 4}, 0.25)
}

// TestPreScoreOnRecorded reports APGR by five-fold cross-validation with the 95 %
// bootstrap interval over prompts. The bars are what was reached, less noise.
func TestPreScoreOnRecorded(t *testing.T) {
	const llama, sonnet = "Meta-Llama-3.1-8B-Instruct", "claude-3-5-sonnet-20241022"
	const flash, pro = "gemini-1.5-flash-002", "gemini-1.5-pro-002"
	f := func(name string, rows []Row, bar float64) {
		t.Helper()
		scores := CrossPreScore(rows, 5, 1)
		got := APGR(scores, rows)
		low, high := APGRInterval(scores, rows, 5)
		t.Logf("%-44s n %d: APGR %.3f [%.3f, %.3f]", name, len(rows), got, low, high)
		if got < bar {
			t.Errorf("%s: APGR %.3f, bar %.2f", name, got, bar)
		}
	}
	f("Llama 3.1 8B to Sonnet, GSM8K", rowsOf(t, llama, flash, sonnet, "gsm"), 0.56)
	mmlu := rowsOf(t, flash, "Meta-Llama-3_1-8B-Instruct", pro, "mmlu_pro")
	f("Gemini flash to pro, MMLU-Pro, with routes", mmlu, 0.66)
	for i := range mmlu {
		mmlu[i].Input.Route = ""
	}
	f("Gemini flash to pro, MMLU-Pro, text only", mmlu, 0.55)
}

// TestCrossPreScoreSeesNoRowTwice: labels that follow no rule are not predicted, as
// they would be by a pre-score that has seen them.
func TestCrossPreScoreSeesNoRowTwice(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	rows := make([]Row, 300)
	for i := range rows {
		in := input(fmt.Sprintf("word%d other%d", rng.IntN(1e6), rng.IntN(1e6)), "1", "1")
		rows[i] = Row{Input: in, Light: float64(rng.IntN(2)), Escalation: 1}
	}
	scores := CrossPreScore(rows, 5, 1)
	low, high := APGRInterval(scores, rows, 1)
	// A fold that gained much leaves a rest that gained little, so a little below 0.5.
	if got := APGR(scores, rows); low > got || high < got || got > 0.55 {
		t.Errorf("APGR of noise %.3f in [%.3f, %.3f]", got, low, high)
	}
}

func BenchmarkPreScore(b *testing.B) {
	rows := rowsOf(b, "gpt-4o-mini-2024-07-18", "gemini-1.5-flash", "claude-3-5-sonnet-20241022", "gsm", "crux", "math-l5")
	g := TrainPreScore(rows, 1)
	var buffer []uint32
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		_, buffer = g.Score(&rows[i%len(rows)].Input, buffer)
		i++
	}
}
