package memory

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/internal/cascade/certify"
)

func stepping(hash string, steps ...float64) *certify.Certificate {
	return &certify.Certificate{Steps: steps, Threshold: steps[len(steps)-1], MaxLoss: 0.02, Delta: 0.1, Hash: hash}
}

// TestWatchStepsBackAsFarAsItMust has losses above some risk only, and wants the
// most liberal threshold that they do not refute.
func TestWatchStepsBackAsFarAsItMust(t *testing.T) {
	f := func(bad, want float64) {
		t.Helper()
		var w Watch
		c := stepping("a", 0.5, 1, 1.25, 1.5)
		for i := range 1000 {
			risk := float64(i%17) / 10
			loss := 0.0
			if risk > bad && risk <= w.Threshold(c) {
				loss = 1
			}
			w.Observe(c, Sample{risk, loss})
		}
		if got := w.Threshold(c); got != want {
			t.Errorf("losses above %v: threshold %v, want %v", bad, got, want)
		}
	}
	f(2, 1.5)
	f(1.3, 1.25)
	f(1, 1)
	f(0.9, 0.5)
	f(-1, math.Inf(-1))
}

func TestWatchIsAboutOneCertificate(t *testing.T) {
	var w Watch
	old, next := stepping("old", 1, 2), stepping("new", 1, 2)
	w.StepBack(Stepped{"old", 1})
	if w.Threshold(old) != 1 || w.Threshold(next) != 2 {
		t.Errorf("%v and %v", w.Threshold(old), w.Threshold(next))
	}
	w.StepBack(Stepped{"old", 0})
	if w.Threshold(old) != 1 {
		t.Error("a watch stepped forward")
	}
	w.StepBack(Stepped{"old", 9}) // of a certificate with more steps, or a broken file
	if w.Threshold(old) != math.Inf(-1) {
		t.Errorf("%v", w.Threshold(old))
	}
	if back, refuted := w.Observe(old, Sample{0, 1}); refuted || back != 9 {
		t.Errorf("%d steps, %v", back, refuted)
	}
	for i := range 2 * maxWatched {
		w.StepBack(Stepped{fmt.Sprint(i), 1})
	}
	if n := len(w.Stepped()); n != maxWatched {
		t.Errorf("%d certificates are remembered", n)
	}
}

// TestWatchNeverStepsForward holds for whatever comes.
func TestWatchNeverStepsForward(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w Watch
		c := stepping("a", 0.25, 0.5, 1, 1.5)
		last := w.Threshold(c)
		for range rapid.IntRange(1, 200).Draw(t, "n") {
			s := Sample{rapid.Float64Range(0, 2).Draw(t, "risk"), rapid.SampledFrom([]float64{-1, 0, 0, 1}).Draw(t, "loss")}
			back, refuted := w.Observe(c, s)
			at := w.Threshold(c)
			if at > last || refuted != (at < last) || at > math.Inf(-1) && c.Steps[len(c.Steps)-1-back] != at {
				t.Fatalf("%+v: from %v to %v, %d steps, %v", s, last, at, back, refuted)
			}
			if last = at; !slices.Contains(c.Steps, at) && at != math.Inf(-1) {
				t.Fatalf("%v is no step", at)
			}
		}
	})
}

func TestTightenedOutlastsARestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tightened.json")
	kept := Tightened{File: file}
	restored := func() *Store {
		t.Helper()
		m := &Store{}
		if err := (&Tightened{File: file}).Restore(m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	if got := restored().Of("support").Watch.Stepped(); len(got) != 0 {
		t.Errorf("nothing was kept, and %v is there", got)
	}
	var support, other State
	support.Watch.StepBack(Stepped{"a", 3})
	support.Watch.StepBack(Stepped{"b", 1})
	other.Watch.StepBack(Stepped{"a", 2})
	for name, state := range map[string]*State{"support": &support, "other": &other} {
		if err := kept.Keep(name, state); err != nil {
			t.Fatal(err)
		}
	}
	m := restored()
	for name, want := range map[string][]Stepped{"support": {{"a", 3}, {"b", 1}}, "other": {{"a", 2}}} {
		if diff := cmp.Diff(want, m.Of(name).Watch.Stepped()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if left, err := filepath.Glob(file + "*"); err != nil || len(left) != 1 {
		t.Errorf("%v, %v are left", left, err)
	}
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if kept.Restore(&Store{}) == nil || kept.Keep("support", &support) == nil {
		t.Error("a broken file is taken for an empty one")
	}
	var nowhere Tightened
	if nowhere.Restore(m) != nil || nowhere.Keep("support", &support) != nil {
		t.Error("without a file nothing can fail")
	}
}
