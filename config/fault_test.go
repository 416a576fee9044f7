package config

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestReport checks the column of a problem inside a scalar, for each way that
// a scalar can be written: the character at the offset must be the one below
// the caret.
func TestReport(t *testing.T) {
	c := mustParse(t, strings.Join([]string{
		`cascades:`,
		`  - {name: plain, match: request.x == "é" && ! y, light: a, escalation: b}`,
		`  - {name: double, match: "request.x == \"é\" && ! y", light: a, escalation: b}`,
		`  - {name: single, match: 'request.x == ''é'' && ! y', light: a, escalation: b}`,
		`  - name: block`,
		`    match: |`,
		`      request.x ==`,
		`        "é" && ! y`,
		`    light: a`,
		`    escalation: b`,
		`  - name: folded`,
		`    match: request.x ==`,
		`      ! y`,
		`    light: a`,
		`    escalation: b`,
	}, "\n"))
	f := func(path string, line int, under string) {
		t.Helper()
		var match string
		for i := range c.Cascades {
			if path == member2("cascades", i)+".match" {
				match = c.Cascades[i].Match
			}
		}
		err := c.Report([]Problem{{Path: path, Offset: strings.Index(match, "!"), Message: "no"}})
		var faults *Error
		if !errors.As(err, &faults) {
			t.Fatal(err)
		}
		at := faults.Faults[0]
		if got := string([]rune(at.Text)[at.Column-1]); at.Line != line || got != under {
			t.Errorf("%s: line %d column %d %q, want line %d %q", path, at.Line, at.Column, got, line, under)
		}
	}
	f("cascades[0].match", 2, "!")
	f("cascades[1].match", 3, "!")
	f("cascades[2].match", 4, "!")
	f("cascades[3].match", 8, "!")
	f("cascades[4].match", 12, "r") // folded: the start of the scalar
}

func member2(path string, i int) string { return path + "[" + string(rune('0'+i)) + "]" }

func TestReportForm(t *testing.T) {
	c := mustParse(t, "tenants:\n\n  - id: a\naliases: {\"x.y\": b}\n")
	warning := Problem{Path: "tenants[0].id", Message: "odd", Warning: true}
	if err := c.Report([]Problem{warning}); err != nil {
		t.Error(err)
	}
	if err := c.Report(nil); err != nil || c.Render(nil) != "" {
		t.Error(err)
	}
	want := `sluice.yaml:1:1: error: timeouts.idle: nowhere
    1 | tenants:
      | ^
sluice.yaml:3:9: warning: tenants[0].id: odd
    3 |   - id: a
      |         ^
sluice.yaml:4:18: error: aliases["x.y"]: bad
    4 | aliases: {"x.y": b}
      |                  ^
2 errors, 1 warning`
	problems := []Problem{
		{Path: `aliases["x.y"]`, Message: "bad"},
		warning,
		{Path: "timeouts.idle", Message: "nowhere"},
	}
	err := c.Report(problems)
	if err == nil || err.Error() != want || c.Render(problems) != want {
		t.Errorf("got\n%v", err)
	}
	if got := (&Config{}).Render([]Problem{{Path: "a", Message: "m"}}); got != "error: a: m\n1 error" {
		t.Errorf("%q", got)
	}
}

func TestAt(t *testing.T) {
	c := mustParse(t, "aliases: {a: b}\ntenants:\n  - id: x\n    budgets: [{period: day, usd: 1}]\n")
	f := func(path string, line, column int) {
		t.Helper()
		if got := c.At(path); got.Line != line || got.Column != column || got.File != "sluice.yaml" {
			t.Errorf("At(%q) = %+v, want %d:%d", path, got, line, column)
		}
	}
	f("aliases", 1, 10)
	f(`aliases["a"]`, 1, 14)
	f("aliases.a", 1, 14)
	f("tenants[0]", 3, 5)
	f("tenants[0].id", 3, 9)
	f("tenants[0].budgets[0].usd", 4, 34)
	f("tenants[0].budgets[0].time_zone", 4, 15) // a default: what is around it
	f("tenants[9].id", 3, 3)
	f("listen", 1, 1)
	f("", 1, 1)
}

func TestCaret(t *testing.T) {
	f := func(text string, column, width int, want string) {
		t.Helper()
		if got := caret(text, column, width); got != want {
			t.Errorf("caret(%q, %d, %d) = %q, want %q", text, column, width, got, want)
		}
	}
	f("abc", 1, 1, "^")
	f("abc", 2, 9, " ^^")
	f("\tabc", 2, 1, "\t^")
	f("éa", 2, 1, " ^")
	f("", 5, 0, "^")
}

// What other packages find is reported beside the loader's own mistakes, unless it
// follows from one.
func TestWith(t *testing.T) {
	_, err := load(&decoder{env: func(string) string { return "" }}, "a.yaml",
		[]byte("upstream: {region: r}\ntenants:\n  - id: 5/\n    keys: [k]\nnonsense: 1\n"))
	var faulty *Error
	if !errors.As(err, &faulty) {
		t.Fatal(err)
	}
	all := faulty.With([]Problem{
		{Path: "tenants[0].id", Message: "the same again"},
		{Path: "tenants[0].keys[0]", Message: "no key"},
		{Path: "tenants[0].keys", Message: "a warning", Warning: true},
	})
	var got []string
	for _, f := range all.Faults {
		got = append(got, fmt.Sprintf("%d:%d %s", f.Line, f.Column, f.Path))
	}
	want := []string{"3:9 tenants[0].id", "4:11 tenants[0].keys", "4:12 tenants[0].keys[0]", "5:1 "}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
