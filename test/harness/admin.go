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

// API calls the admin port with its token and a JSON body, "" for none, and reads the
// JSON answer into v, unless that is nil.
func (g *Gateway) API(method, path, body string, v any) (status int, answer string) {
	g.t.Helper()
	req, err := http.NewRequest(method, "http://"+g.Admin+path, strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+g.token)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	if v != nil {
		if err := json.Unmarshal(text, v); err != nil {
			g.t.Fatalf("%s %s: %v in %s", method, path, err, text)
		}
	}
	return res.StatusCode, string(text)
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
