package celltext

import "testing"

func TestNoFormula(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "=1+1": "'=1+1", "+1": "'+1", "-1": "'-1", "@a": "'@a", "\ta": "'\ta", "\ra": "'\ra", "a=1": "a=1",
		"é": "é", "\xff": "\xff",
	} {
		if got := NoFormula(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{"": "", "a é": "a é", "a\x1b[2J\tb\n": "a\uFFFD[2J\uFFFDb\uFFFD"} {
		if got := Printable(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
