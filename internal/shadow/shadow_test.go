package shadow

import (
	"bytes"
	"testing"

	"github.com/sluice-gateway/sluice/internal/cascade/answer"
	"github.com/sluice-gateway/sluice/internal/cascade/pairs"
	"github.com/sluice-gateway/sluice/internal/leg"
)

// TestSampleIsBounded keeps copies of frames up to what a leg may hold back, and
// nothing of a larger answer.
func TestSampleIsBounded(t *testing.T) {
	var none *Sample
	none.Keep([]byte("frame")) // a request that is not sampled keeps nothing
	none.KeepAll(nil)

	s := &Sample{}
	frame := []byte("frame")
	s.Keep(frame)
	frame[0] = 'F'
	if len(s.frames) != 1 || string(s.frames[0]) != "frame" || s.over {
		t.Errorf("%q, over %v", s.frames, s.over)
	}
	s.Keep(bytes.Repeat([]byte("x"), leg.MaxHeld))
	if s.frames != nil || !s.over {
		t.Errorf("%d frames are kept of an answer that is too large", len(s.frames))
	}
	s.Keep(frame)
	if s.frames != nil {
		t.Error("a frame is kept behind those that were dropped")
	}
}

// TestLoss has the judge's word count before that of the keys.
func TestLoss(t *testing.T) {
	f := func(l label, loss float64, known bool) {
		t.Helper()
		if got, ok := l.loss(); got != loss || ok != known {
			t.Errorf("%+v: %g %v, want %g %v", l, got, ok, loss, known)
		}
	}
	f(label{keys: answer.Same}, 0, true)
	f(label{keys: answer.Different}, 1, true)
	f(label{keys: answer.Unknown}, 0, false)
	f(label{keys: answer.Different, judge: pairs.Won("tie")}, 0, true)
	f(label{keys: answer.Different, judge: pairs.Won("light")}, -1, true)
	f(label{keys: answer.Unknown, judge: pairs.Won("escalation")}, 1, true)
	graded := func(light, escalation, from int) label {
		reading := pairs.Reading{Light: light, Escalation: escalation}
		return label{keys: answer.Same, from: from, grades: &pairs.Grades{Reading: reading}}
	}
	f(graded(4, 5, 5), 1, true) // also where the keys are the same
	f(graded(5, 9, 5), 0, true)
	f(graded(5, 9, 7), 1, true)
}

// TestSpoken shows a judge the tools that an answer calls.
func TestSpoken(t *testing.T) {
	a := &answer.Answer{Text: "I look it up.", ToolCalls: []answer.ToolCall{{Name: "look", Input: []byte(`{"at":1}`)}}}
	if got, want := spoken(a), "I look it up.\n[calls the tool look with {\"at\":1}]"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
