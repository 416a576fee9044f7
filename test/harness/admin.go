package harness

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// Page gets a page of the admin port.
func (g *Gateway) Page(path string) (status int, body string) {
	g.t.Helper()
	res, err := http.Get("http://" + g.Admin + path)
	if err != nil {
		g.t.Fatal(err)
	}
	defer res.Body.Close()
	page, err := io.ReadAll(res.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return res.StatusCode, string(page)
}

// Metric returns the value of a metric, named as in the page of metrics with
// its labels, and 0 when it is not there.
func (g *Gateway) Metric(name string) float64 {
	g.t.Helper()
	_, page := g.Page("/metrics")
	for line := range strings.Lines(page) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			value, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			if err != nil {
				g.t.Fatal(err)
			}
			return value
		}
	}
	return 0
}

// Readiness is what /readyz shows.
type Readiness struct {
	Ready    bool              `json:"ready"`
	Draining bool              `json:"draining"`
	Degraded map[string]string `json:"degraded"`
	Backlog  uint64            `json:"ledger_backlog"`
}

// Readyz gets /readyz.
func (g *Gateway) Readyz() (status int, r Readiness) {
	g.t.Helper()
	status, page := g.Page("/readyz")
	if err := json.Unmarshal([]byte(page), &r); err != nil {
		g.t.Fatalf("/readyz: %v in %s", err, page)
	}
	return status, r
}
