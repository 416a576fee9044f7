package chart

import (
	"regexp"
	"testing"
)

// TestBandsAreLevel: the bounds of what is expected are level lines over their own bar. They were drawn across the
// whole picture.
func TestBandsAreLevel(t *testing.T) {
	b := &Bars{
		Labels: []string{"2026-11-01", "2026-11-02"}, Parts: []Series{{Name: "escalated, %", Values: []float64{10, 12}}},
		Band: []Range{{8, 13}, {9, 14}},
	}
	lines := regexp.MustCompile(`<line x1="([\d.]+)" x2="([\d.]+)" y1="([\d.]+)" y2="([\d.]+)" class="mark">`).
		FindAllStringSubmatch(b.SVG("t"), -1)
	if len(lines) != 4 {
		t.Fatalf("%d bounds", len(lines))
	}
	for _, l := range lines {
		if l[3] != l[4] || l[1] == l[2] {
			t.Errorf("a bound is from %s,%s to %s,%s", l[1], l[3], l[2], l[4])
		}
	}
}
