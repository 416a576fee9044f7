// Package api serves the decisions of a gateway on its admin port, and asks the gateways of
// a ledger for theirs. docs/requests.md describes it for users.
package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/sluice-gateway/sluice/internal/decision"
)

// The paths that Handler serves.
const (
	Requests = "/api/v1/requests"
	Minutes  = "/api/v1/minutes"
)

// Decisions is what is asked. *decision.Log is one.
type Decisions interface {
	Find(id string) (*decision.Decision, error)
	List(f decision.Filter, cursor string, limit int) (*decision.Page, error)
	Minutes(from, to time.Time, yield func(*decision.Row) error) (since time.Time, err error)
}

// Handler serves the decisions of one gateway. Who may ask is decided before.
func Handler(of Decisions) http.Handler {
	mux := http.NewServeMux()
	for path, read := range routes() {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet && r.Method != http.MethodHead {
				w.Header().Set("Allow", "GET, HEAD")
				write(w, http.StatusMethodNotAllowed, problem(http.StatusMethodNotAllowed, r.Method+" is not allowed here"))
				return
			}
			v, err := read(of, r)
			answer(w, v, err)
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		write(w, http.StatusNotFound, problem(http.StatusNotFound, "there is no "+r.URL.Path))
	})
	return mux
}

// routes are the paths with what each reads.
func routes() map[string]func(Decisions, *http.Request) (any, error) {
	return map[string]func(Decisions, *http.Request) (any, error){
		Requests + "/{id}": func(of Decisions, r *http.Request) (any, error) { return of.Find(r.PathValue("id")) },
		Requests:           func(of Decisions, r *http.Request) (any, error) { return newest(of, r.URL.Query()) },
		Minutes:            func(of Decisions, r *http.Request) (any, error) { return minutes(of, r.URL.Query()) },
	}
}

func newest(of Decisions, q url.Values) (*list, error) {
	f, limit, err := parseList(q)
	if err != nil {
		return nil, err
	}
	p, err := of.List(f, q.Get("cursor"), limit)
	if err != nil {
		return nil, err
	}
	return &list{p.Decisions, p.Next, p.Since}, nil
}

// list is the JSON of a page.
type list struct {
	Requests []decision.Decision `json:"requests"`
	Next     string              `json:"next,omitempty"`
	Since    time.Time           `json:"since,omitzero"`
}

// minuteList is the JSON of the minutes.
type minuteList struct {
	Minutes []decision.Row `json:"minutes"`
	Since   time.Time      `json:"since,omitzero"`
}

// mostMinutes bounds the rows of one answer.
const mostMinutes = 50_000

func minutes(of Decisions, q url.Values) (*minuteList, error) {
	var m minuteList
	from, err := instant(q, "since")
	if err != nil {
		return nil, err
	}
	to, err := instant(q, "until")
	if err != nil {
		return nil, err
	}
	if to.IsZero() {
		to = time.Unix(1<<37, 0)
	}
	m.Minutes = []decision.Row{}
	m.Since, err = of.Minutes(from, to, func(r *decision.Row) error {
		if len(m.Minutes) == mostMinutes {
			return fmt.Errorf("%w: there are more than %d rows; ask for less time", decision.ErrInvalid, mostMinutes)
		}
		m.Minutes = append(m.Minutes, *r)
		return nil
	})
	return &m, err
}

// parseList reads a filter and how many decisions a page has.
func parseList(q url.Values) (f decision.Filter, limit int, err error) {
	for name, values := range q {
		if !known(name) {
			return f, 0, fmt.Errorf("%w: there is no parameter %q", decision.ErrInvalid, name)
		}
		if len(values) > 1 {
			return f, 0, fmt.Errorf("%w: %s is given %d times", decision.ErrInvalid, name, len(values))
		}
	}
	f = decision.Filter{
		Tenant: q.Get("tenant"), Key: q.Get("key"), User: q.Get("user"), Session: q.Get("session"),
		Model: q.Get("model"), Cascade: q.Get("cascade"),
		Path: q.Get("path"), Reason: q.Get("reason"),
	}
	if f.Since, err = instant(q, "since"); err != nil {
		return f, 0, err
	}
	if f.Until, err = instant(q, "until"); err != nil {
		return f, 0, err
	}
	if f.Status, err = number(q, "status", 0); err != nil {
		return f, 0, err
	}
	limit, err = number(q, "limit", 100)
	return f, limit, err
}

func known(name string) bool {
	switch name {
	case "tenant", "key", "user", "session", "model", "cascade", "path", "reason", "status", "since", "until", "limit",
		"cursor":
		return true
	}
	return false
}

func number(q url.Values, name string, absent int) (int, error) {
	text := q.Get(name)
	if text == "" {
		return absent, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 1000 {
		return 0, fmt.Errorf("%w: %s is a number from 1 to 1000, not %q", decision.ErrInvalid, name, text)
	}
	return n, nil
}

func instant(q url.Values, name string) (time.Time, error) {
	text := q.Get(name)
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%w: %s is a time such as 2026-11-29T08:00:00Z, not %q",
			decision.ErrInvalid, name, text)
	}
	return t, nil
}

// answer writes a value or an error. An answer is built whole before its status is sent.
func answer(w http.ResponseWriter, v any, err error) {
	status := http.StatusOK
	switch {
	case errors.Is(err, decision.ErrUnknown):
		status = http.StatusNotFound
	case errors.Is(err, decision.ErrInvalid):
		status = http.StatusBadRequest
	case err != nil:
		status = http.StatusInternalServerError
	}
	if err != nil {
		v = problem(status, err.Error())
	}
	write(w, status, v)
}

// problem is an error in the form of RFC 9457.
func problem(status int, detail string) any {
	return struct {
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
	}{http.StatusText(status), status, detail}
}

func write(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"status":500,"detail":"the answer cannot be shown"}`)
	}
	kind := "application/json"
	if status != http.StatusOK {
		kind = "application/problem+json"
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(append(body, '\n')) //nolint:errcheck,gosec // the caller has left
}
