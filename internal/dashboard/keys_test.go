package dashboard_test

import (
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/keys/admin"
	"github.com/sluice-gateway/sluice/internal/views/viewstest"
)

var formToken = regexp.MustCompile(`name="form" value="([^"]+)"`)

// form is the token of a page of the view of keys.
func (b *browser) form() string {
	b.t.Helper()
	_, _, body := b.do("GET", "/keys", nil)
	m := formToken.FindStringSubmatch(body)
	if m == nil {
		b.t.Fatal("no form")
	}
	return m[1]
}

// TestActsOnKeys does what the forms offer, without scripts.
func TestActsOnKeys(t *testing.T) {
	r := viewstest.New(t, nil)
	b := newBrowser(t, r)
	b.signIn(adminToken)
	form := b.form()
	post := func(status int, pairs ...string) string {
		t.Helper()
		v := url.Values{"form": {form}}
		for i := 0; i < len(pairs); i += 2 {
			v.Set(pairs[i], pairs[i+1])
		}
		got, _, body := b.do("POST", "/keys", v)
		if got != status {
			t.Errorf("%v: %d, want %d", pairs, got, status)
		}
		return body
	}
	state := func(id string) admin.Key { k, _ := r.Office.Find(id); return k }
	body := post(200, "act", "issue", "tenant", "acme/app", "name", "n", "owner", "o", "expires", "2026-12-31",
		"reason", "why")
	id := regexp.MustCompile(`SLK[A-Z2-7]{21}`).FindString(body)
	if k := state(id); k.Tenant != "acme/app" || k.Name != "n" || k.IssuedBy != "admin token" ||
		!strings.Contains(body, "slk_"+id) {
		t.Fatalf("%q: %+v", id, k)
	}
	post(303, "act", "freeze", "key", id)
	if state(id).State != admin.Frozen {
		t.Error("not frozen")
	}
	post(409, "act", "rotate", "key", id)
	post(303, "act", "unfreeze", "key", id)
	if body := post(200, "act", "rotate", "key", id); !strings.Contains(body, "slk_") || state(id).ReplacedBy == "" {
		t.Error("not rotated")
	}
	post(422, "act", "revoke", "key", id)
	post(303, "act", "revoke", "key", id, "sure", "yes", "reason", "leaked")
	if k := state(id); k.State != admin.Revoked || k.Reason != "leaked" {
		t.Errorf("%+v", k)
	}
	post(404, "act", "issue", "tenant", "unknown")
	post(422, "act", "issue", "tenant", "acme", "expires", "soon")
	post(422, "act", "issue", "tenant", "acme", "expires", "2026-11-01")
	post(422, "act", "nothing", "key", id)
	post(422, "act", "freeze", "key", "x")
	post(422, "act", "freeze", "key", id, "reason", "a\nb")
	if _, _, body := b.do("GET", "/keys", nil); !strings.Contains(body, id) || strings.Contains(body, "slk_") {
		t.Error("the list lacks the key, or has a secret")
	}
}

// TestWhoActsOnKeys asks for each act as each role for keys of each tenant: what is not one's
// own does not change, and a form that is not one's own does nothing.
func TestWhoActsOnKeys(t *testing.T) {
	r := viewstest.New(t, nil)
	ids := map[string]string{}
	for _, k := range r.Office.List("") {
		ids[k.Tenant] = k.ID
	}
	r.Config.OIDC = &config.OIDC{Issuer: "https://idp.example"}
	for _, c := range []struct {
		role, tenant string
		acts         bool
	}{
		{config.RoleViewer, "", false}, {config.RoleViewer, "acme/app", false},
		{config.RoleKeyAdmin, "acme/app", true},
		{config.RoleAdmin, "acme/app", true}, {"owner", "acme/app", false}, {config.RoleKeyAdmin, "", true},
	} {
		b := newBrowser(t, r)
		b.cookies["sluice_session"] = session(r, c.role, c.tenant)
		status, _, body := b.do("GET", "/keys", nil)
		if may := c.role != "owner"; (status == 200) != may || strings.Contains(body, `value="issue"`) != c.acts {
			t.Errorf("%v: the view %d", c, status)
		}
		form := ""
		if m := formToken.FindStringSubmatch(body); m != nil {
			form = m[1]
		}
		for _, of := range append([]string{"unknown"}, tenants...) {
			id := ids[of]
			if of == "unknown" {
				id = "SLKAAAAAAAAAAAAAAAAAAAAA"
			}
			own := c.acts && (c.tenant == "" || of == c.tenant || strings.HasPrefix(of, c.tenant+"/"))
			before, _ := r.Office.Find(id)
			status, _, _ := b.do("POST", "/keys", url.Values{"form": {form}, "act": {"freeze"}, "key": {id}})
			if want := map[bool]int{true: 303, false: 403}[own]; status != want {
				t.Errorf("%v freezes a key of %s: %d, want %d", c, of, status, want)
			}
			after, _ := r.Office.Find(id)
			if !own && after.State != before.State {
				t.Errorf("%v froze a key of %s", c, of)
			}
			status, _, _ = b.do("POST", "/keys", url.Values{"form": {form}, "act": {"issue"}, "tenant": {of}})
			if want := map[bool]int{true: 200, false: 403}[own]; status != want && (of != "unknown" ||
				status != 404) {
				t.Errorf("%v issues for %s: %d, want %d", c, of, status, want)
			}
			if own {
				b.do("POST", "/keys", url.Values{"form": {form}, "act": {"unfreeze"}, "key": {id}})
			}
		}
		for _, form := range []string{"", "x", form + "x"} {
			if status, _, _ := b.do("POST", "/keys", url.Values{"form": {form}, "act": {"issue"},
				"tenant": {"acme/app"}}); status != 403 {
				t.Errorf("%v: a form with %q: %d", c, form, status)
			}
		}
	}
	b := newBrowser(t, r)
	status, _, _ := b.do("POST", "/keys", url.Values{"act": {"issue"}, "tenant": {"acme"}},
		"Authorization", "Bearer "+adminToken)
	if status != 403 {
		t.Errorf("a form without a session: %d", status)
	}
	if status, _, _ := b.do("POST", "/keys", url.Values{"act": {"issue"}, "tenant": {"acme"}}); status != 401 {
		t.Errorf("nobody: %d", status)
	}
}
