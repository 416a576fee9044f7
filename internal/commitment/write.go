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

// Write writes pages as markdown, html or json. It fails with ErrFormat for another format,
// else with what w fails with.
func Write(w io.Writer, format string, pages []*Page) error {
	switch format {
	case "json":
		return writeJSON(w, pages)
	case "html":
		return document(pages).Render(w)
	case "markdown":
		_, err := io.WriteString(w, markdown(pages))
		return err
	}
	return fmt.Errorf("%w: there is no format %q; there are markdown, html and json", ErrFormat, format)
}

func markdown(pages []*Page) string {
	var b strings.Builder
	for _, p := range pages {
		fmt.Fprintf(&b, "# Commitment of $%s\n\n| | |\n|---|---:|\n", p.Promised.String())
		for _, l := range p.lines() {
			fmt.Fprintf(&b, "| %s | %s |\n", l.Name, l.Value)
		}
		b.WriteString("\n| models of | list price | as charged |\n|---|---:|---:|\n")
		for i := range p.Providers {
			of := &p.Providers[i]
			fmt.Fprintf(&b, "| %s | %s | %s |\n", strings.ReplaceAll(of.Name, "|", `\|`), of.List.String(), of.Net.String())
		}
		for _, note := range p.notes() {
			b.WriteString("\n" + note + "\n")
		}
		b.WriteString("\n")
	}
	return b.String()
}

func writeJSON(w io.Writer, pages []*Page) error {
	all := make([]map[string]any, len(pages))
	for i, p := range pages {
		all[i] = map[string]any{"notes": p.notes()}
		for _, l := range p.lines() {
			all[i][l.Key] = l.Value
			if l.Value == "not known" {
				all[i][l.Key] = nil
			}
		}
		providers := make([]map[string]string, len(p.Providers))
		for k := range p.Providers {
			of := &p.Providers[k]
			providers[k] = map[string]string{"name": of.Name, "list_usd": of.List.String(), "net_usd": of.Net.String()}
		}
		all[i]["providers"] = providers
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(all)
}

const style = `body{font:16px/1.5 sans-serif;max-width:45em;margin:2em auto;padding:0 1em}
table{border-collapse:collapse;width:100%;margin:1em 0}
td,th{border-bottom:1px solid #999;padding:.2em .5em;text-align:left}
td+td,th+th{text-align:right}section{break-after:page}`

func document(pages []*Page) g.Node {
	return h.Doctype(h.HTML(h.Lang("en"),
		h.Head(h.Meta(h.Charset("utf-8")), h.TitleEl(g.Text("Commitments")), h.StyleEl(g.Raw(style))),
		h.Body(g.Map(pages, (*Page).section))))
}

func (p *Page) section() g.Node {
	row := func(of Provider) g.Node {
		return h.Tr(h.Td(g.Text(of.Name)), h.Td(g.Text(of.List.String())), h.Td(g.Text(of.Net.String())))
	}
	return h.Section(
		h.H1(g.Text("Commitment of $"+p.Promised.String())),
		h.Table(g.Map(p.lines(), func(l line) g.Node { return h.Tr(h.Td(g.Text(l.Name)), h.Td(g.Text(l.Value))) })),
		h.Table(h.Tr(h.Th(g.Text("models of")), h.Th(g.Text("list price")), h.Th(g.Text("as charged"))),
			g.Map(p.Providers, row)),
		g.Map(p.notes(), func(note string) g.Node { return h.P(g.Text(note)) }))
}
