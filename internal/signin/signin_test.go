package signin_test

import (
	"crypto/rand"
	"encoding/base64"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/keys"
	"github.com/sluice-gateway/sluice/internal/keys/admin"
	"github.com/sluice-gateway/sluice/internal/signin"
	"github.com/sluice-gateway/sluice/internal/tenant"
)

var now = time.Date(2026, 11, 29, 8, 0, 0, 0, time.UTC)

const token = "the admin token"

// house is a desk with a directory of two tenants.
type house struct {
	t      *testing.T
	desk   *signin.Desk
	admin  *config.Admin
	office *admin.Office
	keyID  string // of acme/app
	bearer string
	clock  time.Time
}

func newHouse(t *testing.T) *house {
	t.Helper()
	dir := t.TempDir()
	secrets, err := tenant.LoadSecrets(dir, func(string) string { return "" }, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, admin: &config.Admin{Token: token}, clock: now}
	if h.keyID, err = secrets.NewKeyID(rand.Reader); err != nil {
		t.Fatal(err)
	}
	c, err := secrets.Credentials(h.keyID)
	if err != nil {
		t.Fatal(err)
	}
	h.bearer = c.Bearer
	directory, problems := tenant.Build(&config.Config{
		Tenants: []config.Tenant{{ID: "acme/app", Keys: []string{h.keyID}}, {ID: "other"}},
	}, secrets)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	clock := func() time.Time { return h.clock }
	book, err := keys.Open(keys.Options{DataDir: dir, Sealer: secrets, Log: slog.New(slog.DiscardHandler),
		Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	directory.Obey(book)
	of := func() *tenant.Directory { return directory }
	h.office = &admin.Office{Book: book, Secrets: secrets, Tenants: of, Now: clock}
	h.desk = &signin.Desk{Sealer: secrets, Config: func() *config.Admin { return h.admin }, Tenants: of, Now: clock}
	return h
}

// who asks with a header or a cookie, "" for none.
func (h *house) who(authorization, session string) (*signin.Who, error) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	if session != "" {
		r.AddCookie(&http.Cookie{Name: "sluice_session", Value: session})
	}
	return h.desk.Identify(r)
}

// session signs in and returns the cookie.
func (h *house) session(credential string) string {
	h.t.Helper()
	w := httptest.NewRecorder()
	if err := h.desk.SignIn(w, httptest.NewRequest(http.MethodPost, "/signin", nil), credential); err != nil {
		h.t.Fatal(err)
	}
	return cookieOf(w, "sluice_session")
}

func cookieOf(w *httptest.ResponseRecorder, name string) string {
	for _, c := range w.Result().Cookies() {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// TestCredentials: who is let in by a header.
func TestCredentials(t *testing.T) {
	h := newHouse(t)
	for given, of := range map[string]string{
		"Bearer " + token: "*", "bearer " + token: "*", "Bearer " + h.bearer: "acme/app", "Bearer x": "",
		"Basic " + token: "",
		token:            "", "Bearer": "", "Bearer ": "", "Bearer " + token + "x": "", "Bearer " + h.keyID: "",
		"Bearer " + h.bearer[:len(h.bearer)-1]: "",
	} {
		who, err := h.who(given, "")
		switch {
		case of == "" && err == nil:
			t.Errorf("%q is let in as %v", given, who)
		case of != "" && (err != nil || who.All != (of == "*") || !who.All && who.Tenant != of):
			t.Errorf("%q: %v %v", given, who, err)
		}
	}
	if _, err := h.who("", ""); err == nil {
		t.Error("nobody is let in")
	}
}

// TestWithoutToken: a port on loopback without a token shows figures under names of this
// machine, and lets nobody act.
func TestWithoutToken(t *testing.T) {
	h := newHouse(t)
	h.admin = &config.Admin{}
	for host, in := range map[string]bool{
		"localhost": true, "localhost:9090": true, "127.0.0.1:9090": true, "[::1]:9090": true, "127.9.9.9": true,
		"evil.example": false, "evil.example:9090": false, "localhost.evil.example": false, "10.0.0.1:9090": false,
		"": false,
	} {
		for from, here := range map[string]bool{
			"127.0.0.1:4711": true, "[::1]:4711": true, "[::ffff:127.0.0.1]:4711": true, "192.0.2.1:4711": false,
			"[2001:db8::1]:4711": false, "": false, // which proxies may say
		} {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Host, r.RemoteAddr = host, from
			who, err := h.desk.Identify(r)
			if (err == nil) != (in && here) || err == nil && (who.ActsOnKeys() || !who.Sees("")) {
				t.Errorf("host %q, from %q: %v %v", host, from, who, err)
			}
		}
	}
	if _, err := h.who("Bearer ", ""); err == nil {
		t.Error("an empty token is one")
	}
}

// TestSessionsEnd: with their time, the token, the key, and every change of the cookie.
func TestSessionsEnd(t *testing.T) {
	h := newHouse(t)
	byToken, byKey := h.session(token), h.session(h.bearer)
	for s, of := range map[string]string{byToken: "", byKey: "acme/app"} {
		if who, err := h.who("", s); err != nil || who.Tenant != of || who.Session != s || strings.Contains(s,
			h.bearer) {
			t.Errorf("%v %v", who, err)
		}
	}
	body, seal, _ := strings.Cut(byKey, ".")
	plain, _ := base64.RawURLEncoding.DecodeString(body)
	forged := base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(plain), `"k":`,
		`"e":true,"r":"admin","k":`, 1)))
	_, tokenSeal, _ := strings.Cut(byToken, ".")
	for name, s := range map[string]string{
		"forged": forged + "." + seal, "another's seal": body + "." + tokenSeal, "no seal": body,
		"empty seal": body + ".", "cut": byKey[:len(byKey)-1],
		"form": "x." + h.desk.FormToken(&signin.Who{Session: byKey}), "nothing": ".",
	} {
		if who, err := h.who("", s); err == nil {
			t.Errorf("%s: %v", name, who)
		}
	}
	h.clock = now.Add(12*time.Hour - time.Second)
	if _, err := h.who("", byToken); err != nil {
		t.Error(err)
	}
	h.clock = now.Add(12 * time.Hour)
	if _, err := h.who("", byToken); err == nil {
		t.Error("a session never ends")
	}
	h.clock = now
	if _, err := h.office.Freeze(t.Context(), admin.Who{Name: "test"}, h.keyID); err != nil {
		t.Fatal(err)
	}
	if _, err := h.who("", byKey); err == nil {
		t.Error("the session of a frozen key goes on")
	}
	h.admin = &config.Admin{Token: "another"}
	if _, err := h.who("", byToken); err == nil {
		t.Error("the session of another token goes on")
	}
	h.admin = &config.Admin{}
	if who, err := h.who("", byToken); err == nil && who.Role == signin.Admin {
		t.Error("the session of a token goes on without one")
	}
}

// TestKeyFromElsewhere: a key that may be used from some networks alone lets nobody in from
// others, also with its session.
func TestKeyFromElsewhere(t *testing.T) {
	h := newHouse(t)
	s := h.session(h.bearer)
	_, err := h.office.Change(t.Context(), admin.Who{Name: "test"}, h.keyID, "", func(s *keys.Settings) error {
		s.Networks = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if who, err := h.who("", s); err == nil {
		t.Error(who)
	}
}

// TestForms: a token is of one session.
func TestForms(t *testing.T) {
	h := newHouse(t)
	one, err := h.who("", h.session(token))
	if err != nil {
		t.Fatal(err)
	}
	h.clock = now.Add(time.Second)
	two, err := h.who("", h.session(token))
	if err != nil {
		t.Fatal(err)
	}
	form := h.desk.FormToken(one)
	none := &signin.Who{All: true, Role: signin.Admin}
	if !h.desk.OwnForm(one, form) || h.desk.OwnForm(two, form) || h.desk.OwnForm(one, "") || h.desk.OwnForm(none,
		"") ||
		h.desk.OwnForm(none, h.desk.FormToken(none)) {
		t.Error("the token of a form is not of its session")
	}
}

// oidc configures the provider.
func (h *house) oidc(p *idp) {
	h.admin.OIDC = &config.OIDC{
		Issuer: p.URL, ClientID: "sluice", ClientSecret: "s", URL: "https://page.example/x/",
		Grants: []config.Grant{
			{Claim: "groups", Value: "finops", Role: config.RoleViewer, Tenant: "*"},
			{Claim: "groups", Value: "keys", Role: config.RoleKeyAdmin, TenantClaim: "team"},
			{Claim: "job", Value: "lead", Role: config.RoleViewer, Tenant: "acme"},
		},
	}
}

// through goes to the provider and back, and returns the session.
func (h *house) through(p *idp, change func(back url.Values)) (string, error) {
	h.t.Helper()
	w := httptest.NewRecorder()
	to, err := h.desk.Depart(w, httptest.NewRequest(http.MethodGet, "/provider", nil))
	if err != nil {
		return "", err
	}
	c := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := c.Get(to)
	if err != nil {
		h.t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	res.Body.Close()
	at, err := res.Location()
	if err != nil || !strings.HasPrefix(at.String(), "https://page.example/x/callback?") {
		h.t.Fatal(at, err)
	}
	back := at.Query()
	if change != nil {
		change(back)
	}
	r := httptest.NewRequest(http.MethodGet, "/callback?"+back.Encode(), nil)
	if s := cookieOf(w, "sluice_signin"); s != "" && back.Get("no cookie") == "" {
		r.AddCookie(&http.Cookie{Name: "sluice_signin", Value: s})
	}
	w = httptest.NewRecorder()
	err = h.desk.Return(w, r)
	return cookieOf(w, "sluice_session"), err
}

// TestProvider: claims give a tenant and a role by the first grant that applies.
func TestProvider(t *testing.T) {
	h, p := newHouse(t), newIDP(t)
	h.oidc(p)
	for _, c := range []struct {
		claims map[string]any
		want   string // role, and tenant; "" for nobody
	}{
		{map[string]any{"groups": []string{"x", "finops"}}, "viewer *"},
		{map[string]any{"groups": "finops"}, "viewer *"},
		{map[string]any{"groups": []string{"keys", "finops"}, "team": "acme/app"}, "viewer *"},
		{map[string]any{"groups": []string{"keys"}, "team": "acme/app"}, "key-admin acme/app"},
		{map[string]any{"groups": []string{"keys"}}, ""},
		{map[string]any{"groups": []string{"keys"}, "team": "*"}, ""},
		{map[string]any{"groups": []string{"keys"}, "team": []string{"acme"}}, ""},
		{map[string]any{"groups": []string{"keys"}, "team": "", "job": "lead"}, "viewer acme"},
		{map[string]any{"job": "lead"}, "viewer acme"},
		{map[string]any{"job": "leads"}, ""},
		{map[string]any{"groups": map[string]any{"finops": true}}, ""},
		{nil, ""},
	} {
		p.claims = c.claims
		s, err := h.through(p, nil)
		if c.want == "" {
			if err == nil || s != "" {
				t.Errorf("%v is let in", c.claims)
			}
			continue
		}
		who, failed := h.who("", s)
		if err != nil || failed != nil {
			t.Errorf("%v: %v %v", c.claims, err, failed)
			continue
		}
		of := who.Tenant
		if who.All {
			of = "*"
		}
		if got := string(who.Role) + " " + of; got != c.want || who.Name != "oidc ann@example.com" {
			t.Errorf("%v: %s as %s, want %s", c.claims, got, who.Name, c.want)
		}
	}
	p.claims = map[string]any{"groups": "finops"}
	s, err := h.through(p, nil)
	if err != nil {
		t.Fatal(err)
	}
	h.admin.OIDC.Issuer = "https://another.example"
	if who, err := h.who("", s); err == nil {
		t.Error("the session of another provider goes on:", who)
	}
}

// TestProviderAttacked: what must not let anybody in.
func TestProviderAttacked(t *testing.T) {
	h, p := newHouse(t), newIDP(t)
	h.oidc(p)
	p.claims = map[string]any{"groups": "finops"}
	for name, spoil := range map[string]func(claims, header map[string]any){
		"another issuer":   func(c, _ map[string]any) { c["iss"] = "https://evil.example" },
		"another audience": func(c, _ map[string]any) { c["aud"] = "another" },
		"expired":          func(c, _ map[string]any) { c["exp"] = now.Unix() - 1 },
		"another nonce":    func(c, _ map[string]any) { c["nonce"] = "x" },
		"no nonce":         func(c, _ map[string]any) { delete(c, "nonce") },
		"no signature":     func(_, h map[string]any) { h["alg"] = "none" },
		"another method":   func(_, h map[string]any) { h["alg"] = "HS256" },
		"another key":      func(_, h map[string]any) { h["kid"] = "two" },
	} {
		p.spoil = spoil
		if s, err := h.through(p, nil); err == nil || s != "" {
			t.Errorf("%s: let in", name)
		}
	}
	p.spoil = nil
	for name, change := range map[string]func(url.Values){
		"another state": func(v url.Values) { v.Set("state", "x") },
		"no state":      func(v url.Values) { v.Del("state") },
		"another code":  func(v url.Values) { v.Set("code", "x") }, "no code": func(v url.Values) { v.Del("code") },
		"an error":        func(v url.Values) { v.Set("error", "access_denied") },
		"another browser": func(v url.Values) { v.Set("no cookie", "1") },
		"too late":        func(url.Values) { h.clock = now.Add(11 * time.Minute) },
	} {
		if s, err := h.through(p, change); err == nil || s != "" {
			t.Errorf("%s: let in", name)
		}
		h.clock = now
	}
	if s, err := h.through(p, nil); err != nil || s == "" {
		t.Error("the right one:", err)
	}
	if p.redeem.Get("code_verifier") == "" {
		t.Error("without PKCE")
	}
	p.Close()
	h.desk = &signin.Desk{Sealer: h.desk.Sealer, Config: h.desk.Config, Tenants: h.desk.Tenants, Now: h.desk.Now}
	if _, err := h.through(p, nil); err == nil {
		t.Error("a provider that is away lets in")
	}
}

// TestGatewaysAsk: what one gateway sends to another is right for that question, for a minute, for
// reading, and of the same root secret; it is no credential for anything else.
func TestGatewaysAsk(t *testing.T) {
	d := newHouse(t).desk
	now := d.Now()
	ask := func(method, url string, change func(*http.Request)) error {
		r := httptest.NewRequest(method, url, nil)
		d.Sign(r)
		change(r)
		_, err := d.Identify(r)
		return err
	}
	same := func(*http.Request) {}
	const url = "http://10.0.0.7:9090/api/v1/requests?tenant=acme"
	for name, err := range map[string]error{
		"as it was sent": ask("GET", url, same),
		"below a prefix that a proxy takes off": ask("GET", "http://proxy/admin/api/v1/requests?tenant=acme",
			func(r *http.Request) { r.URL.Path = "/api/v1/requests" }),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, err := range map[string]error{
		"another question":  ask("GET", url, func(r *http.Request) { r.URL.RawQuery = "tenant=other" }),
		"another path":      ask("GET", url, func(r *http.Request) { r.URL.Path = "/api/v1/keys" }),
		"another method":    ask("GET", url, func(r *http.Request) { r.Method = "POST" }),
		"an act":            ask("POST", url, same),
		"no seal":           ask("GET", url, func(r *http.Request) { r.Header.Set("Authorization", "Sluice-Gateway 1") }),
		"no time":           ask("GET", url, func(r *http.Request) { r.Header.Set("Authorization", "Sluice-Gateway x.y") }),
		"as a bearer token": ask("GET", url, func(r *http.Request) { r.Header.Set("Authorization", bearerOf(r)) }),
		"another time": ask("GET", url, func(r *http.Request) {
			_, seal, _ := strings.Cut(r.Header.Get("Authorization"), ".")
			r.Header.Set("Authorization", "Sluice-Gateway "+strconv.FormatInt(now.Unix()+1, 10)+"."+seal)
		}),
	} {
		if err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	for _, off := range []time.Duration{-2 * time.Minute, 2 * time.Minute} {
		r := httptest.NewRequest("GET", url, nil)
		d.Now = func() time.Time { return now.Add(off) }
		d.Sign(r)
		d.Now = func() time.Time { return now }
		if _, err := d.Identify(r); err == nil {
			t.Errorf("a question of %s ago is taken", -off)
		}
	}
}

func bearerOf(r *http.Request) string {
	_, credential, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return "Bearer " + credential
}
