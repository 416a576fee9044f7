package router

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/config"
)

var update = flag.Bool("update", false, "write the golden files")

// TestProblems compares every message with testdata/problems.golden.
func TestProblems(t *testing.T) {
	cfg := baseConfig()
	cfg.Aliases = map[string]string{"auto": sonnet, "amazon.nova-lite-v1:0": sonnet}
	cfg.Models = append(cfg.Models, config.Model{IDs: []string{"x.*"}, Dialect: "klingon"})
	sources := []string{
		`request.input_tokens > `,
		`request.modle == "auto"`,
		`requst.model == "auto"`,
		`request.model == 3`,
		`request.model`,
		`request.input_tokens > "many"`,
		"request.text == \"é\" &&\n  request.nothing > 3 && request.neither",
		`request.text == "é" && request.nothing`,
		`request.text.matches("(")`,
		`now > timestamp("tomorrow")`,
		`request.headers["x-team"] == "a"`,
		`"x-team" in request.headers && request.headers["x-team"] == "a"`,
		`1 / 0 > 2`,
		`request == request`,
		`sluice.Request{model: "x"}.stream`,
		nested(),
		``,
	}
	cfg.Cascades = []config.Cascade{{Name: "c", Mode: "check", Match: "true", Light: haiku, Escalation: sonnet}}
	for i, source := range sources {
		rule := config.Rule{ID: fmt.Sprintf("r%d", i), If: source}
		cfg.Cascades[0].EscalateIf = append(cfg.Cascades[0].EscalateIf, rule)
	}
	cfg.Cascades = append(cfg.Cascades, config.Cascade{
		Name: "d", Mode: "check", Match: "request.turns", Light: "us." + lite,
		Escalation: "us.meta.llama3-3-70b-instruct-v1:0",
	})
	_, problems := Compile(cfg)
	compareGolden(t, "testdata/problems.golden", render(cfg, problems))
}

// nested is far too expensive on any request.
func nested() string {
	list := "[0" + strings.Repeat(", 0", 99) + "]"
	return list + ".all(a, " + list + ".all(b, " + list + ".all(c, a + b + c == 0)))"
}

func render(cfg *config.Config, problems []config.Problem) string {
	var out strings.Builder
	for _, p := range problems {
		kind := "error"
		if p.Warning {
			kind = "warning"
		}
		fmt.Fprintf(&out, "%s %s +%d: %s\n", kind, p.Path, p.Offset, p.Message)
		var cascade, rule int
		if n, _ := fmt.Sscanf(p.Path, "cascades[%d].escalate_if[%d].if", &cascade, &rule); n == 2 {
			source := cfg.Cascades[cascade].EscalateIf[rule].If
			fmt.Fprintf(&out, "\t%.60q\n", source[p.Offset:])
		}
	}
	return out.String()
}

func compareGolden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}
