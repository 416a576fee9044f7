package admin_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/keys"
	"github.com/sluice-gateway/sluice/internal/keys/admin"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/tenant"
)

var now = time.Date(2026, 11, 29, 2, 0, 0, 0, time.UTC)

// api is the API over a data directory, with one key in the configuration.
type api struct {
	t       *testing.T
	handler http.Handler
	office  *admin.Office
	listed  string
	roles   []string
}

func newAPI(t *testing.T) *api {
	t.Helper()
	dir := t.TempDir()
	env := func(name string) string {
		return map[string]string{"SLUICE_ROOT_SECRET": "a root secret for tests"}[name]
	}
	secrets, err := tenant.LoadSecrets(dir, env, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &api{t: t, roles: []string{admin.RoleAdmin}}
	if a.listed, err = secrets.NewKeyID(rand.Reader); err != nil {
		t.Fatal(err)
	}
	directory, problems := tenant.Build(&config.Config{Tenants: []config.Tenant{
		{ID: "acme/app", Keys: []string{a.listed}}, {ID: "other"},
	}}, secrets)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	book, err := keys.Open(keys.Options{
		DataDir: dir, Sealer: secrets, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	a.office = &admin.Office{
		Book: book, Secrets: secrets, Now: func() time.Time { return now },
		Tenants: func() *tenant.Directory { return directory },
	}
	a.handler = (&admin.API{Office: a.office, Callers: func(r *http.Request) (admin.Caller, error) {
		if r.Header.Get("Authorization") == "" {
			return admin.Caller{}, errors.New("who are you?")
		}
		return admin.Caller{Name: "test", Roles: a.roles}, nil
	}}).Handler()
	return a
}

// rename puts another configuration of tenants in use.
func (a *api) rename(tenants ...config.Tenant) {
	a.t.Helper()
	directory, problems := tenant.Build(&config.Config{Tenants: tenants}, a.office.Secrets)
	if len(problems) > 0 {
		a.t.Fatal(problems)
	}
	directory.Obey(a.office.Book)
	a.office.Tenants = func() *tenant.Directory { return directory }
}

func (a *api) request(method, path, body string) *http.Request {
	r := httptest.NewRequest(method, admin.Prefix+path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer x")
	if body != "" {
		r.Header.Set("Content-Type", "application/json; charset=utf-8")
	}
	return r
}

// want demands a status and a part of the answer, and that an error is a problem of RFC 9457.
func (a *api) want(status int, text string, r *http.Request) string {
	a.t.Helper()
	w := httptest.NewRecorder()
	a.handler.ServeHTTP(w, r)
	body, kind := w.Body.String(), w.Header().Get("Content-Type")
	if w.Code != status || !strings.Contains(body, text) {
		a.t.Errorf("%s %s: %d %s, want %d %q", r.Method, r.URL.Path, w.Code, body, status, text)
	}
	var problem struct {
		Title, Detail string
		Status        int
	}
	switch bad := status >= 400; {
	case bad && (kind != "application/problem+json" || json.Unmarshal([]byte(body), &problem) != nil ||
		problem.Status != status || problem.Detail == "" || problem.Title == ""):
		a.t.Errorf("%s %s: %s %s is no problem", r.Method, r.URL.Path, kind, body)
	case !bad && (kind != "application/json" || w.Header().Get("Cache-Control") != "no-store"):
		a.t.Errorf("%s %s: %v", r.Method, r.URL.Path, w.Header())
	}
	return body
}

func (a *api) do(method, path, body string, status int, text string) string {
	a.t.Helper()
	return a.want(status, text, a.request(method, path, body))
}

// TestAPI walks what the API does.
func TestAPI(t *testing.T) {
	a := newAPI(t)
	var made admin.WithCredentials
	text := a.do("POST", "", `{"tenant":"acme/app","name":"n","owner":"o","networks":["10.1.2.3/8"],
		"expires":"2026-12-29T00:00:00Z","budgets":[{"period":"day","usd":"1.50"}],"limits":{"tokens_per_minute":5},
		"reason":"why not"}`, 201, `"10.0.0.0/8"`)
	if err := json.Unmarshal([]byte(text), &made); err != nil || made.State != admin.Active || made.SecretAccessKey == "" {
		t.Fatalf("%v in %s", err, text)
	}
	path := "/" + made.ID
	a.do("GET", path, "", 200, `"issued_by":"test"`)
	if text := a.do("GET", path, "", 200, `"source":"issued"`); strings.Contains(text, made.Bearer) {
		t.Error("a secret where nobody asked for it")
	}
	a.do("GET", path+"/credentials", "", 200, made.SecretAccessKey)
	a.do("PATCH", path, `{"name":"m","budgets":null,"reason":"r"}`, 200, `"name":"m","owner":"o"`)
	a.do("PATCH", "/"+a.listed, `{"name":"listed"}`, 200, `"source":"configuration"`)
	a.do("GET", "", "", 200, a.listed)
	if text := a.do("GET", "?tenant=other", "", 200, `"keys":`); strings.Contains(text, a.listed) {
		t.Error("keys of another tenant:", text)
	}
	a.do("POST", path+"/freeze", `{"reason":"leaked"}`, 200, `"state":"frozen"`)
	a.do("POST", path+"/freeze", "", 200, `"reason":"leaked"`)
	a.do("POST", path+"/rotate", "", 409, "is frozen")
	a.do("POST", path+"/unfreeze", "", 200, `"state":"active"`)
	a.do("POST", path+"/rotate", `{"grace":"1h"}`, 201, `"replaces":"`+made.ID)
	a.do("GET", path, "", 200, `"ends":"2026-11-29T03:00:00Z"`)
	a.do("POST", "/tenants/freeze", `{"tenant":"acme"}`, 200, `["acme"]`)
	a.do("GET", path, "", 200, `"state":"frozen"`)
	a.do("GET", "/tenants", "", 200, `["acme"]`)
	a.do("POST", "/tenants/unfreeze", `{"tenant":"acme"}`, 200, `[]`)
	a.do("POST", path+"/revoke", "", 200, `"state":"revoked"`)
	a.do("POST", path+"/revoke", "", 200, `"state":"revoked"`)
	a.do("GET", "/audit", "", 200, `"broken":[]`)

	named := a.request("POST", "/"+a.listed+"/freeze", "")
	named.Header.Set(admin.ActorHeader, "alice")
	a.want(200, "", named)
	a.do("GET", "/audit", "", 200, `"actor":"test [alice]"`)
}

// TestAPIRefuses walks what is wrong with requests, each with its own status.
func TestAPIRefuses(t *testing.T) {
	a := newAPI(t)
	path := "/" + a.listed
	never := "/SLKAAAAAAAAAAAAAAAAAAAAA"
	for _, c := range []struct {
		method, path, body string
		status             int
		text               string
	}{
		{"GET", "/x/y/z", "", 404, "there is no"}, {"GET", never, "", 404, "no key"},
		{"GET", never + "/credentials", "", 404, "no key"},
		{"DELETE", path, "", 405, "DELETE"}, {"GET", path + "/revoke", "", 405, "GET"}, {"PUT", "", "", 405, "PUT"},
		{"POST", "", `{"tenant":"nobody"}`, 404, "no tenant"}, {"POST", "", `{}`, 404, "no tenant"},
		{"POST", "", `{"tenant":"acme"}`, 404, "no tenant"}, {"POST", "", `{"tenant":"acme/app"`, 400, "cannot be read"},
		{"POST", "", `{"tenant":"acme/app"}{}`, 400, "follows"}, {"POST", "", `[]`, 400, "cannot be read"},
		{"POST", "", `{"tenant":"acme/app","key_id":"SLKAAAAAAAAAAAAAAAAAAAAA"}`, 400, "unknown field"},
		{"POST", "", `{"tenant":"acme/app","networks":["10.0.0.0"]}`, 400, "cannot be read"},
		{"POST", "", `{"tenant":"acme/app","networks":[null]}`, 422, "no network"},
		{"POST", "", `{"tenant":"acme/app","expires":"2026-11-29T02:00:00Z"}`, 422, "which is over"},
		{"POST", "", `{"tenant":"acme/app","expires":"tomorrow"}`, 400, "cannot be read"},
		{"POST", "", `{"tenant":"acme/app","budgets":[{"period":"year","usd":"1"}]}`, 422, "period"},
		{"POST", "", `{"tenant":"acme/app","budgets":[{"period":"day","usd":"0"}]}`, 422, "above zero"},
		{"POST", "", `{"tenant":"acme/app","budgets":[{"period":"day","usd":"1","on_exceed":"explode"}]}`, 422, "on_exceed"},
		{"POST", "", `{"tenant":"acme/app","budgets":[{"period":"day","usd":"1","time_zone":"Mars"}]}`, 422, "time zone"},
		{"POST", "", `{"tenant":"acme/app","budgets":[{"period":"day","usd":"1","hard_usd":"2"}]}`, 422, "light_only"},
		{"POST", "", `{"tenant":"acme/app","limits":{"requests_per_minute":-1}}`, 422, "below zero"},
		{"POST", "", `{"tenant":"acme/app","limits":{"requests_per_minute":1e99}}`, 400, "cannot be read"},
		{"POST", "", `{"tenant":"acme/app","name":"` + strings.Repeat("n", 257) + `"}`, 422, "at most"},
		{"POST", "", `{"tenant":"acme/app","owner":"a\u0000b"}`, 422, "printable"},
		{"POST", "", `{"tenant":"acme/app","reason":"a\nb"}`, 422, "printable"},
		{"POST", "", `{"tenant":"acme/app","name":"` + strings.Repeat(" ", 70_000) + `"}`, 400, "too large"},
		{"PATCH", path, `{"tenant":"other"}`, 400, "unknown field"}, {"PATCH", never, `{"name":"n"}`, 404, "no key"},
		{"PATCH", path, `{"name":5}`, 400, "cannot be read"},
		{"POST", path + "/rotate", `{"grace":"soon"}`, 422, "grace"},
		{"POST", path + "/rotate", `{"grace":"-1h"}`, 422, "grace"},
		{"POST", never + "/rotate", "", 404, "no key"}, {"POST", "/nonsense/revoke", "", 422, "not a key id"},
		{"POST", "/nonsense/freeze", "", 422, "not a key id"},
		{"POST", path + "/revoke", `{"tenant":"acme"}`, 422, "/tenants"},
		{"POST", "/tenants/freeze", `{"tenant":"acm"}`, 404, "no tenant"}, {"POST", "/tenants/freeze", "", 404, "no tenant"},
		{"POST", "/tenants/unfreeze", `{"tenant":"acme"}`, 409, "not frozen"},
	} {
		a.do(c.method, c.path, c.body, c.status, c.text)
	}
	plain := a.request("POST", "", `{"tenant":"acme/app"}`)
	plain.Header.Set("Content-Type", "text/plain")
	a.want(415, "application/json", plain)
	stale := a.request("PATCH", path, `{"name":"n"}`)
	stale.Header.Set("If-Match", `"0123"`)
	a.want(412, "meanwhile", stale)
	nobody := a.request("GET", "", "")
	nobody.Header.Del("Authorization")
	a.want(401, "who are you?", nobody)
	if lines, err := a.office.Book.Lines(); err != nil || len(lines) > 0 {
		t.Errorf("refused requests have left %d acts, %v", len(lines), err)
	}
}

// TestRoles gives a reader everything that changes nothing and shows no secret.
func TestRoles(t *testing.T) {
	a := newAPI(t)
	path := "/" + a.listed
	f := func(roles []string, read, admin int) {
		t.Helper()
		a.roles = roles
		for _, p := range []string{"", path, "/audit", "/tenants"} {
			a.do("GET", p, "", read, "")
		}
		a.do("GET", path+"/credentials", "", admin, "")
		a.do("PATCH", path, `{"name":"n"}`, admin, "")
		for _, p := range []string{"/freeze", "/unfreeze"} {
			a.do("POST", path+p, "", admin, "")
		}
	}
	f(nil, 403, 403)
	f([]string{"viewer"}, 403, 403)
	f([]string{admin.RoleReader}, 200, 403)
	f([]string{admin.RoleAdmin}, 200, 200)
}

// TestByToken: without a token nobody gets in, also not with an empty one.
func TestByToken(t *testing.T) {
	f := func(token, given string, ok bool) {
		t.Helper()
		r := httptest.NewRequest("GET", "/", nil)
		if given != "" {
			r.Header.Set("Authorization", given)
		}
		who, err := admin.ByToken(func() string { return token })(r)
		if (err == nil) != ok || ok && len(who.Roles) == 0 {
			t.Errorf("token %q, given %q: %v %v", token, given, who, err)
		}
	}
	f("t", "Bearer t", true)
	f("t", "bearer t", true)
	f("t", "Bearer u", false)
	f("t", "t", false)
	f("t", "Basic t", false)
	f("t", "", false)
	f("", "Bearer ", false)
	f("", "", false)
}

// TestTwoChangeOneKey: the second of two who have seen the same is told so.
func TestTwoChangeOneKey(t *testing.T) {
	a := newAPI(t)
	var k admin.Key
	if err := json.Unmarshal([]byte(a.do("PATCH", "/"+a.listed, `{"name":"one"}`, 200, "")), &k); err != nil {
		t.Fatal(err)
	}
	change := func(name string) error {
		_, err := a.office.Change(context.Background(), admin.Who{}, a.listed, k.Version, func(s *keys.Settings) error {
			s.Name = name
			return nil
		})
		return err
	}
	if err := change("two"); err != nil {
		t.Error(err)
	}
	if err := change("three"); !errors.Is(err, admin.ErrVersion) {
		t.Errorf("%v", err)
	}
}

// TestThawRenamed: a tenant that was frozen and then renamed is thawed by its new name, by
// its own renames, those above it and both, once or twice; and by its old one as before.
func TestThawRenamed(t *testing.T) {
	is := func(id, from string) config.Tenant { return config.Tenant{ID: id, RenamedFrom: from} }
	for _, c := range []struct {
		name, frozen, now string
		after             []config.Tenant
		conflict          string // "": the freeze is lifted
	}{
		{"itself", "acme/app", "acme/help", []config.Tenant{is("acme", ""), is("acme/help", "acme/app")}, ""},
		{"its root", "acme/app", "corp/app", []config.Tenant{is("corp", "acme"), is("corp/app", "")}, ""},
		{"a root that no line names", "acme", "corp", []config.Tenant{is("corp", "acme")}, ""},
		{"both", "acme/app", "corp/help", []config.Tenant{is("corp", "acme"), is("corp/help", "acme/app")}, ""},
		{"both, after each other", "acme/app", "corp/help",
			[]config.Tenant{is("corp", "acme"), is("corp/help", "corp/app")}, ""},
		{"by its old name", "acme/app", "acme/app", []config.Tenant{is("acme/help", "acme/app")}, ""},
		{"one above it", "acme", "corp/app", []config.Tenant{is("corp", "acme"), is("corp/app", "")}, "itself is not frozen"},
		{"the old name given away", "acme/app", "acme/help",
			[]config.Tenant{is("acme/help", "acme/app"), is("acme/app", "")}, "another tenant's name"},
		{"in a circle", "acme/app", "b", []config.Tenant{is("a", "b"), is("b", "a")}, "itself is not frozen"},
		{"into itself", "acme/app", "a", []config.Tenant{is("a", "a/b")}, "itself is not frozen"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newAPI(t)
			if c.frozen == "acme" {
				a.rename(is("acme", ""), is("acme/app", ""))
			}
			a.do("POST", "/tenants/freeze", `{"tenant":"`+c.frozen+`"}`, 200, c.frozen)
			a.rename(c.after...)
			if c.conflict != "" {
				a.do("POST", "/tenants/unfreeze", `{"tenant":"`+c.now+`"}`, 409, c.conflict)
				return
			}
			dir, state := a.office.Tenants(), a.office.Book.State()
			if called := dir.Current(c.frozen); !dir.Frozen(state, called) {
				t.Errorf("%s, frozen as %s, is not", called, c.frozen)
			} else if all := a.office.FrozenTenants(); len(all) != 1 || all[0] != called {
				t.Errorf("frozen are %v, want %s", all, called)
			}
			a.do("POST", "/tenants/unfreeze", `{"tenant":"`+c.now+`"}`, 200, `"frozen":[]`)
		})
	}
}

// TestConfiguredSettings: what the configuration sets of a key is shown, cannot be changed
// elsewhere, and goes with a rotation. All else can.
func TestConfiguredSettings(t *testing.T) {
	a := newAPI(t)
	a.rename(config.Tenant{ID: "acme/app", Keys: []string{a.listed}, KeySettings: map[string]*config.Key{a.listed: {
		Owner: "ann", Expires: now.Add(time.Hour), Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
		Budgets: []config.Budget{{Period: "day", USD: 3 * money.Dollar, OnExceed: "reject", TimeZone: "UTC"}},
		Limits:  config.Limits{RequestsPerMinute: 7},
	}}})
	path := "/" + a.listed
	const set = `"owner":"ann","expires":"2026-11-29T03:00:00Z","networks":["10.0.0.0/8"],` +
		`"budgets":[{"period":"day","usd":"3.00","on_exceed":"reject","time_zone":"UTC"}],"limits":{"requests_per_minute":7}`
	a.do("GET", path, "", http.StatusOK, set)
	a.do("GET", "", "", http.StatusOK, set)
	for _, in := range []string{
		`"owner":"bob"`, `"owner":null`, `"expires":null`, `"expires":"2027-01-01T00:00:00Z"`, `"networks":[]`,
		`"networks":["10.0.0.0/8","0.0.0.0/0"]`, `"budgets":null`, `"budgets":[{"period":"day","usd":"4"}]`, `"limits":null`,
		`"limits":{"requests_per_minute":8}`, `"name":"x","owner":"bob"`,
	} {
		name := regexp.MustCompile(`"(owner|expires|networks|budgets|limits)"`).FindStringSubmatch(in)[1]
		a.do("PATCH", path, `{`+in+`}`, http.StatusConflict, "the configuration sets "+name+" of key")
		a.do("GET", path, "", http.StatusOK, set)
	}
	a.do("PATCH", path, `{"name":"x","owner":"ann"}`, http.StatusOK, `"name":"x",`+set)
	if k := a.office.Book.State().Keys[a.listed]; k.Owner != "" || k.Budgets != nil || k.Name != "x" {
		t.Errorf("the act has what the configuration sets: %+v", k.Settings)
	}
	a.do("POST", path+"/rotate", `{}`, http.StatusCreated, `"name":"x",`+set)

	a.rename(config.Tenant{ID: "acme/app", Keys: []string{a.listed}})
	if got := a.do("GET", path, "", http.StatusOK, `"name":"x"`); strings.Contains(got, "ann") {
		t.Error(got)
	}
}
