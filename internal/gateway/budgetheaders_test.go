package gateway

import (
	"strings"
	"testing"
	"time"
)

// TestBudgetHeaders (M26): answers tell how budgets stood at admission, if the tenant asks
// for it, with this request's hold of $1.122 taken out; of a parent only when it asks for all.
func TestBudgetHeaders(t *testing.T) {
	midnight := earlyInMinute()().UTC().Truncate(24 * time.Hour).Add(24 * time.Hour).Format(time.RFC3339)
	f := func(name, own string, asks, status int, left string) {
		t.Helper()
		f := newFixture(t, "2", strings.ReplaceAll(own, ", ,", "\n    "))
		defer f.end(t)
		for range asks - 1 {
			f.ask(t, "dear.light-v1:0")
		}
		got, text, header := f.ask(t, "dear.light-v1:0")
		reset := header.Get("x-sluice-budget-reset")
		if got != status || header.Get("x-sluice-budget-left-usd") != left {
			t.Errorf("%s: %d %q, want %d %q: %s", name, got, header.Get("x-sluice-budget-left-usd"), status, left, text)
		}
		if (reset == "") != (left == "") || strings.HasPrefix(name, "own") && left != "" && reset != midnight {
			t.Errorf("%s: resets %q, want %q", name, reset, midnight)
		}
	}
	f("not asked for", `budgets: [{period: day, usd: 1.5}]`, 1, 200, "")
	f("none", `budgets: [{period: day, usd: 1.5}], ,budget_headers: none`, 1, 200, "")
	f("own", `budgets: [{period: day, usd: 1.5}], ,budget_headers: own`, 1, 200, "0.378")
	f("own, after another", `budgets: [{period: day, usd: 1.5}], ,budget_headers: own`, 2, 200, "0.363")
	f("own, above the parent's", `budgets: [{period: day, usd: 10}], ,budget_headers: own`, 1, 200, "8.878")
	f("own, without any", `budget_headers: own`, 1, 200, "")
	f("all, the parent has less", `budgets: [{period: day, usd: 10}], ,budget_headers: all`, 1, 200, "0.878")
	f("all, without own", `budget_headers: all`, 1, 200, "0.878")
	f("own, refused", `budgets: [{period: day, usd: 1.13}], ,budget_headers: own`, 2, 400, "1.115")
	f("own, never enough", `budgets: [{period: day, usd: 1}], ,budget_headers: own`, 1, 400, "1.00")
	f("own, a rate beside it", `budgets: [{period: day, usd: 1.5}], ,limits: {requests_per_minute: 9}, ,budget_headers: own`,
		1, 200, "0.378")
	f("own, notify", `budgets: [{period: day, usd: 0.01, on_exceed: notify}, {period: day, usd: 1.5}], ,budget_headers: own`,
		1, 200, "0.00")
	f("own, light only", `budgets: [{period: day, usd: 1.5, on_exceed: light_only, hard_usd: 9}], ,budget_headers: own`, 1,
		200, "0.378")
}
