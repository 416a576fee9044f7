package report

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// sheet is rows of named columns, for programs.
type sheet struct {
	names []string
	rows  [][]value // each as long as names
}

// value is one cell.
type value struct {
	text    string
	literal bool // a number or null, in JSON without quotes
}

func texts(all ...string) []value {
	values := make([]value, len(all))
	for i, s := range all {
		values[i].text = s
	}
	return values
}

// write writes the sheet as JSON or CSV.
func (s *sheet) write(w io.Writer, format Format) error {
	if format == CSV {
		return s.writeCSV(w)
	}
	out := bufio.NewWriter(w)
	s.writeJSON(out)
	return out.Flush()
}

// writeJSON writes the members in their documented order, which a map would lose.
func (s *sheet) writeJSON(out *bufio.Writer) {
	out.WriteString("[")
	for i, row := range s.rows {
		if i > 0 {
			out.WriteString(",")
		}
		open := "\n  {"
		for j, v := range row {
			text := v.text
			if !v.literal {
				text = quoted(text)
			}
			out.WriteString(open + quoted(s.names[j]) + ":" + text)
			open = ","
		}
		out.WriteString("}")
	}
	if len(s.rows) > 0 {
		out.WriteString("\n")
	}
	out.WriteString("]\n")
}

// writeCSV leaves the cell of a null empty.
func (s *sheet) writeCSV(w io.Writer) error {
	lines := [][]string{s.names}
	for _, row := range s.rows {
		line := make([]string, len(row))
		for j, v := range row {
			if v != null {
				line[j] = v.text
			}
		}
		lines = append(lines, line)
	}
	return csv.NewWriter(w).WriteAll(lines)
}

// null is what is not known.
var null = value{"null", true}

// quoted is s as a JSON string.
func quoted(s string) string {
	b, _ := json.Marshal(s) // a string always encodes
	return string(b)
}

// table is lines of cells, for people. The first line is the header.
type table struct {
	lines [][]string
	left  func(column int) bool // aligned to the left; figures are to the right
	// names is how many of the first columns may be narrowed so that lines have
	// the width, 0 for no width.
	names, width int
}

func (t *table) write(w io.Writer) error {
	widths := make([]int, len(t.lines[0]))
	for _, line := range t.lines {
		for i, cell := range line {
			line[i] = printable(cell)
			widths[i] = max(widths[i], utf8.RuneCountInString(line[i]))
		}
	}
	shrink(widths, t.names, t.width)
	out := bufio.NewWriter(w)
	for _, line := range t.lines {
		var b strings.Builder
		for i, cell := range line {
			cell = cut(cell, widths[i])
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if t.left(i) {
				b.WriteString(cell + pad + gap)
				continue
			}
			b.WriteString(pad + cell + gap)
		}
		out.WriteString(cut(strings.TrimRight(b.String(), " "), t.width) + "\n")
	}
	return out.Flush()
}

const (
	gap = "  "
	// leastName is how narrow a column of names may become.
	leastName = 12
)

// shrink narrows the widest of the first names columns until a line has the
// width, so that figures, which mean nothing when cut, stay whole if they can.
func shrink(widths []int, names, width int) {
	line := -len(gap)
	for _, w := range widths {
		line += w + len(gap)
	}
	for ; width > 0 && line > width; line-- {
		widest := 0
		for i := range names {
			if widths[i] > widths[widest] {
				widest = i
			}
		}
		if names == 0 || widths[widest] <= leastName {
			return
		}
		widths[widest]--
	}
}

// printable keeps a caller's odd model id from moving the reader's cursor.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return utf8.RuneError
		}
		return r
	}, s)
}

// cut shortens a line to a width, showing that it was.
func cut(s string, width int) string {
	if width <= 0 || utf8.RuneCountInString(s) <= width {
		return s
	}
	runes := []rune(s)
	return string(runes[:width-1]) + "…"
}
