package cascade

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/internal/cascade/certify"
	"github.com/sluice-gateway/sluice/internal/cascade/pairs"
	"github.com/sluice-gateway/sluice/internal/cascade/score"
)

// TestPairsAreRankedByOneOrder takes the risks of the score file that the
// cascade names, or else the untrained ones, and never both; and the schemas of
// those pairs alone that are taken.
func TestPairsAreRankedByOneOrder(t *testing.T) {
	risk := func(r float64) *float64 { return &r }
	logged := []*pairs.Pair{
		{Label: "same", Risk: risk(0.1), SchemaHash: "a"},
		{Label: "same", Risk: risk(0.2), SchemaHash: "b", Scored: &pairs.Scored{File: "old", Risk: risk(0.3)}},
		{Label: "same", Risk: risk(0.4), SchemaHash: "c", Scored: &pairs.Scored{File: "new", Risk: risk(0.5)}},
		{Label: "same", Risk: risk(0.6), SchemaHash: "d", Scored: &pairs.Scored{File: "new"}},
		{Label: "same", Risk: risk(0.7), SchemaHash: "e", Scored: &pairs.Scored{File: "new", Risk: risk(0.8)}, Veto: "empty"},
		{Label: "unknown", Risk: risk(0.9), SchemaHash: "f", Scored: &pairs.Scored{File: "new", Risk: risk(0.9)}},
	}
	f := func(file string, risks []float64, schemas []string, unscored int) {
		t.Helper()
		b := certify.Binding{Models: []string{"l", "", "e"}, Scores: map[string]string{}}
		if file != "" {
			b.Scores[certify.RoleScore] = file
		}
		from, err := readLabels("")
		if err != nil {
			t.Fatal(err)
		}
		var l pairLog
		for _, p := range logged {
			p.Light.Model, p.Escalation.Model = "l", "e"
			l.take(p, &b, from)
		}
		var got []float64
		r := rank(l.labelled, &order{file: file})
		for _, p := range r.pairs {
			got = append(got, p.Risk)
		}
		if diff := cmp.Diff(risks, got) + cmp.Diff(schemas, r.schemas); diff != "" || r.unscored != unscored || r.used[byKeys] != len(risks) {
			t.Errorf("score %q: %d are not ranked, %v: %s", file, r.unscored, r.used, diff)
		}
	}
	f("", []float64{0.1, 0.2, 0.4, 0.6, score.Never}, []string{"a", "b", "c", "d", "e"}, 0)
	f("new", []float64{0.5, score.Never, score.Never}, []string{"c", "d", "e"}, 2)
	f("another", nil, nil, 5)
}
