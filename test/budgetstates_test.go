package test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/test/harness"
)

// TestBudgetStates (M26): limit, spent, held and left of a budget are the same in the
// command, in the metrics of both gateways and in the report; answers tell what is left,
// streams too.
func TestBudgetStates(t *testing.T) {
	p := startTwins(t, map[string]string{
		"acme/app": "budgets: [{period: month, usd: 20, time_zone: Europe/Berlin}], budget_headers: own",
		"acme":     "budgets: [{period: day, usd: 3, on_exceed: notify}]",
	})
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().In(berlin)
	reset := time.Date(now.Year(), now.Month()+1, 1, 0, 0, 0, 0, berlin).UTC().Format(time.RFC3339)
	for n := range 6 {
		target := []string{heavyCall, heavyCall + "-stream"}[n/2%2]
		a := p.ask(t, n%2, "acme/app", target)
		left, err := strconv.ParseFloat(a.Header.Get("x-sluice-budget-left-usd"), 64)
		told := a.Header.Get("x-sluice-budget-reset")
		if a.Status != http.StatusOK || err != nil || left < 12 || left > 18.9 || told != reset {
			t.Errorf("request %d: %d, %q left, resets %q, want %q: %v", n, a.Status, a.Header.Get("x-sluice-budget-left-usd"),
				told, reset, err)
		}
	}
	a := p.ask(t, 0, "acme", heavyCall)
	if a.Status != http.StatusOK || a.Header.Get("x-sluice-budget-left-usd") != "" {
		t.Errorf("who does not ask for it gets %d %v", a.Status, a.Header)
	}
	const app = `{key="",on_exceed="reject",period="month",tenant="acme/app",time_zone="Europe/Berlin"}`
	const root = `{key="",on_exceed="notify",period="day",tenant="acme",time_zone="UTC"}`
	var states []map[string]any
	harness.Eventually(t, time.Minute, func() (bool, string) {
		out := harness.Run(t, 0, nil, "budgets", "--config", p.gateways[0].ConfigFile(), "--format", "json")
		if err := json.Unmarshal([]byte(out), &states); err != nil || len(states) != 2 {
			return false, out
		}
		got := ""
		for _, gw := range p.gateways {
			for _, name := range []string{"limit", "spent", "held", "left"} {
				got += fmt.Sprintf("%g ", gw.Metric("sluice_budget_"+name+"_usd"+app))
			}
			got += fmt.Sprintf("%g ", gw.Metric("sluice_budget_spent_usd"+root))
		}
		return got == "20 0.6 0 19.4 0.7 20 0.6 0 19.4 0.7 ", got + out
	})
	for _, s := range states {
		want := map[string]string{"acme/app": "20.00 0.60 0.00 19.40", "acme": "3.00 0.70 0.00 2.30"}[s["tenant"].(string)]
		if got := fmt.Sprint(s["limit_usd"], " ", s["spent_usd"], " ", s["held_usd"], " ", s["left_usd"]); got != want {
			t.Errorf("%s: %s, want %s", s["tenant"], got, want)
		}
	}
	var explained struct{ Budgets []map[string]any }
	out := harness.Run(t, 0, nil, "explain", "--config", p.gateways[0].ConfigFile(), "--tenant", "acme/app", "--model",
		"dear.heavy-v1:0", "--text", "hi", "--format", "json")
	if err := json.Unmarshal([]byte(out), &explained); err != nil || len(explained.Budgets) != 2 {
		t.Errorf("%v: %s", err, out)
	}
	for i, s := range explained.Budgets {
		if s["tenant"] != states[i]["tenant"] || s["spent_usd"] != states[i]["spent_usd"] {
			t.Errorf("explain has %v, and budgets %v", s, states[i])
		}
	}
	if rows := p.gateways[0].Report("root"); len(rows) != 1 || rows[0].Cost != "0.70" {
		t.Errorf("the report has %+v", rows)
	}
}
