package serving

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
)

// startProfile serves net/http/pprof at addr on a mux of its own, until the
// gateway closes; "" serves nothing. Profiles show what is in memory, keys
// included, so only a loopback address is allowed.
func startProfile(addr string, log *slog.Logger, closing *closers) error {
	if addr == "" {
		return nil
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return command.Invalidf("--pprof: %w", err)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return command.Invalidf("--pprof %s: only a loopback address, such as 127.0.0.1:6060, can serve profiles", addr)
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			log.Error("profiles", "err", err)
		}
	}()
	closing.add(func(context.Context) { srv.Close() }) //nolint:errcheck // nothing of worth is cut off
	log.Info("serving profiles", "listen", ln.Addr().String())
	return nil
}
