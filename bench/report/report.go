package report

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/bench/stats"
)

// noisy is the spread above which a row is repeated, and marked where that did
// not help.
const noisy = 0.15

// Noisy reports whether the quartiles lie so far apart that the row must be
// repeated.
func Noisy(s stats.Summary) bool { return s.Spread() > noisy }

// Report is a run of the benchmarks.
type Report struct {
	Commit  string     `json:"commit"`
	Date    string     `json:"date"`
	Machine string     `json:"machine"`
	Go      string     `json:"go"`
	Load    [3]float64 `json:"load"` // load average before, at most, after
	Rounds  int        `json:"rounds"`
	Seconds float64    `json:"seconds"` // of each round
	// Partial runs do not have all rows.
	Partial bool     `json:"partial,omitempty"`
	Bars    []Bar    `json:"bars"`
	Rows    []Row    `json:"rows"`
	Notes   []string `json:"notes,omitempty"`
}

// Row is one subject under one load.
type Row struct {
	Name     string                   `json:"name"`
	Measures map[string]stats.Summary `json:"measures"`
	Missing  string                   `json:"missing,omitempty"`
}

// Fill puts the figures into the report. Missing says why rows have none.
func (r *Report) Fill(f Figures, missing map[string]string) {
	r.Bars = Bars(f, missing)
	for _, name := range f.Rows() {
		row := Row{Name: name, Measures: map[string]stats.Summary{}}
		for measure, series := range f[name] {
			row.Measures[measure] = series.Summary()
		}
		r.Rows = append(r.Rows, row)
	}
	for _, row := range slices.Sorted(maps.Keys(missing)) {
		r.Notes = append(r.Notes, row+": "+missing[row])
	}
}

// JSON writes the report for programs.
func (r *Report) JSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", " ")
	return enc.Encode(r)
}

// Markdown writes the report for people.
func (r *Report) Markdown(w io.Writer) error {
	var b strings.Builder
	b.WriteString("# What a request costs\n\nWritten by `make bench`; [README](README.md) says how it is measured. ")
	fmt.Fprintf(&b, "Commit %s, %s, %s, %s.\nLoad average %.1f before, %.1f at most, %.1f after. %d rounds of %g s. ",
		r.Commit, r.Date, r.Machine, r.Go, r.Load[0], r.Load[1], r.Load[2], r.Rounds, r.Seconds)
	b.WriteString("Figures are medians, quartiles in brackets; `!` marks quartiles more than 15 % of the median apart.\n")
	if r.Partial {
		b.WriteString("\n**A partial run: not all rows, or short rounds.**\n")
	} else {
		b.WriteString("\n![multiples of the bare proxy](results.svg)\n")
	}
	for _, part := range []struct {
		title string
		table table
	}{{"Promises", r.bars()}, {"Rows", r.loads()}, {"Other measurements", r.others()}} {
		if len(part.table) > 1 {
			b.WriteString("\n## " + part.title + "\n\n" + part.table.markdown())
		}
	}
	for _, n := range r.Notes {
		b.WriteString("\n* " + n)
	}
	_, err := io.WriteString(w, strings.TrimRight(b.String(), "\n")+"\n")
	return err
}

func (r *Report) bars() table {
	t := table{{"measure", "figure", "reach", "aim", "verdict"}}
	for _, b := range r.Bars {
		if r.Partial && b.Missing == notRun {
			continue
		}
		figure := "–"
		if b.Figure.Rounds > 0 {
			figure = strings.TrimSpace(show(b.Figure) + " " + b.Unit)
		}
		t = append(t, []string{b.Measure, figure, "≤ " + number(b.Reach), "≤ " + number(b.Aim), b.Verdict()})
	}
	return t
}

// loads is the table of rows that were measured under a load of requests.
func (r *Report) loads() table {
	t := table{{
		"row", "× bare", "CPU µs", "requests/s", "reads", "writes", "calls", "allocations", "KB allocated", "journal B",
	}}
	for _, row := range r.Rows {
		if row.Measures[Rate].Rounds+row.Measures[Calls].Rounds == 0 {
			continue
		}
		line := []string{row.Name}
		for _, m := range []string{Times, CPU} {
			line = append(line, orDash(row.Measures[m], show))
		}
		for _, m := range []string{Rate, Reads, Writes, Calls, Allocs} {
			line = append(line, orDash(row.Measures[m], median))
		}
		kb := row.Measures[Alloced]
		kb.Median /= 1 << 10
		t = append(t, append(line, orDash(kb, median), orDash(row.Measures[Journal], median)))
	}
	return t
}

// others is the table of everything else.
func (r *Report) others() table {
	t := table{{"row", "measure", "figure"}}
	measures := []string{
		First, P50, Added, P99, AddedP99, KB, Goroutines, PerMessage, Idle, Saturated, After, StartCPU, ReloadCPU,
		Seconds, Memory, RedisCPU, RedisBytes,
	}
	for _, row := range r.Rows {
		for _, m := range measures {
			if s := row.Measures[m]; s.Rounds > 0 {
				t = append(t, []string{row.Name, m, show(s)})
			}
		}
	}
	return t
}

func orDash(s stats.Summary, f func(stats.Summary) string) string {
	if s.Rounds == 0 {
		return "–"
	}
	return f(s)
}

func median(s stats.Summary) string { return number(s.Median) }

// show prints a median with its quartiles, and a mark where they lie far apart.
func show(s stats.Summary) string {
	if s.Rounds == 1 {
		return number(s.Median)
	}
	mark := ""
	if Noisy(s) {
		mark = " !"
	}
	return fmt.Sprintf("%s [%s–%s]%s", number(s.Median), number(s.Low), number(s.High), mark)
}

// number prints three digits, and all of those before the point.
func number(v float64) string {
	switch abs := max(v, -v); {
	case abs >= 100:
		return fmt.Sprintf("%.0f", v)
	case abs >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

// table is lines of cells, the first of them the head.
type table [][]string

func (t table) markdown() string {
	var b strings.Builder
	widths := make([]int, len(t[0]))
	for _, line := range t {
		for i, cell := range line {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	for n, line := range t {
		for i, cell := range line {
			b.WriteString("| " + cell + strings.Repeat(" ", widths[i]-len([]rune(cell))+1))
		}
		b.WriteString("|\n")
		if n == 0 {
			for _, width := range widths {
				b.WriteString("|" + strings.Repeat("-", width+2))
			}
			b.WriteString("|\n")
		}
	}
	return b.String()
}
