package api_test

import (
	"encoding/json"
	"maps"
	"net/http/httptest"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/sluice-gateway/sluice/internal/decision"
	"github.com/sluice-gateway/sluice/internal/keys/admin"
	"github.com/sluice-gateway/sluice/internal/views/viewstest"
)

// description reads openapi.yaml as the API serves it.
func description(t *testing.T, r *rig) map[string]any {
	t.Helper()
	_, _, text := r.get(t, "/api/openapi.yaml", "")
	var d map[string]any
	if err := yaml.Unmarshal([]byte(text), &d); err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	if d, err = decoded(body); err != nil {
		t.Fatal(err)
	}
	return d
}

func decoded(body []byte) (map[string]any, error) {
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(string(body)))
	d, _ := v.(map[string]any)
	return d, err
}

// contract is the description beside the API that it describes.
type contract struct {
	*rig
	doc      map[string]any
	compiler *jsonschema.Compiler
	asked    map[string]bool // operations that were answered as described
}

func newContract(t *testing.T) *contract {
	t.Helper()
	r := newRig(t, viewstest.Counted())
	c := &contract{r, description(t, r), jsonschema.NewCompiler(), map[string]bool{}}
	if err := c.compiler.AddResource("openapi.json", c.doc); err != nil {
		t.Fatal(err)
	}
	return c
}

// operations are the methods of each path.
func (c *contract) operations() map[string][]string {
	all := map[string][]string{}
	for path, item := range c.doc["paths"].(map[string]any) {
		for method := range item.(map[string]any) {
			all[path] = append(all[path], strings.ToUpper(method))
		}
		slices.Sort(all[path])
	}
	return all
}

// described is the path of the description that a request is one of.
func (c *contract) described(path string) string {
	path, _, _ = strings.Cut(path, "?")
	if _, itself := c.operations()[path]; itself {
		return path
	}
	for of := range c.operations() {
		parts, given := strings.Split(of, "/"), strings.Split(path, "/")
		if slices.EqualFunc(parts, given, func(a, b string) bool { return strings.HasPrefix(a, "{") || a == b }) {
			return of
		}
	}
	return ""
}

// valid compares a JSON text with a part of the description.
func (c *contract) valid(text string, at ...string) error {
	where := "openapi.json#"
	for _, part := range at {
		where += "/" + strings.NewReplacer("~", "~0", "/", "~1", "+", "%2B", "{", "%7B", "}", "%7D").Replace(part)
	}
	schema, err := c.compiler.Compile(where)
	if err != nil {
		return err
	}
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return err
	}
	return schema.Validate(v)
}

const problemKind = "application/problem+json"

// ask sends a request and compares it, and its answer, with the description.
func (c *contract) ask(t *testing.T, method, path, body string, status int, bearer string) string {
	t.Helper()
	req := httptest.NewRequest(method, path, strings.NewReader(body))
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	c.handler.ServeHTTP(w, req)
	of, verb, text := c.described(path), strings.ToLower(method), w.Body.String()
	kind, _, _ := strings.Cut(w.Header().Get("Content-Type"), ";")
	if w.Code != status {
		t.Errorf("%s %s: %d %s, want %d", method, path, w.Code, text, status)
		return text
	}
	if status >= 400 {
		if err := c.valid(text, "components", "responses", "Problem", "content", problemKind, "schema"); err != nil ||
			kind != problemKind {
			t.Errorf("%s %s: %s: %v in %s", method, path, kind, err, text)
		}
		return text
	}
	at := []string{"paths", of, verb, "responses", strconv.Itoa(status), "content", kind, "schema"}
	if kind == "application/json" {
		if err := c.valid(text, at...); err != nil {
			t.Errorf("%s %s: %v in %s", method, path, err, text)
		}
	}
	if body != "" {
		if err := c.valid(body, "paths", of, verb, "requestBody", "content", "application/json", "schema"); err != nil {
			t.Errorf("%s %s: its body: %v", method, path, err)
		}
	}
	c.asked[method+" "+of] = true
	return text
}

// TestContract compares answers with openapi.yaml, and openapi.yaml with the routes: every path
// and method that is described is there, every view that is there is described, every answer has
// the form that is described, and so has every refusal.
func TestContract(t *testing.T) {
	c := newContract(t)
	c.read(t)
	c.act(t)
	for path, methods := range c.operations() {
		for _, method := range methods {
			if !c.asked[method+" "+path] {
				t.Errorf("%s %s is described, and has no example here", method, path)
			}
		}
		there := strings.NewReplacer("{view}", "spend", "{id}", viewstest.DecisionID(0)).Replace(path)
		status, h, _ := c.do(t, "PROPFIND", there, adminToken)
		allowed := slices.DeleteFunc(strings.Split(h.Get("Allow"), ", "), func(m string) bool { return m == "HEAD" })
		if status != 405 || !slices.Equal(allowed, methods) {
			t.Errorf("%s: %d, allowed are %v, described %v", path, status, allowed, methods)
		}
	}
	schemas := c.doc["components"].(map[string]any)["schemas"].(map[string]any)
	var described []string
	for _, name := range schemas["ViewName"].(map[string]any)["enum"].([]any) {
		described = append(described, name.(string))
	}
	if got := names(t, c.rig, adminToken); !slices.Equal(got, described) {
		t.Errorf("views %v, described %v", got, described)
	}
	for name, of := range map[string]any{
		"Decision": decision.Decision{}, "Leg": decision.Leg{}, "LegTokens": decision.Tokens{}, "Effect": decision.Effect{},
		"Minute": decision.Row{}, "KeyWithCredentials": admin.WithCredentials{}, "Act": admin.Entry{},
	} {
		properties := slices.Sorted(maps.Keys(schemas[name].(map[string]any)["properties"].(map[string]any)))
		if got := members(reflect.TypeOf(of)); !slices.Equal(got, properties) {
			t.Errorf("%s has %v, described %v", name, got, properties)
		}
	}
}

// members are the names of a struct in JSON, sorted.
func members(of reflect.Type) []string {
	var all []string
	for i := range of.NumField() {
		f := of.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && f.Type.Kind() == reflect.Pointer:
			all = append(all, members(f.Type.Elem())...)
		case f.Anonymous:
			all = append(all, members(f.Type)...)
		case name != "":
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return all
}

// read asks for all that can be read.
func (c *contract) read(t *testing.T) {
	t.Helper()
	for _, bearer := range []string{adminToken, c.Bearers["acme/app"]} {
		for _, path := range []string{"/api/v1/me", "/api/v1/views", "/api/v1/report", "/api/v1/report?by=month&limit=1"} {
			c.ask(t, "GET", path, "", 200, bearer)
		}
	}
	for _, name := range names(t, c.rig, adminToken) {
		c.ask(t, "GET", "/api/v1/views/"+name, "", 200, adminToken)
		c.ask(t, "GET", "/api/v1/views/"+name+"?from=2025-01-01&to=2025-02-01", "", 200, adminToken)
		c.ask(t, "GET", "/api/v1/views/"+name+"?format=csv", "", 200, adminToken)
	}
	one := viewstest.DecisionID(0)
	for path, status := range map[string]int{
		"/api/v1/views/requests?limit=1": 200, "/api/v1/views/request?id=" + one: 200,
		"/api/v1/views/request?id=" + viewstest.DecisionID(99): 404, "/api/v1/views/none": 404, "/api/v1/report?by=none": 400,
		"/api/v1/requests": 200, "/api/v1/requests?limit=2&status=4&tenant=acme": 200, "/api/v1/requests/" + one: 200,
		"/api/v1/requests/" + viewstest.DecisionID(99): 404, "/api/v1/requests?color=red": 400, "/api/v1/requests/x/y": 404,
		"/api/v1/statement?tenant=acme&month=2026-10": 200, "/api/v1/statement?tenant=acme&month=2026-10&format=csv": 200,
		"/api/v1/statement?tenant=acme&month=2026-11": 404, "/api/v1/statement?tenant=acme&month=x": 400,
		"/api/v1/statement?tenant=acme/app&month=2026-10": 400, "/api/v1/statement?month=2026-10": 400,
		"/api/v1/minutes": 200, "/api/v1/minutes?since=x": 400, "/api/v1/keys": 200, "/api/v1/keys?tenant=acme": 200,
		"/api/v1/keys/tenants": 200, "/api/v1/keys/audit": 200, "/api/v1/keys/NONE": 404, "/api/v1/keys/a/b": 404,
	} {
		c.ask(t, "GET", path, "", status, adminToken)
	}
	for path := range c.operations() {
		there := strings.NewReplacer("{view}", "spend", "{id}", one).Replace(path)
		method := map[bool]string{true: "GET", false: "POST"}[slices.Contains(c.operations()[path], "GET")]
		c.ask(t, method, there, "", 401, "")
		c.ask(t, method, there, "", 401, "wrong")
	}
	for _, path := range []string{
		"/api/v1/views/health", "/api/v1/requests", "/api/v1/requests/" + one, "/api/v1/minutes",
		"/api/v1/statement?tenant=other&month=2026-10", "/api/v1/statement?tenant=..&month=2026-10",
	} {
		c.ask(t, "GET", path, "", 403, c.Bearers["acme"])
	}
}

// act does all that can be done to keys.
func (c *contract) act(t *testing.T) {
	t.Helper()
	const keys = "/api/v1/keys"
	var made struct {
		ID string `json:"key_id"`
	}
	text := c.ask(t, "POST", keys, `{"tenant":"acme/app","name":"n","owner":"o","networks":["10.0.0.0/8"],"reason":"why",
		"expires":"2026-12-29T00:00:00Z","budgets":[{"period":"day","usd":"1.50"}],"limits":{"tokens_per_minute":5}}`,
		201, adminToken)
	if err := json.Unmarshal([]byte(text), &made); err != nil || made.ID == "" {
		t.Fatal(text, err)
	}
	of := keys + "/" + made.ID
	for _, x := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", of, "", 200}, {"GET", of + "/credentials", "", 200}, {"GET", keys, "", 200},
		{"PATCH", of, `{"name":"m","owner":null,"expires":null,"budgets":null,"limits":null,"networks":null}`, 200},
		{"PATCH", of, `{"name":1}`, 400}, {"POST", of + "/freeze", `{"reason":"r"}`, 200},
		{"POST", of + "/unfreeze", "", 200},
		{"POST", of + "/rotate", `{"grace":"1h","reason":"r","expires":"2026-12-30T00:00:00Z"}`, 201},
		{"POST", of + "/revoke", `{}`, 200}, {"POST", of + "/unfreeze", "", 409}, {"PATCH", of, `{"name":"x"}`, 409},
		{"POST", keys + "/tenants/freeze", `{"tenant":"acme","reason":"r"}`, 200},
		{"POST", keys + "/tenants/unfreeze", `{"tenant":"acme"}`, 200},
		{"GET", keys + "/audit", "", 200}, {"GET", keys + "/tenants", "", 200},
		{"POST", keys, `{"tenant":"acme","color":"red"}`, 400}, {"POST", keys, `{"tenant":"nobody"}`, 404},
		{"POST", of + "/freeze", `{"tenant":"acme"}`, 422}, {"POST", of + "/rotate", `{"grace":"soon"}`, 422},
		{"POST", keys, `{"tenant":"acme","budgets":[{"period":"year","usd":"1"}]}`, 422},
		{"POST", of + "/revoke", `{"reason":1}`, 400}, {"POST", keys + "/tenants/freeze", `{"tenants":[]}`, 400},
	} {
		c.ask(t, x.method, x.path, x.body, x.status, adminToken)
		if x.status >= 400 && x.status != 404 && x.status != 409 { // what is refused is not described either
			if c.valid(x.body, "paths", c.described(x.path), strings.ToLower(x.method), "requestBody", "content",
				"application/json", "schema") == nil && !strings.Contains(x.body, "grace") {
				t.Errorf("%s %s: %s is described, and refused", x.method, x.path, x.body)
			}
		}
	}
}
