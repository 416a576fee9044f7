package report

import (
	_ "embed"
	"io"
	"slices"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"
)

//go:embed report.css
var style string

// writeHTML writes the report as one file that needs no other, to mail and to print. It
// has the columns that say something, unless some were chosen.
func (r *Report) writeHTML(w io.Writer, layout *Layout, chosen []figure[Row]) error {
	all := r.cells(chosen)
	if len(layout.Columns) == 0 {
		shown := make([]bool, len(chosen))
		for i := range chosen {
			shown[i] = i < len(r.By) || slices.Contains(usual, chosen[i].name) || says(all, i)
		}
		chosen, all = only(shown, chosen, all)
	}
	last := len(all) - 1
	return r.document(chosen, all[0], all[1:last], all[last]).Render(w)
}

// document is the file of those columns. The functions of gomponents write it, because the
// linker keeps every method of a program that has html/template.
func (r *Report) document(columns []figure[Row], names []string, rows [][]string, total []string) g.Node {
	class := func(i int) g.Node { return g.If(columns[i].kind != words, h.Class("n")) }
	row := func(cells []string) g.Node {
		tr := make(g.Group, len(cells))
		for i, c := range cells {
			tr[i] = h.Td(class(i), g.Text(c))
		}
		return h.Tr(tr)
	}
	heads := make(g.Group, len(names))
	for i, name := range names {
		heads[i] = h.Th(h.Scope("col"), class(i), g.Text(name))
	}
	title := "Usage and cost, " + stampIn(r.From, r.Zone) + " to " + stampIn(r.To, r.Zone)
	table := h.P(g.Text("There was no traffic."))
	if len(rows) > 0 {
		table = h.Div(h.Class("wide"), h.TabIndex("0"), h.Table(
			h.Caption(g.Attr("hidden"), g.Text("Usage and cost")),
			h.THead(h.Tr(heads)), h.TBody(g.Map(rows, row)), h.TFoot(row(total))))
	}
	return h.Doctype(h.HTML(h.Lang("en"),
		h.Head(h.Meta(h.Charset("utf-8")),
			h.Meta(h.Name("viewport"), h.Content("width=device-width, initial-scale=1")),
			h.TitleEl(g.Text(title)), h.StyleEl(g.Raw(style))),
		h.Body(h.H1(g.Text(title)),
			h.Ul(g.Map(r.Notes(), func(note string) g.Node { return h.Li(g.Text(note)) })),
			g.Map(r.Warnings, func(w Warning) g.Node { return h.P(h.Class("warning"), g.Text(string(w))) }),
			table),
	))
}
