package report

import (
	"fmt"
	"io"
	"slices"

	"github.com/sluice-gateway/sluice/internal/money"
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

// figures are the columns behind those that were grouped by.
var figures = []figure[Row]{
	count("requests", func(r *Row) int64 { return r.Requests }),
	count("legs", func(r *Row) int64 { return r.Legs }),
	count("escalated", func(r *Row) int64 { return r.Escalated }),
	count("input_tokens", func(r *Row) int64 { return r.InputTokens }),
	count("output_tokens", func(r *Row) int64 { return r.OutputTokens }),
	count("cache_read_tokens", func(r *Row) int64 { return r.CacheReadTokens }),
	count("cache_write_tokens", func(r *Row) int64 { return r.CacheWriteTokens }),
	{"cost_usd", func(r *Row) string { return costText(&r.Cost, r.Unpriced) }, words},
	count("unpriced", func(r *Row) int64 { return r.Unpriced }),
	count("unknown", func(r *Row) int64 { return r.Unknown }),
}

// unpriced is written for a cost of which nothing has a price: what is not known is
// not 0.
const unpriced = "unpriced"

func costText(cost *money.Total, without int64) string {
	if without > 0 && cost.Sign() == 0 {
		return unpriced
	}
	return cost.String()
}

// Write writes the rows that Build returned. It fails with ErrQuery on an
// unknown format, else with what w fails with.
func Write(w io.Writer, layout Layout, rows []Row) error {
	switch layout.Format {
	case JSON, CSV:
		return writeSheet(w, layout.Format, columnsOf(layout.By, spanFigures...), rows)
	case Table:
		by := len(layout.By)
		t := table{names: by, width: layout.Width, left: func(column int) bool { return column < by }}
		t.lines = lines(columnsOf(layout.By), rows)
		return t.write(w)
	default:
		return errFormat(layout.Format)
	}
}

// spanFigures are the bounds of the query.
var spanFigures = []figure[Row]{
	{"from", func(r *Row) string { return stamp(r.from) }, words},
	{"to", func(r *Row) string { return stamp(r.to) }, words},
}

// columnsOf are all columns: the first ones, those grouped by, and the figures.
func columnsOf(by []string, first ...figure[Row]) []figure[Row] {
	all := slices.Clone(first)
	for i, name := range by {
		all = append(all, figure[Row]{name, func(r *Row) string { return r.By[i] }, words})
	}
	return append(all, figures...)
}

func errFormat(f Format) error {
	return fmt.Errorf("%w: there is no format %q; there are table, csv and json", ErrQuery, f)
}
