package config

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// schemaValue is the schema as JSON values.
func schemaValue(t *testing.T) map[string]any {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	return v.(map[string]any)
}

// keysOf are the paths of all keys that a schema has.
func keysOf(t *testing.T, schema map[string]any, path string) (keys []string) {
	t.Helper()
	properties, _ := schema["properties"].(map[string]any)
	for name, below := range properties {
		keys = append(keys, joinPath(path, name))
		keys = append(keys, keysOf(t, below.(map[string]any), joinPath(path, name))...)
	}
	for _, further := range []string{"items", "additionalProperties"} {
		if below, ok := schema[further].(map[string]any); ok {
			keys = append(keys, keysOf(t, below, path)...)
		}
	}
	return keys
}

func compiledSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	if err := c.AddResource("sluice.json", schemaValue(t)); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("sluice.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// yamlValue is a YAML text as JSON values.
func yamlValue(t *testing.T, text []byte) any {
	t.Helper()
	data, err := yaml.YAMLToJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestSchemaTakesWhatShips validates the files that ship with the program, and
// then with an unknown key in each of their sections.
func TestSchemaTakesWhatShips(t *testing.T) {
	schema := compiledSchema(t)
	for _, name := range []string{"example.yaml", "quickstart.yaml"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		whole := yamlValue(t, text)
		if err := schema.Validate(whole); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		eachMapping(whole, "", func(path string, section map[string]any) {
			section["nonsense"] = "x"
			refused := schema.Validate(whole) != nil
			delete(section, "nonsense")
			switch free := map[string]bool{"upstreams": true, "model_upstreams": true, "model_map": true,
				"aliases": true, "tenants.model_map": true}; {
			case path == "upstreams": // an upstream is a mapping
			case free[path] || strings.HasSuffix(path, "tags"):
				if refused {
					t.Errorf("%s: a free key in %s is refused", name, path)
				}
			case !refused:
				t.Errorf("%s: an unknown key in %q is taken", name, path)
			}
		})
	}
}

// eachMapping calls f with every mapping in v.
func eachMapping(v any, path string, f func(path string, section map[string]any)) {
	switch v := v.(type) {
	case map[string]any:
		f(path, v)
		for name, below := range v {
			eachMapping(below, joinPath(path, name), f)
		}
	case []any:
		for _, below := range v {
			eachMapping(below, path, f)
		}
	}
}

func TestSchemaForms(t *testing.T) {
	schema := compiledSchema(t)
	f := func(text string, right bool) {
		t.Helper()
		if err := schema.Validate(yamlValue(t, []byte(text))); (err == nil) != right {
			t.Errorf("%s: %v", text, err)
		}
	}
	f("timeouts: {idle: 1h30m}", true)
	f("timeouts: {idle: 1.5h}", true)
	f("timeouts: {idle: 90}", false)
	f("timeouts: {idle: '${IDLE:-5m}'}", true)
	f("journal: {segment_bytes: 64MiB, fsync: os}", true)
	f("journal: {segment_bytes: 1048576}", true)
	f("journal: {segment_bytes: 64MX}", false)
	f("journal: {fsync: never}", false)
	f("telemetry: {sample: 1.5}", false)
	f("telemetry: {content: yes}", false)
	f("upstream: {retry: {max_attempts: 11}}", false)
	f("upstream: {retry: {on_timeout: true, max_attempts: '${ATTEMPTS}'}}", true)
	f("tenants: [{id: a, budgets: [{period: day, usd: 0}]}]", false)
	f("tenants: [{id: a, budgets: [{period: day}]}]", false)
	f("tenants: [{id: 7, keys: [a]}]", true)
	f("tenants: {id: a}", false)
	f("include: [a.yaml]\nprices: [b.yaml]\nmodels: [c.yaml]\nmodel_upstreams: {'*': eu}", true)
}

// TestSchemaSaysDefaults reads a few defaults that editors show.
func TestSchemaSaysDefaults(t *testing.T) {
	properties := schemaValue(t)["properties"].(map[string]any)
	at := func(v any, names ...string) any {
		for _, name := range names {
			v = v.(map[string]any)[name]
		}
		return v
	}
	for want, got := range map[string]any{
		"group":  at(properties, "journal", "properties", "fsync", "default"),
		"1h5m0s": at(properties, "timeouts", "properties", "request", "default"),
		"allow":  at(properties, "unpriced", "default"),
		"check":  at(properties, "cascades", "items", "properties", "mode", "default"),
	} {
		if got != want {
			t.Errorf("%v, want %s", got, want)
		}
	}
}
