package test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/outbound/outboundtest"
	"github.com/sluice-gateway/sluice/test/harness"
)

// TestAllCallsLeaveByOneWay has hosts that only a proxy finds, with a certificate of a private authority: Bedrock, the
// webhook of a budget, the collector of traces and the identity provider of the page are reached by the same two
// settings (U3, U4).
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
	outside.HandleFunc("login.test/.well-known/openid-configuration", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"issuer": "https://%[1]s", "authorization_endpoint": "https://%[1]s/authorize"}`, r.Host)
	})
	ca := outboundtest.NewAuthority(t)
	server := httptest.NewUnstartedServer(outside)
	server.TLS = ca.Server(t)
	server.StartTLS()
	t.Cleanup(server.Close)
	_, port, _ := strings.Cut(server.Listener.Addr().String(), ":")
	proxy := outboundtest.NewRelay(t, "http", nil)

	key := harness.NewKey(t, "acme")
	gw := harness.Start(t, harness.Config{AdminToken: "token", OIDC: fmt.Sprintf(
		`{issuer: "https://login.test:%s", client_id: a, client_secret: b, url: "https://page.test", `+
			`grants: [{claim: c, value: d, role: viewer, tenant: "*"}]}`, port), YAML: fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: "https://bedrock.test:%[1]s", proxy: %[2]q, ca_file: %[3]q}
telemetry: {otlp: "https://traces.test:%[1]s", sample: 1}
tenants:
  - id: acme
    keys: [%[4]s]
    budgets: [{period: month, usd: 0.00001, on_exceed: notify}]
    webhook: https://hooks.test:%[1]s/sluice
    webhook_secret: hook-secret
`, port, proxy.URL, harness.File(t, "ca.pem", string(ca.PEM())), key.KeyID)})
	if err := post(gw, key, "/model/"+cascadeLight+"/converse", ask); err != nil {
		t.Fatal(err)
	}
	wanted := []string{"hooks.test:" + port + "/sluice", "traces.test:" + port + "/v1/traces"}
	for timeout := time.After(30 * time.Second); len(wanted) > 0; {
		select {
		case path := <-got:
			wanted = slices.DeleteFunc(wanted, func(w string) bool { return w == path })
		case <-timeout:
			t.Fatalf("nothing came for %q\n%s", wanted, gw.Log)
		}
	}
	signIn := httptest.NewRequest(http.MethodGet, "http://"+gw.Admin+"/provider", nil)
	if res, err := http.DefaultTransport.RoundTrip(signIn); err != nil {
		t.Error(err)
	} else if to := res.Header.Get("Location"); !strings.HasPrefix(to, "https://login.test:"+port+"/authorize?") {
		t.Errorf("a sign-in by the identity provider leads to %q with status %d", to, res.StatusCode)
	}
	for _, host := range []string{"bedrock.test", "hooks.test", "traces.test", "login.test"} {
		if !strings.Contains(proxy.Heard(), "CONNECT "+host+":"+port) {
			t.Errorf("the proxy was not asked for %s: %s", host, proxy.Heard())
		}
	}
	gw.Stop()
}
