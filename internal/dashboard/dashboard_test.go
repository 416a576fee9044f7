package dashboard_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/internal/api"
	"github.com/sluice-gateway/sluice/internal/dashboard"
	"github.com/sluice-gateway/sluice/internal/views"
	"github.com/sluice-gateway/sluice/internal/views/viewstest"
)

// browser is a client with cookies that follows nothing by itself.
type browser struct {
	t       *testing.T
	handler http.Handler
	cookies map[string]string
}

func (b *browser) do(method, path string, form url.Values, header ...string) (int, http.Header, string) {
	b.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(form.Encode()))
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		if b.cookies[c.Name] = c.Value; c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		}
	}
	body, err := io.ReadAll(w.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return w.Code, w.Header(), string(body)
}

func (b *browser) signIn(credential string) int {
	b.t.Helper()
	status, _, _ := b.do("POST", "/signin", url.Values{"credential": {credential}})
	return status
}

func newBrowser(t *testing.T, r *viewstest.Rig) *browser {
	t.Helper()
	page := dashboard.New(r.Desk, r.Shelf, r.Office).Handler()
	mux := http.NewServeMux()
	mux.Handle("/api/", (&api.API{Desk: r.Desk, Shelf: r.Shelf, Keys: http.NotFoundHandler()}).Handler())
	mux.Handle("/", page)
	return &browser{t: t, handler: mux, cookies: map[string]string{}}
}

// TestPagesNeedSignIn: no page shows anything to somebody who has not signed in, and a link
// leads to the page that it names after that.
func TestPagesNeedSignIn(t *testing.T) {
	r := viewstest.New(t, viewstest.Counted())
	b := newBrowser(t, r)
	for _, n := range append(r.Shelf.Names(true), r.Shelf.Names(false)...) {
		status, _, body := b.do("GET", "/"+n.Name+"?tenant=acme", nil)
		if status != 401 || strings.Contains(body, "<table") || !strings.Contains(body,
			`value="`+n.Name+`?tenant=acme"`) {
			t.Errorf("%s: %d", n.Name, status)
		}
	}
	if status := b.signIn("wrong"); status != 403 || len(b.cookies) > 0 {
		t.Errorf("a wrong credential: %d", status)
	}
	for next, want := range map[string]string{
		"spend?tenant=acme": "spend?tenant=acme", "": "./", "?from=2026-11-01": "./?from=2026-11-01",
		"//evil.example":       "./",
		"https://evil.example": "./", "/\\evil.example": "./", "javascript:alert(1)": "./",
		"spend?a=\r\nSet-Cookie: x": "./",
	} {
		status, h, _ := b.do("POST", "/signin", url.Values{"credential": {adminToken}, "next": {next}})
		if status != 303 || h.Get("Location") != want {
			t.Errorf("next %q: %d %q, want %q", next, status, h.Get("Location"), want)
		}
	}
	_, h, _ := b.do("POST", "/signin", url.Values{"credential": {adminToken}}, "X-Forwarded-Proto", "https")
	if c := h.Get("Set-Cookie"); !strings.Contains(c, "HttpOnly") || !strings.Contains(c, "SameSite=Lax") ||
		!strings.Contains(c, "Secure") ||
		strings.Contains(c, "Path") || strings.Contains(c, adminToken) {
		t.Errorf("cookie %q", c)
	}
	if status, _, body := b.do("GET", "/", nil); status != 200 || !strings.Contains(body, "admin token") {
		t.Errorf("after sign-in: %d", status)
	}
	if status, _, _ := b.do("POST", "/signout", url.Values{"form": {"guessed"}}); status != 403 {
		t.Errorf("a form that is not ours: %d", status)
	}
	_, _, body := b.do("GET", "/", nil)
	form := regexp.MustCompile(`name="form" value="([^"]+)"`).FindStringSubmatch(body)
	b.do("POST", "/signout", url.Values{"form": {form[1]}})
	if status, _, _ := b.do("GET", "/", nil); status != 401 {
		t.Errorf("after sign-out: %d", status)
	}
}

// TestPagesShowOwnTenants asks each page as each tenant for each other.
func TestPagesShowOwnTenants(t *testing.T) {
	r := viewstest.New(t, viewstest.Counted())
	for _, id := range tenants {
		b := newBrowser(t, r)
		if status := b.signIn(r.Bearers[id]); status != 303 {
			t.Fatalf("%s: %d", id, status)
		}
		for _, n := range r.Shelf.Names(true) {
			for _, of := range append([]string{"", "unknown", "acm", "*"}, tenants...) {
				may := of == "" || of == id || strings.HasPrefix(of, id+"/")
				want := map[bool]int{true: 200, false: 403}[may && n.Name != "health"]
				for _, path := range []string{"/", "/api/v1/views/"} {
					status, _, body := b.do("GET", path+n.Name+"?tenant="+url.QueryEscape(of), nil)
					if status != want {
						t.Errorf("%s opens %s%s of %q: %d, want %d", id, path, n.Name, of, status, want)
					}
					if n.Name == "requests" && status == 200 && of == "" {
						for i, owner := range append(slices.Clone(tenants), "") {
							if strings.Contains(body, viewstest.DecisionID(2*i)) != (owner == id || strings.HasPrefix(owner, id+"/")) {
								t.Errorf("%s and a request of %q in %s", id, owner, path)
							}
						}
					}
					if !strings.HasPrefix(id, "other") && strings.Contains(body, "other/x") {
						t.Errorf("%s sees other/x in %s of %q", id, n.Name, of)
					}
				}
			}
		}
	}
}

// TestRequestPages opens requests as each tenant: one's own are there, leg by leg, and of all
// others the page says the same as of one that there is not. A list leads to its next page.
func TestRequestPages(t *testing.T) {
	r := viewstest.New(t, nil)
	for _, id := range append(slices.Clone(tenants), "") {
		b := newBrowser(t, r)
		b.signIn(map[bool]string{true: adminToken, false: r.Bearers[id]}[id == ""])
		text := regexp.MustCompile(`role="alert">([^<]*)<`)
		_, _, none := b.do("GET", "/request?id="+viewstest.DecisionID(99), nil)
		for i, owner := range append(slices.Clone(tenants), "") {
			status, _, body := b.do("GET", "/request?id="+viewstest.DecisionID(2*i), nil)
			may := id == "" || owner == id || strings.HasPrefix(owner, id+"/")
			if want := map[bool]int{true: 200, false: 404}[may]; status != want {
				t.Errorf("%q opens a request of %q: %d, want %d", id, owner, status, want)
			}
			if !may && (text.FindString(body) == "" || text.FindString(body) != text.FindString(none)) {
				t.Errorf("%q learns of a request of %q: %s", id, owner, text.FindString(body))
			}
			if may && owner != "" && (!strings.Contains(body, "aws-2") || !strings.Contains(body, owner)) {
				t.Errorf("%q sees a request of %q without its legs", id, owner)
			}
		}
	}
	b := newBrowser(t, r)
	b.signIn(adminToken)
	_, _, body := b.do("GET", "/requests?limit=5&model=large", nil)
	next := regexp.MustCompile(`href="(requests\?[^"]*cursor=[^"]*)" rel="next"`).FindStringSubmatch(body)
	if next == nil || !strings.Contains(body, `name="model" value="large"`) {
		t.Fatal("no way to older requests, or the filter is forgotten: ", body)
	}
	status, _, older := b.do("GET", "/"+strings.ReplaceAll(next[1], "&amp;", "&"), nil)
	if status != 200 || !strings.Contains(older, viewstest.DecisionID(0)) &&
		!strings.Contains(older, viewstest.DecisionID(4)) ||
		strings.Contains(older, viewstest.DecisionID(11)) {
		t.Errorf("older requests: %d %s", status, older)
	}
}

// TestRelativeAddresses: no page has an address that begins with a slash or a scheme, so that
// any prefix will do, and no page is large.
func TestRelativeAddresses(t *testing.T) {
	r := viewstest.New(t, viewstest.Counted())
	b := newBrowser(t, r)
	b.signIn(adminToken)
	links := regexp.MustCompile(`(?:href|src|action)="([^"]*)"`)
	for _, n := range r.Shelf.Names(true) {
		path := "/" + n.Name
		if by := views.Groupings(n.Name); by != nil {
			path += "?by=" + by[len(by)-1] // which other views do not have
		}
		_, h, body := b.do("GET", path, nil)
		for _, m := range links.FindAllStringSubmatch(body, -1) {
			if strings.HasPrefix(m[1], "/") || strings.Contains(m[1], "://") {
				t.Errorf("%s: address %q", n.Name, m[1])
			}
			if m[1] != "data:," && !strings.HasPrefix(m[1], "#") && m[1] != "signout" && m[1] != "keys" {
				if status, _, _ := b.do("GET", "/"+strings.TrimPrefix(strings.ReplaceAll(m[1], "&amp;", "&"), "./"),
					nil); status != 200 {
					t.Errorf("%s: %q leads to %d", n.Name, m[1], status)
				}
			}
		}
		if len(body) > 300_000 || strings.Contains(body, "style=") || strings.Contains(body, "onclick") ||
			!strings.Contains(h.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: %d bytes, or something that its policy refuses", n.Name, len(body))
		}
	}
}

// TestForeignForms: a form of another site is refused, whoever is signed in.
func TestForeignForms(t *testing.T) {
	r := viewstest.New(t, nil)
	b := newBrowser(t, r)
	b.signIn(adminToken)
	status, _, _ := b.do("POST", "/signout", nil, "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example")
	if status != 403 || len(b.cookies) == 0 {
		t.Errorf("a foreign form: %d", status)
	}
}
