package gateway

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/telemetry"
)

// shadowSettings have a caller who may have one request open, and a cascade
// whose samples are paid by lab. A leg of theirs is at most 1.1 dollars and
// comes to 0.015.
const shadowSettings = `
  - id: lab
    budgets: [{period: month, usd: %s, on_exceed: reject}]
    limits: {concurrent_requests: 4}
cascades:
  - name: c
    match: 'request.model == "auto"'
    mode: observe
    light: dear.light-v1:0
    partner: dear.second-v1:0
    escalation: dear.heavy-v1:0
    shadow: {tenant: lab, fraction: 1}
`

// shadowed makes requests one after the other, each with its shadows, and
// returns what the ledger has of both roots and how many samples were dropped
// for the budget.
func shadowed(t *testing.T, usd string, requests int) (windows map[string]ledger.WindowState, dropped float64) {
	t.Helper()
	f := newFixtureOf(t, "1000", "limits: {concurrent_requests: 1}", fmt.Sprintf(shadowSettings, usd))
	tel, err := telemetry.New(t.Context(), telemetry.Options{Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer tel.Close(context.Background())
	f.line.asker.Telemetry = tel
	for n := range requests {
		if status, text, _ := f.ask(t, "auto"); status != 200 {
			t.Fatalf("request %d: %d %s", n, status, text)
		}
		for deadline := time.Now().Add(10 * time.Second); f.line.open.Load() > 0 && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
	}
	return f.end(t, "lab"), counted(tel, `sluice_cascade_shadows_dropped_total{cascade="c",reason="budget"}`)
}

// TestShadowsAreHeldToTheirTenant reserves shadows against the tenant that pays
// for them and nobody else, and drops them when it has no room.
func TestShadowsAreHeldToTheirTenant(t *testing.T) {
	const each = 15_000_000 // nano-dollars
	f := func(usd string, requests, samples int) {
		t.Helper()
		windows, dropped := shadowed(t, usd, requests)
		if int(dropped) != requests-samples {
			t.Errorf("%s dollars: %v samples are counted as dropped, want %d", usd, dropped, requests-samples)
		}
		if got := windows["lab dollars"]; got != (ledger.WindowState{Posted: int64(2 * samples * each)}) {
			t.Errorf("%s dollars: the payer has %+v for %d samples", usd, got, samples)
		}
		if got := windows["acme dollars"]; got != (ledger.WindowState{Posted: int64(requests * each)}) {
			t.Errorf("%s dollars: the caller has %+v for %d requests", usd, got, requests)
		}
	}
	f("1000", 5, 5)
	f("2.3", 5, 2) // two samples, and then less is left than two legs may take
	f("0.5", 3, 0)
}

// counted is the value of a metric, 0 when it is not there.
func counted(tel *telemetry.Telemetry, series string) float64 {
	w := httptest.NewRecorder()
	tel.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	_, rest, _ := strings.Cut(w.Body.String(), "\n"+series+" ")
	value, _, _ := strings.Cut(rest, "\n")
	n, _ := strconv.ParseFloat(value, 64) // 0 without it
	return n
}
