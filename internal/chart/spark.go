package chart

import (
	"fmt"
	"html"
	"strconv"
	"strings"
)

// Spark is a small line without a scale, from decimals: how something went, beside its number.
type Spark []string

// The size of a Spark.
const sparkWidth, sparkHeight = 120, 22

// SVG implements Figure. What is no number is drawn as 0.
func (p Spark) SVG(title string) string {
	values, high := make([]float64, len(p)), 0.0
	for i, text := range p {
		values[i], _ = strconv.ParseFloat(text, 64)
		high = max(high, values[i])
	}
	points := make([]string, len(values))
	for i, v := range values {
		x := 1 + float64(sparkWidth-2)*float64(i)/float64(max(1, len(values)-1))
		y := 1 + float64(sparkHeight-2)*(1-max(v, 0)/max(high, 1e-12))
		points[i] = fmt.Sprintf("%.1f,%.1f", x, y)
	}
	return fmt.Sprintf(`<svg class="spark" viewBox="0 0 %d %d" role="img" aria-label="%s"><polyline points="%s"/></svg>`,
		sparkWidth, sparkHeight, html.EscapeString(title), strings.Join(points, " "))
}
