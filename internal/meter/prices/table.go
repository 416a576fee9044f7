package prices

import (
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/glob"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// Line is one price for people, or a model that has none.
type Line struct {
	Model, Region, Tier, Latency string
	Above                        int64 // 0, or the input tokens above which it holds
	Rates                        *config.Rates
	Version, Source              string
	Unpriced                     string // why there is no price, "" when there is one
}

// Lines are all prices that a table has for the models of a configuration at a time,
// what is charged and not the list price, and after them the models that have
// none: those that the books name, and those of the catalogue.
func Lines(cfg *config.Config, table *record.PriceBook, at time.Time) []Line {
	var lines []Line
	priced := map[string]bool{}
	for _, sku := range table.SKUs() {
		p := table.Find(sku, at)
		if p == nil || sku.Model == record.GuardrailModel {
			continue
		}
		priced[sku.Model] = true
		line := Line{Model: called(sku), Region: sku.Region, Tier: sku.Tier, Latency: sku.Latency,
			Rates: p.Rates(), Version: p.Version, Source: p.Source()}
		lines = append(lines, line)
		if long, above := p.Long(); long != nil {
			line.Rates, line.Version, line.Above = long.Rates(), long.Version, above
			lines = append(lines, line)
		}
	}
	return append(lines, unpriced(cfg, priced)...)
}

// called is a SKU's model as it is called.
func called(sku record.SKU) string {
	if sku.Scope != "" {
		return sku.Scope + "." + sku.Model
	}
	return sku.Model
}

func unpriced(cfg *config.Config, priced map[string]bool) []Line {
	var lines []Line
	for i := range cfg.Prices {
		for _, u := range cfg.Prices[i].Unpriced {
			for _, m := range u.Models {
				lines = append(lines, Line{Model: m, Unpriced: u.Reason})
			}
		}
	}
	for i := range cfg.Models {
		for _, id := range cfg.Models[i].IDs {
			pattern := glob.Compile(id)
			matches := func(model string) bool { return pattern.Match(model) }
			if !priced[id] && !containsKey(priced, matches) {
				lines = append(lines, Line{Model: id, Unpriced: "no book has a price for it"})
			}
		}
	}
	return lines
}

func containsKey(set map[string]bool, match func(string) bool) bool {
	for key := range set {
		if match(key) {
			return true
		}
	}
	return false
}

// header are the columns of lines.
var header = []string{
	"model", "region", "tier", "latency", "above", "input", "output", "cache_read", "cache_write_5m", "cache_write_1h",
	"query", "image", "second", "version", "source",
}

// Cells are the columns of a line: dollars per million tokens, and for one query,
// image and second.
func (l *Line) Cells() []string {
	cells := []string{l.Model, l.Region, l.Tier, l.Latency, ""}
	if l.Above != 0 {
		cells[4] = strconv.FormatInt(l.Above, 10)
	}
	if l.Rates == nil {
		return append(cells, "unpriced", "", "", "", "", "", "", "", "", l.Unpriced)
	}
	for _, c := range l.Rates.Classes() {
		cell := ""
		if c.Listed {
			cell = exact(c.Price, unitsOf(c.Name))
		}
		cells = append(cells, cell)
	}
	return append(cells, l.Version, l.Source)
}

// WriteTable writes lines for people, without the sources.
func WriteTable(w io.Writer, lines []Line) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	shown := len(header) - 1
	fmt.Fprintln(t, strings.Join(header[:shown], "\t"))
	for i := range lines {
		cells := lines[i].Cells()
		if lines[i].Rates == nil {
			cells[6], cells[14] = cells[14], ""
		}
		fmt.Fprintln(t, strings.Join(cells[:shown], "\t"))
	}
	return t.Flush()
}

// WriteCSV writes lines with all columns.
func WriteCSV(w io.Writer, lines []Line) error {
	c := csv.NewWriter(w)
	rows := [][]string{header}
	for i := range lines {
		rows = append(rows, lines[i].Cells())
	}
	return c.WriteAll(rows)
}

// Change is a price that differs between two tables. A nil line is of a price that
// only the other one has.
type Change struct{ Before, After *Line }

// Diff are the prices that differ between two lists of lines.
func Diff(before, after []Line) []Change {
	old := map[string]*Line{}
	for i := range before {
		old[before[i].key()] = &before[i]
	}
	var changes []Change
	for i := range after {
		was := old[after[i].key()]
		delete(old, after[i].key())
		if was == nil || !slices.Equal(was.Cells()[5:13], after[i].Cells()[5:13]) {
			changes = append(changes, Change{was, &after[i]})
		}
	}
	for i := range before {
		if old[before[i].key()] != nil {
			changes = append(changes, Change{Before: &before[i]})
		}
	}
	return changes
}

func (l *Line) key() string { return strings.Join(l.Cells()[:5], "|") }

// String says what changes, class by class.
func (c *Change) String() string {
	name := func(l *Line) string { return strings.Join(strings.Fields(strings.Join(l.Cells()[:5], " ")), " ") }
	switch {
	case c.Before == nil:
		return "+ " + name(c.After) + ": " + strings.Join(ratesOf(c.After), ", ")
	case c.After == nil:
		return "- " + name(c.Before) + ": " + strings.Join(ratesOf(c.Before), ", ")
	}
	var parts []string
	was, is := c.Before.Cells(), c.After.Cells()
	for i := 5; i < 13; i++ {
		if was[i] != is[i] {
			parts = append(parts, fmt.Sprintf("%s %s -> %s", header[i], orNone(was[i]), orNone(is[i])))
		}
	}
	return "~ " + name(c.After) + ": " + strings.Join(parts, ", ")
}

func orNone(cell string) string {
	if cell == "" {
		return "none"
	}
	return cell
}

func ratesOf(l *Line) []string {
	var parts []string
	cells := l.Cells()
	for i := 5; i < 13; i++ {
		if cells[i] != "" {
			parts = append(parts, header[i]+" "+cells[i])
		}
	}
	return parts
}
