package report

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"io"
	"iter"
	"slices"
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
func writeSheet[T any](w io.Writer, format Format, figures []figure[T], rows []*T) error {
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
func writeCSV[T any](out *csv.Writer, figures []figure[T], rows []*T) {
	line := make([]string, len(figures))
	for i := range figures {
		line[i] = figures[i].name
	}
	out.Write(line) //nolint:errcheck // the writer keeps it
	for i := range rows {
		for k := range figures {
			if line[k] = figures[k].text(rows[i]); figures[k].kind == words {
				line[k] = celltext.NoFormula(line[k])
			}
		}
		out.Write(line) //nolint:errcheck // the writer keeps it
	}
}

// writeJSON writes the members in their documented order, which a map would lose.
func writeJSON[T any](out *bufio.Writer, figures []figure[T], rows []*T) {
	out.WriteString("[")
	for i := range rows {
		if i > 0 {
			out.WriteString(",")
		}
		open := "\n  {"
		for _, f := range figures {
			text := f.text(rows[i])
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
	lines iter.Seq[[]string] // the memory of each may be that of the one before
	lengths
	left func(column int) bool // aligned to the left; figures are to the right
	// names is how many of the first columns may be narrowed so that lines have
	// the width, 0 for no width.
	names, width int
}

// lengths are what is known of the columns of lines.
type lengths struct {
	widest []int  // in characters
	says   []bool // whether a line below the header holds anything but nothing
}

// measure goes through lines, of which there may be too many to keep them.
func measure(lines iter.Seq[[]string]) (l lengths) {
	for line := range lines {
		header := l.widest == nil
		if header {
			l.widest, l.says = make([]int, len(line)), make([]bool, len(line))
		}
		for i, text := range line {
			l.widest[i] = max(l.widest[i], utf8.RuneCountInString(celltext.Printable(text)))
			l.says[i] = l.says[i] || !header && says(text)
		}
	}
	return l
}

func says(cell string) bool {
	switch cell {
	case "", "0", "0.00", "0.0000":
		return false
	}
	return true
}

func (t *table) write(w io.Writer) error {
	widths := slices.Clone(t.widest)
	shrink(widths, t.names, t.width)
	out := bufio.NewWriter(w)
	var b strings.Builder
	for line := range t.lines {
		b.Reset()
		for i, cell := range line {
			cell = cut(celltext.Printable(cell), widths[i])
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
