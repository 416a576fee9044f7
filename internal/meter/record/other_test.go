package record

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestModelsAreBounded sends ids that nobody has, each answered 400. M15
func TestModelsAreBounded(t *testing.T) {
	var m Models
	rows := map[RowKey]bool{}
	hour := time.Date(2026, 11, 28, 21, 0, 0, 0, time.UTC)
	end := func(tenant, model string, how Outcome) string {
		p := Posting{Root: "acme", Row: RowKey{Hour: hour, Tenant: tenant, Model: model, Scope: "us", PriceVersion: "v"}}
		m.Bound(&p, how)
		rows[p.Row] = true
		return p.Row.Model
	}
	f := func(tenant, model string, how Outcome, want string) {
		t.Helper()
		if got := end(tenant, model, how); got != want {
			t.Errorf("%.40s of %s is counted as %q, want %q", model, tenant, got, want)
		}
	}
	f("acme", "good", Completed, "good")
	for i := range 3000 {
		end("acme", fmt.Sprintf("bogus.%d", i), Failed)
	}
	if len(rows) > maxFailing+2 {
		t.Errorf("%d rows", len(rows))
	}
	f("acme", "bogus.2999", Failed, OtherModel)
	f("acme", "bogus.7", Failed, "bogus.7")
	f("acme", "good", Failed, "good")
	f("acme", "new", Completed, "new")
	f("acme", "new", Failed, "new")
	f("acme", "lost", Unknown, "lost") // it is resolved in its own row
	f("beta", "bogus.2999", Failed, "bogus.2999")
	f("beta", strings.Repeat("x", 1950), Failed, OtherModel)
	hour = hour.Add(24 * time.Hour)
	f("acme", "bogus.2999", Failed, "bogus.2999")
}
