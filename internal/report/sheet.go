package report

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/sluice-gateway/sluice/internal/celltext"
)

// figure is one column of a report about T.
type figure[T any] struct {
	name string
	text func(*T) string
	kind kind
}

// kind is how a figure is written.
type kind uint8

const (
	words   kind = iota
	number       // in JSON without quotes
	amount       // of money
	priced       // the same, "" when it has no price
	claimed      // null in JSON when it is not known, which is ""
	ratio        // in JSON without quotes, null when there is none, which is ""
)

// count is a figure that is a whole number.
func count[T any](name string, get func(*T) int64) figure[T] {
	return figure[T]{name, func(r *T) string { return strconv.FormatInt(get(r), 10) }, number}
}

// writeSheet writes rows for programs, as JSON or CSV.
func writeSheet[T any](w io.Writer, format Format, figures []figure[T], rows []T) error {
	if format == CSV {
		out := csv.NewWriter(w)
		writeCSV(out, figures, rows)
		out.Flush()
		return out.Error()
	}
	out := bufio.NewWriter(w)
	writeJSON(out, figures, rows)
	return out.Flush()
}

// writeCSV writes a header and the rows, each by itself, as there may be many. The writer
// keeps what fails.
func writeCSV[T any](out *csv.Writer, figures []figure[T], rows []T) {
	line := make([]string, len(figures))
	for i := range figures {
		line[i] = figures[i].name
	}
	out.Write(line) //nolint:errcheck // the writer keeps it
	for i := range rows {
		for k := range figures {
			if line[k] = figures[k].text(&rows[i]); figures[k].kind == words {
				line[k] = celltext.NoFormula(line[k])
			}
		}
		out.Write(line) //nolint:errcheck // the writer keeps it
	}
}

// lines are the cells of rows, below a header.
func lines[T any](figures []figure[T], rows []T) [][]string {
	all := make([][]string, 1, len(rows)+1)
	for _, f := range figures {
		all[0] = append(all[0], f.name)
	}
	for i := range rows {
		line := make([]string, len(figures))
		for k := range figures {
			line[k] = figures[k].text(&rows[i])
		}
		all = append(all, line)
	}
	return all
}

// writeJSON writes the members in their documented order, which a map would lose.
func writeJSON[T any](out *bufio.Writer, figures []figure[T], rows []T) {
	out.WriteString("[")
	for i := range rows {
		if i > 0 {
			out.WriteString(",")
		}
		open := "\n  {"
		for _, f := range figures {
			text := f.text(&rows[i])
			switch {
			case (f.kind == claimed || f.kind == ratio) && text == "":
				text = "null"
			case f.kind != number && f.kind != ratio:
				text = quoted(text)
			}
			out.WriteString(open + quoted(f.name) + ":" + text)
			open = ","
		}
		out.WriteString("}")
	}
	if len(rows) > 0 {
		out.WriteString("\n")
	}
	out.WriteString("]\n")
}

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
		for i, text := range line {
			line[i] = celltext.Printable(text)
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

// cut shortens a line to a width, showing that it was.
func cut(s string, width int) string {
	if width <= 0 || utf8.RuneCountInString(s) <= width {
		return s
	}
	runes := []rune(s)
	return string(runes[:width-1]) + "…"
}
