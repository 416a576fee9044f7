package money

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
)

// TestBudgets (M26): what the command says of a budget is what the ledger counts of it,
// with the embedded ledger and with Redis.
func TestBudgets(t *testing.T) {
	f := func(name, ledger, held string) {
		t.Run(name, func(t *testing.T) {
			u := use(t, ledger)
			defer u.stop()
			var all []map[string]any
			out := u.works(nil, "budgets", "--format", "json")
			if err := json.Unmarshal([]byte(out), &all); err != nil || len(all) != 1 {
				t.Fatalf("%v: %s", err, out)
			}
			var cost []map[string]any
			out = u.works(nil, "report", "--by", "", "--format", "json")
			if err := json.Unmarshal([]byte(out), &cost); err != nil || len(cost) != 1 {
				t.Fatalf("%v: %s", err, out)
			}
			got := all[0]
			if got["tenant"] != "acme" || got["limit_usd"] != "100.00" || got["spent_usd"] != cost[0]["cost_usd"] {
				t.Errorf("%v, and the report has %v", got, cost[0]["cost_usd"])
			}
			if got["suspense_usd"] == "0.00" || (got["held_usd"] == nil) != (held == "") {
				t.Errorf("%v", got)
			}
			u.works([]string{"acme", "100.00", "suspense", "FORECAST"}, "budgets")
			u.works([]string{"tenant,key,period", "\nacme,,month,UTC,reject,"}, "budgets", "--format", "csv")
			u.works([]string{"no tenant or key has a budget"}, "budgets", "--tenant", "acme/support")
			if out, err := u.run("budgets", "--format", "xml"); err == nil || !strings.Contains(err.Error(), `"xml"`) {
				t.Errorf("%v %s", err, out)
			}
		})
	}
	f("embedded", "", "")
	f("redis", "ledger: {redis: "+redistest.NewServer(t).URL()+"}\n", "known")
}
