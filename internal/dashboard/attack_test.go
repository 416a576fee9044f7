package dashboard_test

import (
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/internal/keys/admin"
	"github.com/sluice-gateway/sluice/internal/views/viewstest"
)

// asides are what somebody may put into the address of any view to see more than is theirs.
func asides(b *browser) []string {
	cursor := regexp.MustCompile(`cursor=([^"&]+)`).FindStringSubmatch(b.body("/requests?limit=2"))
	all := []string{
		"", "by=tenant", "by=root", "by=key", "by=cost_center", "by=model", "from=2026-10-01&to=2026-12-01",
		"from=2026-10-01&to=2026-11-01", "reason=disagree", "model=large", "status=4", "status=200", "since=1000h",
		"limit=1000", "limit=1000&since=1000h", "id=" + viewstest.DecisionID(8), "id=" + viewstest.DecisionID(12),
		"tenant=", "tenant=%00", "tenant=ACME", "tenant=+acme", "tenant=%2A", "tenant=acme%2F..",
		"tenant=acme%2F%2E%2E%2Fother",
		"tenant=other", "tenant=other%2Fx", "tenant=other&tenant=acme%2Fapp", "tenant=acme%2Fapp&tenant=other",
		"tenant[]=other",
		"Tenant=other", "below=other", "root=other", "format=csv", "table=tenants", "month=2026-10",
		"month=2026-10&tenant=acme",
		"cursor=" + strings.Repeat("A", 16), "cursor=all.e30",
	}
	if cursor != nil {
		all = append(all, "cursor="+cursor[1])
	}
	return all
}

func (b *browser) body(path string) string {
	_, _, body := b.do("GET", path, nil)
	return body
}

// others are texts that are of other tenants alone: names, ids of keys, ids of requests.
func others(r *viewstest.Rig, id string) []string {
	own := func(of string) bool { return of == id || strings.HasPrefix(of, id+"/") }
	var all []string
	for i, of := range tenants {
		if own(of) {
			continue
		}
		all = append(all, viewstest.DecisionID(2*i), viewstest.DecisionID(2*i+1))
		if strings.Contains(of, "/") && !strings.HasPrefix(id, of) {
			all = append(all, of)
		}
	}
	for _, k := range r.Office.List("") {
		if !own(k.Tenant) {
			all = append(all, k.ID)
		}
	}
	return append(all, viewstest.DecisionID(2*len(tenants)))
}

// TestNobodySeesOthers walks every view, with every parameter that there is and some that there are
// not, as page, JSON and the CSV of each table: nothing of another tenant is anywhere, not its name,
// not its keys, not its requests.
func TestNobodySeesOthers(t *testing.T) {
	r := viewstest.New(t, viewstest.Counted())
	all := newBrowser(t, r)
	all.signIn(adminToken)
	queries, found := asides(all), map[string]bool{}
	table := regexp.MustCompile(`\{"name":"([a-z]+)","title":"[^"]*","columns"`)
	for _, id := range []string{"acme/app", "acme/app/web", "other/x"} {
		b := newBrowser(t, r)
		b.signIn(r.Bearers[id])
		secret := others(r, id)
		check := func(path string) string {
			t.Helper()
			status, _, body := b.do("GET", path, nil)
			for _, text := range secret {
				if at := strings.Index(body, text); at >= 0 {
					t.Errorf("%s finds %q in %s: %d …%s", id, text, path, status, body[max(0, at-80):at])
				}
			}
			found[strings.SplitN(path, "?", 2)[0]] = found[strings.SplitN(path, "?", 2)[0]] || status == 200
			return body
		}
		paths := []string{
			"/api/v1/report", "/api/v1/statement", "/api/v1/requests", "/api/v1/minutes", "/api/v1/keys", "/api/v1/me",
		}
		for _, v := range r.Shelf.Names(true) {
			paths = append(paths, "/"+v.Name, "/api/v1/views/"+v.Name)
			for _, m := range table.FindAllStringSubmatch(b.body("/api/v1/views/"+v.Name), -1) {
				check("/api/v1/views/" + v.Name + "?format=csv&table=" + m[1])
			}
		}
		for _, path := range paths {
			for _, q := range queries {
				check(path + "?" + q)
			}
		}
		for i := range 2*len(tenants) + 1 {
			check("/api/v1/requests/" + viewstest.DecisionID(i))
		}
	}
	for _, path := range []string{"/spend", "/api/v1/views/spend", "/api/v1/report", "/requests", "/statements"} {
		if !found[path] {
			t.Errorf("%s never answered: the walk proves nothing", path)
		}
	}
}

// TestForeignFormsDoNothing posts each form from another site, from a sibling of this one, and with
// the token of another session, by a browser that is signed in: no key changes, nobody is signed in
// or out.
func TestForeignFormsDoNothing(t *testing.T) {
	r := viewstest.New(t, nil)
	b, other := newBrowser(t, r), newBrowser(t, r)
	b.signIn(adminToken)
	other.signIn(r.Bearers["other"])
	token := func(b *browser) string {
		return regexp.MustCompile(`name="form" value="([^"]+)"`).FindStringSubmatch(b.body("/keys"))[1]
	}
	var id string
	for _, k := range r.Office.List("acme/app") {
		id = k.ID
	}
	cookies := len(b.cookies)
	forms := []struct {
		path string
		form url.Values
	}{
		{"/keys", url.Values{"act": {"freeze"}, "key": {id}}},
		{"/keys", url.Values{"act": {"revoke"}, "key": {id}, "sure": {"yes"}}},
		{"/keys", url.Values{"act": {"issue"}, "tenant": {"acme"}}}, {"/signout", url.Values{}},
		{"/signin", url.Values{"credential": {r.Bearers["other"]}}},
	}
	before := len(r.Office.List(""))
	for _, f := range forms {
		for _, from := range [][]string{
			{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site", "Origin", "https://evil.example.com"},
			{"Origin", "https://evil.example"}, {"Origin", "null"}, {"Origin", "http://example.com:81"},
		} {
			f.form.Set("form", token(b))
			if status, _, _ := b.do("POST", f.path, f.form, from...); status != 403 {
				t.Errorf("%s from %v: %d", f.path, from, status)
			}
		}
		for _, form := range []string{"", token(other), strings.ToLower(token(b)), token(b) + "0"} {
			f.form.Set("form", form)
			if status, _, _ := b.do("POST", f.path, f.form); f.path != "/signin" && status != 403 {
				t.Errorf("%s with form %q: %d", f.path, form, status)
			}
		}
		for _, method := range []string{"GET", "HEAD", "PUT", "DELETE"} {
			b.do(method, f.path+"?"+f.form.Encode(), nil)
		}
		if k, _ := r.Office.Find(id); k.State != admin.Active || len(r.Office.List("")) != before {
			t.Errorf("%s did something: %+v", f.path, k)
		}
	}
	if len(b.cookies) != cookies {
		t.Error("somebody was signed out")
	}
}
