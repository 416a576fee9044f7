package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/internal/cascade/recorded"
	"github.com/sluice-gateway/sluice/test/harness"
)

// TestNothingSentKnowsWhatIsRight: questions, and what the stand-in knows, are
// the same whatever the recordings say is right, and have no room for it.
func TestNothingSentKnowsWhatIsRight(t *testing.T) {
	right := map[string]recorded.Answer{mini: {Output: "2", Correct: true, OutTokens: 1}}
	wrong := map[string]recorded.Answer{mini: {Output: "7", OutTokens: 1}}
	rows := []recorded.Row{
		{ID: "a", Task: "gsm", Prompt: "1 + 1?", InTokens: 3, Answers: right},
		{ID: "b", Task: "crux", Prompt: "f(2)?", InTokens: 4, Answers: wrong},
	}
	pointers := func() []*recorded.Row { return []*recorded.Row{&rows[0], &rows[1]} }
	questions, script := questionsOf(pointers()), scriptOf(rows)
	for i := range rows {
		a := rows[i].Answers[mini]
		a.Correct = !a.Correct
		rows[i].Answers = map[string]recorded.Answer{mini: a}
	}
	if !reflect.DeepEqual(questions, questionsOf(pointers())) || !reflect.DeepEqual(script, scriptOf(rows)) {
		t.Error("what is right changes what is sent or answered")
	}
	f := func(v any, want ...string) {
		t.Helper()
		var got []string
		for field := range reflect.TypeOf(v).Fields() {
			got = append(got, field.Name+" "+field.Type.String())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%T: %v, want %v: is there room for what is right?", v, got, want)
		}
	}
	f(question{}, "id string", "task string", "prompt string")
	f(reply{}, "text string", "in int", "out int")
	f(job{}, "question main.question", "policy main.policy", "tag string", "op string", "http string")
}

// TestBodies reads back what the stand-in writes, in every operation and dialect.
func TestBodies(t *testing.T) {
	want := reply{text: "Täglich \"42\"\n" + string(make([]rune, 200)), in: 3, out: 5}
	for _, op := range operations {
		for _, dialect := range []string{anthropic, openAI} {
			prompt, spoken, err := asked(ask(op, dialect, "a \"prompt\""))
			if prompt != "a \"prompt\"" || err != nil || op == invoke && spoken != dialect {
				t.Errorf("%s %s: asked %q in %s, %v", op, dialect, prompt, spoken, err)
			}
			raw := answerBody(op, dialect, want)
			if streams(op) {
				raw = answerFrames(op, dialect, want)
			}
			if got, err := textOf(op, raw); got != want.text || err != nil {
				t.Errorf("%s %s: read %q, %v", op, dialect, got, err)
			}
		}
	}
}

// TestCertifiedAnswers goes the whole way on a slice of the recordings: a
// gateway observes, its log is labelled, the command makes a certificate of it,
// and a gateway that enforces it answers as the certificate says. Too few pairs
// make no certificate, and then the escalation model answers everything.
func TestCertifiedAnswers(t *testing.T) {
	rows, err := recorded.Read(harness.Shared(t, "cascade"), "gsm")
	if err != nil {
		t.Fatal(err)
	}
	b, err := newBench(harness.Binary(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(b.dir) })
	trials, err := b.certified(rows, rows, []row{{mix: "easy", n: 500}, {mix: "easy", n: 90}}, 1)
	if err != nil || len(trials) != 2 {
		t.Fatalf("%d trials, %v", len(trials), err)
	}
	wantCertified(t, rows, trials[0])
	if refused := trials[1]; refused.Hash != "" {
		t.Error("90 pairs were enough for a certificate")
	}
	for _, l := range trials[1].lines {
		if l.served != sonnet || l.Path != "direct" || l.Reason != "uncertified" || len(l.Legs) != 1 || l.Certificate != "" {
			t.Fatalf("without a certificate: %+v", l)
		}
	}
}

func wantCertified(t *testing.T, rows []recorded.Row, got *trial) {
	t.Helper()
	if got.Hash == "" || len(got.lines) != len(rows)-500 {
		t.Fatalf("certificate %q, %d answers", got.Hash, len(got.lines))
	}
	if bar := sameBar(pairsOf(rows, nova), []*trial{got}); bar.verdict != passed {
		t.Errorf("%s: %s", bar.task, bar.got)
	}
	shapes := map[string]bool{}
	for _, l := range got.lines {
		shapes[l.Operation+l.HTTP] = true
		if l.Certificate != got.Hash || l.Split != 1 || len(l.Legs) < 2 {
			t.Fatalf("%+v", l)
		}
	}
	if len(shapes) != len(operations)*2 {
		t.Errorf("asked in %d shapes", len(shapes))
	}
	if m := meanOf(scorerOf(rows).outcomes(got.lines, nova), natural); m.saving < 0.3 || m.light < 0.3 {
		t.Errorf("saves %.2f, %.2f by light: was the certificate obeyed?", m.saving, m.light)
	}
}

// madeChats are chats whose light answers fall short in one of four, which shows in how
// they are written, from a seed.
func madeChats(n int) []recorded.Row {
	rng := rand.New(rand.NewPCG(3, 1))
	words := strings.Fields("parcel invoice refund harbour lantern meadow orchard pepper quartz ribbon saddle timber " +
		"umbrella violin walnut yellow zipper anchor basket candle")
	sentence := func(least int) string {
		var all []string
		for range least + rng.IntN(8) {
			all = append(all, words[rng.IntN(len(words))])
		}
		return strings.ToUpper(all[0][:1]) + strings.Join(all, " ")[1:] + "."
	}
	rows := make([]recorded.Row, n)
	for i := range rows {
		said := sentence(8) + " " + sentence(10) + "\n\n- " + sentence(4) + "\n- " + sentence(4) + "\n- " + sentence(4)
		good := func(text string) recorded.Answer {
			return recorded.Answer{Output: text, OutTokens: len(text) / 4, Scores: map[string]float64{firstJudge: 8}}
		}
		light := good(strings.Replace(said, ".", ", as you asked.", 1))
		if rng.IntN(4) == 0 {
			light = good("I am sorry, I am not sure what you mean by " + sentence(2) + " It depends, and perhaps")
			light.Scores[firstJudge] = 2
		}
		rows[i] = recorded.Row{ID: fmt.Sprintf("made-%d", i), Task: "chat", InTokens: 500}
		rows[i].Answers = map[string]recorded.Answer{
			chatLight: light, chatSecond: good(said), chatFull: good(said + "\n\n" + sentence(10)),
		}
	}
	return rows
}

// TestChatsAreServedAsOffline: a gateway serves answers in free text as the checks decide
// offline, row by row, in Converse and InvokeModel, streamed or whole, over HTTP/1.1 and
// HTTP/2, with a second opinion and without. `make eval` does the same with recorded chats.
func TestChatsAreServedAsOffline(t *testing.T) {
	const pairs = 300
	rows := madeChats(pairs + least)
	for _, p := range chatPolicies {
		b, err := newBench(harness.Binary(t))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(b.dir) })
		got, lines, err := b.chats(p, rows[:pairs], rows[pairs:], pairs)
		if err != nil || got.verdict != passed {
			t.Errorf("%s: %s, %v", got.task, got.got, err)
		}
		shapes := map[string]int{}
		byLight := 0
		for i := range lines {
			l := &lines[i]
			shapes[l.Operation+" "+l.HTTP]++
			if l.served == chatLight {
				byLight++
			}
			if len(l.Legs) < 1 || p.partner == "" && l.Path != "escalated" && len(l.Legs) != 1 {
				t.Fatalf("%+v", l)
			}
		}
		if byLight == 0 || byLight == len(lines) {
			t.Errorf("%s: light serves %d of %d", p.name, byLight, len(lines))
		}
		for _, op := range operations {
			for _, http := range []string{http1, http2} {
				if n := shapes[op+" "+http]; n != least {
					t.Errorf("%s: %d answers in %s over %s", p.name, n, op, http)
				}
			}
		}
	}
}
