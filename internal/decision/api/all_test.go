package api

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/decision"
)

// kept is what a gateway keeps, newest first; a cursor is the id of the last one of a page.
type kept []decision.Decision

func (k kept) Find(id string) (*decision.Decision, error) {
	for i := range k {
		if k[i].ID == id {
			return &k[i], nil
		}
	}
	return nil, decision.ErrUnknown
}

func (k kept) List(f decision.Filter, cursor string, limit int) (*decision.Page, error) {
	p := &decision.Page{Decisions: []decision.Decision{}}
	for i := range k {
		switch d := &k[i]; {
		case cursor != "" && d.ID >= cursor, f.Tenant != "" && d.Tenant != f.Tenant:
		case f.Within != nil && !f.Within(d.Tenant):
		case len(p.Decisions) == limit:
			p.Next = p.Decisions[limit-1].ID
			return p, nil
		default:
			p.Decisions = append(p.Decisions, *d)
		}
	}
	return p, nil
}

func (kept) Minutes(_, _ time.Time, _ func(*decision.Row) error) (since time.Time, err error) {
	return since, nil
}

// TestAll: a request is found wherever it was served, and each is in the list once, page by page.
func TestAll(t *testing.T) {
	const n = 40
	parts, all := make([]kept, 3), kept{}
	for i := n; i > 0; i-- {
		d := decision.Decision{ID: fmt.Sprintf("id-%02d", i), Tenant: []string{"acme", "other"}[i%2]}
		parts[i*i%3] = append(parts[i*i%3], d) // the first has a third of all, the second most, the last none
		all = append(all, d)
	}
	var urls []string
	for _, part := range parts[1:] {
		s := httptest.NewServer(Handler(part))
		t.Cleanup(s.Close)
		urls = append(urls, s.URL)
	}
	a := &All{Own: parts[0], Others: func(context.Context) (*Client, error) { return &Client{Gateways: urls}, nil }}
	for i := range all {
		if d, silent, err := a.Find(t.Context(), all[i].ID); err != nil || d.Tenant != all[i].Tenant || len(silent) > 0 {
			t.Errorf("%s: %v, %v, %v", all[i].ID, d, silent, err)
		}
	}
	for _, tenant := range []string{"", "acme"} {
		f := decision.Filter{}
		if tenant != "" {
			f.Tenant, f.Within = tenant, func(of string) bool { return of == tenant }
		}
		other := func(d decision.Decision) bool { return tenant != "" && d.Tenant != tenant }
		want := slices.DeleteFunc(slices.Clone(all), other)
		for _, limit := range []int{1, 5, 100} {
			if got := listed(t, a, f, limit); len(got) != len(want) {
				t.Errorf("of %q by %d: %d of %d", tenant, limit, len(got), len(want))
			}
		}
	}
	urls = append(urls, "http://127.0.0.1:1")
	if _, silent, err := a.Find(t.Context(), "id-99"); !errors.Is(err, decision.ErrUnknown) || len(silent) != 1 {
		t.Errorf("%v, %v", silent, err)
	}
	if page, silent, err := a.List(t.Context(), decision.Filter{}, "", 400); err != nil || len(silent) != 1 ||
		len(page.Decisions) != n {
		t.Errorf("%v, %v, %v", page, silent, err)
	}
	for _, wrong := range []string{"x", "all.", "all.x", "all.e30x"} {
		if _, _, err := a.List(t.Context(), decision.Filter{}, wrong, 100); !errors.Is(err, decision.ErrInvalid) {
			t.Errorf("cursor %q: %v", wrong, err)
		}
	}
	a.Others = func(context.Context) (*Client, error) { return nil, errors.New("no ledger") }
	if page, silent, err := a.List(t.Context(), decision.Filter{}, "", 400); err != nil || len(silent) != 1 ||
		len(page.Decisions) != len(parts[0]) {
		t.Errorf("%v, %v, %v", page, silent, err)
	}
}

// listed are the ids of all pages, each once.
func listed(t *testing.T, a *All, f decision.Filter, limit int) map[string]bool {
	t.Helper()
	got, cursor := map[string]bool{}, ""
	for {
		page, silent, err := a.List(t.Context(), f, cursor, limit)
		if err != nil || len(silent) > 0 {
			t.Fatal(silent, err)
		}
		newer := func(a, b decision.Decision) int { return strings.Compare(b.ID, a.ID) }
		if !slices.IsSortedFunc(page.Decisions, newer) {
			t.Errorf("a page is not newest first: %v", page.Decisions)
		}
		for i := range page.Decisions {
			if got[page.Decisions[i].ID] {
				t.Errorf("%s is there twice", page.Decisions[i].ID)
			}
			got[page.Decisions[i].ID] = true
		}
		if cursor = page.Next; cursor == "" {
			return got
		}
	}
}
