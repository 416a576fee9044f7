package report

import (
	"bytes"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/bench/stats"
)

func TestComparison(t *testing.T) {
	c := Comparison{Old: "v1", New: "v2"}
	c.Add("full/2k",
		map[string]stats.Series{CPU: {1: 100, 2: 200, 3: 110}, Allocs: {1: 160, 2: 160}},
		map[string]stats.Series{CPU: {1: 50, 2: 90, 3: 55}, Allocs: {1: 40, 2: 40}})
	var b bytes.Buffer
	if err := c.Markdown(&b); err != nil {
		t.Fatal(err)
	}
	want := "| full/2k | 0.500 [0.475–0.500] | 110 → 55.0 | 160 → 40.0 | – → – |"
	if got := spaces.ReplaceAllString(b.String(), " "); !strings.Contains(got, want) {
		t.Errorf("no %q in\n%s", want, got)
	}
}
