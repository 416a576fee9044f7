package test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/test/harness"
)

// repository returns the directory of go.mod.
func repository(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the test")
		}
		dir = filepath.Dir(dir)
	}
}

func readFile(t *testing.T, elem ...string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(append([]string{repository(t)}, elem...)...))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// filesBelow returns the paths below dir, relative to the repository, that end
// with one of the suffixes.
func filesBelow(t *testing.T, dir string, suffixes ...string) []string {
	t.Helper()
	root := repository(t)
	var found []string
	err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if slices.ContainsFunc(suffixes, func(s string) bool { return strings.HasSuffix(path, s) }) {
			path, err = filepath.Rel(root, path)
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// documents decodes every document of a YAML or JSON file.
func documents(t *testing.T, path string) []any {
	t.Helper()
	data := readFile(t, path)
	if strings.HasSuffix(path, ".json") {
		var v any
		if err := json.Unmarshal(data, &v); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		return []any{v}
	}
	var all []any
	for dec := yaml.NewDecoder(bytes.NewReader(data)); ; {
		var v any
		switch err := dec.Decode(&v); {
		case errors.Is(err, io.EOF):
			return all
		case err != nil:
			t.Errorf("%s: %v", path, err)
			return all
		}
		all = append(all, v)
	}
}

// TestDeployFilesParse reads every YAML and JSON file that a deployment takes.
func TestDeployFilesParse(t *testing.T) {
	files := append(filesBelow(t, "deploy", ".yaml", ".yml", ".json"), "docker-compose.yml")
	files = slices.DeleteFunc(files, func(path string) bool { return strings.Contains(path, "/templates/") })
	if len(files) < 10 {
		t.Fatalf("found only %d files: %v", len(files), files)
	}
	for _, path := range files {
		if docs := documents(t, path); len(docs) == 0 || docs[0] == nil {
			t.Errorf("%s is empty", path)
		}
	}
}

// valuesOf yields the strings under a key, at any depth.
func valuesOf(v any, key string, yield func(string)) {
	switch v := v.(type) {
	case map[string]any:
		for k, child := range v {
			if text, ok := child.(string); ok && k == key {
				yield(text)
			}
			valuesOf(child, key, yield)
		}
	case []any:
		for _, child := range v {
			valuesOf(child, key, yield)
		}
	}
}

// TestStopsAreLongEnough (E6): whoever stops a gateway waits for what docs/operations.md names
// before it kills: preStop, twice timeouts.drain, and what is waited for besides.
func TestStopsAreLongEnough(t *testing.T) {
	const besides = 20 * time.Second
	match := func(pattern, text string) string {
		t.Helper()
		found := regexp.MustCompile(pattern).FindStringSubmatch(text)
		if found == nil {
			return ""
		}
		return found[1]
	}
	span := func(text string) time.Duration {
		t.Helper()
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	const drain, grace = `drain: ([0-9a-z]+)`, `terminationGracePeriodSeconds: ([0-9]+)`
	const unit, sleep = `TimeoutStopSec=([0-9a-z]+)`, `sleep: \{seconds: ([0-9]+)\}`
	const usual = "5m" // of timeouts.drain
	text := func(elem ...string) string { return string(readFile(t, elem...)) }
	chart := text("deploy", "helm", "sluice", "templates", "statefulset.yaml")
	example := text("deploy", "kubernetes", "statefulset.yaml")
	values := text("deploy", "helm", "sluice", "values.yaml")
	most := text("deploy", "helm", "sluice", "ci", "most-values.yaml")
	for name, c := range map[string]struct{ drain, stop, sleep string }{
		"values.yaml":      {match(drain, values), match(grace, values) + "s", match(sleep, chart) + "s"},
		"most-values.yaml": {usual, match(grace, most) + "s", match(sleep, chart) + "s"},
		"kubernetes": {match(drain, text("deploy", "kubernetes", "configmap.yaml")), match(grace, example) + "s",
			match(sleep, example) + "s"},
		"sluice.service":  {usual, match(unit, text("deploy", "systemd", "sluice.service")), "0s"},
		"sluice@.service": {usual, match(unit, text("deploy", "systemd", "sluice@.service")), "0s"},
	} {
		if want := span(c.sleep) + 2*span(c.drain) + besides; span(c.stop) < want {
			t.Errorf("%s: killed after %s, want at least %v", name, c.stop, want)
		}
	}
}

// TestDeployConfigurationsLoad loads what the examples give to the gateway.
func TestDeployConfigurationsLoad(t *testing.T) {
	env := map[string]string{"SLUICE_ADMIN_TOKEN": "token", "SLUICE_REDIS_URL": "rediss://redis.example.com:6379/0"}
	getenv := func(name string) string { return env[name] }
	f := func(name string, data []byte) {
		t.Helper()
		if _, err := config.Load(harness.File(t, filepath.Base(name), string(data)), getenv); err != nil {
			t.Errorf("%s:\n%v", name, err)
		}
	}
	f("deploy/sluice/sluice.yaml", readFile(t, "deploy", "sluice", "sluice.yaml"))
	var inMap []string
	for _, doc := range documents(t, "deploy/kubernetes/configmap.yaml") {
		valuesOf(doc, "sluice.yaml", func(s string) { inMap = append(inMap, s) })
	}
	if len(inMap) != 1 {
		t.Fatalf("the ConfigMap holds %d configurations, want 1", len(inMap))
	}
	f("configmap.yaml", []byte(inMap[0]))
	for _, path := range append(filesBelow(t, "deploy/helm/sluice/ci", ".yaml"), "deploy/helm/sluice/values.yaml") {
		values, _ := documents(t, path)[0].(map[string]any)
		if text, ok := values["config"].(string); ok {
			f(path, []byte(text))
		}
	}
	for _, name := range []string{"README.md", "docs/operations.md", "docs/security.md"} {
		for _, block := range fenced(readFile(t, name), "yaml") {
			f(name, block)
		}
	}
	if len(fenced(readFile(t, "README.md"), "yaml")) == 0 {
		t.Error("README.md shows no configuration")
	}
}

// fenced returns the code blocks of a language.
func fenced(markdown []byte, language string) [][]byte {
	var blocks [][]byte
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```").FindAllSubmatch(markdown, -1) {
		blocks = append(blocks, m[1])
	}
	return blocks
}

// instruments reads names and labels of all metrics from the source that makes
// them, so that the test sees also those that have no value yet.
func instruments(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	add := func(literals []string, kind string) {
		if len(literals) < 2 || !strings.HasPrefix(literals[0], "sluice_") {
			return
		}
		name, labels := literals[0], literals[2:]
		if kind != "histogram" {
			found[name] = labels
			return
		}
		found[name+"_bucket"] = append(labels, "le")
		found[name+"_sum"], found[name+"_count"] = labels, labels
	}
	for _, path := range filesBelow(t, filepath.Join("internal", "telemetry"), ".go") {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(repository(t), path), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				if s, ok := n.Fun.(*ast.SelectorExpr); ok {
					add(literals(n.Args), s.Sel.Name)
				}
			case *ast.CompositeLit:
				add(tableRow(n.Elts), "")
			}
			return true
		})
	}
	if len(found) < 20 {
		t.Fatalf("found only %d instruments: the test reads the source wrongly", len(found))
	}
	return found
}

// tableRow reads name, help and labels of a row in one of the tables of instruments: {name, labels, help} of a counter
// or of a gauge per cascade, {name, help} of any other gauge.
func tableRow(row []ast.Expr) []string {
	texts := literals(row)
	if len(row) < 3 || len(texts) < 2 {
		return texts
	}
	return append([]string{texts[0], ""}, strings.Fields(texts[1])...)
}

func literals(exprs []ast.Expr) []string {
	var texts []string
	for _, e := range exprs {
		if lit, ok := e.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			text, err := strconv.Unquote(lit.Value)
			if err != nil {
				panic("BUG: the parser accepted " + lit.Value)
			}
			texts = append(texts, text)
		}
	}
	return texts
}

var (
	metricForm   = regexp.MustCompile(`\bsluice_[a-z0-9_]+`)
	selectorForm = regexp.MustCompile(`\b(sluice_[a-z0-9_]+)\{([^}]*)\}`)
	matcherForm  = regexp.MustCompile(`([a-z_]+)\s*(?:=~|!~|!=|=)\s*"`)
	groupForm    = regexp.MustCompile(`\b(?:by|ignoring) \(?([a-z_, ]+)\)`)
)

// scraped are the labels that Prometheus itself adds.
var scraped = []string{"instance", "job"}

// checkExpression reports metrics and labels of a PromQL expression that no
// instrument has. A label of a group must belong to a metric of the expression.
func checkExpression(known map[string][]string, expr string) []string {
	var faults []string
	labels := slices.Clone(scraped)
	for _, name := range metricForm.FindAllString(expr, -1) {
		if _, ok := known[name]; !ok {
			faults = append(faults, "no metric "+name)
		}
		labels = append(labels, known[name]...)
	}
	for _, m := range selectorForm.FindAllStringSubmatch(expr, -1) {
		for _, l := range matcherForm.FindAllStringSubmatch(m[2], -1) {
			if !slices.Contains(known[m[1]], l[1]) && !slices.Contains(scraped, l[1]) {
				faults = append(faults, m[1]+" has no label "+l[1])
			}
		}
	}
	for _, m := range groupForm.FindAllStringSubmatch(expr, -1) {
		for l := range strings.SplitSeq(m[1], ",") {
			if l = strings.TrimSpace(l); !slices.Contains(labels, l) {
				faults = append(faults, "no metric of it has the label "+l)
			}
		}
	}
	return faults
}

// TestDashboardsAndRulesNameRealMetrics compares every expression of dashboards
// and alert rules with what the gateway shows at /metrics.
func TestDashboardsAndRulesNameRealMetrics(t *testing.T) {
	known := instruments(t)
	files := append(filesBelow(t, "deploy/grafana/dashboards", ".json"), "deploy/prometheus/rules.yml")
	used, n := map[string]bool{}, 0
	for _, path := range files {
		for _, doc := range documents(t, path) {
			for _, key := range []string{"expr", "query"} {
				valuesOf(doc, key, func(expr string) {
					n++
					for _, fault := range checkExpression(known, expr) {
						t.Errorf("%s: %s: %s", path, expr, fault)
					}
					for _, name := range metricForm.FindAllString(expr, -1) {
						used[name] = true
					}
				})
			}
		}
	}
	if n < 20 || len(used) < 15 {
		t.Errorf("read %d expressions with %d metrics: the test reads the files wrongly", n, len(used))
	}
}

func TestCheckExpressionFindsFaults(t *testing.T) {
	known := map[string][]string{"sluice_a_total": {"status"}, "sluice_h_bucket": {"le"}}
	f := func(expr string, faults int) {
		t.Helper()
		if got := checkExpression(known, expr); len(got) != faults {
			t.Errorf("%s: %v, want %d faults", expr, got, faults)
		}
	}
	f(`sum by (status) (rate(sluice_a_total{status="5xx",instance=~"x"}[5m]))`, 0)
	f(`histogram_quantile(0.9, sum by (instance, le) (rate(sluice_h_bucket[5m])))`, 0)
	f(`up{job="sluice"} == 0`, 0)
	f(`rate(sluice_b_total[5m])`, 1)
	f(`rate(sluice_a_total{state="5xx"}[5m])`, 1)
	f(`sum by (tenant) (rate(sluice_a_total[5m]))`, 1)
}

// TestEveryAlertHasARunbook looks for a section of each alert's name.
func TestEveryAlertHasARunbook(t *testing.T) {
	runbook := string(readFile(t, "docs", "operations.md"))
	var alerts []string
	for _, doc := range documents(t, "deploy/prometheus/rules.yml") {
		valuesOf(doc, "alert", func(name string) { alerts = append(alerts, name) })
	}
	if len(alerts) == 0 {
		t.Fatal("there are no alerts")
	}
	for _, name := range alerts {
		if !strings.Contains(runbook, "\n### "+name+"\n") {
			t.Errorf("docs/operations.md has no section %q", name)
		}
	}
}

// TestEveryMetricIsDescribed compares the table in docs/operations.md with the
// instruments, both ways.
func TestEveryMetricIsDescribed(t *testing.T) {
	runbook := string(readFile(t, "docs", "operations.md"))
	known := instruments(t)
	for name := range known {
		base := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_sum"), "_count")
		if !strings.Contains(runbook, "`"+base+"`") && !strings.Contains(runbook, "`"+name+"`") {
			t.Errorf("docs/operations.md does not describe %s", name)
		}
	}
	for _, name := range metricForm.FindAllString(runbook, -1) {
		if _, ok := known[name]; !ok && known[name+"_bucket"] == nil {
			t.Errorf("docs/operations.md names %s, which does not exist", name)
		}
	}
}

// TestErrorTextsExist looks for each text of the error table in the code. An
// ellipsis stands for what changes.
func TestErrorTextsExist(t *testing.T) {
	_, section, ok := strings.Cut(string(readFile(t, "docs", "operations.md")), "\n## Errors that callers get\n")
	if !ok {
		t.Fatal("docs/operations.md has no table of error texts")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var code strings.Builder
	for _, path := range filesBelow(t, "internal", ".go") {
		if !strings.HasSuffix(path, "_test.go") {
			code.Write(readFile(t, path))
		}
	}
	rows := regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(section, -1)
	if len(rows) < 15 {
		t.Fatalf("found only %d texts", len(rows))
	}
	for _, row := range rows {
		for piece := range strings.SplitSeq(row[1], "…") {
			if !strings.Contains(code.String(), piece) {
				t.Errorf("the code does not say %q", piece)
			}
		}
	}
}

var linkForm = regexp.MustCompile(`\]\(([^)#\s]+)(?:#[^)]*)?\)`)

// TestDocumentLinks follows every relative link of the documentation.
func TestDocumentLinks(t *testing.T) {
	files := append(filesBelow(t, "docs", ".md"), "README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
	links := 0
	for _, path := range files {
		for _, m := range linkForm.FindAllSubmatch(readFile(t, path), -1) {
			target := string(m[1])
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			links++
			if _, err := os.Stat(filepath.Join(repository(t), filepath.Dir(path), target)); err != nil {
				t.Errorf("%s links to %s: %v", path, target, err)
			}
		}
	}
	if links == 0 {
		t.Error("found no links")
	}
}

// TestReadmeShowsMakeHelp compares the README's list of targets with the
// Makefile's.
func TestReadmeShowsMakeHelp(t *testing.T) {
	var want strings.Builder
	for _, m := range regexp.MustCompile(`(?m)^([a-z0-9-]+):.*## (.*)$`).FindAllSubmatch(readFile(t, "Makefile"), -1) {
		fmt.Fprintf(&want, "%-13s %s\n", m[1], m[2])
	}
	if want.Len() == 0 {
		t.Fatal("the Makefile describes no target")
	}
	if !strings.Contains(string(readFile(t, "README.md")), want.String()) {
		t.Errorf("README.md does not show what `make help` prints:\n%s", want.String())
	}
}
