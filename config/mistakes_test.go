package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// mistakes are wrong values of a leaf, by kind.
func mistakes(l leaf) map[string]any {
	one := json.Number("1")
	all := map[string]any{"a mapping": map[string]any{"x": one}, "a list": []any{one}, "nothing": nil}
	number := l.schema["type"] == "integer" || l.schema["type"] == "number"
	switch {
	case l.schema["enum"] != nil:
		all["a misspelt word"] = fmt.Sprint(l.value) + "s"
	case l.schema["type"] == "boolean":
		all["a word"] = "yes"
	case number:
		all["text"], all["below"], all["above"] = "many", json.Number("-1"), json.Number("99999999999999999999")
		all["a unit"] = "5 dollars"
	case strings.Contains(fmt.Sprint(l.schema["pattern"]), "ns|us"):
		all["no unit"], all["words"], all["below"], all["above"] = json.Number("5"), "5 minutes", "-1s", "99999h"
	case strings.HasSuffix(fmt.Sprint(l.value), "iB"):
		all["a wrong unit"], all["below"] = "5XB", json.Number("-1")
	case l.schema["pattern"] != nil:
		all["not of the form"] = "2026-02-30"
	}
	if wrong, has := nowhere[l.path]; has {
		all["not of the form"] = wrong
	}
	return all
}

// nowhere are texts that are of no form, or lead nowhere.
var nowhere = map[string]any{
	"listen": "8080", "admin.listen": "localhost", "base_path": "bedrock/", "ledger.redis": "127.0.0.1:6379",
	"admin.oidc.issuer": "login.example.com", "admin.oidc.url": "sluice.example.com", "admin.oidc.grants.tenant": "a//b",
	"upstream.endpoint": "127.0.0.1:9", "upstream.proxy": "p:1", "telemetry.otlp": "localhost:4318",
	"upstreams.role_arn": "role/x", "model_upstreams": "ue", "pools.members.upstream": "ue", "include": "none.yaml",
	"tenants.id": "a//b", "tenants.renamed_from": "/a", "tenants.upstream": "ue", "tenants.role_arn": "role/x",
	"tenants.webhook": "hooks.example.com", "tenants.budgets.time_zone": "Europe/Berln",
	"tenants.billing_time_zone": "Asia/Kolkata", "tenants.keys.budgets.time_zone": "Europe/Berln",
	"cascades.partner": "amazon.nova-lite-v1:0",
	"trusted_proxies":  "10.0.0.0/33",
}

// TestEveryMistake makes each kind of mistake in each key of the schema: there is one
// message, at its place, in words that are no parser's. The golden file has them all.
// U12, U13
func TestEveryMistake(t *testing.T) {
	whole, leaves := example(t)
	dir := t.TempDir()
	seen := map[string]bool{}
	var golden []string
	for _, l := range leaves {
		if l.path = anyUpstream(l.path); seen[l.path] {
			continue
		}
		seen[l.path] = true
		wrong := mistakes(l)
		for _, kind := range sortedKeys(wrong) {
			l.set(wrong[kind])
			_, err := written(t, dir, whole)
			l.set(l.value)
			golden = append(golden, l.path+": "+kind+": "+judge(t, l, kind, err, dir))
		}
	}
	eachMapping(whole, "", func(path string, section map[string]any) {
		if path == "upstreams" || path == "pools" || path == "model_upstreams" || path == "aliases" ||
			strings.HasSuffix(path, "model_map") || strings.HasSuffix(path, "tags") {
			return
		}
		section["nonsense"] = "x"
		_, err := written(t, dir, whole)
		delete(section, "nonsense")
		var faulty *Error
		if !errors.As(err, &faulty) || len(faulty.Faults) != 1 || faulty.Faults[0].Message != `unknown key "nonsense"` {
			t.Errorf("%s: %v", path, err)
		}
	})
	compareGolden(t, "testdata/mistakes.txt", strings.Join(golden, "\n")+"\n")
}

func sortedKeys(m map[string]any) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// judge returns the one message of a mistake.
func judge(t *testing.T, l leaf, kind string, err error, dir string) string {
	t.Helper()
	var faulty *Error
	if err == nil {
		return "is right"
	}
	if !errors.As(err, &faulty) {
		t.Errorf("%s: %s: %v", l.at, kind, err)
		return err.Error()
	}
	if len(faulty.Faults) != 1 {
		t.Errorf("%s: %s: %d messages:\n%v", l.at, kind, len(faulty.Faults), err)
	}
	f := faulty.Faults[0]
	if f.Line < 2 || !strings.HasPrefix(l.at, f.Path) && !strings.HasPrefix(f.Path, l.at) {
		t.Errorf("%s: %s: told at %d:%d, of %s", l.at, kind, f.Line, f.Column, f.Path)
	}
	for _, raw := range []string{
		"strconv", "unmarshal", "ParseAddr", "%!", "yaml:", "invalid syntax", "net/url", "parsing",
	} {
		if strings.Contains(f.Message, raw) {
			t.Errorf("%s: %s: %q in %q", l.at, kind, raw, f.Message)
		}
	}
	return strings.ReplaceAll(f.Message, dir+"/", "")
}

func compareGolden(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(filepath.FromSlash(name), []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(filepath.FromSlash(name))
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		lines := strings.Split(string(want), "\n")
		for i, line := range strings.Split(got, "\n") {
			if i >= len(lines) || line != lines[i] {
				t.Fatalf("line %d: %s\nlook at it, and write the file with go test ./config -update", i+1, line)
			}
		}
		t.Error("lines are missing")
	}
}
