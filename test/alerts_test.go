package test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/test/harness"
)

// promtool is Prometheus' own checker, from the PATH or where make test-tools puts it.
func promtool(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"promtool", filepath.Join(harness.Root(t), ".tools", "bin", "promtool")} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("there is no promtool; make test-tools fetches it where there is apt")
	return ""
}

func works(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Errorf("%s %v: %v\n%s", filepath.Base(name), args, err, out)
	}
}

// TestAlertsFire runs the cases of deploy/prometheus/rules_test.yml: each alert of money
// fires when it should, says what it should, and is quiet beside.
func TestAlertsFire(t *testing.T) {
	rules := filepath.Join(harness.Root(t), "deploy", "prometheus")
	works(t, promtool(t), "check", "rules", filepath.Join(rules, "rules.yml"))
	works(t, promtool(t), "test", "rules", filepath.Join(rules, "rules_test.yml"))
}

// TestBoardsAreExpressions has Prometheus parse every expression of the boards.
func TestBoardsAreExpressions(t *testing.T) {
	tool := promtool(t)
	variables := strings.NewReplacer("$__rate_interval", "5m", "$__range", "1h", "$__interval", "1m", "$tenant", ".*")
	var b strings.Builder
	b.WriteString("groups:\n  - name: boards\n    rules:\n")
	n := 0
	for _, path := range filesBelow(t, "deploy/grafana/dashboards", ".json") {
		for _, doc := range documents(t, path) {
			valuesOf(doc, "expr", func(expr string) {
				n++
				fmt.Fprintf(&b, "      - {record: \"board:%d\", expr: %q}\n", n, variables.Replace(expr))
			})
		}
	}
	if n < 40 {
		t.Fatalf("%d expressions: the test reads the boards wrongly", n)
	}
	works(t, tool, "check", "rules", harness.File(t, "boards.yml", b.String()))
}
