package calibrate

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/internal/cascade/certify"
	"github.com/sluice-gateway/sluice/internal/cascade/pairs"
	"github.com/sluice-gateway/sluice/internal/cascade/score"
)

var binding = certify.Binding{
	Cascade: "support", PolicyHash: "q", PricesHash: "p", Models: []string{"l", "s", "e"}, Scores: map[string]string{},
}

// logOf reads pairs that belong to binding, after change.
func logOf(t *testing.T, labels Labels, logged ...*pairs.Pair) *Log {
	t.Helper()
	var lines bytes.Buffer
	for _, p := range logged {
		p.Version, p.Cascade, p.PolicyHash, p.PricesHash = pairs.Version, "support", "q", "p"
		p.Light.Model, p.Escalation.Model = "l", "e"
		line, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		lines.Write(append(line, '\n'))
	}
	log, err := ReadLog(&lines, &binding, labels)
	if err != nil {
		t.Fatal(err)
	}
	return log
}

// TestReadLog takes labelled pairs of the binding in the order of time, and counts
// all others by why they are left out.
func TestReadLog(t *testing.T) {
	var lines bytes.Buffer
	f := func(id string, change func(p *pairs.Pair)) {
		p := &pairs.Pair{
			Version: pairs.Version, ID: id, Cascade: "support", PolicyHash: "q", PricesHash: "p", Label: "same",
			Light: pairs.Leg{Model: "l"}, Second: &pairs.Leg{Model: "s"}, Escalation: pairs.Leg{Model: "e"},
		}
		change(p)
		line, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		lines.Write(append(line, '\n'))
	}
	f("later", func(p *pairs.Pair) { p.Time = time.Unix(2, 0).UTC() })
	f("earlier", func(p *pairs.Pair) { p.Time = time.Unix(1, 0).UTC() })
	f("", func(p *pairs.Pair) { p.Cascade = "other" })
	f("", func(p *pairs.Pair) { p.PolicyHash = "other" })
	f("", func(p *pairs.Pair) { p.PricesHash = "other" })
	f("", func(p *pairs.Pair) { p.Light.Model = "other" })
	f("", func(p *pairs.Pair) { p.Second.Model = "other" })
	f("", func(p *pairs.Pair) { p.Escalation.Model = "other" })
	f("unlabelled", func(p *pairs.Pair) { p.Label = "unknown" })
	f("", func(p *pairs.Pair) { p.Version = 1 })
	lines.WriteString("{")
	labels := Labels{Human: map[string]pairs.Verdict{"earlier": tie, "": tie, "z": tie, "nobody": tie}}
	log, err := ReadLog(&lines, &binding, labels)
	if err != nil {
		t.Fatal(err)
	}
	if len(log.Pairs) != 2 || log.Pairs[0].Pair.ID != "earlier" || log.Pairs[1].Pair.ID != "later" {
		t.Errorf("%+v", log.Pairs)
	}
	if log.Skipped != 2 || log.OtherCascade != 1 || log.OtherPolicy != 5 || log.Unlabelled != 1 {
		t.Errorf("left out: %+v", log)
	}
	if diff := cmp.Diff([]string{"", "nobody", "z"}, log.Unmatched); diff != "" {
		t.Error(diff)
	}
}

// TestPairsAreRankedByOneOrder takes the risks of the score file that the
// cascade names, or else the untrained ones, and never both; and the schemas of
// those pairs alone that are taken.
func TestPairsAreRankedByOneOrder(t *testing.T) {
	risk := func(r float64) *float64 { return &r }
	log := logOf(t, Labels{},
		&pairs.Pair{Label: "same", Risk: risk(0.1), SchemaHash: "a"},
		&pairs.Pair{Label: "same", Risk: risk(0.2), SchemaHash: "b", Scored: &pairs.Scored{File: "old", Risk: risk(0.3)}},
		&pairs.Pair{Label: "same", Risk: risk(0.4), SchemaHash: "c", Scored: &pairs.Scored{File: "new", Risk: risk(0.5)}},
		&pairs.Pair{Label: "same", Risk: risk(0.6), SchemaHash: "d", Scored: &pairs.Scored{File: "new"}},
		&pairs.Pair{
			Label: "same", Risk: risk(0.7), SchemaHash: "e", Scored: &pairs.Scored{File: "new", Risk: risk(0.8)}, Veto: "empty",
		},
		&pairs.Pair{Label: "unknown", Risk: risk(0.9), SchemaHash: "f", Scored: &pairs.Scored{File: "new", Risk: risk(0.9)}},
	)
	f := func(file string, risks []float64, schemas []string, unscored int) {
		t.Helper()
		var got []float64
		r := (&order{file: file}).rank(log.Pairs)
		for _, p := range r.Pairs {
			got = append(got, p.Risk)
		}
		diff := cmp.Diff(risks, got) + cmp.Diff(schemas, r.Schemas)
		if diff != "" || r.Unscored != unscored || r.By[ByKeys] != len(risks) {
			t.Errorf("score %q: %d are not ranked, %v: %s", file, r.Unscored, r.By, diff)
		}
	}
	f("", []float64{0.1, 0.2, 0.4, 0.6, score.Never}, []string{"a", "b", "c", "d", "e"}, 0)
	f("new", []float64{0.5, score.Never, score.Never}, []string{"c", "d", "e"}, 2)
	f("another", nil, nil, 5)
}

// TestRoutesOfALog: routes with fifty pairs are described, in order, by all pairs with and
// without a label, as many as each stands for.
func TestRoutesOfALog(t *testing.T) {
	var logged []*pairs.Pair
	add := func(route string, n int, p pairs.Pair) {
		for range n {
			one := p
			one.Route = route
			logged = append(logged, &one)
		}
	}
	add("support acme 2", 30, pairs.Pair{TextBytes: 100, Label: "same"})
	add("support acme 2", 20, pairs.Pair{TextBytes: 900, Label: "unknown", Weight: 3})
	add("support acme 1", 50, pairs.Pair{TextBytes: 7, Label: "same"})
	add("support acme 3", 49, pairs.Pair{TextBytes: 7, Label: "same"})
	want := []certify.Traffic{
		{Route: "support acme 1", Pairs: 50, Ends: []int{7}, Shares: []float64{1}},
		{Route: "support acme 2", Pairs: 50, Ends: []int{100, 900}, Shares: []float64{30.0 / 90, 1}},
	}
	if diff := cmp.Diff(want, logOf(t, Labels{}, logged...).Routes); diff != "" {
		t.Error(diff)
	}
}
