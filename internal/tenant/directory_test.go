package tenant

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/glob"
	"github.com/sluice-gateway/sluice/internal/role"
	"github.com/sluice-gateway/sluice/internal/wire"
)

func mustBuild(t testing.TB, s *Secrets, tenants ...config.Tenant) *Directory {
	t.Helper()
	d, problems := Build(&config.Config{Tenants: tenants}, s)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return d
}

func TestBuildCarriesTheTenant(t *testing.T) {
	c := config.Tenant{
		ID: "acme/support/tier1", Upstream: "eu", Role: &role.Role{ARN: "arn:aws:iam::1:role/x"}, OnLedgerLoss: "deny",
		OutputTokens: &config.OutputTokens{Default: 500, Max: 1000, OnExceed: "clamp"},
		Budgets:      []config.Budget{{Period: "month", USD: 5}},
		Limits:       config.Limits{RequestsPerMinute: 600},
	}
	got := mustBuild(t, nil, c).Lookup(c.ID)
	if got.Root != "acme" || got.Upstream != c.Upstream || got.Role() != *c.Role ||
		got.OnLedgerLoss != c.OnLedgerLoss ||
		got.Cap != c.OutputTokens || !slices.Equal(got.Budgets, c.Budgets) || got.Limits != c.Limits {
		t.Errorf("%+v", got)
	}
}

func TestAncestors(t *testing.T) {
	d := mustBuild(t, nil, config.Tenant{ID: "acme/support/tier1"}, config.Tenant{ID: "acme"},
		config.Tenant{ID: "acme/supp"},
		config.Tenant{ID: "other/team"}, config.Tenant{ID: "acme/support/tier1/night"})
	f := func(id string, want ...string) {
		t.Helper()
		var got []string
		for _, a := range d.Lookup(id).Ancestors {
			got = append(got, a.ID)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", id, diff)
		}
	}
	f("acme", "acme")
	f("acme/supp", "acme/supp", "acme")
	f("acme/support/tier1/night", "acme/support/tier1/night", "acme/support/tier1", "acme")
	f("other/team", "other/team")
	if d.Lookup("acme/support") != nil || d.Lookup("") != nil {
		t.Error("a tenant that is not configured")
	}
}

// TestAncestorsModel compares with the definition: the configured prefixes.
func TestAncestorsModel(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		ids := rapid.SliceOfDistinct(rapid.StringMatching(`[ab](/[ab]){0,4}`), rapid.ID[string]).Draw(r, "ids")
		cfg := new(config.Config)
		for _, id := range ids {
			cfg.Tenants = append(cfg.Tenants, config.Tenant{ID: id})
		}
		d, _ := Build(cfg, nil)
		for _, id := range ids {
			var want []string
			for _, other := range ids {
				if strings.HasPrefix(id+"/", other+"/") {
					want = append(want, other)
				}
			}
			slices.SortFunc(want, func(a, b string) int { return len(b) - len(a) })
			var got []string
			for _, a := range d.Lookup(id).Ancestors {
				got = append(got, a.ID)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				r.Fatal(id, diff)
			}
		}
	})
}

// TestFirstUse compiles a tenant and a key once, whoever asks first and however many
// at the same time, and keeps nothing of the request that asked.
func TestFirstUse(t *testing.T) {
	s := mustLoad(t, "", environ(newRoot, ""))
	id := mustKeyID(t, s)
	d := mustBuild(t, s, config.Tenant{ID: "a"}, config.Tenant{ID: "a/b", Keys: []string{id}})
	if d.keySlots[0].compiled.Load() != nil || d.slots[1].Load() != nil {
		t.Error("compiled before the first use")
	}
	const callers = 16
	keys, tenants := make([]*key, callers), make([]*Tenant, callers)
	asked := []byte(id)
	var done sync.WaitGroup
	for i := range callers {
		done.Go(func() { keys[i], tenants[i] = d.find(string(asked)), d.Lookup("a/b") })
	}
	done.Wait()
	clear(asked)
	for i := range callers {
		if keys[i] != keys[0] || tenants[i] != tenants[0] {
			t.Fatal("two callers got different ones")
		}
	}
	if k := keys[0]; k == d.stranger || k.identity.Tenant != tenants[0] || k.identity.KeyID != id {
		t.Errorf("%+v", k)
	}
	if tenants[0].Ancestors[1] != d.Lookup("a") {
		t.Error("the tenant above is another one")
	}
}

func TestBuildProblems(t *testing.T) {
	s := mustLoad(t, "", environ(newRoot, ""))
	k1, k2 := mustKeyID(t, s), mustKeyID(t, s)
	foreign := mustKeyID(t, mustLoad(t, "", environ(oldRoot, "")))
	f := func(tenants []config.Tenant, want ...string) {
		t.Helper()
		_, problems := Build(&config.Config{Tenants: tenants}, s)
		var got []string
		for _, p := range problems {
			got = append(got, fmt.Sprintf("%s %v", p.Path, p.Warning))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff, problems)
		}
	}
	f([]config.Tenant{{ID: "a", Keys: []string{k1}}, {ID: "b"}, {ID: "c", Keys: []string{k2, k1}}},
		"tenants[2].keys[1] false")
	f([]config.Tenant{{ID: "a", Keys: []string{k1, k1}}}, "tenants[0].keys[1] false")
	f([]config.Tenant{{ID: "a", Keys: []string{"", "KEY", k1}}}, "tenants[0].keys[0] false", "tenants[0].keys[1] false")
	f([]config.Tenant{{ID: "a", Keys: []string{foreign, k1}}}, "tenants[0].keys[0] true")
	f([]config.Tenant{{ID: "a"}, {ID: "a"}}, "tenants[1].id false")
	f([]config.Tenant{{ID: "a", Operations: []string{"converse", "Converse", ""}}}, "tenants[0].operations[1] false",
		"tenants[0].operations[2] false")
	f([]config.Tenant{{ID: "a", Operations: []string{"batch"}}}, "tenants[0].operations false")
	f([]config.Tenant{{ID: "a", Models: []string{""}, DenyModels: []string{"x", ""}}}, "tenants[0].deny_models[1] false",
		"tenants[0].models[0] false")
	for _, id := range []string{"", "/", "a/", "/a", "a//b", "a b", "a{b}", "a\n", "a\x00", "\xff",
		strings.Repeat("a", 257)} {
		f([]config.Tenant{{ID: id}}, "tenants[0].id false")
	}
	for _, id := range []string{"a", "a/b/c", "Team-1_x.y", "büro", "<script>", "a:b@c"} {
		f([]config.Tenant{{ID: id}})
	}
}

func TestOneKeyInTwoTenantsWithoutSecrets(t *testing.T) {
	id := mustKeyID(t, mustLoad(t, "", environ(newRoot, "")))
	_, problems := Build(&config.Config{Tenants: []config.Tenant{{ID: "a", Keys: []string{id}},
		{ID: "b", Keys: []string{id}}}}, nil)
	if len(problems) != 1 || problems[0].Path != "tenants[1].keys[0]" {
		t.Error(problems)
	}
}

func TestAllowsModel(t *testing.T) {
	f := func(models, deny []string, want bool, ids ...string) {
		t.Helper()
		got := mustBuild(t, nil, config.Tenant{ID: "a", Models: models, DenyModels: deny}).Lookup("a").AllowsModel(ids...)
		if got != want {
			t.Errorf("models %q, deny %q: %q is %v", models, deny, ids, got)
		}
	}
	claude, nova := "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "amazon.nova-lite-v1:0"
	arn := "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc"
	f(nil, nil, true, claude)
	f(nil, nil, true, "auto", claude)
	f(nil, nil, false)
	f([]string{}, nil, false, claude)
	f([]string{"amazon.*"}, nil, true, nova)
	f([]string{"amazon.*"}, nil, false, claude)
	f([]string{"auto", "amazon.*"}, nil, true, "auto", nova)
	f([]string{"auto"}, nil, false, "auto", nova)
	f([]string{"amazon.*"}, nil, false, "auto", nova)
	f([]string{"*"}, []string{"*.anthropic.*"}, false, claude)
	f([]string{claude}, []string{claude}, false, claude)
	f(nil, []string{"*claude*"}, false, "auto", claude)
	f(nil, []string{"auto"}, false, "auto", nova)
	f([]string{"arn:*:123456789012:*"}, nil, true, arn)
	f([]string{"arn:*:999999999999:*"}, nil, false, arn)
}

// TestAllowsModelModel compares with the definition over small patterns.
func TestAllowsModelModel(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		patterns := rapid.SliceOfN(rapid.StringMatching(`[ab*]{1,3}`), 0, 3)
		models, deny := patterns.Draw(r, "models"), patterns.Draw(r, "deny")
		ids := rapid.SliceOfN(rapid.StringMatching(`[ab]{1,3}`), 1, 3).Draw(r, "ids")
		matches := func(list []string, id string) bool {
			return slices.ContainsFunc(list, func(p string) bool { return glob.Compile(p).Match(id) })
		}
		want := true
		for _, id := range ids {
			want = want && !matches(deny, id) && matches(models, id)
		}
		d, _ := Build(&config.Config{Tenants: []config.Tenant{{ID: "a", Models: models, DenyModels: deny}}}, nil)
		if models != nil && d.Lookup("a").AllowsModel(ids...) != want {
			r.Fatalf("models %q, deny %q, ids %q: want %v", models, deny, ids, want)
		}
	})
}

func TestAllowsOperation(t *testing.T) {
	f := func(names []string, allowed ...wire.Operation) {
		t.Helper()
		got := mustBuild(t, nil, config.Tenant{ID: "a", Operations: names}).Lookup("a")
		for op := wire.OpUnknown; op <= wire.OpInvokeBidirectional; op++ {
			if got.AllowsOperation(op) != slices.Contains(allowed, op) {
				t.Errorf("%q: operation %d is %v", names, op, got.AllowsOperation(op))
			}
		}
	}
	f(nil, wire.OpConverse, wire.OpConverseStream, wire.OpInvoke, wire.OpInvokeStream, wire.OpCountTokens,
		wire.OpApplyGuardrail)
	f([]string{})
	f([]string{"start-async-invoke", "get-async-invoke"}, wire.OpStartAsyncInvoke, wire.OpGetAsyncInvoke)
}
