package test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/test/harness"
	"github.com/sluice-gateway/sluice/test/journalsum"
)

// TestReportAgainstJournal compares each cell of a report with an independent sum over the
// journal, in Python. SLUICE_REPORT_CALLS makes it another number of calls.
func TestReportAgainstJournal(t *testing.T) {
	if exec.Command("python3", "--version").Run() != nil {
		t.Skip("no Python")
	}
	calls := 3000
	if text := os.Getenv("SLUICE_REPORT_CALLS"); text != "" {
		var err error
		if calls, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	where := filepath.Join(dir, "data/journal")
	if err := journalsum.Write(t.Context(), where, calls, time.Now()); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "sluice.yaml")
	yaml := "upstream: {region: us-east-1, endpoint: sandbox}\ndata_dir: data\ntenants: [{id: t000}]\n"
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	out := harness.Run(t, 0, nil, "report", "--config", file, "--format", "json")
	t.Logf("the report over %d calls took %s", calls, time.Since(began).Round(time.Millisecond))
	var got, want []map[string]any
	read := func(text []byte, to any) {
		t.Helper()
		d := json.NewDecoder(strings.NewReader(string(text)))
		d.UseNumber()
		if err := d.Decode(to); err != nil {
			t.Fatal(err)
		}
	}
	read([]byte(out), &got)
	sums, err := exec.Command("python3", "journalsum/sum.py", where).Output()
	if err != nil {
		t.Fatal(err)
	}
	read(sums, &want)
	if len(got) != len(want) || len(got) < 100 {
		t.Fatalf("%d rows, want %d", len(got), len(want))
	}
	cells := 0
	for i, row := range want {
		without := fmt.Sprint(row["unpriced"]) != "0" && row["cost_usd"] == "0.00"
		for name, value := range row {
			charged := strings.HasSuffix(name, "_usd") && name != "wasted_usd" && name != "suspense_usd" &&
				name != "discount_usd"
			if without && charged {
				value = "" // M24
			}
			if fmt.Sprint(got[i][name]) != fmt.Sprint(value) {
				t.Fatalf("%s of %s is %v, want %v", name, row["tenant"], got[i][name], value)
			}
			cells++
		}
	}
	t.Logf("%d rows, %d cells", len(want), cells)
}

// TestM14ExactPeriods: a report from and to any moment counts what ended between them, to the record.
func TestM14ExactPeriods(t *testing.T) {
	t.Parallel()
	dir, now, calls := t.TempDir(), time.Now().UTC(), 2000
	if err := journalsum.Write(t.Context(), filepath.Join(dir, "data/journal"), calls, now); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "sluice.yaml")
	yaml := "upstream: {region: us-east-1, endpoint: sandbox}\ndata_dir: data\ntenants: [{id: t000}]\n"
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	var ends []time.Time
	draw := func(yield func(*record.End)) {
		err := journalsum.Draw(calls, now, func(_ *record.Start, e *record.End) error { yield(e); return nil })
		if err != nil {
			t.Fatal(err)
		}
	}
	draw(func(e *record.End) { ends = append(ends, e.At) })
	f := func(from, to time.Time) {
		t.Helper()
		legs, input := int64(0), int64(0)
		draw(func(e *record.End) {
			if !e.At.Before(from) && e.At.Before(to) {
				legs++
				input += e.Usage.Input.N
			}
		})
		out := harness.Run(t, 0, nil, "report", "--config", file, "--by", "", "--format", "json", "--from",
			from.Format(time.RFC3339Nano), "--to", to.In(time.FixedZone("", 19800)).Format(time.RFC3339Nano))
		var rows []struct {
			Legs  int64 `json:"legs"`
			Input int64 `json:"input_tokens"`
		}
		if err := json.Unmarshal([]byte(out), &rows); err != nil {
			t.Fatal(err)
		}
		got := append(rows, struct {
			Legs  int64 `json:"legs"`
			Input int64 `json:"input_tokens"`
		}{})[0]
		if got.Legs != legs || got.Input != input {
			t.Errorf("%d legs and %d tokens from %s to %s, want %d and %d", got.Legs, got.Input, from, to, legs, input)
		}
	}
	slices.SortFunc(ends, time.Time.Compare)
	f(ends[100], ends[1500])
	f(ends[100], ends[100].Add(1))
	f(ends[100].Add(1), ends[101])
	f(ends[700].Truncate(time.Hour).Add(time.Hour), ends[1200].Add(1))
	f(ends[700].Truncate(time.Hour).Add(10*time.Minute), ends[700].Truncate(time.Hour).Add(50*time.Minute))
	f(ends[3], now.Add(90*time.Second))
}
