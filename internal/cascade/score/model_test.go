package score

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/sluice-gateway/sluice/internal/cascade/answer"
)

// prose makes an answer that has no key: good ones are lists, bad ones are one sentence.
func prose(i int, good bool) string {
	if !good {
		return fmt.Sprintf("It depends on what you mean by the plan of room %d and on whom you ask about it", i)
	}
	return fmt.Sprintf("The plan for room %d has three parts.\n\n- Paint the walls in a light colour.\n- Move the table "+
		"to the window.\n- Hang the lamp above it.\n\nTell the owner before you begin, so that nobody is surprised.", i)
}

// freeText is an answer without a key, with a second opinion.
func freeText(i int, good bool) Input {
	in := input("What shall I do with the room?", prose(i, good), prose(i+1, true))
	in.Route = "r"
	return in
}

// madePairs are graded pairs: every third light answer is bad.
func madePairs(n int) []Answered {
	rng := rand.New(rand.NewPCG(2, 2))
	pairs := make([]Answered, n)
	for i := range pairs {
		good := i%3 != 0
		light, strong := freeText(i, good), freeText(i+n, true)
		pairs[i] = Answered{
			Light: Features(&light), Escalation: Features(&strong), Route: light.Route,
			LightGrade: 3 + float64(rng.IntN(2)), EscalationGrade: 8,
		}
		if good {
			pairs[i].LightGrade += 4
		}
	}
	return pairs
}

// grid are risks on both sides of agreement.
func grid() []float64 {
	var risks []float64
	for k := range 20 {
		risks = append(risks, float64(k+1)/10)
	}
	return risks
}

func madeModel(n int) *Model {
	m, _ := CrossFit(madePairs(n), grid(), Unkeyed)
	return m
}

// TestModel has a model rank good answers before bad ones, from its file as in memory,
// and leave to their keys what it was not trained for.
func TestModel(t *testing.T) {
	m := madeModel(300)
	data := m.Encode()
	if !bytes.Equal(data, madeModel(300).Encode()) {
		t.Error("the same pairs gave another file")
	}
	loaded, err := DecodeModel(data)
	if err != nil {
		t.Fatal(err)
	}
	if loaded.Hash() != FileHash(data) {
		t.Errorf("hash %q", loaded.Hash())
	}
	for i := range 50 {
		good, bad := freeText(1000+i, true), freeText(1000+i, false)
		if g, b := loaded.Risk(&good), loaded.Risk(&bad); g >= b || g != m.Risk(&good) || b != m.Risk(&bad) {
			t.Fatalf("risk %v of a good answer, %v of a bad one", g, b)
		}
	}
	keyed := input("q", `{"answer": 1}`, `{"answer": 2}`)
	alone := freeText(1, true)
	alone.Partner = nil
	calls := freeText(1, true)
	calls.Light = &answer.Answer{Text: calls.Light.Text, ToolCalls: []answer.ToolCall{{Name: "look"}}}
	var none *Model
	for what, in := range map[string]*Input{"keyed": &keyed, "alone": &alone, "calls": &calls} {
		if got, want := loaded.Risk(in), Untrained(in); got != want || none.Risk(in) != want || none.Hash() != "" {
			t.Errorf("%s: risk %v, want %v", what, got, want)
		}
	}
}

// TestReach ranks what a model was trained for.
func TestReach(t *testing.T) {
	for _, c := range []struct {
		r                            Reach
		agreed, different, free, one bool
	}{
		{Unkeyed, false, false, true, false},
		{Other, false, true, true, false},
		{Alone, false, false, false, true},
	} {
		got := [...]bool{c.r.Ranks(0.5, true), c.r.Ranks(1.5, true), c.r.Ranks(Never, true), c.r.Ranks(Never, false)}
		if got != [...]bool{c.agreed, c.different, c.free, c.one} {
			t.Errorf("%v: %v", c.r, got)
		}
	}
}

// TestCrossFit places each pair by a member that has not seen it, in parts of the same
// size: a grade that only the pair itself has does not change where it is placed.
func TestCrossFit(t *testing.T) {
	pairs := madePairs(300)
	m, before := CrossFit(pairs, grid(), Unkeyed)
	if len(m.members) != Folds || slices.Max(before) != 2 {
		t.Fatalf("%d members, risks to %v", len(m.members), slices.Max(before))
	}
	scores := func(pairs []Answered) []float64 {
		m, _ := CrossFit(pairs, grid(), Unkeyed)
		var own []float64
		for i := range pairs[:60] { // the first fold
			own = append(own, m.members[0].score(pairs[i].Light, pairs[i].Route))
		}
		return own
	}
	first := scores(pairs)
	for i := range pairs[:60] {
		pairs[i].LightGrade = 10 - pairs[i].LightGrade
	}
	if !slices.Equal(first, scores(pairs)) {
		t.Error("a pair was ranked by a member that had seen its fold")
	}
}

// TestRoutesOff has the route of a request count, beside what its answer looks like.
func TestRoutesOff(t *testing.T) {
	pairs := madePairs(300)
	for i := range pairs {
		if pairs[i].Route = "good"; i%2 == 0 {
			pairs[i].Route = "bad"
			pairs[i].LightGrade -= 2
		}
	}
	m, _ := CrossFit(pairs, grid(), Unkeyed)
	in := freeText(5, true)
	x := Features(&in)
	if good, none, bad := m.score(x, "good"), m.score(x, "unseen"), m.score(x, "bad"); good >= none || none >= bad {
		t.Errorf("scores %v, %v, %v", good, none, bad)
	}
}

// TestModelOfAnotherSet refuses a file of other features.
func TestModelOfAnotherSet(t *testing.T) {
	data := madeModel(60).Encode()
	at := bytes.Index(data, []byte(FeatureSet))
	w := &writer{}
	w.Write(data[:len(data)-32])
	w.Bytes()[at+len(FeatureSet)-1]++
	if _, err := DecodeModel(w.seal()); !errors.Is(err, ErrFile) {
		t.Errorf("%v", err)
	}
}

// TestWithoutSecond is the answer as if nobody else had been asked.
func TestWithoutSecond(t *testing.T) {
	in := freeText(1, true)
	both := Features(&in)
	in.Partner = nil
	if one := Features(&in); !HasSecond(both) || HasSecond(one) || !slices.Equal(WithoutSecond(both), one) {
		t.Errorf("%v", one)
	}
}

func BenchmarkModelRisk(b *testing.B) {
	m, in := madeModel(300), freeText(1, true)
	for len(in.Light.Text) < 8<<10 {
		in.Light = &answer.Answer{Text: in.Light.Text + "\n" + prose(len(in.Light.Text), true)}
	}
	in.Partner = in.Light
	b.ReportAllocs()
	for b.Loop() {
		m.Risk(&in)
	}
}
