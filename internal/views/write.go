package views

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/internal/celltext"
)

// Stamp writes a time as the API does.
func Stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// Table returns a table of the view by its name, the first for "". It fails with ErrQuery.
func (v *View) Table(name string) (*Table, error) {
	for _, t := range v.Tables {
		if name == "" || t.Name == name {
			return t, nil
		}
	}
	return nil, fmt.Errorf("%w: view %s has no table %q", ErrQuery, v.Name, name)
}

// WriteCSV writes the rows of a table below a header. Totals are not in it, so that sums are
// right. Callers choose names of models and users: no text is a formula to a spreadsheet.
func (t *Table) WriteCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	header := make([]string, len(t.Columns))
	for i := range t.Columns {
		header[i] = t.Columns[i].Name
	}
	if err := out.Write(header); err != nil {
		return err
	}
	for _, row := range t.Rows {
		line := slices.Clone(row)
		for i := range line {
			if t.Columns[i].Kind == Text {
				line[i] = celltext.NoFormula(line[i])
			}
		}
		if err := out.Write(line); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// MarshalJSON implements json.Marshaler: the view with all its tables.
func (v *View) MarshalJSON() ([]byte, error) { return v.JSON("") }

// JSON is the view with the table of a name, or all for "".
func (v *View) JSON(table string) ([]byte, error) {
	out := struct {
		View     string      `json:"view"`
		From     string      `json:"from"`
		To       string      `json:"to"`
		AsOf     string      `json:"as_of"`
		UpTo     *string     `json:"complete_up_to"`
		Source   string      `json:"source"`
		Currency string      `json:"currency"`
		Notes    []string    `json:"notes"`
		Tables   []jsonTable `json:"tables"`
	}{
		v.Name, Stamp(v.From), Stamp(v.To), Stamp(v.AsOf), nil, v.Source, "USD", append([]string{}, v.Notes...),
		[]jsonTable{},
	}
	if !v.CompleteUpTo.IsZero() {
		upTo := Stamp(v.CompleteUpTo)
		out.UpTo = &upTo
	}
	for _, t := range v.Tables {
		if table == "" || t.Name == table {
			out.Tables = append(out.Tables, tableJSON(t))
		}
	}
	return json.Marshal(out)
}

type jsonTable struct {
	Name    string       `json:"name"`
	Title   string       `json:"title"`
	Columns []jsonColumn `json:"columns"`
	Rows    []jsonRow    `json:"rows"`
	Totals  *jsonRow     `json:"totals"`
	Empty   string       `json:"empty"`
	Next    *string      `json:"next"`
	Source  string       `json:"source"`
	AsOf    string       `json:"as_of"`
}

type jsonColumn struct {
	Name  string `json:"name"`
	Kind  Kind   `json:"kind"`
	Title string `json:"title"`
}

func tableJSON(t *Table) jsonTable {
	out := jsonTable{
		Name: t.Name, Title: t.Title, Rows: []jsonRow{}, Empty: t.Empty, Source: t.Source, AsOf: Stamp(t.AsOf),
	}
	for i := range t.Columns {
		out.Columns = append(out.Columns, jsonColumn{t.Columns[i].Name, t.Columns[i].Kind, t.Columns[i].Title})
	}
	for _, cells := range t.Rows {
		out.Rows = append(out.Rows, jsonRow{t.Columns, cells})
	}
	if t.Totals != nil {
		out.Totals = &jsonRow{t.Columns, t.Totals}
	}
	if t.Next != "" {
		out.Next = &t.Next
	}
	return out
}

// jsonRow is a row as an object whose members are in the order of the columns. Counts are
// numbers, amounts are text, because they are exact, and what is not known is null.
type jsonRow struct {
	columns []Column
	cells   []string
}

// MarshalJSON implements json.Marshaler.
func (r jsonRow) MarshalJSON() ([]byte, error) {
	var out bytes.Buffer
	before := byte('{')
	for i := range r.columns {
		name, err := json.Marshal(r.columns[i].Name)
		if err != nil {
			return nil, err
		}
		value := []byte(r.cells[i])
		switch kind := r.columns[i].Kind; {
		case r.cells[i] == "" && kind != Text:
			value = []byte("null")
		case kind != Count || !json.Valid(value): // a total's first cell may be a word
			if value, err = json.Marshal(r.cells[i]); err != nil {
				return nil, err
			}
		}
		out.WriteByte(before)
		out.Write(name)
		out.WriteByte(':')
		out.Write(value)
		before = ','
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

// BadFormat is the error of a format that there is not.
func BadFormat(format string) error {
	return fmt.Errorf("%w: there is no format %q; there are json and csv", ErrQuery, format)
}
