package report

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/bench/stats"
)

// found is a small run: the prototype was not there.
func found() (Figures, map[string]string) {
	f := Figures{}
	for round, full := range []float64{2.5, 2.9, 2.7, 2.6, 2.8} {
		f.Add("full/2k", Times, round, full)
		f.Add("full/2k", Rate, round, 10_000)
		f.Add("full/2k", CPU, round, 20*full)
		f.Add("reverse/2k", Times, round, 5)
		f.Add("full/memory", Idle, round, 31)
		f.Add("check/2k", Times, round, 5+full*full)
	}
	return f, map[string]string{"prototype/2k": "prototype not found"}
}

func TestBars(t *testing.T) {
	bars := map[string]Bar{}
	for _, b := range Bars(found()) {
		bars[b.Measure] = b
	}
	f := func(measure string, want stats.Summary, verdict string) {
		t.Helper()
		b := bars[measure]
		if diff := cmp.Diff(want, b.Figure); diff != "" {
			t.Errorf("%s: %s", measure, diff)
		}
		if b.Verdict() != verdict {
			t.Errorf("%s: %s, want %s", measure, b.Verdict(), verdict)
		}
	}
	f("CPU per request 2 KB, everything on / bare proxy",
		stats.Summary{Median: 2.7, Low: 2.6, High: 2.8, Rounds: 5}, "met")
	f("the same / ReverseProxy", stats.Summary{Median: 0.54, Low: 0.52, High: 0.5599999999999999, Rounds: 5}, "NOT MET")
	f("the same / the prototype", stats.Summary{}, "prototype not found")
	f("resident: idle", stats.Summary{Median: 31, Low: 31, High: 31, Rounds: 5}, "NOT MET")
	f("HTTP/2 caller / bare", stats.Summary{}, "not run")
}

func TestVerdict(t *testing.T) {
	f := func(figure float64, want string) {
		t.Helper()
		b := Bar{Figure: stats.Summary{Median: figure, Rounds: 1}, Reach: 3, Aim: 2}
		if got := b.Verdict(); got != want {
			t.Errorf("%g: %s, want %s", figure, got, want)
		}
	}
	f(2, "met, and the aim")
	f(2.01, "met")
	f(3, "met")
	f(3.01, "NOT MET")
}

var spaces = regexp.MustCompile(` +`)

func TestMarkdown(t *testing.T) {
	r := &Report{Commit: "abc", Date: "2026-01-02", Load: [3]float64{0.1, 2, 1}, Rounds: 5, Seconds: 2}
	r.Fill(found())
	var b bytes.Buffer
	if err := r.Markdown(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Load average 0.1 before, 2.0 at most, 1.0 after. 5 rounds of 2 s.",
		"| CPU per request 2 KB, everything on / bare proxy | 2.70 [2.60–2.80] × | ≤ 3.00 | ≤ 2.00 | met |",
		"| the same / the prototype | – | ≤ 1.40 | ≤ 1.10 | prototype not found |",
		"| full/2k | 2.70 [2.60–2.80] | 54.0 [52.0–56.0] | 10000 | – |",
		"| full/memory | idle_mb | 31.0 [31.0–31.0] |",
	} {
		if !strings.Contains(spaces.ReplaceAllString(b.String(), " "), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	r.Partial = true
	b.Reset()
	if err := r.Markdown(&b); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), notRun) || !strings.Contains(b.String(), "prototype not found") {
		t.Errorf("a partial run shows what was asked for, and why it is missing:\n%s", b.String())
	}
}

func TestNoisyFiguresAreMarked(t *testing.T) {
	f := func(s stats.Summary, want string) {
		t.Helper()
		if got := show(s); got != want {
			t.Errorf("%+v: %s, want %s", s, got, want)
		}
	}
	f(stats.Summary{Median: 2, Low: 1.9, High: 2.1, Rounds: 5}, "2.00 [1.90–2.10]")
	f(stats.Summary{Median: 2, Low: 1.8, High: 2.2, Rounds: 5}, "2.00 [1.80–2.20] !")
	f(stats.Summary{Median: 123.4, Low: 123.4, High: 123.4, Rounds: 1}, "123")
}

func TestJSONRoundTrips(t *testing.T) {
	r := &Report{Commit: "abc", Rounds: 5}
	r.Fill(found())
	var b bytes.Buffer
	if err := r.JSON(&b); err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal(b.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(*r, back); diff != "" {
		t.Error(diff)
	}
}

func TestSVG(t *testing.T) {
	r := &Report{}
	r.Fill(found())
	var b bytes.Buffer
	if err := r.SVG(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{">full/2k</text>", "2.70 [2.60–2.80] ×", ">resident: idle</text>", "</svg>"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "HTTP/2") {
		t.Error("a bar without a figure is drawn")
	}
}

func TestRowsAreInOrder(t *testing.T) {
	f := Figures{}
	for row, times := range map[string]float64{
		"full/2k": 3, "bare/2k": 1, "check/2k": 9, "full/40k": 2, "full/memory": 0,
	} {
		f.Add(row, Times, 1, times)
	}
	want := []string{"bare/2k", "full/2k", "check/2k", "full/40k", "full/memory"}
	if diff := cmp.Diff(want, f.Rows()); diff != "" {
		t.Error(diff)
	}
}
