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
	"strings"
	"sync/atomic"
	"time"
)

// AdminOptions is what the admin port shows. Ready and Log must be set.
type AdminOptions struct {
	Listen string
	// Listener is the port, open already; nil opens Listen.
	Listener net.Listener
	// Token is required as a bearer token for /metrics; "" requires none.
	Token string
	// Ready reports whether new requests would be served, with a value that is
	// shown as JSON.
	Ready func() (ok bool, state any)
	// Metrics serves /metrics; nil is 404.
	Metrics http.Handler
	// API serves everything below /api/, Pages everything else. They ask for credentials
	// themselves; nil is 404.
	API, Pages http.Handler
	Log        *slog.Logger
}

// Admin is the port for health, metrics and reports. It stays up while the main
// port drains.
type Admin struct {
	ln    net.Listener
	std   *http.Server
	token *atomic.Pointer[string]
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
	token := &atomic.Pointer[string]{}
	token.Store(&opts.Token)
	return &Admin{ln: ln, token: token, std: &http.Server{
		Handler:           adminHandler(opts, token),
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

// SetToken makes token the one that is required from now on; "" requires none, which
// only a port on a loopback address may.
func (a *Admin) SetToken(token string) { a.token.Store(&token) }

func adminHandler(opts AdminOptions, token *atomic.Pointer[string]) http.Handler {
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
		mux.Handle("GET /metrics", withToken(token, opts.Metrics))
	}
	if opts.API != nil {
		mux.Handle("/api/", opts.API)
	}
	if opts.Pages != nil {
		mux.Handle("/", opts.Pages)
	}
	return mux
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
func withToken(token *atomic.Pointer[string], next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		needed := *token.Load()
		if needed == "" {
			next.ServeHTTP(w, r)
			return
		}
		want := sha256.Sum256([]byte(needed))
		scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		got := sha256.Sum256([]byte(given))
		if !strings.EqualFold(scheme, "bearer") || subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			w.Header().Set("WWW-Authenticate", "Bearer")
			writeJSON(w, http.StatusUnauthorized, map[string]string{"error": "a bearer token is needed"})
			return
		}
		next.ServeHTTP(w, r)
	})
}
