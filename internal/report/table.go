package report

import (
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
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
	"cache_premium_usd", "cache_saved_usd", "quantity", "unit", "unit_price_usd", "correction",
}

// writeTable writes the rows for people, with as many columns as fit, and names those left
// out.
func (r *Report) writeTable(w io.Writer, layout *Layout, chosen []figure[Row]) error {
	all, left := r.cells(chosen), []string{}
	lengths := measure(all)
	if len(layout.Columns) == 0 {
		var shown []bool
		shown, left = r.fit(chosen, &lengths, layout.Width)
		chosen = only(shown, chosen)
		all = r.cells(chosen)
		lengths.widest = only(shown, lengths.widest)
	}
	t := table{
		lines: all, lengths: lengths, names: len(r.By), width: layout.Width,
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

// cells are all lines in the words of a table: a header, the rows, and the total, where that is not the
// one row. There may be very many, so each has the memory of the one before.
func (r *Report) cells(chosen []figure[Row]) iter.Seq[[]string] {
	return func(yield func([]string) bool) {
		line := make([]string, len(chosen))
		for i := range chosen {
			line[i] = chosen[i].name
		}
		if !yield(line) {
			return
		}
		for _, row := range r.Rows {
			if !yield(inWords(chosen, row, line)) {
				return
			}
		}
		if len(r.By) > 0 {
			yield(r.totalLine(chosen, inWords(chosen, &r.Total, line)))
		}
	}
}

// inWords writes the cells of a row into line.
func inWords(chosen []figure[Row], row *Row, line []string) []string {
	for i := range chosen {
		if line[i] = chosen[i].text(row); line[i] == "" && chosen[i].name == "cost_usd" {
			line[i] = unpriced
		}
	}
	return line
}

// fit says which figures a table shows, and names those that say something and are left
// out.
func (r *Report) fit(figures []figure[Row], l *lengths, width int) (shown []bool, left []string) {
	room := width
	shown = make([]bool, len(figures))
	for i := range r.By {
		shown[i] = true
		room -= min(l.widest[i], leastName) + len(gap)
	}
	for _, name := range slices.Concat(usual, further) {
		at := slices.IndexFunc(figures, func(f figure[Row]) bool { return f.name == name })
		needed := l.widest[at] + len(gap)
		if !slices.Contains(usual, name) && !l.says[at] || width > 0 && needed > room+len(gap) {
			continue
		}
		shown[at], room = true, room-needed
	}
	for i := range figures {
		if !shown[i] && l.says[i] {
			left = append(left, figures[i].name)
		}
	}
	return shown, left
}

// only leaves what is shown.
func only[T any](shown []bool, all []T) []T {
	var chosen []T
	for i := range all {
		if shown[i] {
			chosen = append(chosen, all[i])
		}
	}
	return chosen
}

// TerminalWidth is how many columns f shows, 0 when it is no terminal.
func TerminalWidth(f *os.File) int {
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	return int(size.Col)
}
