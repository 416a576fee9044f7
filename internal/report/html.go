package report

import (
	"bufio"
	_ "embed"
	"html"
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
	if len(layout.Columns) == 0 {
		l := measure(r.cells(chosen))
		shown := make([]bool, len(chosen))
		for i := range chosen {
			shown[i] = i < len(r.By) || slices.Contains(usual, chosen[i].name) || l.says[i]
		}
		chosen = only(shown, chosen)
	}
	out := bufio.NewWriter(w)
	if err := r.document(chosen).Render(out); err != nil {
		return err
	}
	return out.Flush()
}

// document is the file of those columns. The functions of gomponents write it, because the
// linker keeps every method of a program that has html/template.
func (r *Report) document(columns []figure[Row]) g.Node {
	class := func(i int) g.Node { return g.If(columns[i].kind != words, h.Class("n")) }
	heads := make(g.Group, len(columns))
	for i := range columns {
		heads[i] = h.Th(h.Scope("col"), class(i), g.Text(columns[i].name))
	}
	title := "Usage and cost, " + stampIn(r.From, r.Zone) + " to " + stampIn(r.To, r.Zone)
	table := h.P(g.Text("There was no traffic."))
	if len(r.Rows) > 0 {
		table = h.Div(h.Class("wide"), h.TabIndex("0"), h.Table(
			h.Caption(g.Attr("hidden"), g.Text("Usage and cost")), h.THead(h.Tr(heads)), r.body(columns)))
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

// body is the rows and the total below them, written one by one, as there may be very many.
func (r *Report) body(columns []figure[Row]) g.Node {
	return g.NodeFunc(func(w io.Writer) error {
		line := func(cells []string) {
			io.WriteString(w, "<tr>") //nolint:errcheck // what is behind w keeps it
			for i, cell := range cells {
				open := "<td>"
				if columns[i].kind != words {
					open = `<td class="n">`
				}
				io.WriteString(w, open+html.EscapeString(cell)+"</td>") //nolint:errcheck // likewise
			}
			io.WriteString(w, "</tr>") //nolint:errcheck // likewise
		}
		cells := make([]string, len(columns))
		io.WriteString(w, "<tbody>") //nolint:errcheck // likewise
		for _, row := range r.Rows {
			line(inWords(columns, row, cells))
		}
		io.WriteString(w, "</tbody><tfoot>") //nolint:errcheck // likewise
		line(r.totalLine(columns, inWords(columns, &r.Total, cells)))
		_, err := io.WriteString(w, "</tfoot>")
		return err
	})
}
