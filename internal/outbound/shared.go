package outbound

import (
	"net/http"
	"net/url"
	"sync/atomic"
)

// Shared is a transport of package net/http whose settings can be changed under
// its users. The zero value has none and must not be used; Use gives it the first.
type Shared struct{ current atomic.Pointer[setup] }

type setup struct {
	settings Settings
	calls    *Calls
	client   *http.Client
}

// Use makes the settings those of all requests to come. It does nothing when they
// are in use already, and when it fails, which it does as New does.
func (s *Shared) Use(settings Settings) error {
	before := s.current.Load()
	if before != nil && before.settings.Proxy == settings.Proxy && before.settings.CAFile == settings.CAFile {
		return nil
	}
	calls, err := New(settings)
	if err != nil {
		return err
	}
	s.current.Store(&setup{settings, calls, calls.Client()})
	if before != nil {
		before.client.CloseIdleConnections()
	}
	return nil
}

// RoundTrip implements http.RoundTripper.
func (s *Shared) RoundTrip(r *http.Request) (*http.Response, error) {
	return s.current.Load().client.Transport.RoundTrip(r)
}

// Apply makes a transport of package net/http connect as the settings of that moment say.
func (s *Shared) Apply(t *http.Transport) { apply(t, func() *Calls { return s.current.Load().calls }) }

// Proxy returns the proxy for a request, nil for none. It suits transports that
// have authorities of their own.
func (s *Shared) Proxy(r *http.Request) (*url.URL, error) { return s.current.Load().calls.proxy(r.URL) }

// CloseIdleConnections closes what is kept for requests to come.
func (s *Shared) CloseIdleConnections() {
	if now := s.current.Load(); now != nil {
		now.client.CloseIdleConnections()
	}
}
