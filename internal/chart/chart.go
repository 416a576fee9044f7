// Package chart draws the figures of the page as SVG: pure functions of their numbers. What
// a figure shows is in a table beside it too, so that a figure is for the eye alone; its
// colours are classes of the page's style sheet.
package chart

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// Figure is something that can be drawn.
type Figure interface {
	// SVG is the drawing, with every text in it escaped. title says what it shows, for those who cannot see it.
	SVG(title string) string
}

// Series is one part of each bar.
type Series struct {
	Name   string
	Values []float64
}

// The size of a drawing in its own units; the page scales it to its width.
const (
	width, height              = 880, 260
	left, right, top, bottom   = 64, 12, 12, 28
	plotWidth, plotHeight      = width - left - right, height - top - bottom
	ticks, mostLabels, classes = 4, 12, 9
)

// Bars are stacked bars, one for each label.
type Bars struct {
	Labels []string
	Parts  []Series // from the bottom up
	Unit   string   // before the numbers of the scale, as $
	// Band is between what each bar is expected to end, none where nothing is expected.
	Band []Range
}

// Range is from a value up to another one.
type Range struct{ Low, High float64 }

// svg collects a drawing.
type svg struct{ strings.Builder }

func (s *svg) add(format string, args ...any) {
	_, _ = fmt.Fprintf(s, format, args...) // writing to a strings.Builder does not fail
}

func open(h int, title string) *svg {
	s := &svg{}
	s.add(`<svg viewBox="0 0 %d %d" role="img" aria-label="%s">`, width, h, html.EscapeString(title))
	return s
}

func (s *svg) text(x, y float64, class, anchor, text string) {
	s.add(`<text x="%.1f" y="%.1f" class="%s" text-anchor="%s">%s</text>`, x, y, class, anchor,
		html.EscapeString(text))
}

// rect is a part of a bar, with what it means for whoever points at it.
func (s *svg) rect(x, y, w, h float64, class int, title string) {
	s.add(`<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" class="s%d"><title>%s</title></rect>`,
		x, y, max(w, 0.5), max(h, 0), class%classes, html.EscapeString(title))
}

// scale draws the lines of a scale with their numbers, and returns the height of a value.
func (s *svg) scale(low, high float64, unit string) (y func(v float64) float64) {
	y = func(v float64) float64 { return top + plotHeight*(high-v)/(high-low) }
	for i := 0; i <= ticks; i++ {
		v := low + (high-low)*float64(i)/ticks
		s.add(`<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" class="grid"/>`, left, width-right, y(v), y(v))
		s.text(left-6, y(v)+4, "axis", "end", short(v, unit))
	}
	return y
}

// labels writes as many of them below the plot as there is room for, without the year that days begin
// with, and returns how wide the place of each is.
func (s *svg) labels(all []string) (step float64) {
	step = float64(plotWidth) / float64(max(1, len(all)))
	every := (len(all) + mostLabels - 1) / mostLabels
	for i, label := range all {
		if i%every == 0 {
			s.text(left+step*(float64(i)+0.5), height-8, "axis", "middle", strings.TrimPrefix(label,
				all[0][:min(5, len(all[0]))]))
		}
	}
	return step
}

func (s *svg) close() string {
	s.add("</svg>")
	return s.String()
}

// SVG implements Figure.
func (b *Bars) SVG(title string) string {
	low, high := b.bounds()
	s := open(height, title)
	y, step := s.scale(low, high, b.Unit), s.labels(b.Labels)
	for i, label := range b.Labels {
		up, down := 0.0, 0.0
		for j, part := range b.Parts {
			v, from := part.Values[i], &up
			if v < 0 {
				from = &down
			}
			if v != 0 {
				s.rect(left+step*(float64(i)+0.12), y(max(*from, *from+v)), step*0.76, y(0)-y(math.Abs(v)), j,
					fmt.Sprintf("%s, %s: %s", label, part.Name, short(v, b.Unit)))
			}
			*from += v
		}
		if i < len(b.Band) && b.Band[i] != (Range{}) {
			from, to := left+step*(float64(i)+0.06), left+step*(float64(i)+0.94)
			for _, v := range []float64{b.Band[i].Low, b.Band[i].High} {
				s.line(from, y(v), to, y(v), "mark", label+", a bound of what is expected: "+short(v, b.Unit))
			}
		}
	}
	return s.close()
}

// bounds are those of the scale; zero is within.
func (b *Bars) bounds() (low, high float64) {
	for i := range b.Labels {
		up, down := 0.0, 0.0
		for _, part := range b.Parts {
			if v := part.Values[i]; v > 0 {
				up += v
			} else {
				down += v
			}
		}
		low, high = min(low, down), max(high, up)
		if i < len(b.Band) {
			high = max(high, b.Band[i].High)
		}
	}
	if low == high {
		high = low + 1
	}
	return -nice(-low), nice(high)
}

// nice is the next number that reads well, 0 for 0 or less.
func nice(v float64) float64 {
	if v <= 0 {
		return 0
	}
	scale := math.Pow(10, math.Floor(math.Log10(v)))
	for _, step := range []float64{1, 2, 4, 5, 8, 10} {
		if v <= step*scale {
			return step * scale
		}
	}
	return 10 * scale
}

// short writes a number in little room.
func short(v float64, unit string) string {
	sign, a := "", math.Abs(v)
	if v < 0 {
		sign = "−"
	}
	for _, s := range []struct {
		from   float64
		suffix string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if a >= s.from {
			return sign + unit + fmt.Sprintf("%.4g", a/s.from) + s.suffix
		}
	}
	return sign + unit + fmt.Sprintf("%.3g", a)
}

// Steps is a waterfall: a first total, what is added to it or taken away, and the last total.
type Steps struct {
	Labels []string
	Values []float64 // the first and the last are totals
	Unit   string
}

// SVG implements Figure.
func (w *Steps) SVG(title string) string {
	spaces, values := make([]float64, len(w.Values)), make([]float64, len(w.Values))
	low, high, at := 0.0, 0.0, 0.0
	for i, v := range w.Values {
		if i == 0 || i == len(w.Values)-1 {
			at = 0
		}
		spaces[i], values[i] = at, v
		at += v
		low, high = min(low, at), max(high, at)
	}
	if low == high {
		high = low + 1
	}
	low, high = -nice(-low), nice(high)
	s := open(height, title)
	y := func(v float64) float64 { return top + plotHeight*(high-v)/(high-low) }
	step := float64(plotWidth) / float64(max(1, len(values)))
	for i, v := range values {
		class := 0
		if i > 0 && i < len(values)-1 {
			class = 1
			if v < 0 {
				class = 2
			}
		}
		x := left + step*(float64(i)+0.15)
		s.rect(x, y(max(spaces[i], spaces[i]+v)), step*0.7, y(0)-y(math.Abs(v)), class, w.Labels[i]+": "+short(v,
			w.Unit))
		s.text(x+step*0.35, y(max(spaces[i], spaces[i]+v))-3, "axis", "middle", short(v, w.Unit))
		s.text(x+step*0.35, height-8, "axis", "middle", w.Labels[i])
	}
	return s.close()
}

// Strip is one bar across the whole width, of which each part has its share.
type Strip struct{ Parts []Share }

// Share is a part of a whole.
type Share struct {
	Name string
	Of   float64 // 0 to 1
}

// SVG implements Figure.
func (p *Strip) SVG(title string) string {
	const h = 44
	s := open(h, title)
	x := 0.0
	for i, part := range p.Parts {
		w := width * part.Of
		if part.Of > 0 {
			s.rect(x, 4, w, h-8, i, fmt.Sprintf("%s: %.2f %%", part.Name, 100*part.Of))
			if w > 90 {
				s.text(x+8, h/2+5, "inside", "start", fmt.Sprintf("%s %.1f %%", part.Name, 100*part.Of))
			}
		}
		x += w
	}
	return s.close()
}

// Bullets are bars of what is used of a limit, one below the other.
type Bullets struct{ Rows []Bullet }

// Bullet is one of them, in shares of the limit; End is where it will end, NaN if nobody knows.
type Bullet struct {
	Name             string
	Spent, Held, End float64
}

// SVG implements Figure.
func (b *Bullets) SVG(title string) string {
	const row, names = 26, 300
	s := open(row*len(b.Rows)+8, title)
	scale := float64(width-names-right) / 1.25
	for i, r := range b.Rows {
		y := float64(i*row) + 6
		s.text(names-8, y+13, "axis", "end", r.Name)
		s.add(`<rect x="%d" y="%.1f" width="%.1f" height="18" class="track"/>`, names, y, scale)
		spent := min(max(r.Spent, 0), 1.25)
		s.rect(names, y+3, spent*scale, 12, 0, fmt.Sprintf("%s, spent: %.1f %%", r.Name, 100*r.Spent))
		if held := min(max(r.Held, 0), 1.25-spent); held > 0 {
			s.rect(names+spent*scale, y+3, held*scale, 12, 1, fmt.Sprintf("%s, held: %.1f %%", r.Name, 100*r.Held))
		}
		if !math.IsNaN(r.End) {
			x := names + min(max(r.End, 0), 1.25)*scale
			s.add(`<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" class="mark"><title>%s, forecast: %.1f %%</title></line>`,
				x, x, y, y+18, html.EscapeString(r.Name), 100*r.End)
		}
	}
	return s.close()
}
