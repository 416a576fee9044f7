package statement

import (
	"bytes"
	"encoding/csv"
	"slices"
	"strconv"

	"github.com/sluice-gateway/sluice/internal/celltext"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// CSV is the statement as a table: one line for each sum, and one for each part of a
// shared cost. The kind says what a line is: usage, correction or shared.
func (st *Statement) CSV() ([]byte, error) {
	columns := slices.DeleteFunc(record.Columns(), func(name string) bool { return name == "tenant" || name == "model" })
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	head := append([]string{"root", "month", "kind", "corrects", "tenant", "model", "usd"}, columns...)
	if err := w.Write(append(head, "shared_cost", "ratio")); err != nil {
		return nil, err
	}
	for i := range st.Lines {
		l := &st.Lines[i]
		kind := "usage"
		if l.Corrects != "" {
			kind = "correction"
		}
		cells := []string{
			st.Root, st.Month, kind, l.Corrects, celltext.NoFormula(l.Of["tenant"]), celltext.NoFormula(l.Of["model"]), l.USD,
		}
		for _, name := range columns {
			text := l.Values[name]
			if text == "" {
				text = celltext.NoFormula(l.Of[name])
			}
			cells = append(cells, text)
		}
		if err := w.Write(append(cells, "", "")); err != nil {
			return nil, err
		}
	}
	for _, shared := range st.Shared {
		for _, part := range shared.Parts {
			cells := []string{st.Root, st.Month, "shared", "", celltext.NoFormula(part.Tenant), "", part.USD}
			cells = append(cells, make([]string, len(columns))...)
			if err := w.Write(append(cells, celltext.NoFormula(shared.Name), part.Ratio)); err != nil {
				return nil, err
			}
		}
	}
	w.Flush()
	return b.Bytes(), w.Error()
}

// decimals writes a fraction of parts over all with 12 digits behind the point.
func decimals(units int64) string {
	text := strconv.FormatInt(units, 10)
	for len(text) < digits+1 {
		text = "0" + text
	}
	return text[:len(text)-digits] + "." + text[len(text)-digits:]
}
