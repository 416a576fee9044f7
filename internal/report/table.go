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
	"suspense_usd", "wasted_usd", "tokens_cut", "discount_usd", "quantity", "unit", "unit_price_usd", "correction",
}

// writeTable writes the rows for people, with as many columns as fit, and names those left
// out.
func (r *Report) writeTable(w io.Writer, layout *Layout, chosen []figure[Row]) error {
	left := []string{}
	if len(layout.Columns) == 0 {
		chosen, left = r.fit(chosen, layout.Width)
	}
	by := len(r.By)
	t := table{names: by, width: layout.Width, left: func(column int) bool { return chosen[column].kind == words }}
	t.lines = r.cells(chosen, r.Rows)
	if by > 0 {
		total := r.cells(chosen, []Row{r.Total})[1]
		total[0] = "total"
		t.lines = append(t.lines, total)
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

// cells are lines in the words of a table.
func (r *Report) cells(chosen []figure[Row], rows []Row) [][]string {
	all := lines(chosen, rows)
	for i := range rows {
		for k := range chosen {
			if all[i+1][k] == "" && chosen[k].name == "cost_usd" {
				all[i+1][k] = unpriced
			}
		}
	}
	return all
}

// fit leaves the figures that a table shows, and names those that say something and are
// left out.
func (r *Report) fit(all []figure[Row], width int) (chosen []figure[Row], left []string) {
	by := len(r.By)
	cells := r.cells(all, append(slices.Clone(r.Rows), r.Total))
	room := width
	for i := range by {
		room -= min(widest(cells, i), leastName) + len(gap)
	}
	shown := map[int]bool{}
	for _, name := range slices.Concat(usual, further) {
		at := slices.IndexFunc(all, func(f figure[Row]) bool { return f.name == name })
		needed := widest(cells, at) + len(gap)
		if !slices.Contains(usual, name) && !says(cells, at) || width > 0 && needed > room+len(gap) {
			continue
		}
		shown[at], room = true, room-needed
	}
	for i := range all {
		switch {
		case i < by || shown[i]:
			chosen = append(chosen, all[i])
		case says(cells, i):
			left = append(left, all[i].name)
		}
	}
	return chosen, left
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
