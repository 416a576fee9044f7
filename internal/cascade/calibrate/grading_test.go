package calibrate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/cascade/certify"
	"github.com/sluice-gateway/sluice/internal/cascade/pairs"
)

const gradedBy = "the words"

// gradedLog has n pairs without a key, an hour apart, with grades that a change may
// replace: every tenth light answer is bad and its risk is high.
func gradedLog(t *testing.T, n int, human map[string]pairs.Verdict, change func(i int, p *pairs.Pair)) (*Log, Input) {
	t.Helper()
	in := Input{
		Binding: certify.Binding{
			Cascade: "c", Models: []string{"l", "", "e"}, Scores: map[string]string{}, Rubric: gradedBy, Adequate: 5,
		},
		Options:    certify.Options{MaxLoss: 0.03, Delta: 0.1},
		NeedsCheck: true,
	}
	var log bytes.Buffer
	for i := range n {
		risk := 0.2
		g := &pairs.Grades{Judge: "j", Rubric: gradedBy, Reading: pairs.Reading{Light: 7, Escalation: 8}, Cost: 50}
		if i%10 == 0 {
			risk, g.Light = 1.9, 3
		}
		p := &pairs.Pair{
			Version: pairs.Version, ID: fmt.Sprint(i), Cascade: "c", Time: time.Unix(int64(i)*3600, 0), Risk: &risk,
			Partner: "unknown", Label: "unknown", Grades: g,
			Light: pairs.Leg{Model: "l", Cost: 50}, Escalation: pairs.Leg{Model: "e", Cost: 1000},
		}
		change(i, p)
		line, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		log.Write(append(line, '\n'))
	}
	var err error
	if in.Log, err = ReadLog(&log, &in.Binding, Labels{Human: human}); err != nil {
		t.Fatal(err)
	}
	return in.Log, in
}

// reread gives each third pair a second reading, which says the same but for a change.
func reread(other func(i int, r *pairs.Reading)) func(int, *pairs.Pair) {
	return func(i int, p *pairs.Pair) {
		if i%3 == 0 {
			r := p.Grades.Reading
			other(i, &r)
			p.Grades.Again = &r
		}
	}
}

// TestGradesThatSayNothing refuses certificates of judges who contradict themselves,
// who find nothing bad, and of whom nothing is known.
func TestGradesThatSayNothing(t *testing.T) {
	f := func(want string, change func(int, *pairs.Pair)) {
		t.Helper()
		_, in := gradedLog(t, 600, nil, change)
		r, err := Run(in)
		var refused *GradesError
		switch {
		case want == "" && (err != nil || r.Certificate == nil || r.Certificate.Adequate != 5):
			t.Errorf("%v %+v", err, r.Certificate)
		case want != "" && (!errors.As(err, &refused) || !strings.Contains(err.Error(), want) || r.Certificate != nil):
			t.Errorf("%v, want %q", err, want)
		}
	}
	same := func(int, *pairs.Reading) {}
	f("", reread(same))
	f("", reread(func(_ int, r *pairs.Reading) { r.Escalation = 10 })) // another grade, and adequate too
	f("nothing says whether the judge can be trusted", func(int, *pairs.Pair) {})
	f("a second reading by the judge says the same of 70 %", reread(func(i int, r *pairs.Reading) {
		if i%15 < 9 {
			r.Escalation = 3
		}
	}))
	f("no more than chance", reread(func(i int, r *pairs.Reading) {
		r.Light = 7
		if i%10 == 5 {
			r.Light = 3
		}
	}))
	f("finds each of 1200 answers adequate", func(i int, p *pairs.Pair) {
		p.Grades.Light = 8
		reread(same)(i, p)
	})
}

// TestHumansCheckGrades refuses grades that humans do not share.
func TestHumansCheckGrades(t *testing.T) {
	f := func(human pairs.Verdict, refused bool) {
		t.Helper()
		labels := map[string]pairs.Verdict{}
		for i := range 40 {
			if i%10 != 0 {
				labels[fmt.Sprint(i)] = human
			}
		}
		log, in := gradedLog(t, 600, labels, func(int, *pairs.Pair) {})
		in.Options.MaxLoss = 0.2
		var judge *JudgeError
		if _, err := Run(in); errors.As(err, &judge) != refused || log.Judged.Pairs != 36 {
			t.Errorf("%v: %v, %d", human, err, log.Judged.Pairs)
		}
	}
	f(pairs.Verdict{Light: 1, Escalation: 1}, false)
	f(pairs.Verdict{Light: 1, Escalation: 0}, false) // better than the other is adequate as well
	f(pairs.Verdict{Light: 0, Escalation: 1}, true)
}

// TestEqualKeysAreGraded has the graded ones of the pairs with equal keys stand for
// all of them, so that what keys cannot see is in the bound.
func TestEqualKeysAreGraded(t *testing.T) {
	f := func(bad int, certified bool) {
		t.Helper()
		log, in := gradedLog(t, 1000, nil, func(i int, p *pairs.Pair) {
			reread(func(int, *pairs.Reading) {})(i, p)
			if i%2 == 0 {
				return
			}
			p.Label, p.Partner = "same", "same"
			switch g := p.Grades; {
			case i%4 == 3:
				p.Grades = nil
			case bad > 0 && i%bad == 1:
				g.Light = 2
			}
		})
		g := &log.Grading
		if g.Agreeing != 500 || g.AgreeingGraded != 250 || len(log.Pairs) != 750 || log.Pairs[1].Pair.Weight != 2 {
			t.Fatalf("%+v, %d pairs", g, len(log.Pairs))
		}
		r, err := Run(in)
		if (err == nil) != certified {
			t.Errorf("one of %d: %v, lost %d, %+v", bad, err, g.AgreeingLost, r.Report)
		}
	}
	f(0, true)
	f(20, false) // each fifth graded pair with equal keys is a loss: 10 points of all
}

// TestProgress says how many labelled pairs are missing, how long they take and what
// they cost.
func TestProgress(t *testing.T) {
	none := &Log{}
	if p := none.Progress(&certify.CannotCertify{MorePairs: 114}); p.Of != 500 || p.Labelled != 0 || !math.IsNaN(p.Days) {
		t.Errorf("%+v", p)
	}
	log, _ := gradedLog(t, 312, nil, func(int, *pairs.Pair) {})
	p := log.Progress(&certify.CannotCertify{MorePairs: 188})
	if p.Labelled != 312 || p.Of != 500 || p.Cost != 31200 || p.More != 18800 || math.Round(p.Days) != 8 {
		t.Errorf("%+v", p)
	}
	compared, _ := gradedLog(t, 100, nil, func(_ int, p *pairs.Pair) {
		p.Grades, p.Judge, p.JudgeCost = nil, pairs.Won("tie"), 30
	})
	if p := compared.Progress(&certify.CannotCertify{}); p.Labelled != 100 || p.Cost != 8000 {
		t.Errorf("a judge that compares: %+v", p)
	}
	if p := log.Progress(&certify.CannotCertify{}); p.Of != 0 {
		t.Errorf("more would not help: %+v", p)
	}
}
