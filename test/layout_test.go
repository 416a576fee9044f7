package test

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/test/harness"
)

const module = "github.com/sluice-gateway/sluice/"

// layers is who may import whom: a package imports only from layers below its
// own. Longer prefixes win.
var layers = map[string]int{
	"cmd/gateway":              9,
	"internal/server":          8,
	"internal/dashboard":       8,
	"internal/report":          8,
	"internal/explain":         8,
	"internal/simulate":        8,
	"internal/gateway":         7,
	"internal/meter/redis":     6, // adapters stand above what they adapt to
	"internal/meter/embedded":  6,
	"internal/engine/bedrock":  6,
	"internal/engine/sandbox":  6,
	"internal/telemetry":       6,
	"internal/saving":          5,
	"internal/router":          5,
	"internal/cascade":         5,
	"internal/cascade/train":   6, // it fits what the others use
	"internal/cascade/parts":   4, // the cascade's tools stand below it
	"internal/cascade/score":   4,
	"internal/cascade/pairs":   4,
	"internal/cascade/answer":  3,
	"internal/cascade/verdict": 3,
	"internal/engine":          4,
	"internal/meter":           4,
	"internal/tenant":          4,
	"internal/meter/journal":   3,
	"internal/sigv4":           3,
	"internal/wire":            2,
	"config":                   1,
	"internal/money":           0,
	"internal/glob":            0,
}

// owners is who alone may import an outside library.
var owners = map[string][]string{
	"github.com/valyala/fasthttp":        {"internal/server", "internal/engine/bedrock"},
	"github.com/aws/aws-sdk-go-v2":       {"internal/engine/bedrock"},
	"github.com/redis/go-redis":          {"internal/meter/redis"},
	"go.opentelemetry.io/otel/sdk":       {"internal/telemetry"},
	"go.opentelemetry.io/otel/exporters": {"internal/telemetry"},
	"cel.dev/cel-go":                     {"internal/router"},
	"github.com/goccy/go-yaml":           {"config", "internal/engine/sandbox"},
	"github.com/spf13/cobra":             {"cmd/gateway"},
	"github.com/google/cel-go":           {},
	"golang.org/x/net/http2":             {},
}

// TestImportsPointOneWay reads the imports of all non-test files.
func TestImportsPointOneWay(t *testing.T) {
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", "./...")
	cmd.Dir = harness.Root(t)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		from := strings.TrimPrefix(p.ImportPath, module)
		if strings.HasPrefix(from, "test/") || from == "test" || strings.HasPrefix(from, "bench") || strings.HasSuffix(from, "test") {
			continue
		}
		for _, to := range p.Imports {
			checkImport(t, from, to)
		}
	}
}

func checkImport(t *testing.T, from, to string) {
	t.Helper()
	if inside, ok := strings.CutPrefix(to, module); ok {
		if !strings.HasPrefix(inside, from+"/") && !strings.HasPrefix(from, inside+"/") && layer(t, inside) >= layer(t, from) {
			t.Errorf("%s (layer %d) imports %s (layer %d)", from, layer(t, from), inside, layer(t, inside))
		}
		if from == "config" && inside != "internal/money" {
			t.Errorf("config imports %s", inside)
		}
		return
	}
	for library, allowed := range owners {
		if to != library && !strings.HasPrefix(to, library+"/") {
			continue
		}
		for _, owner := range allowed {
			if from == owner || strings.HasPrefix(from, owner+"/") {
				return
			}
		}
		t.Errorf("%s imports %s, which only %v may", from, to, allowed)
	}
}

func layer(t *testing.T, pkg string) int {
	t.Helper()
	best, found := 0, ""
	for prefix, n := range layers {
		if (pkg == prefix || strings.HasPrefix(pkg, prefix+"/")) && len(prefix) > len(found) {
			best, found = n, prefix
		}
	}
	if found == "" {
		t.Errorf("package %s has no layer: give it one", pkg)
	}
	return best
}
