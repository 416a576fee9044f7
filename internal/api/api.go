// Package api is the JSON API of the admin port, below /api. openapi.yaml describes it, and
// tests compare the two in both directions. It shows the tables of package views, to whom
// package signin knows.
package api

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/sluice-gateway/sluice/internal/report"
	"github.com/sluice-gateway/sluice/internal/signin"
	"github.com/sluice-gateway/sluice/internal/views"
)

//go:embed openapi.yaml
var description []byte

// API serves everything below /api. All fields but Decisions must be set.
type API struct {
	Desk  *signin.Desk
	Shelf *views.Shelf
	// Keys serves what is below /api/v1/keys and asks for credentials itself.
	Keys http.Handler
	// Decisions serves what became of requests to who sees all tenants; nil is 404.
	Decisions http.Handler
}

// route is a path with what it does for somebody who has signed in.
type route struct {
	path string
	do   func(*API, http.ResponseWriter, *http.Request, *signin.Who) error
}

func routes() []route {
	return []route{
		{"/api/v1/me", (*API).me},
		{"/api/v1/report", (*API).report},
		{"/api/v1/statement", (*API).statement},
		{"/api/v1/views", (*API).views},
		{"/api/v1/views/{view}", (*API).view},
	}
}

// Handler serves the API.
func (a *API) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/api/v1/keys", a.Keys)
	mux.Handle("/api/v1/keys/", a.Keys)
	if a.Decisions != nil {
		for _, path := range [...]string{"/api/v1/requests", "/api/v1/requests/", "/api/v1/minutes"} {
			mux.HandleFunc(path, a.decisions)
		}
	}
	mux.HandleFunc("/api/openapi.yaml", func(w http.ResponseWriter, r *http.Request) {
		if get(w, r) {
			write(w, http.StatusOK, "application/yaml", description)
		}
	})
	for _, route := range routes() {
		mux.HandleFunc(route.path, func(w http.ResponseWriter, r *http.Request) { a.serve(w, r, route.do) })
	}
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		a.serve(w, r, func(*API, http.ResponseWriter, *http.Request, *signin.Who) error { return views.ErrUnknown })
	})
	return mux
}

// get reports whether a request only reads, and refuses others.
func get(w http.ResponseWriter, r *http.Request) bool {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return true
	}
	w.Header().Set("Allow", "GET, HEAD")
	problem(w, http.StatusMethodNotAllowed, r.Method+" is not allowed here")
	return false
}

func (a *API) serve(
	w http.ResponseWriter, r *http.Request, do func(*API, http.ResponseWriter, *http.Request, *signin.Who) error,
) {
	who := a.identify(w, r)
	if who == nil || !get(w, r) {
		return
	}
	if err := do(a, w, r, who); err != nil {
		problem(w, Status(err), err.Error())
	}
}

// identify finds out who asks, and refuses whom nobody knows: then it returns nil.
func (a *API) identify(w http.ResponseWriter, r *http.Request) *signin.Who {
	who, err := a.Desk.Identify(r)
	if err != nil {
		w.Header().Set("WWW-Authenticate", "Bearer")
		problem(w, http.StatusUnauthorized, err.Error())
		return nil
	}
	return who
}

// decisions are of all tenants together.
func (a *API) decisions(w http.ResponseWriter, r *http.Request) {
	switch who := a.identify(w, r); {
	case who == nil:
	case !who.Sees(""):
		problem(w, http.StatusForbidden, views.ErrForbidden.Error())
	default:
		a.Decisions.ServeHTTP(w, r)
	}
}

// Status is the status that says what is wrong.
func Status(err error) int {
	for _, s := range []struct {
		err    error
		status int
	}{
		{views.ErrUnknown, http.StatusNotFound}, {views.ErrForbidden, http.StatusForbidden},
		{views.ErrQuery, http.StatusBadRequest}, {report.ErrQuery, http.StatusBadRequest},
	} {
		if errors.Is(err, s.err) {
			return s.status
		}
	}
	return http.StatusServiceUnavailable
}

// problem writes an error in the form of RFC 9457.
func problem(w http.ResponseWriter, status int, detail string) {
	body, err := json.Marshal(struct {
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
	}{http.StatusText(status), status, detail})
	if err != nil {
		panic("BUG: a problem has no JSON: " + err.Error())
	}
	write(w, status, "application/problem+json", body)
}

func write(w http.ResponseWriter, status int, kind string, body []byte) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

func writeJSON(w http.ResponseWriter, v any) error {
	body, err := json.Marshal(v)
	if err == nil {
		write(w, http.StatusOK, "application/json", append(body, '\n'))
	}
	return err
}

// writeCSV is a file to save.
func writeCSV(w http.ResponseWriter, name string, body []byte) {
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`.csv"`)
	write(w, http.StatusOK, "text/csv; charset=utf-8", body)
}

// me is what the API takes the caller for.
func (a *API) me(w http.ResponseWriter, _ *http.Request, who *signin.Who) error {
	var of *string
	if !who.All {
		of = &who.Tenant
	}
	return writeJSON(w, struct {
		Name   string      `json:"name"`
		Role   signin.Role `json:"role"`
		Tenant *string     `json:"tenant"`
	}{who.Name, who.Role, of})
}

func (a *API) views(w http.ResponseWriter, _ *http.Request, who *signin.Who) error {
	type entry struct {
		Name  string `json:"name"`
		Title string `json:"title"`
	}
	list := []entry{}
	for _, n := range a.Shelf.Names(who.All) {
		list = append(list, entry(n))
	}
	return writeJSON(w, struct {
		Views []entry `json:"views"`
	}{list})
}

func (a *API) view(w http.ResponseWriter, r *http.Request, who *signin.Who) error {
	v, q, err := a.Shelf.Make(r.Context(), r.PathValue("view"), who, r.URL.Query())
	if err != nil {
		return err
	}
	table := q.Given["table"]
	t, err := v.Table(table)
	if err != nil {
		return err
	}
	switch q.Given["format"] {
	case "", "json":
		body, err := v.JSON(table)
		if err == nil {
			write(w, http.StatusOK, "application/json", append(body, '\n'))
		}
		return err
	case "csv":
		var out bytes.Buffer
		if err := t.WriteCSV(&out); err != nil {
			return err
		}
		writeCSV(w, strings.Join([]string{"sluice", v.Name, t.Name}, "-"), out.Bytes())
		return nil
	}
	return views.BadFormat(q.Given["format"])
}

// statement is the file of a closed month, as gateway close wrote it.
func (a *API) statement(w http.ResponseWriter, r *http.Request, who *signin.Who) error {
	file, name, kind, err := a.Shelf.Statement(who, r.URL.Query())
	switch {
	case err != nil:
		return err
	case kind == "csv":
		writeCSV(w, name, file)
	default:
		write(w, http.StatusOK, "application/json", file)
	}
	return nil
}

func (a *API) report(w http.ResponseWriter, r *http.Request, who *signin.Who) error {
	given := r.URL.Query()
	rep, err := a.Shelf.Report(r.Context(), who, given)
	if err != nil {
		return err
	}
	format := given.Get("format")
	switch format {
	case "", "json":
		return writeReport(w, rep)
	case "csv":
		var rows bytes.Buffer
		if err := report.Write(&rows, &report.Layout{Format: report.CSV}, rep.Report); err != nil {
			return err
		}
		writeCSV(w, "sluice-report", rows.Bytes())
		return nil
	}
	return views.BadFormat(format)
}

// coverage is of how many legs the cost is known.
type coverage struct {
	Legs     int64 `json:"legs"`
	Settled  int64 `json:"settled"`
	Suspense int64 `json:"suspense"`
	Unpriced int64 `json:"unpriced"`
}

// gateway is up to when one has posted.
type gateway struct {
	Name         string `json:"name"`
	CompleteUpTo string `json:"complete_up_to"`
	Behind       bool   `json:"behind"`
}

func writeReport(w http.ResponseWriter, rep *views.Report) error {
	rows, err := rowsJSON(rep.Report)
	if err != nil {
		return err
	}
	total := *rep.Report
	total.Rows = []*report.Row{&rep.Total}
	sum, err := rowsJSON(&total)
	if err != nil {
		return err
	}
	gateways := []gateway{}
	for _, g := range rep.Gateways {
		gateways = append(gateways, gateway{g.Name, views.Stamp(g.UpTo), g.Behind})
	}
	var next *string
	if rep.Next != "" {
		next = &rep.Next
	}
	return writeJSON(w, struct {
		From         string            `json:"from"`
		To           string            `json:"to"`
		AsOf         string            `json:"as_of"`
		CompleteUpTo string            `json:"complete_up_to"`
		Currency     string            `json:"currency"`
		By           []string          `json:"by"`
		Rows         []json.RawMessage `json:"rows"`
		Total        json.RawMessage   `json:"total"`
		Coverage     coverage          `json:"coverage"`
		Gateways     []gateway         `json:"gateways"`
		Warnings     []report.Warning  `json:"warnings"`
		Next         *string           `json:"next"`
	}{
		views.Stamp(rep.From), views.Stamp(rep.To), views.Stamp(rep.AsOf), views.Stamp(rep.UpTo), report.Currency,
		rep.By, rows, sum[0], coverage(rep.Coverage()), gateways, append([]report.Warning{}, rep.Warnings...), next,
	})
}

// rowsJSON are the rows as gateway report prints them.
func rowsJSON(r *report.Report) ([]json.RawMessage, error) {
	var text bytes.Buffer
	if err := report.Write(&text, &report.Layout{Format: report.JSON}, r); err != nil {
		return nil, err
	}
	rows := []json.RawMessage{}
	err := json.Unmarshal(text.Bytes(), &rows)
	return rows, err
}
