package tools

import (
	"errors"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/test/harness"
)

// used has two minutes that are 73 hours less a minute apart: a month is ten times as much.
const used = `{"minutes": [
{"minute": "2026-11-02T00:00:00Z", "root": "acme", "model": "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
 "input_tokens": 1000000, "output_tokens": 1000000, "cost_usd": "19.80"},
{"minute": "2026-11-05T00:59:00Z", "root": "umbrella", "model": "amazon.nova-pro-v1:0",
 "input_tokens": 10000000, "output_tokens": 1000000, "cost_usd": "11.20"}]}`

// TestSavings: 19.80 dollars would be 18 as global profile, 11.20 the half in flex or batch.
func TestSavings(t *testing.T) {
	file := harness.File(t, "used.json", used)
	f := func(holds, lacks []string, more ...string) {
		t.Helper()
		got, err := output(t, append([]string{"savings", "--minutes", file}, more...)...)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range holds {
			if !strings.Contains(got, text) {
				t.Errorf("%q lacks %q:\n%s", more, text, got)
			}
		}
		for _, text := range lacks {
			if strings.Contains(got, text) {
				t.Errorf("%q has %q:\n%s", more, text, got)
			}
		}
	}
	f([]string{"$18.00", "$0.00 to $56.00", "$0.00 to $99.00", "residency: any"}, nil)
	f([]string{"$18.00"}, []string{"umbrella"}, "--tenant", "acme")
	f([]string{"$19.80", "$18.00", "$1.80"}, []string{"flex", "batch"}, "--prove", "7d")
	f([]string{"nothing: no lever"}, []string{"acme"}, "--prove", "1h")
	f([]string{`"saved_usd": "1.80"`, `"per": "period"`}, []string{"flex"}, "--prove", "7d", "--format", "json")
}

func TestSavingsRefuses(t *testing.T) {
	f := func(want string, args ...string) {
		t.Helper()
		_, err := output(t, append([]string{"savings"}, args...)...)
		var bad command.InvalidError
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", args, err, want)
		}
	}
	f("no format", "--format", "xml")
	f("--prove is how long ago", "--minutes", sums, "--prove", "week")
	f("--config FILE or --admin ADDR is needed")
	f("no such file", "--minutes", "/nonexistent")
	f("no such file", "--minutes", sums, "--prices", "/nonexistent")
}
