package test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/test/harness"
)

const module = "github.com/sluice-gateway/sluice/"

// layers is who may import whom: a package imports only from layers below its
// own. A package has the layer of the longest entry that its path begins with;
// packages of one entry may import each other.
var layers = map[string]int{
	"cmd/gateway":                    100,
	"cmd/gateway/serving":            96, // the groups of subcommands do not know each other
	"cmd/gateway/keys":               96,
	"cmd/gateway/money":              96,
	"cmd/gateway/cascade":            96,
	"cmd/gateway/tools":              96,
	"cmd/gateway/serving/tour":       95,
	"cmd/gateway/command":            94,
	"cmd/gateway/serving/localca":    94,
	"cmd/gateway/serving/batches":    95, // batch jobs that have ended
	"cmd/gateway/serving/history":    95, // what is kept of single requests
	"internal/server":                90,
	"internal/dashboard":             90,
	"internal/api":                   88, // the page says what is wrong with the API's words
	"internal/views":                 86, // what both show
	"internal/signin":                44, // who may see it
	"internal/chart":                 0,
	"internal/celltext":              0,
	"internal/gateway":               80,
	"internal/dialect":               84, // callers of other dialects, before the line
	"internal/explain":               76, // the plan of a request, without the line
	"internal/shadow":                66,
	"internal/leg":                   64,
	"internal/leg/batch":             65, // a request in parts
	"internal/decision/recorder":     66, // attempts as decisions
	"internal/decision":              36,
	"internal/lake":                  50, // records and decisions as Parquet
	"internal/doctor":                70, // what a gateway relies on
	"internal/controlplane":          62,
	"internal/snapshot":              60,
	"internal/engine/bedrock":        50, // adapters are above what they adapt to
	"internal/engine/sandbox":        50,
	"internal/meter/audit":           50,
	"internal/cascade/memory":        48, // what decisions remember is above the decisions
	"internal/cascade/calibrate":     48,
	"internal/cascade":               46,
	"internal/router":                46,
	"internal/requestlog":            44,
	"internal/meter":                 44, // what is below knows records and the ledger's contract, not the meter
	"internal/telemetry":             43,
	"internal/report":                43,
	"internal/report/focus":          44,
	"internal/simulate":              43,
	"internal/rightsize":             44, // how much capacity to buy
	"internal/advice":                44, // what levers that nobody pulled would have saved
	"internal/keys/admin":            43, // who acts on keys knows whose they are
	"internal/saving":                42,
	"internal/commitment":            44,
	"internal/standing":              44, // how pools, quotas and bought capacity stand
	"internal/forecast":              42, // how budgets stand
	"internal/statement":             43, // months that are closed
	"internal/batchjob":              36, // what batch jobs left in S3
	"internal/batchjob/ceiling":      37, // what they can cost
	"internal/batchjob/settle":       51, // enters them in the books
	"internal/reconcile":             49, // what AWS bills, against what was metered
	"internal/meter/redis":           42,
	"internal/meter/redis/refusal":   41, // what a server says, in the user's terms
	"internal/meter/redis/closed":    41, // below it, as its counters go by it
	"internal/meter/redis/acts":      43, // what is kept in Redis beside the counters
	"internal/meter/redis/posted":    43,
	"internal/meter/redis/admins":    43,
	"internal/meter/embedded":        42,
	"internal/meter/exact":           42, // times that part hours
	"internal/tenant":                40,
	"internal/perimeter":             40, // which resources requests may name
	"internal/engine":                40,
	"internal/cascade/certify":       40,
	"internal/cascade/parts":         40, // the cascade's tools are below it
	"internal/cascade/score":         40,
	"internal/cascade/traits":        30,
	"internal/cascade/pairs":         40,
	"internal/meter/budget":          38,
	"internal/keys":                  36, // what was done to keys, which tenant and budgets heed
	"internal/meter/peers":           36,
	"internal/meter/ledger":          36,
	"internal/meter/record":          34,
	"internal/meter/gossip":          32,
	"internal/meter/notify":          32,
	"internal/meter/journal":         30,
	"internal/meter/estimate":        30,
	"internal/promptcache":           38, // what models have in their caches
	"internal/guardrail":             38, // what guardrails read of a conversation
	"internal/failover":              38, // which member of a pool takes a call
	"internal/quota":                 38, // what accounts may use in a minute
	"internal/capacity":              38, // what was bought by the hour or the month
	"internal/meter/record/awake":    0,  // in which windows an imported model was awake
	"internal/trouble":               42, // what an attempt met, and what follows
	"internal/sigv4":                 30,
	"internal/s3":                    30, // for whoever reads or writes objects
	"internal/session":               38, // which session a request belongs to
	"internal/reembed":               0,  // texts that are embedded again
	"internal/cascade/answer":        30,
	"internal/cascade/ground":        30,
	"internal/cascade/value":         28, // what answers consist of is below them
	"internal/cascade/refusal":       28,
	"internal/cascade/rubric":        30,
	"internal/cascade/verdict":       30,
	"internal/cascade/recorded":      30,
	"internal/wire":                  20,
	"internal/wire/caller":           21, // dialects of callers know Bedrock's bytes
	"internal/wire/converse":         22,
	"internal/wire/fit":              22,
	"internal/wire/anthropic":        23,
	"internal/wire/openai":           23,
	"config":                         10,
	"internal/outbound":              12,
	"internal/money":                 0,
	"internal/role":                  0,
	"internal/glob":                  0,
	"internal/network":               0,
	"internal/watch":                 0,
	"internal/quiet":                 0,
	"internal/heap":                  0,
	"internal/lifetime":              0,
	"internal/wholefile":             0,
	"internal/handover":              0,
	"cmd/gateway/serving/succession": 95, // which process follows which
	"cmd/gateway/check":              96,
	"internal/review":                62, // what a configuration that compiles probably does not mean
}

// owners is who alone may import an outside library.
var owners = map[string][]string{
	"github.com/valyala/fasthttp":         {"internal/server"},
	"github.com/aws/aws-sdk-go-v2":        {"internal/engine/bedrock", "internal/s3"},
	"github.com/sony/gobreaker":           {"internal/engine/bedrock"},
	"github.com/redis/go-redis":           {"internal/meter/redis"},
	"go.etcd.io/bbolt":                    {"internal/decision"},
	"go.opentelemetry.io/otel":            {"internal/telemetry"},
	"github.com/prometheus/client_golang": {"internal/telemetry"},
	"cel.dev/cel-go":                      {"internal/router"},
	"github.com/goccy/go-yaml":            {"config", "internal/engine/sandbox"},
	"github.com/spf13/cobra":              {"cmd/gateway"},
	"github.com/parquet-go/parquet-go":    {"internal/report", "internal/lake", "internal/reconcile"},
	"github.com/google/cel-go":            {},
	"github.com/coreos/go-oidc":           {"internal/signin"},
	"golang.org/x/oauth2":                 {"internal/signin"},
	"golang.org/x/net/http2":              {},
	"github.com/segmentio/asm":            {"internal/wire/jsonscan"},
}

// only is all that a package may import of this module, where the layers would
// let it import more.
var only = map[string][]string{
	"config": {
		"internal/money", "internal/glob", "internal/role", "config/syntax", "config/similar", "config/variables",
		"config/userfile", "internal/network", "config/pools", "config/foreign",
		"config/masked",
	},
	"config/syntax":    {},
	"config/similar":   {},
	"config/foreign":   {},
	"config/masked":    {},
	"config/pools":     {"config/similar", "internal/glob"},
	"config/variables": {},
	"config/userfile":  {"config/similar"},
	"internal/wire":    {"internal/wire/jsonscan"},
}

// never is what a package must not import although the layers let it. What only
// needs the records and the contract of the ledgers imports meter/record and
// meter/ledger.
var never = map[string][]string{
	"internal/meter/redis":    {"internal/meter"},
	"internal/meter/embedded": {"internal/meter"},
	"internal/meter/exact":    {"internal/meter"},
	"internal/report":         {"internal/meter"},
	"internal/saving":         {"internal/meter"},
	"internal/forecast":       {"internal/meter"},
	"internal/simulate":       {"internal/meter"},
	"internal/telemetry":      {"internal/meter", "internal/meter/ledger"}, // it reads records and knows no ledger
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
		if strings.HasPrefix(from, "test/") || from == "test" || strings.HasPrefix(from, "bench") ||
			strings.HasSuffix(from, "test") {
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
		fromEntry, toEntry := entry(t, from), entry(t, inside)
		if fromEntry != toEntry && layers[toEntry] >= layers[fromEntry] {
			t.Errorf("%s (layer %d) imports %s (layer %d)", from, layers[fromEntry], inside, layers[toEntry])
		}
		if list, ok := only[from]; ok && !slices.Contains(list, inside) || slices.Contains(never[from], inside) {
			t.Errorf("%s must not import %s", from, inside)
		}
		return
	}
	for library, allowed := range owners {
		if to != library && !strings.HasPrefix(to, library+"/") {
			continue
		}
		if !slices.ContainsFunc(allowed, func(owner string) bool { return within(from, owner) }) {
			t.Errorf("%s imports %s, which only %v may", from, to, allowed)
		}
	}
}

// entry returns the longest entry of layers that pkg begins with.
func entry(t *testing.T, pkg string) string {
	t.Helper()
	found := ""
	for prefix := range layers {
		if within(pkg, prefix) && len(prefix) > len(found) {
			found = prefix
		}
	}
	if found == "" {
		t.Errorf("package %s has no layer: give it one", pkg)
	}
	return found
}

// within reports whether pkg is dir or a package below it.
func within(pkg, dir string) bool { return pkg == dir || strings.HasPrefix(pkg, dir+"/") }

// TestOneWriterOfEnd finds the calls that journal how an attempt ended. There is
// one, in leg.Attempt.Close: so each START has one END.
func TestOneWriterOfEnd(t *testing.T) {
	root := harness.Root(t)
	var found []string
	for _, file := range goFiles(t, root) {
		if strings.HasSuffix(file, "_test.go") || !within(file, "internal") && !within(file, "cmd") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		for range strings.Count(string(text), "Meter.End(") {
			found = append(found, file)
		}
	}
	if want := []string{"internal/leg/attempt.go"}; !slices.Equal(found, want) {
		t.Errorf("END is written in %q, want %q", found, want)
	}
}
