package answer

import (
	"strings"
	"testing"
)

// TestLargeAnswers ends on answers that open much and close little: nothing is read
// more often than a fixed number of times.
func TestLargeAnswers(t *testing.T) {
	for _, s := range []string{
		strings.Repeat(`{"a":`, 200_000), "x\n" + strings.Repeat("[\n", 500_000),
		strings.Repeat(`{"a":1} `, 200_000),
		strings.Repeat(`\boxed{1} `, 100_000), strings.Repeat("[1\n", 300_000),
		strings.Repeat("<thinking>a</thinking>", 50_000),
		`{"a":` + strings.Repeat("[", 400_000) + strings.Repeat("]", 400_000) + "}",
	} {
		a := &Answer{Text: s}
		Check(&Request{}, a, nil, Options{})
		if k := KeyOf(&Request{}, a); k.Kind != NoKey && k.Kind != FinalKey {
			t.Errorf("%.20q…: key %v", s, k.Kind)
		}
	}
}
