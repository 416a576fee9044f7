package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// usual are the figures that a table has whether they say something or not, the ones that
// are needed most first; others follow where they do and there is room.
var usual = []string{
	"cost_usd", "requests", "input_tokens", "output_tokens", "unpriced", "unknown", "legs", "escalated",
	"cache_read_tokens", "cache_write_tokens",
}

// further are figures that follow in a table where they say something.
var further = []string{
	"saved_usd", "saved_low_usd", "saved_high_usd", "suspense_usd", "wasted_usd", "cap_hits", "tokens_cut", "discount_usd",
	"quantity", "unit", "unit_price_usd", "correction",
}

// writeTable writes the rows for people, with as many columns as fit, and names those left
// out.
func (r *Report) writeTable(w io.Writer, layout *Layout, chosen []figure[Row]) error {
	all, left := r.cells(chosen), []string{}
	if len(layout.Columns) == 0 {
		var shown []bool
		shown, left = r.fit(chosen, all, layout.Width)
		chosen, all = only(shown, chosen, all)
	}
	by := len(r.By)
	if by == 0 {
		all = all[:len(all)-1] // its one row is the total
	}
	t := table{
		lines: all, names: by, width: layout.Width,
		left: func(column int) bool { return chosen[column].kind == words },
	}
	if err := t.write(w); err != nil {
		return err
	}
	notes := r.Notes()
	if len(left) > 0 {
		notes = append(notes, fmt.Sprintf("left out: %s; --columns shows them, csv, json and html have all",
			strings.Join(left, ", ")))
	}
	_, err := io.WriteString(w, "\n"+strings.Join(notes, "\n")+"\n")
	return err
}

// cells are all lines in the words of a table: a header, the rows, and the total.
func (r *Report) cells(chosen []figure[Row]) [][]string {
	all := append(lines(chosen, r.Rows), r.totalLine(chosen))
	cost := slices.IndexFunc(chosen, func(f figure[Row]) bool { return f.name == "cost_usd" })
	for _, line := range all {
		if cost >= 0 && line[cost] == "" {
			line[cost] = unpriced
		}
	}
	return all
}

// fit says which figures a table shows, and names those that say something and are left
// out.
func (r *Report) fit(figures []figure[Row], cells [][]string, width int) (shown []bool, left []string) {
	room := width
	shown = make([]bool, len(figures))
	for i := range r.By {
		shown[i] = true
		room -= min(widest(cells, i), leastName) + len(gap)
	}
	for _, name := range slices.Concat(usual, further) {
		at := slices.IndexFunc(figures, func(f figure[Row]) bool { return f.name == name })
		needed := widest(cells, at) + len(gap)
		if !slices.Contains(usual, name) && !says(cells, at) || width > 0 && needed > room+len(gap) {
			continue
		}
		shown[at], room = true, room-needed
	}
	for i := range figures {
		if !shown[i] && says(cells, i) {
			left = append(left, figures[i].name)
		}
	}
	return shown, left
}

// only leaves the columns that are shown.
func only(shown []bool, figures []figure[Row], cells [][]string) ([]figure[Row], [][]string) {
	var chosen []figure[Row]
	lines := make([][]string, len(cells))
	for i := range figures {
		if !shown[i] {
			continue
		}
		chosen = append(chosen, figures[i])
		for k := range cells {
			lines[k] = append(lines[k], cells[k][i])
		}
	}
	return chosen, lines
}

// widest is how wide a column is.
func widest(cells [][]string, column int) int {
	most := 0
	for _, line := range cells {
		most = max(most, utf8.RuneCountInString(line[column]))
	}
	return most
}

// says reports whether a column holds anything but nothing.
func says(cells [][]string, column int) bool {
	return slices.ContainsFunc(cells[1:], func(line []string) bool {
		return !slices.Contains([]string{"", "0", "0.00", "0.0000"}, line[column])
	})
}
