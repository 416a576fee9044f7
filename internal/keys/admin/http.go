package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/sluice-gateway/sluice/internal/keys"
	"github.com/sluice-gateway/sluice/internal/tenant"
)

// The roles that the API asks for.
const (
	RoleAdmin  = "key-admin"  // may do everything to keys, and see their credentials
	RoleReader = "key-reader" // may see what keys there are, and the audit log
)

// Caller is who calls the API.
type Caller struct {
	Name  string // as the audit log has it
	Roles []string
}

// API is the HTTP API on keys, below Prefix. Callers says who calls; its error is why
// nobody does.
type API struct {
	Office  *Office
	Callers func(*http.Request) (Caller, error)
}

// Prefix is what all paths of the API begin with.
const Prefix = "/api/v1/keys"

// ByToken knows callers by the one token of the admin port, who may do everything. Without
// a token nobody may do anything: what makes keys is not open to whoever reaches a port.
func ByToken(token func() string) func(*http.Request) (Caller, error) {
	return func(r *http.Request) (Caller, error) {
		want := token()
		if want == "" {
			return Caller{}, errors.New("admin.token is not set, and the API on keys needs it")
		}
		scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		got, sum := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(want))
		if !strings.EqualFold(scheme, "bearer") || subtle.ConstantTimeCompare(got[:], sum[:]) != 1 {
			return Caller{}, errors.New("admin.token is needed as a bearer token")
		}
		return Caller{"admin token", []string{RoleAdmin}}, nil
	}
}

// request is a request of a known caller.
type request struct {
	*http.Request
	who    Caller
	office *Office
}

// answer is what a handler returns: a status and what is shown as JSON.
type answer struct {
	status int
	body   any
}

// method is what one method of a path does, and who may.
type method struct {
	role string
	do   func(*request) (*answer, error)
}

// Handler serves the API.
func (a *API) Handler() http.Handler {
	mux := http.NewServeMux()
	for path, methods := range routes() {
		mux.HandleFunc(Prefix+path, func(w http.ResponseWriter, r *http.Request) { a.serve(w, r, methods) })
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { a.serve(w, r, nil) })
	return mux
}

func routes() map[string]map[string]method {
	post := func(do func(*request) (*answer, error)) map[string]method {
		return map[string]method{http.MethodPost: {RoleAdmin, do}}
	}
	get := func(role string, do func(*request) (*answer, error)) map[string]method {
		return map[string]method{http.MethodGet: {role, do}}
	}
	return map[string]map[string]method{
		"":                  {http.MethodGet: {RoleReader, (*request).list}, http.MethodPost: {RoleAdmin, (*request).issue}},
		"/audit":            get(RoleReader, (*request).audit),
		"/tenants":          get(RoleReader, (*request).frozenTenants),
		"/tenants/freeze":   post(func(r *request) (*answer, error) { return r.tenant((*Office).FreezeTenant) }),
		"/tenants/unfreeze": post(func(r *request) (*answer, error) { return r.tenant((*Office).ThawTenant) }),
		"/{id}":             {http.MethodGet: {RoleReader, (*request).one}, http.MethodPatch: {RoleAdmin, (*request).change}},
		"/{id}/credentials": get(RoleAdmin, (*request).credentials),
		"/{id}/rotate":      post((*request).rotate),
		"/{id}/freeze":      post(func(r *request) (*answer, error) { return r.act((*Office).Freeze) }),
		"/{id}/unfreeze":    post(func(r *request) (*answer, error) { return r.act((*Office).Thaw) }),
		"/{id}/revoke":      post(func(r *request) (*answer, error) { return r.act((*Office).Revoke) }),
	}
}

// serve answers one request. methods is nil for a path that there is not.
func (a *API) serve(w http.ResponseWriter, r *http.Request, methods map[string]method) {
	who, err := a.Callers(r)
	if err != nil {
		w.Header().Set("WWW-Authenticate", "Bearer")
		writeProblem(w, http.StatusUnauthorized, err.Error())
		return
	}
	m, ok := methods[r.Method]
	switch {
	case methods == nil:
		writeProblem(w, http.StatusNotFound, "there is no "+r.URL.Path)
	case !ok:
		var allowed []string
		for name := range methods {
			allowed = append(allowed, name)
		}
		slices.Sort(allowed)
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		writeProblem(w, http.StatusMethodNotAllowed, r.Method+" is not allowed here")
	case !slices.Contains(who.Roles, m.role) && !slices.Contains(who.Roles, RoleAdmin):
		writeProblem(w, http.StatusForbidden, "this needs the role "+m.role)
	default:
		a.run(w, &request{Request: r, who: who, office: a.Office}, m)
	}
}

func (a *API) run(w http.ResponseWriter, r *request, m method) {
	const maxBody = 64 << 10
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	out, err := m.do(r)
	if err != nil {
		writeProblem(w, Status(err), err.Error())
		return
	}
	writeJSON(w, "application/json", out.status, out.body)
}

// Status is the status that says what is wrong with an act.
func Status(err error) int {
	for _, s := range []struct {
		err    error
		status int
	}{
		{ErrUnknown, http.StatusNotFound}, {ErrInvalid, http.StatusUnprocessableEntity}, {ErrConflict, http.StatusConflict},
		{ErrVersion, http.StatusPreconditionFailed}, {keys.ErrSettings, http.StatusUnprocessableEntity},
		{keys.ErrNotKept, http.StatusServiceUnavailable}, {errBody, http.StatusBadRequest},
		{errMedia, http.StatusUnsupportedMediaType},
	} {
		if errors.Is(err, s.err) {
			return s.status
		}
	}
	return http.StatusInternalServerError
}

// problem is an error in the form of RFC 9457.
type problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

func writeProblem(w http.ResponseWriter, status int, detail string) {
	writeJSON(w, "application/problem+json", status, problem{http.StatusText(status), status, detail})
}

func writeJSON(w http.ResponseWriter, kind string, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"status":500,"detail":"the answer cannot be shown"}`)
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}

var (
	errBody  = errors.New("the body cannot be read")
	errMedia = errors.New("the body must be application/json")
)

// read reads the body, which may be absent, into v. It takes nothing that v has not.
func (r *request) read(v any) error {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return fmt.Errorf("%w: %w", errBody, err)
	}
	if len(text) == 0 {
		return nil
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return errMedia
	}
	return decode(text, v)
}

// decode reads one JSON value into v, strictly.
func decode(text []byte, v any) error {
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("%w: %w", errBody, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: something follows the value", errBody)
	}
	return nil
}

// ActorHeader names the person for whom a program acts. It is a claim, and the audit log
// says so by its brackets.
const ActorHeader = "X-Sluice-Actor"

// by is who acts, for the audit log.
func (r *request) by(reason string) (Who, error) {
	return By(r.who.Name, r.Header.Get(ActorHeader), reason)
}

// By is somebody who acts, and person whom they say they act for, "" for nobody. It fails
// with ErrInvalid for what an audit log cannot show.
func By(name, person, reason string) (Who, error) {
	const most = 256
	for _, text := range []string{person, reason} {
		if len(text) > most || strings.ContainsFunc(text, func(c rune) bool { return !unicode.IsPrint(c) }) {
			return Who{}, fmt.Errorf("%w: reason and %s must be printable, with at most %d bytes", ErrInvalid, ActorHeader, most)
		}
	}
	if person != "" {
		name += " [" + person + "]"
	}
	return Who{name, reason}, nil
}

// WithCredentials is a key together with what its holder needs.
type WithCredentials struct {
	Key
	Bearer          string `json:"bearer"`
	AccessKeyID     string `json:"access_key_id"`
	SecretAccessKey string `json:"secret_access_key"`
	// Waiting is whether the ledger does not have the act yet, so that other gateways do
	// not know of it.
	Waiting bool `json:"waiting_for_ledger,omitempty"`
}

// Secret adds the credentials to a key.
func (o *Office) Secret(k Key) (WithCredentials, error) {
	c, err := o.Secrets.Credentials(k.ID)
	if errors.Is(err, tenant.ErrKeyID) || errors.Is(err, tenant.ErrGeneration) {
		err = fmt.Errorf("%w: %w", ErrConflict, err)
	}
	return WithCredentials{k, c.Bearer, c.AccessKeyID, c.SecretAccessKey, o.Book.Waiting() > 0}, err
}

// shown is a key after an act.
type shown struct {
	Key
	Waiting bool `json:"waiting_for_ledger,omitempty"`
}

func (r *request) shown(k Key, err error) (*answer, error) {
	return &answer{http.StatusOK, shown{k, r.office.Book.Waiting() > 0}}, err
}

func (r *request) made(k Key, err error) (*answer, error) {
	if err != nil {
		return nil, err
	}
	whole, err := r.office.Secret(k)
	return &answer{http.StatusCreated, whole}, err
}

func (r *request) list() (*answer, error) {
	note := ""
	if err := r.office.Book.HearUsed(r.Context()); err != nil {
		note = "of this gateway alone: " + err.Error()
	}
	return &answer{http.StatusOK, keyList{r.office.List(r.URL.Query().Get("tenant")), note}}, nil
}

type keyList struct {
	Keys []Key `json:"keys"`
	// LastUsed says what is missing of the times of last use, "" for nothing.
	LastUsed string `json:"last_used_note,omitempty"`
}

func (r *request) issue() (*answer, error) {
	var in struct {
		Tenant string `json:"tenant"`
		Reason string `json:"reason"`
		keys.Settings
	}
	if err := r.read(&in); err != nil {
		return nil, err
	}
	by, err := r.by(in.Reason)
	if err != nil {
		return nil, err
	}
	return r.made(r.office.Issue(r.Context(), by, in.Tenant, in.Settings))
}

func (r *request) one() (*answer, error) {
	k, ok := r.office.Find(r.PathValue("id"))
	if !ok {
		return nil, fmt.Errorf("%w: there is no key %s", ErrUnknown, r.PathValue("id"))
	}
	return r.shown(k, nil)
}

func (r *request) credentials() (*answer, error) {
	k, ok := r.office.Find(r.PathValue("id"))
	if !ok {
		return nil, fmt.Errorf("%w: there is no key %s", ErrUnknown, r.PathValue("id"))
	}
	whole, err := r.office.Secret(k)
	return &answer{http.StatusOK, whole}, err
}

// change replaces the settings that the body names; null removes one.
func (r *request) change() (*answer, error) {
	var patch map[string]json.RawMessage
	if err := r.read(&patch); err != nil {
		return nil, err
	}
	reason := ""
	if text, ok := patch["reason"]; ok {
		if err := decode(text, &reason); err != nil {
			return nil, err
		}
		delete(patch, "reason")
	}
	by, err := r.by(reason)
	if err != nil {
		return nil, err
	}
	version := strings.Trim(r.Header.Get("If-Match"), `"`)
	return r.shown(r.office.Change(r.Context(), by, r.PathValue("id"), version, func(s *keys.Settings) error {
		return merge(s, patch)
	}))
}

func merge(s *keys.Settings, patch map[string]json.RawMessage) error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	all := map[string]json.RawMessage{}
	if err := json.Unmarshal(text, &all); err != nil {
		return err
	}
	for name, value := range patch {
		all[name] = value // null is the zero value
	}
	if text, err = json.Marshal(all); err != nil {
		return err
	}
	*s = keys.Settings{}
	return decode(text, s)
}

func (r *request) rotate() (*answer, error) {
	in := struct {
		Grace   string     `json:"grace"`
		Expires *time.Time `json:"expires"`
		Reason  string     `json:"reason"`
	}{Grace: DefaultGrace.String()}
	if err := r.read(&in); err != nil {
		return nil, err
	}
	grace, err := time.ParseDuration(in.Grace)
	if err != nil {
		return nil, fmt.Errorf("%w: grace must be a duration such as 24h, or 0s", ErrInvalid)
	}
	by, err := r.by(in.Reason)
	if err != nil {
		return nil, err
	}
	return r.made(r.office.Rotate(r.Context(), by, r.PathValue("id"), grace, in.Expires))
}

// DefaultGrace is how long a key is valid beside the one that replaces it.
const DefaultGrace = 24 * time.Hour

// reasoned is the body of what needs nothing but a reason.
type reasoned struct {
	Tenant string `json:"tenant"`
	Reason string `json:"reason"`
}
