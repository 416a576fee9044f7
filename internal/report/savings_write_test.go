package report

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/saving"
)

func total(p money.Pico) (t money.Total) {
	t.Add(p)
	return t
}

// savings has one row of each kind.
func savings() []saving.Saving {
	const cent = money.Dollar / 100
	bound := saving.Quality{Loss: 0.018, Confidence: 0.9, N: 500, Bound: true}
	rows := []saving.Saving{
		{
			Cascade: "burst", Requests: 120, Light: 80, Answers: 40, Basis: "served", Spent: total(90 * cent),
			Counterfactual: total(237 * cent), Saved: total(147 * cent), Quality: bound,
		},
		{
			Cascade: "support", Requests: 300, Light: 240, Answers: 60, Basis: "shadow", Spent: total(146 * cent),
			Counterfactual: total(603 * cent),
			Saved:          total(457 * cent), Low: total(452*cent + 1), High: total(461*cent +
				1), Interval: true, Quality: bound, Drained: 3,
		},
		{
			Cascade: "watch", Requests: 40, Answers: 40, Basis: "served", Spent: total(2 * cent), Counterfactual: total(cent),
			Saved: total(-cent),
			Low:   total(-cent), High: total(-cent), Interval: true,
			Quality: saving.Quality{Why: "certificate is void: prices " +
				"changed"}, Unpriced: 1,
		},
		{Cascade: "young", Requests: 80, Light: 80, Spent: total(4 * cent),
			NotMeasured: "the escalation model has 0 answers here", Unknown: 1, Suspense: total(cent)},
	}
	for i := range rows {
		rows[i].Escalation, rows[i].From, rows[i].To = "anthropic.strong", at(1, 0), at(31, 0)
	}
	return rows
}

func TestSavingsGolden(t *testing.T) {
	rows := savings()
	for _, format := range []Format{Table, CSV, JSON} {
		var b bytes.Buffer
		if err := WriteSavings(&b, format, rows); err != nil {
			t.Fatal(err)
		}
		text := b.String()
		for _, w := range SavingWarnings(rows) {
			text += "warning: " + string(w) + "\n"
		}
		file := filepath.Join("testdata", "savings."+string(format))
		if *update {
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), text); diff != "" {
			t.Errorf("%s (-want +got):\n%s", file, diff)
		}
	}
	if err := WriteSavings(&bytes.Buffer{}, "xml", nil); !errors.Is(err, ErrQuery) {
		t.Errorf("xml: %v", err)
	}
}
