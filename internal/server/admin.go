package server

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/internal/network"
	"github.com/sluice-gateway/sluice/internal/server/proxied"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// AdminOptions is what the admin port shows. Ready and Log must be set.
type AdminOptions struct {
	Listen string
	// Listener is the port, open already; nil opens Listen.
	Listener net.Listener
	// Token is required as a bearer token for /metrics; "" requires none of callers on this
	// machine.
	Token string
	// Proxies may say who calls.
	Proxies network.Set
	// Ready reports whether new requests would be served, with a value that is
	// shown as JSON.
	Ready func() (ok bool, state any)
	// Metrics serves /metrics; nil is 404.
	Metrics http.Handler
	// API serves everything below /api/, Pages everything else. They ask for credentials
	// themselves; nil is 404.
	API, Pages http.Handler
	// OnRefused gets for each credential that did not let somebody in, where it was brought;
	// nil is nobody.
	OnRefused func(from netip.Addr, at string)
	Log       *slog.Logger
}

// Admin is the port for health, metrics and reports. It stays up while the main
// port drains.
type Admin struct {
	ln       net.Listener
	std      *http.Server
	settings *atomic.Pointer[adminSettings]
}

// adminSettings are what a running port can be given anew.
type adminSettings struct {
	token   string
	proxies network.Set
}

// NewAdmin opens the port. It refuses to listen beyond loopback without a token.
func NewAdmin(opts AdminOptions) (*Admin, error) {
	ln := opts.Listener
	if ln == nil {
		var err error
		if ln, err = net.Listen("tcp", opts.Listen); err != nil {
			return nil, err
		}
	}
	if addr, ok := ln.Addr().(*net.TCPAddr); opts.Token == "" && (!ok || !addr.IP.IsLoopback()) {
		_ = ln.Close()
		return nil, errors.New("the admin port needs a token when it is not on a loopback address")
	}
	settings := &atomic.Pointer[adminSettings]{}
	settings.Store(&adminSettings{opts.Token, opts.Proxies})
	behind := &proxied.Listener{
		Listener: ln, Trusted: func() network.Set { return settings.Load().proxies }, Log: opts.Log,
	}
	return &Admin{ln: behind, settings: settings, std: &http.Server{
		Handler: adminHandler(opts, settings),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, c)
		},
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       75 * time.Second,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(opts.Log.Handler(), slog.LevelDebug),
	}}, nil
}

// Addr is where the port listens, with its real number.
func (a *Admin) Addr() net.Addr { return a.ln.Addr() }

// Serve serves until Shutdown, then returns nil.
func (a *Admin) Serve() error {
	if err := a.std.Serve(a.ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Shutdown waits for requests in flight until ctx ends, then closes.
func (a *Admin) Shutdown(ctx context.Context) error {
	err := a.std.Shutdown(ctx)
	if err != nil {
		_ = a.std.Close()
	}
	return err
}

// Use makes token the one that is required from now on; "" requires none, which only a port
// on a loopback address may. Who calls is from now on what these proxies say.
func (a *Admin) Use(token string, proxies network.Set) {
	a.settings.Store(&adminSettings{token, proxies})
}

// connKey is under which a request's context has its *proxied.Conn.
type connKey struct{}

// named gives requests the address of who calls, which trusted proxies may say.
func named(settings *atomic.Pointer[adminSettings], next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, ok := r.Context().Value(connKey{}).(*proxied.Conn); ok && c.From().IsValid() {
			var said wire.Header
			for _, v := range r.Header.Values("X-Forwarded-For") {
				said = append(said, wire.Field{Name: "X-Forwarded-For", Value: v})
			}
			remote, _ := netip.ParseAddrPort(r.RemoteAddr)
			caller := proxied.Caller(settings.Load().proxies, c.From(), said)
			r.RemoteAddr = netip.AddrPortFrom(caller, remote.Port()).String()
		}
		next.ServeHTTP(w, r)
	})
}

func adminHandler(opts AdminOptions, settings *atomic.Pointer[adminSettings]) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "alive"})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		ok, state := opts.Ready()
		if ok {
			writeJSON(w, http.StatusOK, state)
		} else {
			writeJSON(w, http.StatusServiceUnavailable, state)
		}
	})
	if opts.Metrics != nil {
		mux.Handle("GET /metrics", withToken(settings, opts.Metrics))
	}
	if opts.API != nil {
		mux.Handle("/api/", opts.API)
	}
	if opts.Pages != nil {
		mux.Handle("/", opts.Pages)
	}
	return named(settings, watched(opts.OnRefused, mux))
}

// watched notes who brought a credential and was not let in.
func watched(refused func(from netip.Addr, at string), next http.Handler) http.Handler {
	if refused == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		noted := &statusNoted{ResponseWriter: w}
		next.ServeHTTP(noted, r)
		brought := r.Header.Get("Authorization") != ""
		if noted.status == http.StatusUnauthorized && brought ||
			noted.status == http.StatusForbidden && r.Method == http.MethodPost && r.URL.Path == signInPath {
			refused(remote(r), r.Pattern) // what was written there instead is nobody's business
		}
	})
}

// signInPath is where the page takes credentials.
const signInPath = "/signin"

// statusNoted keeps the status of an answer.
type statusNoted struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (s *statusNoted) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (s *statusNoted) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// remote is the address of who asks.
func remote(r *http.Request) netip.Addr {
	a, _ := netip.ParseAddrPort(r.RemoteAddr)
	return a.Addr().Unmap()
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"error":"the state cannot be shown"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}

// withToken requires the token. Digests are compared, so that the time that it
// takes shows neither the token's bytes nor its length.
func withToken(settings *atomic.Pointer[adminSettings], next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		needed := settings.Load().token
		if needed == "" && remote(r).IsLoopback() { // and not somebody behind a proxy here
			next.ServeHTTP(w, r)
			return
		}
		want := sha256.Sum256([]byte(needed))
		scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		got := sha256.Sum256([]byte(given))
		if !strings.EqualFold(scheme, "bearer") || subtle.ConstantTimeCompare(got[:], want[:]) != 1 || needed == "" {
			w.Header().Set("WWW-Authenticate", "Bearer")
			writeJSON(w, http.StatusUnauthorized, map[string]string{"error": "a bearer token is needed"})
			return
		}
		next.ServeHTTP(w, r)
	})
}
