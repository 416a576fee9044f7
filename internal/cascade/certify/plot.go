package certify

import (
	"fmt"
	"math"
	"strings"
)

// Size of the terminal plot in characters.
const (
	plotWidth  = 64
	plotHeight = 16
)

// frame maps the curve onto a picture: saving to the right, loss upwards.
type frame struct{ x0, x1, y0, y1 float64 }

func (r *Report) frame(maxLoss float64) frame {
	f := frame{x0: 0, x1: max(r.Ceiling, 0.1), y0: 0, y1: 2 * maxLoss}
	for _, p := range r.Curve {
		f.y0 = min(f.y0, p.Loss)
		f.y1 = max(f.y1, p.Loss)
	}
	return f
}

// place returns the position of a point, 0 to 1 in both directions.
func (f frame) place(saving, loss float64) (x, y float64) {
	x = (saving - f.x0) / (f.x1 - f.x0)
	y = (loss - f.y0) / (f.y1 - f.y0)
	return min(max(x, 0), 1), min(max(y, 0), 1)
}

// Plot draws the cost-quality curve with characters: o a threshold, # the
// certified one, - the target.
func (r *Report) Plot(maxLoss float64) string {
	f := r.frame(maxLoss)
	var grid [plotHeight][plotWidth]byte
	for i := range grid {
		for j := range grid[i] {
			grid[i][j] = ' '
		}
	}
	set := func(saving, loss float64, mark byte) {
		x, y := f.place(saving, loss)
		grid[plotHeight-1-int(math.Round(y*(plotHeight-1)))][int(math.Round(x*(plotWidth-1)))] = mark
	}
	for j := range plotWidth {
		set(f.x0+(f.x1-f.x0)*float64(j)/(plotWidth-1), maxLoss, '-')
	}
	for _, p := range r.Curve {
		if p.Saving > 0 {
			set(p.Saving, p.Loss, 'o')
		}
	}
	if r.Certified >= 0 {
		set(r.Curve[r.Certified].Saving, r.Curve[r.Certified].Loss, '#')
	}
	var out strings.Builder
	fmt.Fprintf(&out, "loss of quality in points; target %.1f (-), certified #\n", 100*maxLoss)
	for i := range grid {
		label := f.y1 - (f.y1-f.y0)*float64(i)/(plotHeight-1)
		fmt.Fprintf(&out, "%6.2f |%s\n", 100*label, strings.TrimRight(string(grid[i][:]), " "))
	}
	fmt.Fprintf(&out, "       +%s\n", strings.Repeat("-", plotWidth))
	fmt.Fprintf(&out, "        saving 0%%%*s\n", plotWidth-9, fmt.Sprintf("%.0f%%", 100*f.x1))
	return out.String()
}

// Size of the SVG in pixels.
const (
	svgWidth, svgHeight = 640, 400
	svgMargin           = 56
)

// SVG draws the same curve as a picture without external references.
func (r *Report) SVG(maxLoss float64) string {
	f := r.frame(maxLoss)
	var out strings.Builder
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" `+
		`font-family="sans-serif" font-size="12">`+"\n", svgWidth, svgHeight)
	fmt.Fprintf(&out, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", svgWidth, svgHeight)
	f.axes(&out)
	left, target := f.pixel(0, maxLoss)
	right, _ := f.pixel(f.x1, maxLoss)
	fmt.Fprintf(&out, `<path d="M%.1f %.1fH%.1f" stroke="#c33" stroke-dasharray="6 4"/>`+"\n", left, target, right)
	out.WriteString(`<polyline fill="none" stroke="#26c" stroke-width="2" points="`)
	for _, p := range r.Curve {
		if p.Saving > 0 {
			x, y := f.pixel(p.Saving, p.Loss)
			fmt.Fprintf(&out, "%.1f,%.1f ", x, y)
		}
	}
	out.WriteString("\"/>\n")
	if r.Certified >= 0 {
		p := r.Curve[r.Certified]
		x, y := f.pixel(p.Saving, p.Loss)
		fmt.Fprintf(&out, `<circle cx="%.1f" cy="%.1f" r="5" fill="#26c"/>`+"\n", x, y)
		fmt.Fprintf(&out, `<text x="%.1f" y="%.1f" text-anchor="end">certified: saving %.1f%%, `+
			"loss ≤ %.2f points</text>\n", x-8, y-8, 100*p.Saving, 100*r.Bound)
	}
	fmt.Fprintf(&out, `<text x="%d" y="%d" text-anchor="middle">saving against the escalation model alone</text>`+"\n",
		svgWidth/2, svgHeight-14)
	fmt.Fprintf(&out, `<text x="%d" y="22">loss of quality in points (target dashed), n = %d</text>`+"\n</svg>\n",
		svgMargin, r.N)
	return out.String()
}

// pixel returns where a point is in the SVG.
func (f frame) pixel(saving, loss float64) (x, y float64) {
	x, y = f.place(saving, loss)
	return svgMargin + x*(svgWidth-2*svgMargin), svgHeight - svgMargin - y*(svgHeight-2*svgMargin)
}

// axes draws the axes of the SVG with five labels each.
func (f frame) axes(out *strings.Builder) {
	left, bottom := f.pixel(f.x0, f.y0)
	right, top := f.pixel(f.x1, f.y1)
	fmt.Fprintf(out, `<path d="M%.1f %.1fV%.1fH%.1f" fill="none" stroke="#333"/>`+"\n", left, top, bottom, right)
	for k := range 5 {
		share := float64(k) / 4
		saving, loss := f.x0+share*(f.x1-f.x0), f.y0+share*(f.y1-f.y0)
		x, y := f.pixel(saving, loss)
		fmt.Fprintf(out, `<text x="%.1f" y="%.1f" text-anchor="middle">%.0f%%</text>`+"\n", x, bottom+18, 100*saving)
		fmt.Fprintf(out, `<text x="%.1f" y="%.1f" text-anchor="end">%.2f</text>`+"\n", left-6, y+4, 100*loss)
	}
}
