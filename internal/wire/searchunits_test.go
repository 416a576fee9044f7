package wire_test

import (
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/internal/wire"
)

// TestSearchUnits counts what a rerank is billed by. M7.
func TestSearchUnits(t *testing.T) {
	f := func(documents string, want int64) {
		t.Helper()
		body := `{"query":"x","documents":[` + documents + `],"top_n":3}`
		if got := wire.SearchUnits([]byte(body)); got != want {
			t.Errorf("%.40s: %d units, want %d", documents, got, want)
		}
	}
	many := func(n int, document string) string { return strings.TrimSuffix(strings.Repeat(document+",", n), ",") }
	f("", 1)
	f(`"a","b"`, 1)
	f(many(100, `"a"`), 1)
	f(many(101, `"a"`), 2)
	f(many(60, `{"text":"`+strings.Repeat("a", 3000)+`"}`), 2)
}
