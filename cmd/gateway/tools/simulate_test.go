package tools

import (
	"errors"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/test/harness"
)

// output runs a command line and returns what it prints.
func output(t *testing.T, args ...string) (string, error) {
	t.Helper()
	return harness.Execute(t, Commands(), args...)
}

var document = []string{
	"simulate", "--requests-per-day", "50000", "--input", "4000", "--output", "600",
	"--light", "claude-3.5-haiku", "--escalation", "claude-3.5-sonnet",
}

// TestSimulateDocument reproduces the worked example from the shipped prices:
// the golden files hold its figures.
func TestSimulateDocument(t *testing.T) {
	f := func(name string, holds []string, more ...string) {
		t.Helper()
		got, err := output(t, append(document[:len(document):len(document)], more...)...)
		if err != nil {
			t.Fatal(err)
		}
		harness.Golden(t, name, got)
		for _, figure := range holds {
			if !strings.Contains(got, figure) {
				t.Errorf("%s lacks %s", name, figure)
			}
		}
	}
	f("simulate-list.txt", []string{"$31,500.00", "$8,400.00", "$13,020.00", "58.7 %", "$14,700.00", "53.3 %"})
	f("simulate-discount.txt", []string{"$20,475.00", "$5,460.00", "$8,463.00", "58.7 %", "53.3 %"},
		"--escalated", "0.2", "--discount", "0.35", "--days", "30", "--target", "0.55")
	f("simulate-observe.txt", []string{"500 after"}, "--observe", "0.001", "--judge", "mistral-large-2407")
	f("simulate-observe.json", []string{`"observe"`}, "--observe", "0.001", "--judge", "mistral-large-2407",
		"--format", "json")
	f("simulate-list.json", []string{`"31500.00"`, `"8400.00"`, `"13020.00"`, `"44/75"`, `"14700.00"`, `"8/15"`},
		"--format", "json")
}

func TestSimulatePrices(t *testing.T) {
	book := harness.File(t, "cheaper $book.yaml",
		"prices:\n  - models: [anthropic.claude-3-5-haiku-20241022-v1:0]\n    effective: 2026-02-01\n    input: 0.0004\n  "+
			"  output: 0.002\n")
	got, err := output(t, append(document[:len(document):len(document)], "--prices", book)...)
	if err != nil || !strings.Contains(got, "$4,200.00") {
		t.Errorf("%v\n%s", err, got)
	}
}

func TestSimulateUsage(t *testing.T) {
	export := harness.File(t, "usage.csv", "from,to,model,requests,legs,input_tokens,output_tokens,unknown\n"+
		"2026-04-01,2026-05-01,a,1500000,1500000,6000000000,900000000,0\n")
	got, err := output(t, "simulate", "--usage", export, "--light", "claude-3.5-haiku", "--escalation",
		"claude-3.5-sonnet")
	if err != nil {
		t.Fatal(err)
	}
	harness.Golden(t, "simulate-list.txt", got)
}

func TestSimulateRefuses(t *testing.T) {
	open := harness.File(t, "open.csv", "from,to,requests,legs\n2026-01-01,2999-01-01,1,1\n")
	silent := harness.File(t, "silent.csv", "requests,legs\n1,1\n")
	f := func(want string, args ...string) {
		t.Helper()
		_, err := output(t, append([]string{"simulate"}, args...)...)
		var bad command.InvalidError
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", args, err, want)
		}
	}
	models := []string{"--light", "nova-lite", "--escalation", "opus"}
	with := func(args ...string) []string { return append(args, models...) }
	f("--requests-per-day or --usage is needed", models...)
	f("--light MODEL is needed", "--requests-per-day", "1", "--escalation", "opus")
	f("no model with a price", "--requests-per-day", "1", "--light", "gpt-nine")
	f(`--escalated: "1/5" is not a decimal`, with("--requests-per-day", "1", "--input", "1", "--escalated", "1/5")...)
	f("share from 0 to 1", with("--requests-per-day", "1", "--input", "1", "--escalated", "1.5")...)
	f("out of range", with("--requests-per-day", "-1")...)
	f("more tokens than can be counted", with("--requests-per-day", "1000000000", "--input", "1000000000")...)
	f("--days must be", with("--requests-per-day", "1", "--days", "0")...)
	f("no format", with("--requests-per-day", "1", "--format", "xml")...)
	f("which is not over", with("--usage", open)...)
	f("does not say how many days", with("--usage", silent)...)
	f("no such file", with("--usage", "/nonexistent")...)
	work := func(args ...string) []string { return append(args, "--requests-per-day", "1", "--input", "1") }
	f("no model with a price", work("--model", "gpt-nine")...)
	f("no model with a price", work("--model", "claude-3.5-sonnet", "--tier", "flex")...)
	f("--batch, must be a share", work("--model", "nova-pro", "--batch", "1.5")...)
	f("--cache-hit: ", work("--cache-hit", "-1")...)
	f("no price of model units", "--provisioned", "free")
	f("no price of SageMaker instances", "--sagemaker", "-3")
	f("--units is from 0", "--provisioned", "3", "--units", "-1")
	f("more tokens than can be counted", "--seats", "1000000000", "--requests-per-day", "1000000000", "--days", "3660")
	f("a chain has from 1 to 1,000 calls", work("--model", "nova-pro", "--calls", "5000")...)
	f("which guardrail policy", "--guardrail", "luck")
	f("a unit price is NAME=USD", "--custom-model", "1", "--unit-price", "oil=3")
	f("no embedding model with a price", "--knowledge-base", "1", "--embedding", "nothing")
	f("no such file", with("--requests-per-day", "1", "--prices", "/nonexistent")...)
}
