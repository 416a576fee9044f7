package simulate

import (
	"fmt"
	"math/big"
	"strings"
	"unicode/utf8"

	"github.com/sluice-gateway/sluice/internal/money"
)

// Unit is what the value of a figure counts.
type Unit string

// The units of figures.
const (
	USD   Unit = "usd"   // the value is in pico-dollars
	Count Unit = "count" // tokens, units, hours
	Share Unit = "share"
	Times Unit = "times" // how many times something else
)

// Figure is one line of a sheet.
type Figure struct {
	Name  string
	Unit  Unit
	Value *big.Rat
	Note  string // "" for none
}

// Sheet is the figures of one lever.
type Sheet struct {
	Title   string
	Figures []Figure
}

func (sheet *Sheet) add(name string, unit Unit, value *big.Rat, note string) {
	sheet.Figures = append(sheet.Figures, Figure{name, unit, value, note})
}

// text is the value for people, rounded.
func (f *Figure) text() string {
	switch f.Unit {
	case USD:
		return usd(f.Value)
	case Share:
		return percent(f.Value)
	case Times:
		return f.Value.FloatString(2) + " x"
	}
	return grouped(f.Value.FloatString(0))
}

// usd writes pico-dollars as a rounded amount.
func usd(pico *big.Rat) string {
	var total money.Total
	total.AddRat(pico)
	return dollars(&total)
}

func (sheet *Sheet) write(b *strings.Builder) {
	name, value := 0, 0
	for i := range sheet.Figures {
		f := &sheet.Figures[i]
		name = max(name, utf8.RuneCountInString(f.Name))
		value = max(value, utf8.RuneCountInString(f.text()))
	}
	fmt.Fprintf(b, "\n%s\n", sheet.Title)
	for i := range sheet.Figures {
		f := &sheet.Figures[i]
		text := fmt.Sprintf("  %-*s  %*s  %s", name, f.Name, value, f.text(), f.Note)
		b.WriteString(strings.TrimRight(text, " ") + "\n")
	}
}

// sheetJSON is a Sheet for programs: an amount is an exact decimal of dollars, another value
// an exact fraction.
type sheetJSON struct {
	Title   string       `json:"title"`
	Figures []figureJSON `json:"figures"`
}

type figureJSON struct {
	Name  string `json:"name"`
	Unit  Unit   `json:"unit"`
	Value string `json:"value"`
	Text  string `json:"text"`
	Note  string `json:"note,omitempty"`
}

func jsonOf(sheets []Sheet) (all []sheetJSON) {
	for i := range sheets {
		one := sheetJSON{Title: sheets[i].Title}
		for k := range sheets[i].Figures {
			f := &sheets[i].Figures[k]
			value := f.Value.RatString()
			if f.Unit == USD {
				var total money.Total
				total.AddRat(f.Value)
				value = total.String()
			}
			one.Figures = append(one.Figures, figureJSON{f.Name, f.Unit, value, f.text(), f.Note})
		}
		all = append(all, one)
	}
	return all
}
