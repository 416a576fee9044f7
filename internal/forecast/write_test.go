package forecast

import (
	"bytes"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/internal/money"
)

// TestNoFormulas: what somebody else chose is no formula to a spreadsheet, and amounts below zero stay numbers.
func TestNoFormulas(t *testing.T) {
	var out bytes.Buffer
	err := Write(&out, "csv", []State{{
		Tenant: "acme", Key: "=cmd|x", Left: -money.Dollar, Notes: []string{"@note"}, BurnPerHour: -2 * money.Dollar,
		Forecast: Range{Known: true},
	}})
	_, line, _ := strings.Cut(out.String(), "\n")
	if err != nil || !strings.HasPrefix(line, "acme,'=cmd|x,") || !strings.Contains(line, ",-1.00,") ||
		!strings.Contains(line, ",-2.00,") || !strings.Contains(line, ",'@note") {
		t.Errorf("%v: %s", err, line)
	}
}
