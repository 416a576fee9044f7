package variables

import (
	"slices"
	"testing"
)

func TestExpand(t *testing.T) {
	env := func(name string) string { return map[string]string{"SET": "value"}[name] }
	f := func(in, want string, wantGaps ...int) {
		t.Helper()
		got, gaps := Expand(in, env)
		var at []int
		for _, g := range gaps {
			at = append(at, g.Offset)
		}
		if got != want || !slices.Equal(at, wantGaps) {
			t.Errorf("Expand(%q) = %q, gaps %v, want %q, %v", in, got, at, want, wantGaps)
		}
	}
	f("", "")
	f("$", "$")
	f("a$b", "a$b")
	f("$SET", "$SET", 0)
	f("$NO", "$NO")
	f("$SET/x", "$SET/x")
	f("$$SET", "$SET")
	f("$$", "$")
	f("$${SET}", "${SET}")
	f("$$$$", "$$")
	f("${SET}", "value")
	f("x${SET}y${SET:-z}", "xvalueyvalue")
	f("${NO:-}", "")
	f("${NO:-a:-b}", "a:-b")
	f("${NO}", "", 0)
	f("é${NO}${NO}", "é", 2, 7)
	f("${SET", "SET", 0)
	f("${}", "}", 0)
	f("${9}", "9}", 0)
}
