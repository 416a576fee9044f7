package report

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
)

// TestCorrections has corrections in rows of their own, with their reason, and takes them
// out of the row where the ledger added them. M23
func TestCorrections(t *testing.T) {
	key := func(tenant string, day, hour int) record.RowKey {
		return record.RowKey{Tenant: tenant, Model: "amazon.nova-lite-v1:0", Hour: at(day, hour)}
	}
	credit := record.Counters{CostInput: -2 * money.Dollar}
	tokens := record.Counters{Input: 10, CostInput: money.Dollar}
	corrections := []*record.Adjustment{
		{ID: "1", Reason: "credit note 7", Row: key("acme", 3, 7), Add: credit},
		{ID: "2", Reason: "credit note 7", Row: key("acme", 4, 7), Add: credit},
		{ID: "3", Reason: "missed", Row: key("other", 3, 7), Add: tokens},
		{ID: "4", Reason: "of another month", Row: key("acme", 31, 7), Add: tokens},
		{ID: "5", Reason: "only a budget's", Row: key("acme", 3, 7), Add: record.Counters{Late: 5}},
	}
	source := rows{
		{key("acme", 3, 7), record.Counters{Requests: 5, Legs: 5, Input: 100, CostInput: 5 * money.Dollar}},
		{key("acme", 3, 7), credit}, {key("acme", 4, 7), credit}, {key("other", 3, 7), tokens},
		{key("acme", 31, 7), tokens},
	}
	f := func(within, want string, by ...string) {
		t.Helper()
		q := november(by...)
		q.Corrections, q.Now, q.Within = corrections, at(20, 0), within
		r, err := Build(t.Context(), source, q)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		layout := Layout{Format: CSV, Columns: []string{"requests", "input_tokens", "cost_usd", "correction"}}
		if err := Write(&b, &layout, r); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, b.String()); diff != "" {
			t.Error(diff)
		}
		if r.Total.Cost().String() != "2.00" && within == "" {
			t.Errorf("the total is %s", r.Total.Cost())
		}
	}
	f("", `from,to,tenant,requests,input_tokens,cost_usd,correction
2026-11-01,2026-12-01,acme,5,100,5.00,
2026-11-01,2026-12-01,acme,0,0,-4.00,credit note 7
2026-11-01,2026-12-01,other,0,10,1.00,missed
`, "tenant")
	f("acme", `from,to,day,requests,input_tokens,cost_usd,correction
2026-11-01,2026-12-01,2026-11-03,5,100,5.00,
2026-11-01,2026-12-01,2026-11-03,0,0,-2.00,credit note 7
2026-11-01,2026-12-01,2026-11-04,0,0,-2.00,credit note 7
`, "day")
}

// TestCorrectionsOfFoldedDays takes a correction out of the row of its day, when the
// ledger has no hours of it any more.
func TestCorrectionsOfFoldedDays(t *testing.T) {
	add := record.Counters{CostInput: money.Dollar}
	k := record.RowKey{Tenant: "acme", Hour: at(3, 7)}
	day := k
	day.Hour = at(3, 0)
	q := november("hour")
	q.Now = at(3, 7).Add(record.KeepHours * 2)
	q.Corrections = []*record.Adjustment{{ID: "1", Reason: "why", Row: k, Add: add}}
	r, err := Build(t.Context(), rows{{day, add}}, q)
	if err != nil || len(r.Rows) != 1 || r.Rows[0].Correction != "why" || r.Rows[0].By[0] != "2026-11-03T00:00:00Z" {
		t.Errorf("%+v, %v", r.Rows, err)
	}
	k.Held = "m" // as only ledgers know
	r, err = Build(t.Context(), rows{{k, add}}, q)
	if err != nil || len(r.Rows) != 1 || r.Rows[0].Correction != "why" || r.Rows[0].By[0] != "2026-11-03T07:00:00Z" {
		t.Errorf("of a month that is not closed, or a journal that has no checkpoint yet: %+v, %v", r.Rows, err)
	}
}
