package serving

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
	"strconv"
	"time"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
)

// startProfile serves Go's profiles at addr, where go tool pprof looks for them, until the
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
	mux.HandleFunc("GET /debug/pprof/{$}", listProfiles)
	mux.HandleFunc("GET /debug/pprof/{name}", serveProfile)
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

func listProfiles(w http.ResponseWriter, _ *http.Request) {
	for _, p := range pprof.Profiles() {
		fmt.Fprintf(w, "%s %d\n", p.Name(), p.Count())
	}
	fmt.Fprintln(w, "profile\ntrace")
}

// serveProfile is a profile as net/http/pprof has it, without differences between two
// moments: these would bring in a reader of profiles.
func serveProfile(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	var err error
	switch name {
	case "profile":
		if err = pprof.StartCPUProfile(w); err == nil {
			waitSeconds(r, 30*time.Second)
			pprof.StopCPUProfile()
		}
	case "trace":
		if err = trace.Start(w); err == nil {
			waitSeconds(r, time.Second)
			trace.Stop()
		}
	default:
		p := pprof.Lookup(name)
		if p == nil {
			http.Error(w, "there is no such profile", http.StatusNotFound)
			return
		}
		debug, _ := strconv.Atoi(r.FormValue("debug"))
		if debug > 0 {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		}
		if name == "heap" && r.FormValue("gc") == "1" {
			runtime.GC()
		}
		err = p.WriteTo(w, debug)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// waitSeconds waits as long as a request says, at most until its caller leaves.
func waitSeconds(r *http.Request, preset time.Duration) {
	if s, err := strconv.ParseFloat(r.FormValue("seconds"), 64); err == nil && s > 0 {
		preset = time.Duration(s * float64(time.Second))
	}
	select {
	case <-time.After(preset):
	case <-r.Context().Done():
	}
}
