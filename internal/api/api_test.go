package api_test

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/decision"
	decisions "github.com/sluice-gateway/sluice/internal/decision/api"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/report"
	"github.com/sluice-gateway/sluice/internal/views/viewstest"
)

// names are all views, as the API lists them.
func names(t *testing.T, r *rig, bearer string) []string {
	t.Helper()
	_, _, body := r.get(t, "/api/v1/views", bearer)
	var list struct{ Views []struct{ Name string } }
	if err := json.Unmarshal([]byte(body), &list); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, v := range list.Views {
		all = append(all, v.Name)
	}
	return all
}

// TestWhoSeesWhom asks each route as each caller for each tenant: one's own, those above,
// below and beside it, and some that there are not. What a caller may not see is refused in
// the same words whether there is such a tenant or not, and no figure of it is anywhere.
func TestWhoSeesWhom(t *testing.T) {
	r := newRig(t, viewstest.Counted())
	routes := []string{"/api/v1/report"}
	for _, v := range names(t, r, adminToken) {
		routes = append(routes, "/api/v1/views/"+v)
	}
	callers := map[string]string{"": adminToken, "nobody": "", "a guess": "slk_" + strings.Repeat("A", 60)}
	for _, id := range tenants {
		callers[id] = r.Bearers[id]
	}
	asked := append(slices.Clone(tenants), "", "acm", "acme/", "acme/app/", "acme/ap", "unknown",
		"acme/app/../../other", "*", "acme%2Fapp")
	for caller, bearer := range callers {
		signedIn := caller == "" || slices.Contains(tenants, caller)
		for _, route := range routes {
			for _, of := range asked {
				status, _, body := r.get(t, route+"?tenant="+url.QueryEscape(of), bearer)
				may := signedIn && (caller == "" || of == "" || of == caller || strings.HasPrefix(of, caller+"/"))
				want := map[bool]int{true: 200, false: 403}[may]
				switch {
				case !signedIn:
					want = 401
				case strings.HasSuffix(route, "/health") && caller != "":
					want = 403
				}
				if status != want {
					t.Errorf("%q asks %s of %q: %d, want %d: %s", caller, route, of, status, want, body)
				}
				if caller == "" || status == 401 {
					continue
				}
				for _, id := range tenants { // no other tenant is named
					if id != caller && !strings.HasPrefix(id, caller+"/") && !strings.HasPrefix(caller, id) &&
						strings.Contains(body, `"`+id+`"`) {
						t.Errorf("%q sees %q in %s of %q", caller, id, route, of)
					}
				}
			}
		}
	}
	r.seesRequests(t, callers)
	refused := func(of string) string {
		_, _, body := r.get(t, "/api/v1/views/spend?tenant="+of, r.Bearers["acme/app"])
		return body
	}
	if refused("other") != refused("not-there") {
		t.Error("a refusal tells which tenants there are")
	}
}

// seesRequests asks for each request as each caller: one's own and those below are shown, and
// of each other the same is said as of one that there is not. Budgets above stay unnamed.
func (r *rig) seesRequests(t *testing.T, callers map[string]string) {
	t.Helper()
	owners := append(slices.Clone(tenants), "")
	for caller, bearer := range callers {
		_, _, none := r.get(t, "/api/v1/views/request?id="+viewstest.DecisionID(99), bearer)
		signedIn := caller == "" || slices.Contains(tenants, caller)
		_, _, list := r.get(t, "/api/v1/views/requests", bearer)
		for n := range 2*len(tenants) + 1 {
			owner := owners[n/2]
			may := signedIn && (caller == "" || owner == caller || strings.HasPrefix(owner, caller+"/"))
			for _, as := range []func(string) string{strings.ToUpper, strings.ToLower} {
				status, _, body := r.get(t, "/api/v1/views/request?id="+as(viewstest.DecisionID(n)), bearer)
				want := map[bool]int{true: 200, false: 404}[may]
				if !signedIn {
					want = 401
				}
				if status != want || !may && body != none {
					t.Errorf("%q asks for request %d of %q: %d, want %d: %s", caller, n, owner, status, want, body)
				}
				root, _, _ := strings.Cut(caller, "/")
				if root != caller && strings.Contains(body, `"`+root+`"`) {
					t.Errorf("%q sees %q in request %d: %s", caller, root, n, body)
				}
			}
			if strings.Contains(list, viewstest.DecisionID(n)) != may {
				t.Errorf("%q sees request %d of %q in the list: %v", caller, n, owner, !may)
			}
		}
	}
	for _, of := range []string{"acme", "other"} { // whose it is not, though the caller sees all
		_, _, body := r.get(t, "/api/v1/views/requests?tenant="+of, adminToken)
		status, _, _ := r.get(t, "/api/v1/views/request?tenant="+of+"&id="+viewstest.DecisionID(2*len(tenants)), adminToken)
		if strings.Contains(body, viewstest.DecisionID(2*len(tenants))) || status != 404 {
			t.Errorf("a request of nobody is one of %s: %d", of, status)
		}
	}
}

// TestRequests walks filters, pages, what is said of one request, and of a gateway that keeps
// none.
func TestRequests(t *testing.T) {
	r := newRig(t, nil)
	type answer struct {
		Notes  []string
		Tables []struct {
			Name, Empty string
			Rows        []map[string]any
			Next        string
		}
	}
	read := func(path string) (a answer) {
		t.Helper()
		status, _, body := r.get(t, "/api/v1/views/"+path, adminToken)
		if err := json.Unmarshal([]byte(body), &a); err != nil || status != 200 {
			t.Fatal(path, status, err, body)
		}
		return a
	}
	for query, want := range map[string]int{
		"": 13, "reason=disagree": 6, "reason=ThrottlingException": 6, "reason=none": 0, "model=auto": 6, "model=large": 12,
		"status=4": 7, "status=429": 6, "status=200&tenant=acme": 4, "since=91m": 4, "since=2026-11-29T06:29:00Z": 4,
		"from=2026-11-28&to=2026-11-29": 0, "limit=5": 5, "tenant=acme/app": 4,
	} {
		got := read("requests?" + query).Tables[0]
		if len(got.Rows) != want || (got.Next != "") != (query == "limit=5") {
			t.Errorf("%s: %d rows, want %d, next %q", query, len(got.Rows), want, got.Next)
		}
	}
	var ids []string
	for next := ""; ; {
		page := read("requests?limit=3&cursor=" + next).Tables[0]
		for _, row := range page.Rows {
			ids = append(ids, row["request"].(string))
		}
		if next = page.Next; next == "" {
			break
		}
	}
	if newestFirst := func(a, b string) int { return strings.Compare(b, a) }; len(ids) != 13 ||
		!slices.IsSortedFunc(ids, newestFirst) {
		t.Errorf("by pages: %v", ids)
	}
	one := read("request?id=" + viewstest.DecisionID(2)).Tables // of acme/app
	if legs, effects := one[1].Rows, one[2].Rows; len(legs) != 2 || legs[1]["upstream_request_id"] != "aws-2" ||
		legs[1]["cost_usd"] != "0.003" || len(effects) != 2 || effects[0]["posted"] != "0.000000005" {
		t.Errorf("one request: %v", one)
	}
	_, _, refused := r.get(t, "/api/v1/views/request?id="+viewstest.DecisionID(3), adminToken)
	if !strings.Contains(refused, "reserve (budgets and limits)") || !strings.Contains(refused, "No model was asked") {
		t.Errorf("a refused request: %s", refused)
	}
	for _, wrong := range []string{"request?id=x", "requests?status=x", "requests?limit=0", "requests?limit=1001",
		"requests?since=x", "requests?since=-1h", "requests?cursor=x", "requests?id=x", "request?status=4"} {
		if status, _, body := r.get(t, "/api/v1/views/"+wrong, adminToken); status != 400 {
			t.Errorf("%s: %d %s", wrong, status, body)
		}
	}
	r.renamed(t)
	r.Sources.Requests = nil
	r.serve()
	for _, path := range []string{"requests", "request", "request?id=" + viewstest.DecisionID(2)} {
		if got := read(path).Tables[0]; !strings.Contains(got.Empty, "decisions.off") || len(got.Rows) > 0 {
			t.Errorf("%s of a gateway that keeps nothing: %+v", path, got)
		}
	}
}

// renamed: requests from before a tenant was renamed are its own by the name of now.
func (r *rig) renamed(t *testing.T) {
	t.Helper()
	l := viewstest.Decided(t)
	id := viewstest.DecisionID(50)
	l.Add(&decision.Decision{ID: id, Received: now.Add(-50 * time.Minute), Tenant: "was-other/x", Status: 200})
	r.Sources.Requests = &decisions.All{Own: l}
	r.serve()
	for caller, want := range map[string]int{"other": 200, "other/x": 200, "acme": 404} {
		status, _, _ := r.get(t, "/api/v1/views/request?id="+id, r.Bearers[caller])
		_, _, list := r.get(t, "/api/v1/views/requests", r.Bearers[caller])
		if status != want || strings.Contains(list, id) != (want == 200) {
			t.Errorf("%s and a request of the tenant that is now other/x: %d", caller, status)
		}
	}
}

// TestCompleteUpTo: M22: pages and reports say up to when all gateways have posted. Who sees all
// tenants learns which are behind; others learn how many. Corrections of others are nobody's.
func TestCompleteUpTo(t *testing.T) {
	r := newRig(t, viewstest.Counted())
	upTo := now.Add(-7 * time.Minute)
	r.Sources.Gateways = func(context.Context) ([]report.Gateway, error) {
		return []report.Gateway{{Name: "gw-late", UpTo: upTo, Behind: true}, {Name: "gw-fine", UpTo: now}}, nil
	}
	r.Sources.Complete = func(_ context.Context, q *report.Query) error {
		for _, id := range tenants {
			row := record.RowKey{Hour: now.Truncate(time.Hour), Tenant: id, Model: "model-0"}
			q.Corrections = append(q.Corrections, &record.Adjustment{
				Reason: "because of " + id, Row: row, Add: record.Counters{CostInput: 1e9},
			})
		}
		return nil
	}
	r.serve()
	want := `"complete_up_to":"` + upTo.Format(time.RFC3339) + `"`
	for id, bearer := range map[string]string{"": adminToken, "acme/app": r.Bearers["acme/app"]} {
		for _, path := range []string{"report", "views/spend", "views/budgets", "views/overview", "views/trust"} {
			_, _, body := r.get(t, "/api/v1/"+path, bearer)
			if !strings.Contains(body, want) || strings.Contains(body, "gw-late") != (id == "") ||
				!strings.Contains(body, "missing") {
				t.Errorf("%q, %s: %s", id, path, body)
			}
			for _, of := range tenants {
				may := path == "report" && (id == "" || of == id || strings.HasPrefix(of, id+"/"))
				if strings.Contains(body, `"because of `+of+`"`) != may {
					t.Errorf("%q, %s: a correction of %s: %v", id, path, of, !may)
				}
			}
		}
		if _, _, body := r.get(t, "/api/v1/views/keys", bearer); !strings.Contains(body, `"complete_up_to":null`) {
			t.Error(body)
		}
	}
	r.Sources.Gateways = func(context.Context) ([]report.Gateway, error) { return nil, errors.New("no ledger") }
	r.serve()
	if _, _, body := r.get(t, "/api/v1/views/spend", adminToken); !strings.Contains(body, "not known: no ledger") {
		t.Error(body)
	}
}

// TestStatements: the file of a closed month is what was written, for who sees its whole root.
// Others see their own tenants of it.
func TestStatements(t *testing.T) {
	r := newRig(t, nil)
	const path = "/api/v1/statement?tenant=acme&month=2026-10"
	for id, status := range map[string]int{"": 200, "acme": 200, "acme/app": 403, "other": 403} {
		bearer := r.Bearers[id]
		if id == "" {
			bearer = adminToken
		}
		for format, want := range map[string]string{
			"": `"total_usd": "4.00"`, "json": `"2026-10"`, "csv": "root,month,kind",
		} {
			if got, _, body := r.get(t, path+"&format="+format, bearer); got != status ||
				status == 200 && !strings.Contains(body, want) {
				t.Errorf("%q: %d, want %d: %s", id, got, status, body)
			}
		}
		_, _, body := r.get(t, "/api/v1/views/statements", bearer)
		for text, may := range map[string]bool{
			`"tenant":"acme/apps"`: id == "" || id == "acme", `"tenant":"acme/app"`: id != "other",
			`"sha256":"`: id == "" || id == "acme",
		} {
			if strings.Contains(body, text) != may {
				t.Errorf("%q and %s: %v: %s", id, text, !may, body)
			}
		}
	}
}

// TestMethods: nothing here writes.
func TestMethods(t *testing.T) {
	r := newRig(t, nil)
	for _, path := range []string{"/api/v1/me", "/api/v1/report", "/api/v1/views", "/api/v1/views/spend",
		"/api/openapi.yaml"} {
		for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
			if status, h, _ := r.do(t, method, path, adminToken); status != 405 || h.Get("Allow") == "" {
				t.Errorf("%s %s: %d", method, path, status)
			}
		}
	}
}

// TestWrongQueries walks what is wrong with requests.
func TestWrongQueries(t *testing.T) {
	r := newRig(t, viewstest.Counted())
	for path, want := range map[string]int{
		"/api/v1/views/nothing": 404, "/api/v1/nothing": 404, "/api/": 404, "/api/v1/views/": 404,
		"/api/v1/views/spend?form=x": 400, "/api/v1/views/spend?from=x": 400, "/api/v1/views/spend?format=xml": 400,
		"/api/v1/views/spend?table=x": 400, "/api/v1/views/spend?by=x": 400, "/api/v1/views/caps?by=root": 400,
		"/api/v1/views/spend?tenant=a&tenant=b": 400, "/api/v1/views/spend?from=2026-11-02&to=2026-11-01": 400,
		"/api/v1/report?by=x": 400, "/api/v1/report?limit=0": 400, "/api/v1/report?limit=x": 400,
		"/api/v1/report?cursor=x":     400,
		"/api/v1/report?format=table": 400, "/api/v1/report?by=tenant,tenant": 400,
	} {
		status, h, body := r.get(t, path, adminToken)
		var p struct {
			Status        int
			Title, Detail string
		}
		if status != want || h.Get("Content-Type") != "application/problem+json" ||
			json.Unmarshal([]byte(body), &p) != nil || p.Status != want || p.Detail == "" || p.Title == "" {
			t.Errorf("%s: %d %s %s, want %d", path, status, h.Get("Content-Type"), body, want)
		}
	}
}

// TestReportPages reads a report page by page: each row once, in one order.
func TestReportPages(t *testing.T) {
	ledger := viewstest.Counted()
	for _, x := range ledger[:50] { // what came too late has rows of its own, with the same values
		x.Key.Corrects = "2026-10"
		ledger = append(ledger, x)
	}
	r := newRig(t, ledger)
	read := func(query string) (rows []string, next string) {
		_, _, body := r.get(t, "/api/v1/report?by=tenant,model,day&"+query, adminToken)
		var page struct {
			Rows []json.RawMessage
			Next string
		}
		if err := json.Unmarshal([]byte(body), &page); err != nil {
			t.Fatal(err, body)
		}
		for _, row := range page.Rows {
			rows = append(rows, string(row))
		}
		return rows, page.Next
	}
	all, _ := read("")
	if len(all) < 100 {
		t.Fatal(len(all), "rows")
	}
	for _, limit := range []string{"1", "7", "1000"} {
		var got []string
		for next := ""; ; {
			page, more := read("limit=" + limit + "&cursor=" + next)
			got = append(got, page...)
			if next = more; next == "" || len(got) > len(all) {
				break
			}
		}
		if !slices.Equal(got, all) {
			t.Errorf("by pages of %s: %d rows of %d", limit, len(got), len(all))
		}
	}
}

// TestSameFigures: JSON and CSV of each table have the same cells.
func TestSameFigures(t *testing.T) {
	r := newRig(t, viewstest.Counted())
	for _, name := range names(t, r, adminToken) {
		_, _, body := r.get(t, "/api/v1/views/"+name, adminToken)
		var v struct {
			Tables []struct {
				Name    string
				Columns []struct{ Name string }
				Rows    []map[string]json.RawMessage
			}
		}
		if err := json.Unmarshal([]byte(body), &v); err != nil || len(v.Tables) == 0 {
			t.Fatal(name, err)
		}
		for _, table := range v.Tables {
			_, h, text := r.get(t, "/api/v1/views/"+name+"?format=csv&table="+table.Name, adminToken)
			lines, err := csv.NewReader(strings.NewReader(text)).ReadAll()
			if err != nil || len(lines) != len(table.Rows)+1 || !strings.HasPrefix(h.Get("Content-Type"),
				"text/csv") {
				t.Fatalf("%s/%s: %d lines, %v", name, table.Name, len(lines), err)
			}
			for i, row := range table.Rows {
				for j, c := range table.Columns {
					want := lines[i+1][j]
					var text string
					if got := string(row[c.Name]); json.Unmarshal(row[c.Name], &text) != nil {
						text = got
					}
					if text != want {
						t.Errorf("%s/%s row %d %s: %q in JSON, %q in CSV", name, table.Name, i, c.Name, text, want)
					}
				}
			}
		}
	}
}

// TestNoFormulas: what callers may choose is in no CSV a formula to a spreadsheet: of no view, in no
// table, and not in the report.
func TestNoFormulas(t *testing.T) {
	ledger := viewstest.Counted()
	for i := range ledger {
		k := &ledger[i].Key
		k.Model, k.Cascade, k.Path, k.Key, k.User = "=1+1", "@SUM(1)", "+1-1", "-2+3", "\t=1"
		k.Tier, k.Region = "\r=1", "=cmd|' /C calc'!A0"
	}
	r := newRig(t, ledger)
	r.Log.Add(&decision.Decision{
		ID: viewstest.DecisionID(60), Received: now.Add(-40 * time.Minute), Tenant: "acme", Asked: "=1+1", Served: "@x",
		Reason: "+1", Error: "-1+x", User: "=2", Path: "escalated", Cascade: "=3", Status: 200, CostState: "known", Cost: 5,
	})
	checked := 0
	walk := func(path string) {
		t.Helper()
		status, _, text := r.get(t, path, adminToken)
		lines, err := csv.NewReader(strings.NewReader(text)).ReadAll()
		if status != 200 || err != nil {
			t.Fatal(path, status, err)
		}
		for _, line := range lines {
			for _, cell := range line {
				_, number := strconv.ParseFloat(cell, 64)
				if checked++; cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) && number != nil {
					t.Errorf("%s has a cell %q", path, cell)
				}
			}
		}
	}
	for _, name := range names(t, r, adminToken) {
		_, _, body := r.get(t, "/api/v1/views/"+name, adminToken)
		var v struct{ Tables []struct{ Name string } }
		if err := json.Unmarshal([]byte(body), &v); err != nil {
			t.Fatal(err)
		}
		for _, table := range v.Tables {
			walk("/api/v1/views/" + name + "?format=csv&table=" + table.Name)
		}
	}
	for _, by := range []string{"model", "cascade", "path", "key", "user", "tier", "region"} {
		walk("/api/v1/views/top?format=csv&by=" + map[bool]string{true: "model", false: by}[by == "user"])
		walk("/api/v1/report?format=csv&by=tenant," + by)
	}
	if checked < 1000 {
		t.Errorf("%d cells: the walk proves nothing", checked)
	}
}
