package router

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// TestPlanProperties draws configurations, requests and policies. Whatever they
// are: a plan has only legs that the policy allows together with the id asked
// for; an InvokeModel leg of a cascade fits the body; each leg of the cascade
// stands in the plan or among the skipped; and the same input gives the same
// plan.
func TestPlanProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := drawConfig(t)
		r, _ := Compile(cfg)
		in := drawInput(t)
		deny := rapid.SliceOfDistinct(rapid.SampledFrom([]string{lite, haiku, sonnet, nobody, "auto"}), rapid.ID).Draw(t,
			"deny")
		in.Policy = policy(func(ids ...string) bool {
			return !slices.ContainsFunc(ids, func(id string) bool { return slices.Contains(deny, id) })
		})
		first := show(planOf(r, in))
		plan, err := planOf(r, in)
		if again := show(plan, err); first != again {
			t.Fatalf("first %s, then %s", first, again)
		}
		if err != nil {
			if err.Kind == wire.KindAccessDenied && len(deny) == 0 {
				t.Fatalf("denied without a policy: %v", err)
			}
			return
		}
		checkPlan(t, in, plan)
	})
}

func checkPlan(t *rapid.T, in *Input, plan *Plan) {
	if len(plan.Legs) == 0 {
		t.Fatalf("no legs: %s", show(plan, nil))
	}
	for _, leg := range plan.Legs {
		if !in.Policy.AllowsModel(in.Asked, leg.Model) {
			t.Fatalf("leg %s is not allowed", leg.Model)
		}
	}
	if plan.Cascade == nil {
		if plan.Path != Passthrough || len(plan.Legs) != 1 || len(plan.Skipped) != 0 {
			t.Fatalf("without a cascade: %s", show(plan, nil))
		}
		return
	}
	if len(plan.Legs)+len(plan.Skipped) != 2 {
		t.Fatalf("a leg is lost or doubled: %s", show(plan, nil))
	}
	if want := map[Role]Path{RoleLight: Light, RoleEscalation: Direct}[plan.Legs[0].Role]; plan.Path != want {
		t.Fatalf("path %s, want %s", plan.Path, want)
	}
	for _, leg := range plan.Legs {
		d := leg.Dialect
		if in.Facts.Op.IsInvoke() && d != nil && in.Facts.Dialect != nil && !in.Facts.Fits(d) {
			t.Fatalf("leg %s does not fit the body", leg.Model)
		}
	}
}

func drawConfig(t *rapid.T) *config.Config {
	cfg := baseConfig()
	for i := range cfg.Models {
		m := &cfg.Models[i]
		m.Images = rapid.Bool().Draw(t, "images")
		m.Reasoning = rapid.Bool().Draw(t, "reasoning")
		m.Context = rapid.SampledFrom([]int64{0, 100, 10_000}).Draw(t, "context")
	}
	models := rapid.Permutation([]string{lite, haiku, sonnet, nobody}).Draw(t, "models")
	c := &cfg.Cascades[0]
	c.Light, c.Escalation = models[0], models[1]
	c.Mode = rapid.SampledFrom([]string{"rules", "check", "observe", "enforce"}).Draw(t, "mode")
	c.Match = rapid.SampledFrom([]string{"true", c.Match, `request.headers["x"] == ""`}).Draw(t, "match")
	return cfg
}

func drawInput(t *rapid.T) *Input {
	in := converse(rapid.SampledFrom([]string{"auto", lite, haiku, sonnet, nobody}).Draw(t, "asked"))
	in.Facts.Op = rapid.SampledFrom([]wire.Operation{
		wire.OpConverse, wire.OpConverseStream, wire.OpInvoke, wire.OpInvokeStream, wire.OpCountTokens,
		wire.OpStartAsyncInvoke,
	}).Draw(t, "op")
	in.Facts.Dialect = wire.DialectNamed(rapid.SampledFrom([]string{"", "nova", claude.Name, "llama"}).Draw(t, "dialect"))
	in.Facts.InputTokens = rapid.SampledFrom([]int{1, 5000, 40_000}).Draw(t, "input")
	in.Facts.Images = rapid.IntRange(0, 1).Draw(t, "images")
	in.Facts.ReasoningHistory = rapid.Bool().Draw(t, "reasoning history")
	return in
}
