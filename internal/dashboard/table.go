package dashboard

import (
	"maps"
	"math/big"
	"net/url"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/internal/chart"
	"github.com/sluice-gateway/sluice/internal/views"
)

// table is a table with its figure and the links to what is shown.
type table struct {
	*views.Table
	Drawing   string // SVG
	Legend    []string
	CSV, JSON string
	Older     string // where the rows after these are
	Lines     [][]cell
	Sum       []cell
	Heads     []views.Column
}

// cell is one of a table: what is shown, the exact value where that is rounded, and where it
// leads.
type cell struct {
	Text, Value, Exact, Link string
	Drawing                  string // SVG in place of the text
	Figure                   bool   // to the right
	First                    bool
}

func newTable(v *views.View, t *views.Table, q *views.Query) table {
	out := table{
		Table: t, Heads: t.Columns,
		CSV:  "api/v1/views/" + v.Name + same(q, map[string]string{"table": t.Name, "format": "csv"}),
		JSON: "api/v1/views/" + v.Name + same(q, map[string]string{"table": t.Name}),
	}
	if t.Next != "" {
		out.Older = v.Name + same(q, map[string]string{"cursor": t.Next})
	}
	if t.Figure != nil {
		out.Drawing = t.Figure.SVG(v.Title + ": " + t.Title + ". The table below has the numbers.")
		out.Legend = legend(t)
	}
	for _, row := range t.Rows {
		out.Lines = append(out.Lines, cells(t, row, q))
	}
	if t.Totals != nil {
		out.Sum = cells(t, t.Totals, nil)
	}
	return out
}

// cells writes a row. Without q no cell leads anywhere.
func cells(t *views.Table, row []string, q *views.Query) []cell {
	out := make([]cell, len(row))
	for i, text := range row {
		c := &t.Columns[i]
		out[i] = cell{Text: text, Value: text, Figure: c.Kind != views.Text && c.Kind != views.Time, First: i == 0}
		switch {
		case text == "" && c.Kind != views.Text:
			out[i].Text = "–"
		case c.Kind == views.Money:
			out[i].Text, out[i].Exact = rounded(text, "$"), "$"+text
		case c.Kind == views.Number:
			out[i].Text, out[i].Exact = rounded(text, ""), text
		case c.Kind == views.Count:
			out[i].Text = grouped(text)
		case c.Kind == views.Percent:
			out[i].Text = text + " %"
		case c.Kind == views.Trend:
			out[i].Drawing = chart.Spark(strings.Fields(text)).SVG(c.Title)
		}
		if c.Opens != "" && q != nil && text != "" {
			more := map[string]string{c.Param: text}
			if c.With != "" {
				more[c.As] = row[slices.IndexFunc(t.Columns, func(x views.Column) bool { return x.Name == c.With })]
			}
			out[i].Link = c.Opens + keep(q, more)
		}
	}
	return out
}

// keep is the query of a link to another view: the period and the tenant stay.
func keep(q *views.Query, more map[string]string) string {
	return query(q, []string{"from", "to", "tenant"}, more)
}

// same is the query of a link to the same view.
func same(q *views.Query, more map[string]string) string {
	return query(q, slices.DeleteFunc(slices.Collect(maps.Keys(q.Given)), func(name string) bool {
		return name == "table" || name == "format"
	}), more)
}

func query(q *views.Query, names []string, more map[string]string) string {
	values := url.Values{}
	for _, name := range names {
		if q != nil && q.Given[name] != "" {
			values.Set(name, q.Given[name])
		}
	}
	for name, v := range more {
		values.Set(name, v)
	}
	if len(values) == 0 {
		return ""
	}
	return "?" + values.Encode()
}

// rounded is an exact number for people: with two places, and two digits below a hundredth.
func rounded(exact, unit string) string {
	r, ok := new(big.Rat).SetString(exact)
	if !ok {
		return exact
	}
	sign := ""
	if r.Sign() < 0 {
		sign = "−"
		r.Neg(r)
	}
	places := 2
	for limit := big.NewRat(1, 10); r.Sign() > 0 && r.Cmp(limit) < 0 && places < 12; places++ {
		limit.Mul(limit, big.NewRat(1, 10))
	}
	whole, part, _ := strings.Cut(r.FloatString(places), ".")
	if part == "00" && !strings.Contains(exact, ".") && unit == "" {
		return sign + grouped(whole)
	}
	return sign + unit + grouped(whole) + "." + part
}

// grouped writes a whole number with commas between thousands.
func grouped(digits string) string {
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "−", digits[1:]
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return sign + digits
		}
	}
	var out strings.Builder
	for i, c := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			out.WriteByte(',')
		}
		out.WriteRune(c)
	}
	return sign + out.String()
}

// legend names the colours of a figure's parts.
func legend(t *views.Table) []string {
	bars, ok := t.Figure.(*chart.Bars)
	if !ok || len(bars.Parts) < 2 {
		return nil
	}
	var names []string
	for _, part := range bars.Parts {
		names = append(names, part.Name)
	}
	return names
}
