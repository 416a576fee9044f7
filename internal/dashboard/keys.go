package dashboard

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/sluice-gateway/sluice/internal/keys"
	"github.com/sluice-gateway/sluice/internal/keys/admin"
	"github.com/sluice-gateway/sluice/internal/signin"
	"github.com/sluice-gateway/sluice/internal/views"
)

// Why a form is not taken.
var (
	errForm = errors.New("this form is not from a page of this session; open the page again")
	errRole = errors.New("this needs the role key-admin")
	errSure = errors.New("a key is revoked for ever: tick the box that says so")
)

// actOnKey does what a form of the view of keys asks for.
func (p *Page) actOnKey(w http.ResponseWriter, r *http.Request) {
	who := p.known(w, r)
	if who == nil {
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, mostForm)
	made, err := p.act(who, r)
	switch {
	case err != nil:
		status := http.StatusForbidden
		if !errors.Is(err, errForm) && !errors.Is(err, errRole) && !errors.Is(err, views.ErrForbidden) {
			status = admin.Status(err)
		}
		f := &frame{Title: "Not done", Who: who, Menu: p.menu(who, "keys", nil), Error: err.Error()}
		p.show(w, status, f, (*frame).failed)
	case made != nil:
		f := &frame{Title: "A new key", Who: who, Menu: p.menu(who, "keys", nil), Made: made}
		p.show(w, http.StatusOK, f, (*frame).made)
	default:
		leave(w, "keys")
	}
}

// act returns a key that it made, with its credentials.
func (p *Page) act(who *signin.Who, r *http.Request) (*admin.WithCredentials, error) {
	if !p.desk.OwnForm(who, r.PostFormValue("form")) {
		return nil, errForm
	}
	if !who.ActsOnKeys() {
		return nil, errRole
	}
	by, err := admin.By(who.Name, "", r.PostFormValue("reason"))
	if err != nil {
		return nil, err
	}
	if r.PostFormValue("act") == "issue" {
		return p.issue(who, by, r)
	}
	id := r.PostFormValue("key")
	if err := p.mayActOn(who, id); err != nil {
		return nil, err
	}
	switch r.PostFormValue("act") {
	case "freeze":
		_, err = p.office.Freeze(r.Context(), by, id)
	case "unfreeze":
		_, err = p.office.Thaw(r.Context(), by, id)
	case "revoke":
		if r.PostFormValue("sure") != "yes" {
			return nil, fmt.Errorf("%w: %w", admin.ErrInvalid, errSure)
		}
		_, err = p.office.Revoke(r.Context(), by, id)
	case "rotate":
		return p.shown(p.office.Rotate(r.Context(), by, id, admin.DefaultGrace, nil))
	default:
		err = fmt.Errorf("%w: there is no act %q", admin.ErrInvalid, r.PostFormValue("act"))
	}
	return nil, err
}

// mayActOn refuses keys of other tenants, and says the same of those that there are not.
func (p *Page) mayActOn(who *signin.Who, id string) error {
	k, known := p.office.Find(id)
	if !who.All && (!known || !who.Sees(k.Tenant)) {
		return views.ErrForbidden
	}
	return nil
}

func (p *Page) issue(who *signin.Who, by admin.Who, r *http.Request) (*admin.WithCredentials, error) {
	of := r.PostFormValue("tenant")
	if !who.Sees(of) {
		return nil, views.ErrForbidden
	}
	s := keys.Settings{Name: r.PostFormValue("name"), Owner: r.PostFormValue("owner")}
	if day := r.PostFormValue("expires"); day != "" {
		at, err := time.Parse(time.DateOnly, day)
		if err != nil {
			return nil, fmt.Errorf("%w: expires must be a day, as 2026-12-31", admin.ErrInvalid)
		}
		s.Expires = &at
	}
	return p.shown(p.office.Issue(r.Context(), by, of, s))
}

// shown adds the credentials of a key that was just made.
func (p *Page) shown(k admin.Key, err error) (*admin.WithCredentials, error) {
	if err != nil {
		return nil, err
	}
	whole, err := p.office.Secret(k)
	return &whole, err
}
