package commitment

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"github.com/sluice-gateway/sluice/internal/money"
)

// ErrFormat is wrapped by errors about a format that there is not.
var ErrFormat = errors.New("the commitments cannot be written")

// line is one figure of a page, Name and Value; the JSON has its key.
type line struct{ Key, Name, Value string }

func (p *Page) lines() []line {
	usd := func(x float64, known bool) string {
		if !known {
			return "not known"
		}
		return fmt.Sprintf("%.2f", x)
	}
	var left money.Total
	left.AddTotal(&p.Promised)
	left.SubTotal(&p.List)
	all := []line{
		{"from", "first day", p.From.Format(time.DateOnly)},
		{"to", "last day", p.To.AddDate(0, 0, -1).Format(time.DateOnly)},
		{"as_of", "as of", p.AsOf.Truncate(time.Second).Format(time.RFC3339)},
		{"promised_usd", "promised", p.Promised.String()},
		{"list_usd", "spent at list price", p.List.String()},
		{"net_usd", "spent as charged", p.Net.String()},
		{"fixed_usd", "of that for capacity", p.Fixed.String()},
		{"left_usd", "still to be spent", left.String()},
		{"forecast_usd", "forecast at the end, at list price", usd(p.Mid, p.Known)},
		{"forecast_low_usd", "at least, in 9 of 10 cases", usd(p.Low, p.Bounded)},
		{"forecast_high_usd", "at most, in 9 of 10 cases", usd(p.High, p.Bounded)},
		{"shortfall_usd", "forecast shortfall", usd(p.Shortfall(p.Mid), p.Known)},
		{"shortfall_low_usd", "shortfall at least", usd(p.Shortfall(p.High), p.Bounded)},
		{"shortfall_high_usd", "shortfall at most", usd(p.Shortfall(p.Low), p.Bounded)},
	}
	return all
}

// notes are what is to be known of the figures.
func (p *Page) notes() []string {
	notes := []string{"What did not pass the gateways is in none of these figures. Whether a model of the " +
		"Marketplace counts is a matter of the contract."}
	if !p.Missing.IsZero() {
		notes = append(notes, "Counters are kept for 400 days: spending before "+
			p.Missing.Format(time.DateOnly)+" is missing.")
	}
	for _, w := range p.Warnings {
		notes = append(notes, string(w))
	}
	return notes
}

// sheet is a page or a bill, as it is written.
type sheet struct {
	title string
	lines []line
	head  [3]string // of the table
	rows  [][3]string
	key   string // of the table in JSON, with the names of its columns
	names [3]string
	notes []string
}

func (p *Page) sheet() sheet {
	s := sheet{
		title: "Commitment of $" + p.Promised.String(), lines: p.lines(), notes: p.notes(),
		head: [3]string{"models of", "list price", "as charged"},
		key:  "providers", names: [3]string{"name", "list_usd", "net_usd"},
	}
	for i := range p.Providers {
		of := &p.Providers[i]
		s.rows = append(s.rows, [3]string{of.Name, of.List.String(), of.Net.String()})
	}
	return s
}

// Write writes pages, and bills of capacity behind them, as markdown, html or json. It fails with ErrFormat for another
// format, else with what w fails with.
func Write(w io.Writer, format string, pages []*Page, bills ...*Bill) error {
	var all []sheet
	for _, p := range pages {
		all = append(all, p.sheet())
	}
	for _, b := range bills {
		all = append(all, b.sheet())
	}
	switch format {
	case "json":
		return writeJSON(w, all)
	case "html":
		return document(all).Render(w)
	case "markdown":
		_, err := io.WriteString(w, markdown(all))
		return err
	}
	return fmt.Errorf("%w: there is no format %q; there are markdown, html and json", ErrFormat, format)
}

func markdown(all []sheet) string {
	var b strings.Builder
	cell := func(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
	for i := range all {
		s := &all[i]
		fmt.Fprintf(&b, "# %s\n\n| | |\n|---|---:|\n", s.title)
		for _, l := range s.lines {
			fmt.Fprintf(&b, "| %s | %s |\n", l.Name, cell(l.Value))
		}
		fmt.Fprintf(&b, "\n| %s | %s | %s |\n|---|---:|---:|\n", s.head[0], s.head[1], s.head[2])
		for _, r := range s.rows {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", cell(r[0]), r[1], r[2])
		}
		for _, note := range s.notes {
			b.WriteString("\n" + note + "\n")
		}
		b.WriteString("\n")
	}
	return b.String()
}

func writeJSON(w io.Writer, sheets []sheet) error {
	all := make([]map[string]any, len(sheets))
	for i := range sheets {
		s := &sheets[i]
		all[i] = map[string]any{"notes": s.notes}
		for _, l := range s.lines {
			all[i][l.Key] = l.Value
			if l.Value == "not known" {
				all[i][l.Key] = nil
			}
		}
		rows := make([]map[string]string, len(s.rows))
		for k, r := range s.rows {
			rows[k] = map[string]string{s.names[0]: r[0], s.names[1]: r[1], s.names[2]: r[2]}
		}
		all[i][s.key] = rows
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(all)
}

const style = `body{font:16px/1.5 sans-serif;max-width:45em;margin:2em auto;padding:0 1em}
table{border-collapse:collapse;width:100%;margin:1em 0}
td,th{border-bottom:1px solid #999;padding:.2em .5em;text-align:left}
td+td,th+th{text-align:right}section{break-after:page}`

func document(all []sheet) g.Node {
	return h.Doctype(h.HTML(h.Lang("en"),
		h.Head(h.Meta(h.Charset("utf-8")), h.TitleEl(g.Text("Commitments")), h.StyleEl(g.Raw(style))),
		h.Body(g.Map(all, sheet.section))))
}

func (s sheet) section() g.Node {
	row := func(of [3]string) g.Node {
		return h.Tr(h.Td(g.Text(of[0])), h.Td(g.Text(of[1])), h.Td(g.Text(of[2])))
	}
	return h.Section(
		h.H1(g.Text(s.title)),
		h.Table(g.Map(s.lines, func(l line) g.Node { return h.Tr(h.Td(g.Text(l.Name)), h.Td(g.Text(l.Value))) })),
		h.Table(h.Tr(h.Th(g.Text(s.head[0])), h.Th(g.Text(s.head[1])), h.Th(g.Text(s.head[2]))), g.Map(s.rows, row)),
		g.Map(s.notes, func(note string) g.Node { return h.P(g.Text(note)) }))
}
