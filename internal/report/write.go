package report

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Format is how a report is written.
type Format string

// The formats.
const (
	Table Format = "table"
	CSV   Format = "csv"
	JSON  Format = "json"
)

// Layout says how Write lays rows out.
type Layout struct {
	Format Format
	By     []string // the query's
	// Width cuts the lines of a table to so many columns; 0 does not. See
	// TerminalWidth.
	Width int
}

// figure is one column behind those that were grouped by.
type figure struct {
	name  string
	text  func(*Row) string
	quote bool // a JSON string, not a number
}

func count(get func(*Row) int64) func(*Row) string {
	return func(r *Row) string { return strconv.FormatInt(get(r), 10) }
}

var figures = []figure{
	{name: "requests", text: count(func(r *Row) int64 { return r.Requests })},
	{name: "legs", text: count(func(r *Row) int64 { return r.Legs })},
	{name: "escalated", text: count(func(r *Row) int64 { return r.Escalated })},
	{name: "input_tokens", text: count(func(r *Row) int64 { return r.InputTokens })},
	{name: "output_tokens", text: count(func(r *Row) int64 { return r.OutputTokens })},
	{name: "cache_read_tokens", text: count(func(r *Row) int64 { return r.CacheReadTokens })},
	{name: "cache_write_tokens", text: count(func(r *Row) int64 { return r.CacheWriteTokens })},
	{name: "cost_usd", text: func(r *Row) string { return r.Cost.String() }, quote: true},
	{name: "unpriced", text: count(func(r *Row) int64 { return r.Unpriced })},
	{name: "unknown", text: count(func(r *Row) int64 { return r.Unknown })},
}

// Write writes the rows that Build returned. It fails with ErrQuery on an
// unknown format, else with what w fails with.
func Write(w io.Writer, layout Layout, rows []Row) error {
	out := bufio.NewWriter(w)
	var err error
	switch layout.Format {
	case JSON:
		err = writeJSON(out, layout.By, rows)
	case CSV:
		err = writeCSV(out, layout.By, rows)
	case Table:
		err = writeTable(out, layout, rows)
	default:
		return fmt.Errorf("%w: there is no format %q; there are table, csv and json", ErrQuery, layout.Format)
	}
	if err != nil {
		return err
	}
	return out.Flush()
}

// quoted is s as a JSON string.
func quoted(s string) string {
	b, _ := json.Marshal(s) // a string always encodes
	return string(b)
}

// writeJSON writes the fields in their documented order, which a map would lose.
func writeJSON(out *bufio.Writer, by []string, rows []Row) error {
	out.WriteString("[")
	for i := range rows {
		r := &rows[i]
		if i > 0 {
			out.WriteString(",")
		}
		fmt.Fprintf(out, "\n  {\"from\":%s,\"to\":%s", quoted(stamp(r.from)), quoted(stamp(r.to)))
		for j, name := range by {
			fmt.Fprintf(out, ",%s:%s", quoted(name), quoted(r.By[j]))
		}
		for _, f := range figures {
			value := f.text(r)
			if f.quote {
				value = quoted(value)
			}
			fmt.Fprintf(out, ",%s:%s", quoted(f.name), value)
		}
		out.WriteString("}")
	}
	if len(rows) > 0 {
		out.WriteString("\n")
	}
	_, err := out.WriteString("]\n")
	return err
}

func writeCSV(out *bufio.Writer, by []string, rows []Row) error {
	w := csv.NewWriter(out)
	lines := [][]string{header(append([]string{"from", "to"}, by...))}
	for i := range rows {
		r := &rows[i]
		lines = append(lines, cells(append([]string{stamp(r.from), stamp(r.to)}, r.By...), r))
	}
	return w.WriteAll(lines)
}

func header(first []string) []string {
	for _, f := range figures {
		first = append(first, f.name)
	}
	return first
}

func cells(first []string, r *Row) []string {
	for _, f := range figures {
		first = append(first, f.text(r))
	}
	return first
}

// writeTable aligns names to the left and figures to the right.
func writeTable(out *bufio.Writer, layout Layout, rows []Row) error {
	lines := [][]string{header(append([]string{}, layout.By...))}
	for i := range rows {
		lines = append(lines, cells(append([]string{}, rows[i].By...), &rows[i]))
	}
	widths := make([]int, len(lines[0]))
	for _, line := range lines {
		for i, cell := range line {
			line[i] = printable(cell)
			widths[i] = max(widths[i], utf8.RuneCountInString(line[i]))
		}
	}
	shrink(widths, len(layout.By), layout.Width)
	var err error
	for _, line := range lines {
		var b strings.Builder
		for i, cell := range line {
			cell = cut(cell, widths[i])
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i < len(layout.By) {
				b.WriteString(cell + pad + gap)
				continue
			}
			b.WriteString(pad + cell + gap)
		}
		_, err = out.WriteString(cut(strings.TrimRight(b.String(), " "), layout.Width) + "\n")
	}
	return err
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
