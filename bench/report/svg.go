package report

import (
	"fmt"
	"html"
	"io"
	"strings"

	"github.com/sluice-gateway/sluice/bench/stats"
)

// Sizes of the drawing, in pixels.
const (
	lineHeight = 22
	labelWidth = 420
	plotWidth  = 420
	valueWidth = 130
)

const head = `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">
<rect width="100%%" height="100%%" fill="white"/>
%s</svg>
`

// SVG draws the multiples of the bare proxy's CPU, a bar for each row with a
// line from quartile to quartile, and how far each promise is from its reach.
func (r *Report) SVG(w io.Writer) error {
	var multiples, promises []drawn
	for _, row := range r.Rows {
		if s := row.Measures[Times]; s.Rounds > 0 && row.Measures[Rate].Rounds > 0 {
			multiples = append(multiples, drawn{row.Name, s, show(s) + " ×", 1})
		}
	}
	for _, b := range r.Bars {
		if b.Figure.Rounds == 0 {
			continue
		}
		s := b.Figure
		s.Median, s.Low, s.High = s.Median/b.Reach, s.Low/b.Reach, s.High/b.Reach
		promises = append(promises, drawn{b.Measure, s, strings.TrimSpace(number(b.Figure.Median) + " " + b.Unit), 1})
	}
	var c canvas
	c.chart("CPU per request, as a multiple of the bare proxy's", multiples)
	c.chart("Figure as a share of its reach: right of the line is not met", promises)
	_, err := fmt.Fprintf(w, head, labelWidth+plotWidth+valueWidth, c.y+lineHeight, c.b.String())
	return err
}

// drawn is one bar. The mark is where its line is drawn.
type drawn struct {
	label  string
	figure stats.Summary
	value  string
	mark   float64
}

// canvas is a drawing that grows downwards.
type canvas struct {
	b strings.Builder
	y int
}

func (c *canvas) add(format string, args ...any) { fmt.Fprintf(&c.b, format+"\n", args...) }

func (c *canvas) chart(title string, bars []drawn) {
	if len(bars) == 0 {
		return
	}
	most := 0.0
	for _, d := range bars {
		most = max(most, d.figure.High, d.figure.Median, d.mark)
	}
	x := func(v float64) float64 { return labelWidth + v/most*plotWidth }
	c.y += 2 * lineHeight
	c.add(`<text x="10" y="%d" font-weight="bold">%s</text>`, c.y, html.EscapeString(title))
	top := c.y + lineHeight/2
	for _, d := range bars {
		c.y += lineHeight
		middle := float64(c.y) - 4
		fill := "#4878a8"
		if d.figure.Median <= d.mark {
			fill = "#5a9a5a"
		}
		c.add(`<text x="%d" y="%d" text-anchor="end">%s</text>`, labelWidth-8, c.y, html.EscapeString(d.label))
		c.add(`<rect x="%d" y="%.1f" width="%.1f" height="12" fill="%s"/>`,
			labelWidth, middle-6, x(d.figure.Median)-labelWidth, fill)
		c.add(`<path d="M%.1f %.1fH%.1f" stroke="black"/>`, x(d.figure.Low), middle, x(d.figure.High))
		end := x(max(d.figure.High, d.figure.Median))
		c.add(`<text x="%.1f" y="%d">%s</text>`, end+6, c.y, html.EscapeString(d.value))
	}
	c.add(`<path d="M%.1f %dV%d" stroke="#a04040" stroke-dasharray="3 3"/>`, x(1), top, c.y+4)
}
