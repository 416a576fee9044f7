package test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/test/harness"
)

// tunnel is a proxy that takes CONNECT to any host and leads to one server.
type tunnel struct {
	to string

	mu    sync.Mutex
	hosts []string
}

// ServeHTTP implements http.Handler.
func (p *tunnel) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect {
		http.Error(w, "CONNECT alone", http.StatusMethodNotAllowed)
		return
	}
	p.mu.Lock()
	p.hosts = append(p.hosts, r.Host)
	p.mu.Unlock()
	server, err := net.Dial("tcp", p.to)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	client, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		server.Close()
		return
	}
	io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n")
	go func() {
		io.Copy(server, client)
		server.Close()
	}()
	io.Copy(client, server)
	client.Close()
}

func (p *tunnel) saw(host string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Contains(p.hosts, host+":443")
}

// TestAllCallsLeaveByOneWay has hosts that only a proxy finds, with a certificate of a private authority: Bedrock, the
// webhook of a budget and the collector of traces are reached by the same two settings (U3, U4).
func TestAllCallsLeaveByOneWay(t *testing.T) {
	sandbox := harness.StartSandbox(t, cascadeScript)
	bedrock, err := url.Parse(sandbox.URL())
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan string, 64)
	note := func(w http.ResponseWriter, r *http.Request) {
		if body, err := io.ReadAll(r.Body); err == nil && len(body) > 0 {
			select {
			case got <- r.Host + r.URL.Path:
			default:
			}
		}
	}
	outside := http.NewServeMux()
	outside.Handle("bedrock.test/", &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(bedrock)
		r.Out.Host = r.In.Host // it is signed
	}})
	outside.HandleFunc("hooks.test/", note)
	outside.HandleFunc("traces.test/", note)
	files, _ := certificate(t, "bedrock.test", "hooks.test", "traces.test")
	pair, err := tls.LoadX509KeyPair(files+".pem", files+".key")
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(outside)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	server.StartTLS()
	t.Cleanup(server.Close)
	way := &tunnel{to: server.Listener.Addr().String()}
	proxy := httptest.NewServer(way)
	t.Cleanup(proxy.Close)

	key := harness.NewKey(t, "acme")
	gw := harness.Start(t, harness.Config{YAML: fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: "https://bedrock.test", proxy: %q, ca_file: %q}
telemetry: {otlp: "https://traces.test", sample: 1}
tenants:
  - id: acme
    keys: [%s]
    budgets: [{period: month, usd: 0.00001, on_exceed: notify}]
    webhook: https://hooks.test/sluice
    webhook_secret: hook-secret
`, proxy.URL, files+".pem", key.KeyID)})
	if err := post(gw, key, "/model/"+cascadeLight+"/converse", ask); err != nil {
		t.Fatal(err)
	}
	wanted := []string{"hooks.test/sluice", "traces.test/v1/traces"}
	for timeout := time.After(30 * time.Second); len(wanted) > 0; {
		select {
		case path := <-got:
			wanted = slices.DeleteFunc(wanted, func(w string) bool { return w == path })
		case <-timeout:
			t.Fatalf("nothing came for %q\n%s", wanted, gw.Log)
		}
	}
	for _, host := range []string{"bedrock.test", "hooks.test", "traces.test"} {
		if !way.saw(host) {
			t.Errorf("the proxy was not asked for %s", host)
		}
	}
	gw.Stop()
}
