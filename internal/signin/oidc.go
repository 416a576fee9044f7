package signin

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/sluice-gateway/sluice/config"
)

const (
	// CallbackPath is where the identity provider sends browsers back to, below the page.
	CallbackPath = "callback"

	stateCookie, purposeState = "sluice_signin", "signin state 1\n"
	// stateLasts is how long somebody may take at the provider, askWithin how long the
	// provider may take for one answer.
	stateLasts, askWithin = 10 * time.Minute, 10 * time.Second
)

// ErrProvider is an identity provider that did not do its part.
var ErrProvider = errors.New("the identity provider")

// provider is the identity provider of one issuer, asked for once it is needed.
type provider struct {
	mu     sync.Mutex // guards the following
	issuer string
	found  *oidc.Provider
}

// state is what a browser keeps while its user is at the provider.
type state struct {
	Until                  int64
	State, Nonce, Verifier string
}

// HasProvider reports whether an identity provider is configured.
func (d *Desk) HasProvider() bool { return d.Config().OIDC != nil }

// discover asks the issuer for its endpoints, unless it did.
func (d *Desk) discover(ctx context.Context, c *config.OIDC) (*oidc.Provider, error) {
	p := &d.provider
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.found != nil && p.issuer == c.Issuer {
		return p.found, nil
	}
	// Keys are fetched again by this context, so that it must not end with the request.
	found, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), d.client()), c.Issuer)
	if err != nil {
		return nil, fmt.Errorf("%w %s cannot be asked: %w", ErrProvider, c.Issuer, err)
	}
	p.issuer, p.found = c.Issuer, found
	return found, nil
}

func (d *Desk) client() *http.Client { return &http.Client{Transport: d.Calls, Timeout: askWithin} }

func flow(c *config.OIDC, p *oidc.Provider) *oauth2.Config {
	return &oauth2.Config{
		ClientID: c.ClientID, ClientSecret: c.ClientSecret, Endpoint: p.Endpoint(),
		RedirectURL: strings.TrimSuffix(c.URL, "/") + "/" + CallbackPath,
		Scopes:      slices.Concat([]string{oidc.ScopeOpenID, "profile", "email"}, c.Scopes),
	}
}

// Depart returns where the provider asks for a sign-in. It fails with ErrProvider.
func (d *Desk) Depart(w http.ResponseWriter, r *http.Request) (url string, err error) {
	c := d.Config().OIDC
	if c == nil {
		return "", fmt.Errorf("%w is not configured", ErrProvider)
	}
	p, err := d.discover(r.Context(), c)
	if err != nil {
		return "", err
	}
	s := state{d.Now().Add(stateLasts).Unix(), rand.Text(), rand.Text(), oauth2.GenerateVerifier()}
	http.SetCookie(w, cookie(r, stateCookie, d.sealed(purposeState, &s), stateLasts))
	return flow(c, p).AuthCodeURL(s.State, oidc.Nonce(s.Nonce), oauth2.S256ChallengeOption(s.Verifier)), nil
}

// Return begins the session of somebody who comes back from the provider. It fails with
// ErrProvider, or with ErrRefused for somebody whom no grant of the configuration names.
func (d *Desk) Return(w http.ResponseWriter, r *http.Request) error {
	c := d.Config().OIDC
	if c == nil {
		return fmt.Errorf("%w is not configured", ErrProvider)
	}
	var s state
	kept, err := r.Cookie(stateCookie)
	given := r.FormValue("state")
	if err != nil || !d.unseal(purposeState, kept.Value, &s) || d.Now().Unix() >= s.Until ||
		subtle.ConstantTimeCompare([]byte(given), []byte(s.State)) != 1 {
		return fmt.Errorf("%w answers a sign-in that did not begin in this browser, or too long ago; begin again",
			ErrProvider)
	}
	http.SetCookie(w, &http.Cookie{Name: stateCookie, MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	if refused := r.FormValue("error"); refused != "" {
		return fmt.Errorf("%w refuses: %.100s", ErrProvider, refused)
	}
	claims, err := d.claims(r.Context(), c, &s, r.FormValue("code"))
	if err != nil {
		return err
	}
	in, err := granted(c, claims)
	if err == nil {
		d.begin(w, r, in)
	}
	return err
}

// claims redeems a code and returns what the provider says of its user.
func (d *Desk) claims(ctx context.Context, c *config.OIDC, s *state, code string) (map[string]any, error) {
	p, err := d.discover(ctx, c)
	if err != nil {
		return nil, err
	}
	ctx = oidc.ClientContext(ctx, d.client())
	token, err := flow(c, p).Exchange(ctx, code, oauth2.VerifierOption(s.Verifier))
	if err != nil {
		return nil, fmt.Errorf("%w does not redeem its code: %w", ErrProvider, err)
	}
	raw, _ := token.Extra("id_token").(string)
	id, err := p.Verifier(&oidc.Config{ClientID: c.ClientID, Now: d.Now}).Verify(ctx, raw)
	if err != nil {
		return nil, fmt.Errorf("%w sends no ID token that is valid: %w", ErrProvider, err)
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(s.Nonce)) != 1 {
		return nil, fmt.Errorf("%w sends the ID token of another sign-in", ErrProvider)
	}
	claims := map[string]any{}
	if err := id.Claims(&claims); err != nil {
		return nil, fmt.Errorf("%w sends claims that cannot be read: %w", ErrProvider, err)
	}
	return claims, nil
}

// granted is what the first grant that applies gives. Without one nobody is let in.
func granted(c *config.OIDC, claims map[string]any) (*session, error) {
	text := func(name string) string { s, _ := claims[name].(string); return s }
	name := cmp.Or(text("email"), text("preferred_username"), text("sub"))
	for i := range c.Grants {
		g := &c.Grants[i]
		if !has(claims[g.Claim], g.Value) {
			continue
		}
		s := &session{Name: "oidc " + name, Role: Role(g.Role), Issuer: c.Issuer, Tenant: g.Tenant}
		if g.TenantClaim != "" {
			s.Tenant = text(g.TenantClaim)
		} else if g.Tenant == "*" {
			s.Tenant, s.All = "", true
		}
		if !s.All && (s.Tenant == "" || s.Tenant == "*") {
			continue // a claim must name a tenant: all tenants are for the configuration to give
		}
		return s, nil
	}
	return nil, fmt.Errorf("%w: no grant of admin.oidc applies to %s", ErrRefused, name)
}

// has reports whether a claim is a value, or lists it.
func has(claim any, value string) bool {
	switch c := claim.(type) {
	case string:
		return c == value
	case bool:
		return value == fmt.Sprint(c)
	case []any:
		return slices.ContainsFunc(c, func(v any) bool { s, ok := v.(string); return ok && s == value })
	}
	return false
}
