package config

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// leaf is one scalar of the example, which has every key, with its schema.
type leaf struct {
	path   string         // without indexes, "tenants.budgets.usd"
	at     string         // as At and messages have it
	schema map[string]any // of the scalar, without variables
	value  any
	set    func(any)
}

// example is the example of every key as JSON values, with its leaves.
func example(t *testing.T) (whole map[string]any, leaves []leaf) {
	t.Helper()
	text, err := os.ReadFile("example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	whole = yamlValue(t, text).(map[string]any)
	collect(schemaValue(t), whole, "", "", nil, func(l leaf) { leaves = append(leaves, l) })
	slices.SortStableFunc(leaves, func(a, b leaf) int { return strings.Compare(a.at, b.at) })
	return whole, leaves
}

// collect calls f with the leaves of v.
func collect(schema map[string]any, v any, path, at string, set func(any), f func(leaf)) {
	switch v := v.(type) {
	case map[string]any:
		properties, _ := schema["properties"].(map[string]any)
		free, _ := schema["additionalProperties"].(map[string]any)
		for name, below := range v {
			set := func(x any) { v[name] = x }
			if of, ok := properties[name].(map[string]any); ok {
				collect(of, below, joinPath(path, name), joinPath(at, name), set, f)
			} else if free != nil {
				collect(free, below, path, member(at, name), set, f)
			}
		}
	case []any:
		items, _ := schema["items"].(map[string]any)
		for i, below := range v {
			collect(items, below, path, fmt.Sprintf("%s[%d]", at, i), func(x any) { v[i] = x }, f)
		}
	default:
		form := schema
		if forms, ok := schema["anyOf"].([]any); ok {
			form = forms[0].(map[string]any)
		}
		f(leaf{path, at, form, v, set})
	}
}

// others are other values of texts than the example's, where not any will do.
var others = map[string]any{
	"tenants.keys.expires": "2036-02-01", "tenants.keys.budgets.time_zone": "Asia/Tokyo",
	"tenants.keys.networks": "10.0.0.0/9",
	"listen":                "127.0.0.1:8081", "admin.listen": "127.0.0.1:9091", "base_path": "/other",
	"admin.oidc.issuer": "https://other.example.com", "admin.oidc.url": "https://other.example.com/x",
	"admin.oidc.grants.tenant": "acme",
	"upstream.region":          "eu-central-1", "upstream.endpoint": "http://127.0.0.1:9",
	"upstream.proxy":     "http://127.0.0.1:8",
	"upstreams.role_arn": "arn:aws:iam::123456789012:role/other", "upstreams.region": "eu-west-2",
	"model_upstreams": "other", "pools.members.upstream": "other", "ledger.redis": "redis://127.0.0.1:6380/1",
	"telemetry.otlp": "http://127.0.0.1:4318", "telemetry.access_log": "stdout",
	"tenants.id": "other", "tenants.renamed_from": "acme/older", "tenants.upstream": "other",
	"tenants.role_arn":          "arn:aws:iam::123456789012:role/another",
	"tenants.webhook":           "https://hooks.example.com/other",
	"tenants.budgets.time_zone": "Asia/Tokyo", "tenants.billing_time_zone": "Asia/Tokyo",
	"tenants.keys":      "SLKBAAAAAAAAAAAAAAAAAAAAA",
	"tenants.model_map": "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/other",
	"commitments.from":  "2026-01-02", "commitments.to": "2027-01-31",
	"capacity.to": "2027-10-30", "capacity.from": "2026-11-02", "capacity.term": "1-month",
	"capacity.tenants": "acme/search", "capacity.idle_to": "acme/search",
	"discounts.to": "2027-07-31", "discounts.from": "2026-07-02", "discounts.percent": json.Number("13"),
	"allowed_accounts": "210987654321", "include": "others.d/*.yaml", "cascades.light": "amazon.nova-micro-v1:0",
	"cascades.session.ttl": "29m", "telemetry.sample": json.Number("0.2"),
	"cascades.shadow.judge": "amazon.nova-premier-v1:0", "model_map": "amazon.nova-pro-v1:0",
	"tenants.budgets.on_exceed": "light_only", "limits.max_connections_per_address": json.Number("7"),
	"limits.buffered_bytes": "2GiB", "trusted_proxies": "192.0.2.1",
}

// other is another right value of a leaf.
func other(l leaf) any {
	if v, ok := others[l.path]; ok {
		return v
	}
	if words, ok := l.schema["enum"].([]any); ok {
		for _, w := range words {
			if w != l.value {
				return w
			}
		}
	}
	switch kind := l.schema["type"]; {
	case kind == "boolean":
		return l.value != true
	case kind == "integer", kind == "number":
		n, _ := l.value.(json.Number).Float64()
		switch {
		case n == 0:
			return json.Number("1")
		case n < 1:
			return json.Number(fmt.Sprint(n / 2))
		}
		return json.Number(fmt.Sprint(n - 1))
	case strings.Contains(fmt.Sprint(l.schema["pattern"]), "ns|us"):
		d, _ := time.ParseDuration(fmt.Sprint(l.value))
		return (d + time.Millisecond).String()
	case regionForm.MatchString(fmt.Sprint(l.value)):
		return "eu-central-2"
	case strings.HasSuffix(fmt.Sprint(l.value), "iB"):
		return json.Number("3000000")
	}
	return fmt.Sprint(l.value) + "x"
}

// written loads JSON values as a configuration, without the shipped prices, which take
// most of the time.
func written(t *testing.T, dir string, whole any) (*Config, error) {
	t.Helper()
	text, err := json.MarshalIndent(whole, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	d := &decoder{env: testEnv}
	c := defaults()
	return d.settle(d.newTree(filepath.Join(dir, "sluice.yaml"), text), text, c)
}

// restart are the keys that a reload names, because it cannot apply them.
var restart = map[string]string{
	"listen": "listen", "admin.listen": "admin.listen", "data_dir": "data_dir",
	"journal.fsync": "journal", "journal.every": "journal", "journal.segment_bytes": "journal",
	"journal.keep": "journal",
	"export.to":    "export", "export.every": "export", "export.region": "export", "export.endpoint": "export",
	"admin.advertise": "admin.advertise",
	"decisions.keep":  "decisions", "decisions.max_bytes": "decisions", "decisions.off": "decisions",
	"ledger.redis": "ledger", "timeouts.keep_alive": "timeouts.keep_alive",
	"telemetry.otlp": "telemetry.otlp", "telemetry.access_log": "telemetry.access_log",
}

// TestEveryKeyReloads changes each key of the schema: it either needs a restart, and is
// named and keeps its value, or it is in the configuration that a reload puts into use.
// A key that comes with later work is found here by itself. U19
func TestEveryKeyReloads(t *testing.T) {
	whole, leaves := example(t)
	dir := t.TempDir()
	for _, folder := range []string{"tenants.d", "others.d"} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	tenants := []byte("tenants: [{id: further}]\n")
	if err := os.WriteFile(filepath.Join(dir, "others.d", "x.yaml"), tenants, 0o600); err != nil {
		t.Fatal(err)
	}
	whole["upstreams"].(map[string]any)["other"] = map[string]any{"region": "eu-west-3"}
	old, err := written(t, dir, whole)
	if err != nil {
		t.Fatal(err)
	}
	covered := map[string]bool{}
	for _, l := range leaves {
		covered[anyUpstream(l.path)] = true
		if strings.HasSuffix(l.path, ".on_exceed") && l.value == "light_only" {
			continue // hard_usd needs it
		}
		if l.path == "capacity.kind" {
			continue // each has keys that no other one may have
		}
		l.set(other(l))
		next, err := written(t, dir, whole)
		l.set(l.value)
		if err != nil {
			t.Errorf("%s: %v: %v", l.at, other(l), err)
			continue
		}
		if same(old, next) {
			t.Errorf("%s: %v is read by nothing", l.at, other(l))
		}
		named := Keep(old, next)
		if want := restart[l.path]; want == "" && (len(named) > 0 || same(old, next)) {
			t.Errorf("%s: restart of %v, want it to be applied", l.at, named)
		} else if want != "" && (!slices.Equal(named, []string{want}) || !same(old, next)) {
			t.Errorf("%s: restart of %v, want %s, and the old value", l.at, named, want)
		}
	}
	for _, path := range leafKeys(t, schemaValue(t), "") {
		if path = anyUpstream(path); !covered[path] && path != "prices" && path != "price_locks" && path != "models" {
			t.Errorf("%s: the example has no value of it, so that nobody knows what a reload does", path)
		}
	}
}

// anyUpstream is a path in which an upstream is one like the other.
func anyUpstream(path string) string {
	if below, ok := strings.CutPrefix(path, "upstreams."); ok {
		return "upstream." + below
	}
	return path
}

// leafKeys are the keys of a schema that hold scalars.
func leafKeys(t *testing.T, schema map[string]any, path string) (keys []string) {
	t.Helper()
	if schema["anyOf"] != nil {
		return []string{path}
	}
	for name, below := range properties(schema) {
		keys = append(keys, leafKeys(t, below.(map[string]any), joinPath(path, name))...)
	}
	for _, further := range []string{"items", "additionalProperties"} {
		if below, ok := schema[further].(map[string]any); ok {
			keys = append(keys, leafKeys(t, below, path)...)
		}
	}
	return keys
}

func properties(schema map[string]any) map[string]any {
	all, _ := schema["properties"].(map[string]any)
	return all
}

// same reports whether two configurations say the same. What is not exported is positions.
func same(a, b *Config) bool {
	text := func(c *Config) string {
		bare := *c
		bare.source = nil
		data, err := json.Marshal(&bare)
		if err != nil {
			panic(err)
		}
		return string(data) + fmt.Sprint(c.Discounts)
	}
	return text(a) == text(b)
}
