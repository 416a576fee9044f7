package report

import (
	"cmp"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Format is how a report is written.
type Format string

// The formats.
const (
	Table Format = "table"
	CSV   Format = "csv"
	JSON  Format = "json"
	// Parquet is for a data lake, HTML one file to mail and to print.
	Parquet Format = "parquet"
	HTML    Format = "html"
)

// Layout says how Write lays a report out.
type Layout struct {
	Format Format
	// Columns are the figures to write, in this order; none are all, and in a table those
	// that say something.
	Columns []string
	// Width is how wide the lines of a table may be; 0 is any. See TerminalWidth.
	Width int
	// Summary adds totals, period and coverage to a CSV. Tables have them.
	Summary bool
}

// Write writes a report. It fails with ErrQuery on an unknown format or column, else with
// what w fails with.
func Write(w io.Writer, layout *Layout, r *Report) error {
	chosen, err := r.choose(layout.Columns)
	if err != nil {
		return err
	}
	switch layout.Format {
	case JSON:
		return writeSheet(w, JSON, append(r.span(), chosen...), r.Rows)
	case CSV:
		return r.writeCSV(w, layout, append(r.span(), chosen...))
	case Parquet:
		return r.writeParquet(w, append(r.span(), chosen...))
	case HTML:
		return r.writeHTML(w, layout, chosen)
	case Table:
		return r.writeTable(w, layout, chosen)
	default:
		return layout.Format.Known()
	}
}

// Known fails with ErrQuery when there is no such format.
func (f Format) Known() error {
	if slices.Contains(Formats(), string(f)) {
		return nil
	}
	return fmt.Errorf("%w: there is no format %q; there are %s", ErrQuery, f, strings.Join(Formats(), ", "))
}

// Formats are the names of all formats.
func Formats() []string {
	return []string{string(Table), string(CSV), string(JSON), string(Parquet), string(HTML)}
}

// choose returns the columns: those grouped by, and the figures with these names.
func (r *Report) choose(names []string) ([]figure[Row], error) {
	all := columnsOf(r.By)
	if len(names) == 0 {
		return all, nil
	}
	chosen := all[:len(r.By):len(r.By)]
	for i, name := range names {
		at := slices.IndexFunc(all[len(r.By):], func(f figure[Row]) bool { return f.name == name })
		switch {
		case at < 0:
			return nil, fmt.Errorf("%w: there is no column %q to show; there are %s", ErrQuery, name,
				strings.Join(Figures(), ", "))
		case slices.Contains(names[:i], name):
			return nil, fmt.Errorf("%w: column %q is to be shown twice", ErrQuery, name)
		}
		chosen = append(chosen, all[len(r.By)+at])
	}
	return chosen, nil
}

// Figures are the names of all columns behind those that rows are grouped by.
func Figures() []string {
	names := make([]string, len(figures))
	for i := range figures {
		names[i] = figures[i].name
	}
	return names
}

// writeCSV writes the rows, and with a summary what is true of them all: a line of
// totals, and notes that begin with #.
func (r *Report) writeCSV(w io.Writer, layout *Layout, chosen []figure[Row]) error {
	out := csv.NewWriter(w)
	writeCSV(out, chosen, r.Rows)
	if layout.Summary {
		cells := make([]string, len(chosen))
		for i := range chosen {
			cells[i] = chosen[i].text(&r.Total)
		}
		out.Write(r.totalLine(chosen, cells)) //nolint:errcheck // Flush keeps it
		for _, note := range r.Notes() {
			out.Write([]string{"# " + note}) //nolint:errcheck // Flush keeps it
		}
	}
	out.Flush()
	return out.Error()
}

// totalLine names the cells of the total, in the first column that is grouped by.
func (r *Report) totalLine(chosen []figure[Row], cells []string) []string {
	for i := range chosen {
		if slices.Contains(r.By, chosen[i].name) {
			cells[i] = "total"
			break
		}
	}
	return cells
}

// Notes say what the figures are of, and how far they are complete.
func (r *Report) Notes() []string {
	at := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	notes := []string{
		fmt.Sprintf("period: %s to %s (%s, end excluded); currency: %s", stampIn(r.From, r.Zone), stampIn(r.To, r.Zone),
			cmp.Or(r.Zone, time.UTC), Currency),
		fmt.Sprintf("as of: %s; complete up to: %s", at(r.AsOf), at(r.CompleteUpTo())),
	}
	for _, g := range r.Gateways {
		state := ""
		if g.Behind {
			state = ", behind"
		}
		notes = append(notes, fmt.Sprintf("gateway %s: complete up to %s%s", g.Name, at(g.UpTo), state))
	}
	return append(notes, fmt.Sprintf("coverage: %s of %d legs", r.Coverage(), r.Coverage().Legs))
}
