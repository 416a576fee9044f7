package report

import (
	"fmt"
	"io"

	"github.com/sluice-gateway/sluice/bench/stats"
)

// Comparison is two versions of the gateway, measured in turn.
type Comparison struct {
	Old, New string     // what they are
	Load     [3]float64 // load average before, at most, after

	rows table
}

// Add notes a row. The series are by measure, those of the same round belong
// together.
func (c *Comparison) Add(row string, old, now map[string]stats.Series) {
	line := []string{row, show3(now[CPU].Over(old[CPU]).Summary())}
	for _, m := range []string{CPU, Allocs, Alloced, Reads, Writes, Memory} {
		before, after := old[m].Summary(), now[m].Summary()
		if m == Alloced {
			before.Median, after.Median = before.Median/(1<<10), after.Median/(1<<10)
		}
		line = append(line, fmt.Sprintf("%s → %s", orDash(before, median), orDash(after, median)))
	}
	c.rows = append(c.rows, line)
}

// show3 prints a ratio near 1 with its quartiles.
func show3(s stats.Summary) string {
	mark := ""
	if Noisy(s) {
		mark = " !"
	}
	return fmt.Sprintf("%.3f [%.3f–%.3f]%s", s.Median, s.Low, s.High, mark)
}

// Markdown writes the comparison for people.
func (c *Comparison) Markdown(w io.Writer) error {
	head := []string{"row", "CPU, new / old", "CPU µs", "allocations", "KB allocated", "reads", "writes", "resident MB"}
	_, err := fmt.Fprintf(w, "# %s → %s\n\nPer request, medians, quartiles in brackets. "+
		"Load average %.1f before, %.1f at most, %.1f after.\n\n%s",
		c.Old, c.New, c.Load[0], c.Load[1], c.Load[2], append(table{head}, c.rows...).markdown())
	return err
}
