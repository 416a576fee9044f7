package test

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/test/harness"
)

// leversAgree has the command and the view show the same levers, pulled or not, and none that a policy forbids.
func leversAgree(t *testing.T, gw *harness.Gateway, saved string) {
	t.Helper()
	type table struct {
		Name string
		Rows []map[string]any
	}
	var view struct{ Tables []table }
	if status, body := gw.Page("/api/v1/views/levers"); status != 200 || json.Unmarshal([]byte(body), &view) != nil {
		t.Fatal(status, body)
	}
	var out struct{ Levers, Pulled []map[string]any }
	text := harness.Run(t, 0, nil, "savings", "--config", gw.ConfigFile(), "--format", "json")
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		t.Fatal(err)
	}
	names := func(rows []map[string]any) (all []string) {
		for _, r := range rows {
			all = append(all, fmt.Sprint(r["tenant"], " ", r["lever"], " ", r["line"]))
		}
		slices.Sort(all)
		return all
	}
	if !slices.Equal(names(out.Levers), names(view.Tables[0].Rows)) || !strings.Contains(text, `"global profile"`) {
		t.Errorf("levers %q, the view has %q", names(out.Levers), names(view.Tables[0].Rows))
	}
	if fmt.Sprint(out.Pulled) != fmt.Sprint(view.Tables[1].Rows) || out.Pulled[0]["saved_usd"] != saved {
		t.Errorf("pulled %v, the view has %v", out.Pulled, view.Tables[1].Rows)
	}
	proof := harness.Run(t, 0, nil, "savings", "--config", gw.ConfigFile(), "--prove", "7d", "--format", "json")
	if !strings.Contains(proof, `"saved_usd": "0.000504"`) { // the escalations, of which us. costs a tenth more
		t.Error(proof)
	}
	yaml, err := os.ReadFile(gw.ConfigFile())
	if err != nil {
		t.Fatal(err)
	}
	near := filepath.Join(gw.Dir, "near.yaml")
	geo := strings.Replace(string(yaml), "{id: acme/support,", "{id: acme/support, residency: geo,", 1)
	if err := os.WriteFile(near, []byte(geo), 0o600); err != nil {
		t.Fatal(err)
	}
	if text := harness.Run(t, 0, nil, "savings", "--config", near); strings.Contains(text, "global profile") ||
		!strings.Contains(text, "batch") {
		t.Error(text)
	}
}

// TestSavingsAgree has the report, the metrics and the spans show the same for
// one cascade: 20 requests that the light model answers and 40 that go straight
// to the escalation model, whose answers have 6 tokens.
func TestSavingsAgree(t *testing.T) {
	spans, sandbox, key := startCollector(t), harness.StartSandbox(t, cascadeScript), harness.NewKey(t, "acme/support")
	gw := harness.Start(t, harness.Config{YAML: fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: %q}
telemetry: {otlp: %q, sample: 0}
aliases: {auto: %q}
tenants: [{id: acme/support, keys: [%s]}]
cascades: [{name: support, match: request.model == "auto", mode: rules, light: %q, escalation: %q, escalate_if: [{id: hard, if: 'request.text.contains("hard")'}]}]
`, sandbox.URL(), spans.URL, cascadeEscalation, key.KeyID, cascadeLight, cascadeEscalation)})
	ask := func(text string, cred harness.Credential) {
		t.Helper()
		if got := gw.Post(t, cred, "/model/auto/converse",
			`{"messages":[{"role":"user","content":[{"text":"`+text+`"}]}]}`); got.Status != http.StatusOK {
			t.Fatalf("%d %s", got.Status, got.Body)
		}
	}
	for range 20 {
		ask("easy", key.BearerCredential)
	}
	for range 40 {
		ask("hard", key.BearerCredential)
	}
	ask("easy", func(req *http.Request, body []byte) error {
		req.Header.Set("traceparent", "00-"+callerTrace+"-"+callerSpan+"-01")
		return key.BearerCredential(req, body)
	})
	type row struct {
		Requests, Light, Answers int
		Spent                    string `json:"spent_usd"`
		Alone                    string `json:"counterfactual_usd"`
		Saved                    string `json:"saved_usd"`
		Quality                  string `json:"quality_loss"`
	}
	var rows []row
	harness.Eventually(t, time.Minute, func() (bool, string) {
		out := harness.Run(t, 0, nil, "report", "savings", "--config", gw.ConfigFile(), "--format", "json")
		if err := json.Unmarshal([]byte(out), &rows); err != nil {
			t.Fatal(err)
		}
		return len(rows) == 1 && rows[0].Requests == 61, out
	})
	// Haiku 3 at 0.25 and 1.25, Sonnet 4.5 of the geo profile at 3.30 and 16.50
	// dollars per million tokens; light 10 + 5 tokens, escalation 12 + 6.
	want := row{61, 21, 40, "0.00572775", "0.008316", "0.00258825", "uncertified"}
	if rows[0] != want {
		t.Errorf("report: %+v, want %+v", rows[0], want)
	}
	for name, amount := range map[string]string{"spent": want.Spent, "escalation_alone": want.Alone, "saved": want.Saved} {
		figure, err := strconv.ParseFloat(amount, 64)
		if err != nil {
			t.Fatal(err)
		}
		if got := gw.Metric(`sluice_cascade_` + name + `_usd{cascade="support"}`); math.Abs(got-figure) > 1e-12 {
			t.Errorf("metric %s: %v, the report has %s", name, got, amount)
		}
	}
	leversAgree(t, gw, want.Saved)
	gw.Stop()
	request, attempts := spans.of(callerTrace)
	if len(request) != 1 || len(attempts) != 1 {
		t.Fatalf("%d request spans, %d attempt spans", len(request), len(attempts))
	}
	// Alone: 10 * 3.30 + 6 * 16.50 = 132; spent 10 * 0.25 + 5 * 1.25 = 8.75.
	wantAttributes(t, "request", request[0], map[string]string{
		"sluice.escalation_alone.usd": "0.000132", "sluice.saved.usd": "0.00012325",
		"sluice.cost.usd":     "0.00000875",
		"sluice.quality_loss": "uncertified",
	})
	wantAttributes(t, "attempt", attempts[0], map[string]string{"sluice.path": "light", "sluice.leg.verdict": "accept"})
}
