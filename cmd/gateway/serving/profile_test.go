package serving

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
)

func TestProfilesOnLoopbackOnly(t *testing.T) {
	quiet := slog.New(slog.DiscardHandler)
	for _, addr := range []string{"0.0.0.0:6060", ":6060", "192.0.2.1:6060", "localhost:6060", "6060"} {
		var bad command.InvalidError
		if err := startProfile(addr, quiet, &closers{}); !errors.As(err, &bad) {
			t.Errorf("--pprof %s: got %v, want a usage error", addr, err)
		}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close()
	var closing closers
	if err := startProfile(addr, quiet, &closing); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{
		"": 200, "goroutine?debug=1": 200, "goroutine": 200, "heap?gc=1": 200, "allocs": 200, "block": 200, "mutex": 200,
		"threadcreate": 200, "profile?seconds=0.05": 200, "trace?seconds=0.05": 200, "nonsense": 404,
	} {
		resp, err := http.Get("http://" + addr + "/debug/pprof/" + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != want || len(body) == 0 {
			t.Errorf("%s: got %d with %d bytes", path, resp.StatusCode, len(body))
		}
	}
	closing.run(time.Second)
	if _, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
		t.Error("profiles are still served after the end")
	}
	if err := startProfile("", quiet, &closers{}); err != nil {
		t.Error(err)
	}
}
