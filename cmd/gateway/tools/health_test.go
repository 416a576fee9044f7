package tools

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/test/harness"
)

// TestHealth: the exit code is what a container's health check reads, so no answer, a
// slow one and a bad one fail.
func TestHealth(t *testing.T) {
	status := http.StatusOK
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/readyz" && status != http.StatusOK {
			w.WriteHeader(status)
			w.Write([]byte(`{"ready":false,"degraded":{"journal":"no space left"}}`))
			return
		}
		w.Write([]byte(`{"status":"alive"}`))
	}))
	defer s.Close()
	admin := strings.TrimPrefix(s.URL, "http://")
	f := func(want string, args ...string) {
		t.Helper()
		out, err := harness.Execute(t, Commands(), append([]string{"health"}, args...)...)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %s", args, err, out)
		}
	}
	f("", "--admin", admin)
	f("", "--admin", admin, "--ready")
	status = http.StatusServiceUnavailable
	f("", "--admin", admin)
	f("503 Service Unavailable: journal: no space left", "--admin", admin, "--ready")
	f("nothing listens at", "--admin", harness.FreeAddr(t))
	f("", "--admin", s.URL+"/")
	f("is no address such as 127.0.0.1:9090", "--admin", s.URL+"/healthz")
	f("is no address such as 127.0.0.1:9090", "--admin", "https://127.0.0.1:9090")
	f("there is no host nobody.invalid", "--admin", "nobody.invalid:9090")
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "<html>welcome</html>")
	}))
	defer other.Close()
	f("is no admin port of a gateway", "--admin", strings.TrimPrefix(other.URL, "http://"))
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	f("does not answer in time: --timeout waits longer", "--admin", silent.Addr().String(), "--timeout", "100ms")
	_, err = harness.Execute(t, Commands(), "health", "--admin", "nonsense")
	var invalid command.InvalidError
	if !errors.As(err, &invalid) {
		t.Error(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := askHealth(ended, s.URL, t.Output()); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestReachable: what listens everywhere is asked on loopback.
func TestReachable(t *testing.T) {
	for listen, want := range map[string]string{
		":9090": "127.0.0.1:9090", "0.0.0.0:1": "127.0.0.1:1", "[::]:1": "[::1]:1", "10.0.0.7:1": "10.0.0.7:1",
		"localhost:1": "localhost:1", "[::1]:1": "[::1]:1",
	} {
		if got, err := command.Reachable(listen); err != nil || got != want {
			t.Errorf("%s: %s, %v", listen, got, err)
		}
	}
}
