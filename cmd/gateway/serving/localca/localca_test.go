package localca

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// get asks a server with the files' certificate, trusting their authority only.
func get(t *testing.T, f Files, host string) error {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	s.StartTLS()
	defer s.Close()
	pem, err := os.ReadFile(f.CA)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	trust := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) { // a machine need not know its own names
		return new(net.Dialer).DialContext(ctx, network, s.Listener.Addr().String())
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: trust, DialContext: dial}}
	defer client.CloseIdleConnections()
	res, err := client.Get("https://" + host)
	if err == nil {
		res.Body.Close()
	}
	return err
}

func TestEnsure(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tls")
	now := time.Now()
	f, err := Ensure(dir, now)
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1", "localhost"} {
		if err := get(t, f, host); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	for _, name := range []string{f.Key, f.CA} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, info.Mode(), err)
		}
	}
	read := func(name string) string {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	same := func(what string, want bool, at time.Time) {
		t.Helper()
		before := read(f.CA)
		if _, err := Ensure(dir, at); err != nil {
			t.Fatal(err)
		}
		if got := read(f.CA) == before; got != want {
			t.Errorf("%s: the same files %v", what, got)
		}
		if err := f.check(at); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	same("another start", true, now)
	same("near the end", false, now.Add(valid-early+time.Hour))
	same("clock set back", false, now.AddDate(-2, 0, 0))
	for _, name := range []string{f.CA, f.Cert, f.Key} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		same("broken "+name, false, now)
	}
}
