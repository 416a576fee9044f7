package report

import (
	"fmt"
	"io"
	"strconv"
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
	name   string
	text   func(*Row) string
	number bool // in JSON without quotes
}

func count(name string, get func(*Row) int64) figure {
	return figure{name, func(r *Row) string { return strconv.FormatInt(get(r), 10) }, true}
}

var figures = []figure{
	count("requests", func(r *Row) int64 { return r.Requests }),
	count("legs", func(r *Row) int64 { return r.Legs }),
	count("escalated", func(r *Row) int64 { return r.Escalated }),
	count("input_tokens", func(r *Row) int64 { return r.InputTokens }),
	count("output_tokens", func(r *Row) int64 { return r.OutputTokens }),
	count("cache_read_tokens", func(r *Row) int64 { return r.CacheReadTokens }),
	count("cache_write_tokens", func(r *Row) int64 { return r.CacheWriteTokens }),
	{name: "cost_usd", text: func(r *Row) string { return r.Cost.String() }},
	count("unpriced", func(r *Row) int64 { return r.Unpriced }),
	count("unknown", func(r *Row) int64 { return r.Unknown }),
}

// Write writes the rows that Build returned. It fails with ErrQuery on an
// unknown format, else with what w fails with.
func Write(w io.Writer, layout Layout, rows []Row) error {
	switch layout.Format {
	case JSON, CSV:
		return newSheet(layout.By, rows).write(w, layout.Format)
	case Table:
		t := table{names: len(layout.By), width: layout.Width, left: func(column int) bool { return column < len(layout.By) }}
		t.lines = append(t.lines, header(append([]string{}, layout.By...)))
		for i := range rows {
			t.lines = append(t.lines, cells(append([]string{}, rows[i].By...), &rows[i]))
		}
		return t.write(w)
	default:
		return errFormat(layout.Format)
	}
}

func errFormat(f Format) error {
	return fmt.Errorf("%w: there is no format %q; there are table, csv and json", ErrQuery, f)
}

func newSheet(by []string, rows []Row) *sheet {
	s := &sheet{names: header(append([]string{"from", "to"}, by...))}
	for i := range rows {
		r := &rows[i]
		line := texts(append([]string{stamp(r.from), stamp(r.to)}, r.By...)...)
		for _, f := range figures {
			line = append(line, value{f.text(r), f.number})
		}
		s.rows = append(s.rows, line)
	}
	return s
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
