package report

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/saving"
)

var update = flag.Bool("update", false, "write the golden files")

type row struct {
	key record.RowKey
	add record.Counters
}

// rows is a source that ignores nothing: it yields what is in the range.
type rows []row

func (s rows) Rows(_ context.Context, from, to time.Time, yield func(record.RowKey, record.Counters) error) error {
	for _, r := range s {
		if r.key.Hour.Before(from) || !r.key.Hour.Before(to) {
			continue
		}
		if err := yield(r.key, r.add); err != nil {
			return err
		}
	}
	return nil
}

func at(day, hour int) time.Time { return time.Date(2026, 11, day, hour, 0, 0, 0, time.UTC) }

var books = rows{
	{
		record.RowKey{Hour: at(1, 0), Tenant: "acme/support", Key: "K1",
			Model: "us.anthropic.claude-sonnet-4-5-20250929-v1:0", Scope: "geo", Cascade: "support", Path: "escalated",
			PriceVersion: "2026-10-01"},
		record.Counters{Requests: 2, Legs: 2, Escalated: 2, Input: 1000, Output: 200, CacheRead: 50, CacheWrite5m: 7,
			CacheWrite1h: 5, CostInput: 3_000_000_000, CostOutput: 3_000_000_000, CostCacheRead: 15_000_000,
			CostCacheWrite: 26_250_000},
	},
	{
		record.RowKey{Hour: at(1, 5), Tenant: "acme/support", Key: "K1", Model: "amazon.nova-lite-v1:0", Cascade: "support",
			Path: "light", PriceVersion: "2026-10-01"},
		record.Counters{Requests: 8, Legs: 10, Input: 5000, Output: 900, CostInput: 300_000_000, CostOutput: 216_000_000,
			CostWasted: 51_600_000},
	},
	{
		record.RowKey{Hour: at(2, 5), Tenant: "acme/support", Key: "K2", Model: "amazon.nova-lite-v1:0", Path: "direct",
			PriceVersion: "2026-11-02"},
		record.Counters{Requests: 1, Legs: 1, Input: 1, Output: 1, CostInput: 60_000, CostOutput: 240_000, CostGuardrail: 1},
	},
	{
		record.RowKey{Hour: at(30, 23), Tenant: "other", Key: "K3", Model: "strange, \"model\"\x1b[2J", Path: "passthrough"},
		record.Counters{Requests: 1, Legs: 2, Input: 10, Output: 20, Unpriced: 2, Unknown: 1, SuspenseTokens: 4096,
			Suspense: 61_440_000_000},
	},
	{
		record.RowKey{Hour: at(30, 24), Tenant: "other", Key: "K3", Model: "next month"},
		record.Counters{Requests: 1000},
	},
}

func november(by ...string) Query { return Query{From: at(1, 0), To: at(31, 0), By: by} }

func TestGolden(t *testing.T) {
	golden := func(name string, layout Layout, by ...string) {
		t.Helper()
		got, err := Build(t.Context(), books, november(by...))
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := Write(&b, &layout, got); err != nil {
			t.Fatal(err)
		}
		for _, w := range got.Warnings {
			b.WriteString("warning: " + string(w) + "\n")
		}
		file := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), b.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	golden("default.table", Layout{Format: Table}, DefaultBy...)
	golden("narrow.table", Layout{Format: Table, Width: 72}, DefaultBy...)
	golden("shrunk.table", Layout{Format: Table, Width: 165}, DefaultBy...)
	golden("all.table", Layout{Format: Table})
	golden("default.csv", Layout{Format: CSV}, DefaultBy...)
	golden("default.json", Layout{Format: JSON}, DefaultBy...)
	golden("month.json", Layout{Format: JSON}, "month", "root")
	golden("every.csv", Layout{Format: CSV}, Columns()...)
	golden("default.html", Layout{Format: HTML}, DefaultBy...)
	golden("summary.csv", Layout{Format: CSV, Columns: []string{"cost_usd", "unpriced"}, Summary: true}, "root", "day")
	golden("chosen.table", Layout{Format: Table, Columns: []string{"list_usd", "requests"}}, "team")
}

// TestFieldOrder reads the JSON the way that a strict reader does.
func TestFieldOrder(t *testing.T) {
	got, err := Build(t.Context(), books, november(DefaultBy...))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := Write(&b, &Layout{Format: JSON}, got); err != nil {
		t.Fatal(err)
	}
	var parsed []map[string]any
	if err := json.Unmarshal(b.Bytes(), &parsed); err != nil {
		t.Fatal(err)
	}
	if len(parsed) != 3 {
		t.Fatalf("%d rows", len(parsed))
	}
	dec := json.NewDecoder(&b)
	var names []string
	depth, key := 0, true
	for len(names) < len(parsed[0]) {
		tok, err := dec.Token()
		if err != nil {
			t.Fatal(err)
		}
		if _, isDelim := tok.(json.Delim); isDelim {
			depth++
			continue
		}
		if depth == 2 && key {
			names = append(names, tok.(string))
		}
		key = !key
	}
	want := []string{
		"from", "to", "tenant", "model", "requests", "legs", "escalated", "input_tokens", "output_tokens",
		"cache_read_tokens", "cache_write_tokens", "cost_usd", "unpriced", "unknown",
	}
	if diff := cmp.Diff(append(want, Figures()[10:]...), names); diff != "" {
		t.Error(diff)
	}
}

// TestGroupingKeepsSums compares every grouping with the ungrouped sum.
func TestGroupingKeepsSums(t *testing.T) {
	whole, err := Build(t.Context(), books, november())
	if err != nil {
		t.Fatal(err)
	}
	for _, by := range Columns() {
		grouped, err := Build(t.Context(), books, november(by))
		if err != nil {
			t.Fatal(err)
		}
		var sum Row
		for i := range grouped.Rows {
			r := grouped.Rows[i]
			sum.Requests += r.Requests
			sum.Legs += r.Legs
			sum.CacheWrite5mTokens += r.CacheWriteTokens()
			sum.Input.AddTotal(r.Cost())
		}
		want := whole.Rows[0]
		if sum.Requests != want.Requests || sum.Legs != want.Legs ||
			sum.CacheWrite5mTokens != want.CacheWriteTokens() || sum.Input.String() != want.Cost().String() {
			t.Errorf("by %s: %+v, want %+v", by, sum, want)
		}
		for i := range figures {
			if figures[i].text(&grouped.Total) != figures[i].text(want) {
				t.Errorf("by %s: the total of %s is %s, want %s", by, figures[i].name, figures[i].text(&grouped.Total),
					figures[i].text(want))
			}
		}
	}
}

func TestEmpty(t *testing.T) {
	write := func(f Format, want string) {
		t.Helper()
		var b bytes.Buffer
		if err := Write(&b, &Layout{Format: f}, &Report{By: []string{"tenant"}}); err != nil || b.String() != want {
			t.Errorf("%s: %q, %v, want %q", f, b.String(), err, want)
		}
	}
	write(JSON, "[]\n")
	write(CSV, "from,to,tenant,"+strings.Join(Figures(), ",")+"\n")
	var b bytes.Buffer
	if err := Write(&b, &Layout{Format: "yaml"}, &Report{}); !errors.Is(err, ErrQuery) {
		t.Errorf("an unknown format: %v", err)
	}
}

// TestTotalHasRoom: the word total may be the widest cell of its column, and no figure is cut for it.
func TestTotalHasRoom(t *testing.T) {
	r, err := Build(t.Context(), books, november("key"))
	if err != nil {
		t.Fatal(err)
	}
	for width := 20; width < 250; width++ {
		var b strings.Builder
		if err := Write(&b, &Layout{Format: Table, Width: width}, r); err != nil {
			t.Fatal(err)
		}
		if table, _, _ := strings.Cut(b.String(), "\n\n"); strings.Contains(table, "…") {
			t.Errorf("width %d:\n%s", width, table)
		}
	}
}

// TestUnpricedIsNoZero: M24, what has no price is empty in CSV and JSON and called unpriced
// in tables, never 0.00; what is free is 0.00, and what has a price in part is what it is
// known to cost.
func TestUnpricedIsNoZero(t *testing.T) {
	row := func(cost money.Pico, without int64) *Row {
		r := &Row{}
		r.Unpriced = without
		r.Input.Add(cost)
		return r
	}
	want := map[Format]string{
		Table: "cost_usd\nunpriced\n    0.00\n    0.06\n",
		CSV:   "from,to,cost_usd\n0001-01-01,0001-01-01,\n0001-01-01,0001-01-01,0.00\n0001-01-01,0001-01-01,0.06\n",
		JSON: `[
  {"from":"0001-01-01","to":"0001-01-01","cost_usd":""},
  {"from":"0001-01-01","to":"0001-01-01","cost_usd":"0.00"},
  {"from":"0001-01-01","to":"0001-01-01","cost_usd":"0.06"}
]
`}
	for f, text := range want {
		var b bytes.Buffer
		r := &Report{Rows: []*Row{row(0, 3), row(0, 0), row(60_000_000_000, 1)}}
		if err := Write(&b, &Layout{Format: f, Columns: []string{"cost_usd"}}, r); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(b.String(), text) {
			t.Errorf("%s:\n%s", f, b.String())
		}
		b.Reset()
		if err := WriteSavings(&b, f, []saving.Saving{{Cascade: "c", Unpriced: 2, NotMeasured: "x"}}); err != nil {
			t.Fatal(err)
		}
		if text := b.String(); strings.Contains(text, "0.00") || f == Table && !strings.Contains(text, "unpriced") {
			t.Errorf("savings, %s:\n%s", f, text)
		}
	}
	unpriced := row(0, 3)
	for i := range figures {
		if figures[i].kind == priced && figures[i].text(unpriced) != "" {
			t.Errorf("%s of what has no price is %q", figures[i].name, figures[i].text(unpriced))
		}
	}
}

func TestCSVReadsBack(t *testing.T) {
	got, err := Build(t.Context(), books, november("model"))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := Write(&b, &Layout{Format: CSV}, got); err != nil {
		t.Fatal(err)
	}
	lines, err := csv.NewReader(&b).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var models []string
	for _, line := range lines[1:] {
		models = append(models, line[2])
	}
	want := []string{"amazon.nova-lite-v1:0", "strange, \"model\"\x1b[2J", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"}
	if !slices.Equal(models, want) {
		t.Errorf("models %q, want %q", models, want)
	}
}

func TestBadQueries(t *testing.T) {
	bad := func(by ...string) {
		t.Helper()
		if _, err := Build(t.Context(), books, november(by...)); !errors.Is(err, ErrQuery) {
			t.Errorf("by %q: error %v", by, err)
		}
	}
	bad("nothing")
	bad("tenant", "tenant")
	bad("")

	huge := rows{{record.RowKey{Hour: at(1, 0)}, record.Counters{Input: 1 << 62}},
		{record.RowKey{Hour: at(1, 1)}, record.Counters{Input: 1 << 62}}}
	if _, err := Build(t.Context(), huge, november()); err == nil {
		t.Error("a sum that overflows is no error")
	}
	rich := rows{{record.RowKey{Hour: at(1, 0)}, record.Counters{CostInput: 9_000_000 * money.Dollar,
		CostOutput: 9_000_000 * money.Dollar}}}
	got, err := Build(t.Context(), rich, november())
	if err != nil || got.Rows[0].Cost().String() != "18000000.00" {
		t.Errorf("18 million dollars: %v, %v", got, err)
	}
}

func TestRange(t *testing.T) {
	now := time.Date(2026, 11, 23, 17, 0, 0, 0, time.UTC)
	ok := func(from, to, wantFrom, wantTo string) {
		t.Helper()
		q, err := Range(from, to, now)
		if err != nil || stamp(q.From) != wantFrom || stamp(q.To) != wantTo {
			t.Errorf("Range(%q, %q) = %s, %s, %v", from, to, stamp(q.From), stamp(q.To), err)
		}
	}
	ok("", "", "2026-11-01", "2026-12-01")
	ok("2026-09-15", "", "2026-09-15", "2026-12-01")
	ok("2026-09-15", "2026-09-16", "2026-09-15", "2026-09-16")
	ok("", "2026-11-02", "2026-11-01", "2026-11-02")
	ok("2026-11-23T01:00:00+01:00", "2026-11-23T05:00:00Z", "2026-11-23", "2026-11-23T05:00:00Z")
	ok("2027-02-03", "", "2027-02-03", "2027-03-01")

	bad := func(from, to string) {
		t.Helper()
		if _, err := Range(from, to, now); !errors.Is(err, ErrQuery) {
			t.Errorf("Range(%q, %q): error %v", from, to, err)
		}
	}
	bad("yesterday", "")
	bad("", "2026-13-01")
	bad("2026-11-02", "2026-11-02")
	bad("", "2026-10-01")
}

// TestRangeIsKept: M14, a bound within an hour is exact where single records are kept, and refused elsewhere.
func TestRangeIsKept(t *testing.T) {
	now := time.Date(2027, 10, 23, 17, 30, 0, 0, time.UTC)
	since := time.Date(2027, 10, 20, 9, 15, 0, 0, time.UTC)
	f := func(from, to string, wantTo time.Time, refused string) {
		t.Helper()
		q, err := RangeKept(from, to, now, &since)
		if refused == "" && (err != nil || !q.To.Equal(wantTo)) || refused != "" && (err == nil ||
			!strings.Contains(err.Error(), refused)) {
			t.Errorf("RangeKept(%q, %q): %s, %v", from, to, q.To, err)
		}
	}
	f("2027-10-20T16:00:00.5Z", "2027-10-20T16:00:01Z", time.Date(2027, 10, 20, 16, 0, 1, 0, time.UTC), "")
	f("2027-10-21T00:00:00+05:30", "2027-10-23T17:45:00Z", time.Date(2027, 10, 23, 18, 0, 0, 0, time.UTC), "")
	f("2027-10-20T09:20:00Z", "2027-10-20T16:00:01Z", time.Time{}, "are kept since 2027-10-20T09:15:00Z")
	f("2027-10-20T08:20:00Z", "2027-10-20T16:00:00Z", time.Time{}, "2027-10-20T08:00:00Z and 2027-10-20T09:00:00Z; single")
	since = time.Time{}
	f("2027-10-20T08:20:00Z", "2027-10-20T16:00:00Z", time.Date(2027, 10, 20, 16, 0, 0, 0, time.UTC), "")
	f("2027-09-01T08:20:00Z", "2027-10-20T16:00:00Z", time.Time{}, "of whole days")
}

// TestRangeIsExact: M14, a bound that rows cannot tell is refused with the nearest that they can.
func TestRangeIsExact(t *testing.T) {
	now := time.Date(2027, 10, 23, 17, 30, 0, 0, time.UTC)
	f := func(from, to string, want ...string) {
		t.Helper()
		_, err := Range(from, to, now)
		if len(want) == 0 && err != nil || len(want) > 0 && !errors.Is(err, ErrQuery) {
			t.Errorf("Range(%q, %q): error %v", from, to, err)
		}
		for _, text := range want {
			if err != nil && !strings.Contains(err.Error(), text) {
				t.Errorf("Range(%q, %q): %v, without %q", from, to, err, text)
			}
		}
	}
	f("2027-10-01T00:00:00+05:30", "", "from 2027-09-30T18:30:00Z", "2027-09-30T18:00:00Z and 2027-09-30T19:00:00Z")
	f("2027-10-01T17:00:00Z", "2027-10-01T17:00:01Z", "to 2027-10-01T17:00:01Z", "17:00:00Z and 2027-10-01T18:00:00Z")
	f("2027-10-01T17:00:00.000000001Z", "", "17:00:00.000000001Z")
	f("2027-10-01T05:30:00+05:30", "2027-10-01T18:00:00Z")
	f("2027-10-23T17:00:00Z", "2027-10-23T17:30:00Z") // now
	f("2027-10-23T17:00:00Z", "2027-10-23T17:29:59Z", "2027-10-23T18:00:00Z")
	f("2027-10-24T17:00:01Z", "") // has not come yet
	f("2027-09-13T01:00:00Z", "")
	f("2027-09-12T01:00:00Z", "", "of whole days", "2027-09-12T00:00:00Z and 2027-09-13T00:00:00Z")
	f("2027-09-12T00:00:00+01:00", "2027-09-12", "of whole days", "2027-09-11T00:00:00Z")
	f("2027-09-01", "2027-09-12")
}

// TestEveryFigureIsSummed fails when a counter that a row shows is not added.
func TestEveryFigureIsSummed(t *testing.T) {
	var c record.Counters
	v := reflect.ValueOf(&c).Elem()
	for i := range v.NumField() {
		v.Field(i).SetInt(1)
	}
	got, err := Build(t.Context(), rows{{record.RowKey{Hour: at(1, 0)}, c}}, november())
	if err != nil || len(got.Rows) != 1 || len(got.Warnings) != 2 {
		t.Fatal(got, err)
	}
	for _, f := range figures {
		want, other := map[string]string{
			"cache_write_tokens": "2", "cost_usd": "0.00000000001", "list_usd": "0.000000000011",
			"usd_per_request": "0.00000000001", "usd_per_1k_tokens": "0.000000002", "escalation_rate": "1.0000",
			"cache_premium_usd": "0.00", "cache_saved_usd": "0.00", // all cost the same; TestCachedCosts has others
			"fixed_usd": "0.00",                                        // only what Query.Fixed has
			"saved_usd": "", "saved_low_usd": "", "saved_high_usd": "", // only measured with Query.Savings
		}[f.name]
		switch {
		case f.kind == words, slices.Contains([]string{"quantity", "unit_price_usd", "list_unit_price_usd"}, f.name):
			continue
		case !other && (f.kind == amount || f.kind == priced):
			want = "0.000000000001"
		case !other:
			want = "1"
		}
		if f.text(got.Rows[0]) != want {
			t.Errorf("%s is %s, want %s", f.name, f.text(got.Rows[0]), want)
		}
	}
}
