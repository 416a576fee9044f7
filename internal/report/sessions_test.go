package report

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/decision"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
)

// ofSession is a decision of a session, with a call that ended at a time and used so many tokens at a thousandth of a
// dollar each.
func ofSession(session, tenant string, ended time.Time, tokens int64) decision.Decision {
	return decision.Decision{Session: session, Tenant: tenant, Legs: []decision.Leg{{
		Record: "r", Model: "m", Outcome: "completed", Is: decision.FateServed, Began: ended.Add(-time.Second),
		Took: decision.Micro(time.Second), Cost: decision.Dollars(money.Pico(tokens) * money.Dollar / 1000),
		Tokens: decision.Tokens{Input: decision.Count{N: tokens, Known: true}},
	}}}
}

// bySessions is a report of what the ledger has, with decisions of some of it.
func bySessions(t *testing.T, all []decision.Decision, within string, by ...string) (*Report, error) {
	t.Helper()
	at := time.Date(2026, 11, 10, 0, 0, 0, 0, time.UTC)
	ledger := rows{
		{record.RowKey{Hour: at, Tenant: "acme", Model: "m"}, record.Counters{Requests: 9, Legs: 9, Input: 1000,
			CostInput: money.Dollar}},
		{record.RowKey{Hour: at, Tenant: "other", Model: "m"}, record.Counters{Requests: 2, Legs: 2, Input: 500,
			CostInput: money.Dollar / 2}},
	}
	return Build(context.Background(), ledger, Query{
		From: at, To: at.Add(time.Hour), Now: at.Add(time.Hour), By: by, Within: within,
		Sessions: func(_ context.Context, yield func(*decision.Decision)) error {
			for i := range all {
				yield(&all[i])
			}
			return nil
		},
	})
}

// TestSessions: what sessions used is theirs, of calls that ended within the time and that their tenant paid; the rest
// is nobody's, and all of it is what the ledger has.
func TestSessions(t *testing.T) {
	at := time.Date(2026, 11, 10, 0, 30, 0, 0, time.UTC)
	paid := ofSession("s1", "acme", at, 999)
	paid.Legs[0].Payer = "judge"
	all := []decision.Decision{
		ofSession("s1", "acme", at, 300), ofSession("s1", "acme", at, 100), ofSession("s1", "other", at, 50),
		ofSession("", "acme", at, 70), ofSession("<b>", "acme", at, 1), ofSession("s1", "acme", at.Add(-time.Hour), 999),
		ofSession("s1", "acme", at.Add(30*time.Minute), 999), paid,
	}
	f := func(within string, want []string, by ...string) {
		t.Helper()
		r, err := bySessions(t, all, within, by...)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, row := range append(slices.Clone(r.Rows), &r.Total) {
			got = append(got, fmt.Sprintf("%s %d %d %s", strings.Join(row.By, ","), row.Requests, row.InputTokens,
				row.Cost().String()))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", by, got, want)
		}
	}
	f("", []string{"(unattributed) 7 1049 1.049", "<b> 1 1 0.001", "s1 3 450 0.45", " 11 1500 1.50"}, "session")
	f("acme", []string{"(unattributed) 6 599 0.599", "<b> 1 1 0.001", "s1 2 400 0.40", " 9 1000 1.00"}, "session")
	f("", []string{
		"acme,(unattributed) 6 599 0.599", "acme,<b> 1 1 0.001", "acme,s1 2 400 0.40", "other,(unattributed) 1 450 0.45",
		"other,s1 1 50 0.05", ", 11 1500 1.50",
	}, "tenant", "session")
	r, err := bySessions(t, all, "", "session")
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range Formats() {
		var b bytes.Buffer
		if err := Write(&b, &Layout{Format: Format(format)}, r); err != nil {
			t.Errorf("%s: %v", format, err)
		}
		if text := b.String(); format == string(HTML) && strings.Contains(text, "<b>") {
			t.Error(text)
		} else if format == string(JSON) && strings.Count(text, `"input_usd":""`) != len(r.Rows) {
			t.Error(text)
		}
	}
	if _, err := bySessions(t, all, "", "session", "hour"); !errors.Is(err, ErrQuery) {
		t.Error(err)
	}
}

// TestSessionsAreBounded: sessions for which there is no row are not lost, but nobody's, and a warning says so.
func TestSessionsAreBounded(t *testing.T) {
	at := time.Date(2026, 11, 10, 0, 30, 0, 0, time.UTC)
	var all []decision.Decision
	for i := range mostSessions + 500 {
		all = append(all, ofSession(fmt.Sprint("s", i), "acme", at, 1))
	}
	r, err := bySessions(t, all, "", "session")
	if err != nil || len(r.Rows) != mostSessions || r.Total.Cost().String() != "1.50" || len(r.Warnings) != 1 {
		t.Fatal(err, len(r.Rows), r.Warnings)
	}
}
