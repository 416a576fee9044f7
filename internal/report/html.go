package report

import (
	_ "embed"
	"html/template"
	"io"
	"slices"
)

//go:embed report.html
var page string

// writeHTML writes the report as one file that needs no other, to mail and to print. It
// has the columns that say something, unless some were chosen.
func (r *Report) writeHTML(w io.Writer, layout *Layout, chosen []figure[Row]) error {
	t, err := template.New("report").Parse(page)
	if err != nil {
		return err
	}
	if len(layout.Columns) == 0 {
		cells := r.cells(chosen, append(slices.Clone(r.Rows), r.Total))
		var shown []figure[Row]
		for i := range chosen {
			if i < len(r.By) || slices.Contains(usual, chosen[i].name) || says(cells, i) {
				shown = append(shown, chosen[i])
			}
		}
		chosen = shown
	}
	all := r.cells(chosen, append(slices.Clone(r.Rows), r.Total))
	last := len(all) - 1
	if len(r.By) > 0 {
		all[last][0] = "total"
	}
	text := make([]bool, len(chosen))
	for i := range chosen {
		text[i] = chosen[i].kind == words
	}
	return t.Execute(w, map[string]any{
		"Names": all[0], "Rows": all[1:last], "Total": all[last], "Text": text, "Notes": r.Notes(),
		"Warnings": r.Warnings, "From": stamp(r.From), "To": stamp(r.To),
	})
}
