package tools

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

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

// TestSavingsOfWaiting: bursts of three nights, of 100 calls of a dollar each, would have cost half in batch: 150
// dollars in the 48 hours from the first of them to the last. A month has 15.2 times as many hours.
func TestSavingsOfWaiting(t *testing.T) {
	var calls []string
	for night := range 3 {
		for n := range 100 {
			at := time.Date(2026, 11, 2+night, 2, 0, n*27/100, 0, time.UTC)
			if night < 2 {
				at = at.Add(27 * time.Second)
			}
			calls = append(calls, fmt.Sprintf(`{"id": "x", "received": %q, "tenant": "acme/nightly", "key": "K7",
				"status": 200, "operation": "invoke", "legs": [{"model": "amazon.nova-pro-v1:0",
				"outcome": "completed", "cost_usd": "1", "tokens": {"input": 1000, "output": 100}}]}`, at.Format(time.RFC3339)))
		}
	}
	requests := harness.File(t, "requests.json", `{"requests": [`+strings.Join(calls, ",")+`]}`)
	args := []string{"savings", "--minutes", harness.File(t, "used.json", used), "--requests", requests}
	got, err := output(t, args...)
	if err != nil || !strings.Contains(got, "acme/nightly  batch, could have waited") ||
		!strings.Contains(got, "a batch job in place of the bursts of key K7") {
		t.Fatalf("%v\n%s", err, got)
	}
	got, err = output(t, append(args, "--format", "json")...)
	if err != nil || strings.Count(got, `_usd": "228`) != 2 { // 2,281.25 without the seconds within bursts
		t.Errorf("%v\n%s", err, got)
	}
	if got, err = output(t, append(args, "--prove", "7d")...); err != nil || strings.Contains(got, "waited") {
		t.Errorf("%v\n%s", err, got)
	}
	if got, err = output(t, append(args, "--tenant", "umbrella")...); err != nil || strings.Contains(got, "waited") {
		t.Errorf("%v\n%s", err, got)
	}
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
	f("no such file", "--minutes", sums, "--requests", "/nonexistent")
	f("is no answer of /api/v1/requests", "--minutes", sums, "--requests", harness.File(t, "x", "[]"))
}
