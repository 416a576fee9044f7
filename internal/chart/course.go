package chart

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// Course is a sum that grows by the day, a limit that it should stay below, and where it will be at
// the end, with an interval. The way to there is drawn as straight: only its end is known.
type Course struct {
	Labels []string  // of all days, those to come too
	Sum    []float64 // of the first days
	Limit  float64   // NaN for none
	// End is where the sum will be after the last day; NaN when nobody knows. Low and High are its
	// interval, NaN for none.
	Low, End, High float64
	Unit           string
}

// SVG implements Figure.
func (c *Course) SVG(title string) string {
	high := 0.0
	for _, v := range append([]float64{c.Limit, c.End, c.High}, c.Sum...) {
		if !math.IsNaN(v) {
			high = max(high, v)
		}
	}
	high = nice(max(high, 0.01))
	s := open(height, title)
	scale, step := s.scale(0, high, c.Unit), s.labels(c.Labels)
	x := func(i int) float64 { return left + step*float64(i) } // the start of a day
	y := func(v float64) float64 { return scale(max(v, 0)) }
	last := 0.0
	points := []string{fmt.Sprintf("%.1f,%.1f", x(0), y(0))}
	for i, v := range c.Sum {
		points = append(points, fmt.Sprintf("%.1f,%.1f", x(i+1), y(v)))
		last = v
	}
	now, end := x(len(c.Sum)), x(len(c.Labels))
	if !math.IsNaN(c.Low) && !math.IsNaN(c.High) {
		s.add(`<polygon points="%.1f,%.1f %.1f,%.1f %.1f,%.1f" class="fan"><title>%s</title></polygon>`, now, y(last), end,
			y(c.Low), end, y(c.High), html.EscapeString("at the end, 80 %: "+short(c.Low, c.Unit)+" to "+short(c.High, c.Unit)))
	}
	if !math.IsNaN(c.End) {
		s.line(now, y(last), end, y(c.End), "ahead", "forecast: "+short(c.End, c.Unit))
		s.text(end-4, y(c.End)-8, "axis", "end", "forecast "+short(c.End, c.Unit))
	}
	if !math.IsNaN(c.Limit) {
		s.line(left, y(c.Limit), width-right, y(c.Limit), "mark", "budget: "+short(c.Limit, c.Unit))
		s.text(left+8, y(c.Limit)-6, "axis", "start", "budget "+short(c.Limit, c.Unit))
	}
	s.add(`<polyline points="%s" class="course"><title>%s</title></polyline>`, strings.Join(points, " "),
		html.EscapeString("spent: "+short(last, c.Unit)))
	return s.close()
}

func (s *svg) line(x1, y1, x2, y2 float64, class, title string) {
	s.add(`<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" class="%s"><title>%s</title></line>`, x1, x2, y1, y2, class,
		html.EscapeString(title))
}
