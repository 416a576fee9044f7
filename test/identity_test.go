package test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/test/harness"
)

// account is a Bedrock that knows one access key at a time.
type account struct {
	*httptest.Server
	key   atomic.Pointer[string]
	kind  atomic.Pointer[string] // how others are refused
	asked atomic.Int64
}

func newAccount(t *testing.T, key string) *account {
	a := &account{}
	kind := "UnrecognizedClientException"
	a.key.Store(&key)
	a.kind.Store(&kind)
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		a.asked.Add(1)
		w.Header().Set("Content-Type", "application/json")
		if !strings.Contains(r.Header.Get("Authorization"), "Credential="+*a.key.Load()+"/") {
			w.Header().Set("x-amzn-ErrorType", *a.kind.Load()+":http://internal.amazon.com/coral/com.amazon.coral.service/")
			w.WriteHeader(http.StatusForbidden)
			io.WriteString(w, `{"message":"User: arn:aws:iam::123456789012:user/gw is not authorized to perform: x; token `+
				`is invalid."}`)
			return
		}
		io.WriteString(w, `{"output":{"message":{"role":"assistant","content":[{"text":"hi"}]}},"stopReason":"end_turn",`+
			`"usage":{"inputTokens":1,"outputTokens":1,"totalTokens":2}}`)
	}))
	t.Cleanup(a.Close)
	return a
}

func keyFile(t *testing.T, file, key string) {
	t.Helper()
	text := fmt.Sprintf("[default]\naws_access_key_id = %s\naws_secret_access_key = secret\n", key)
	if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

// TestGatewaysOwnKeysAreRotated rotates a shared credentials file under the gateway,
// and revokes the key in it (U2, U10).
func TestGatewaysOwnKeysAreRotated(t *testing.T) {
	aws := newAccount(t, "AKIDFIRST")
	file := filepath.Join(t.TempDir(), "credentials")
	keyFile(t, file, "AKIDFIRST")
	key := harness.NewKey(t, "acme")
	gw := harness.Start(t, harness.Config{
		Env: []string{"AWS_SHARED_CREDENTIALS_FILE=" + file, "AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY=",
			"AWS_EC2_METADATA_DISABLED=true"},
		YAML: fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: %q}
tenants: [{id: acme, keys: [%s]}]
`, aws.URL, key.KeyID)})
	const target = "/model/amazon.nova-lite-v1%3A0/converse"
	f := func(what string, want int) harness.Answer {
		t.Helper()
		got := gw.Post(t, key.BearerCredential, target, ask)
		if got.Status != want {
			t.Errorf("%s: %d %s, want %d", what, got.Status, got.Body, want)
		}
		return got
	}
	f("first key", 200)
	second := "AKIDSECOND"
	keyFile(t, file, second)
	aws.key.Store(&second)
	f("second key, at once", 200) // by a repetition, or because the file was seen already
	if _, state := gw.Readyz(); state.Degraded["identity"] != "" && aws.asked.Load() == 0 {
		t.Errorf("healed, but %v", state.Degraded)
	}
	third := "AKIDTHIRD"
	aws.key.Store(&third) // and the file has it not
	asked := aws.asked.Load()
	got := f("revoked", 503)
	text := string(got.Body)
	if !strings.Contains(text, "gateway's own") || strings.Contains(text, "arn:aws") || strings.Contains(text, "token") ||
		got.Header.Get("x-amzn-errortype") != "ServiceUnavailableException" {
		t.Errorf("the caller is told %s %v", text, got.Header)
	}
	if n := aws.asked.Load() - asked; n > 2 {
		t.Errorf("%d calls upstream for one refused request", n)
	}
	for range 20 {
		f("revoked, again", 503)
	}
	if status, state := gw.Readyz(); status != 200 || !strings.Contains(state.Degraded["identity"], "Unrecognized") {
		t.Errorf("readyz %d %v", status, state.Degraded)
	}
	if gw.Metric("sluice_identity_failing") != 1 ||
		gw.Metric(`sluice_identity_failures_total{kind="UnrecognizedClientException",upstream=""}`) < 21 {
		t.Error("the metrics do not show it")
	}
	warned := strings.Count(gw.Log.String(), "refuses the gateway's own identity")
	if warned < 1 || warned > 3 {
		t.Errorf("%d warnings\n%s", warned, gw.Log)
	}
	keyFile(t, file, third)
	harness.Eventually(t, time.Minute, func() (bool, string) {
		got := gw.Post(t, key.BearerCredential, target, ask)
		return got.Status == 200, fmt.Sprintf("%d %s", got.Status, got.Body)
	})
	if _, state := gw.Readyz(); state.Degraded["identity"] != "" || gw.Metric("sluice_identity_failing") != 0 {
		t.Errorf("healed, but %v", state.Degraded)
	}
	if !strings.Contains(gw.Log.String(), "is accepted again") {
		t.Error("the log does not tell that it is over")
	}
}

// TestNoCredentials has a gateway without any (U10).
func TestNoCredentials(t *testing.T) {
	key := harness.NewKey(t, "acme")
	none := filepath.Join(t.TempDir(), "none")
	gw := harness.Start(t, harness.Config{
		Env: []string{"AWS_SHARED_CREDENTIALS_FILE=" + none, "AWS_CONFIG_FILE=" + none, "AWS_ACCESS_KEY_ID=",
			"AWS_SECRET_ACCESS_KEY=", "AWS_EC2_METADATA_DISABLED=true"},
		YAML: fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: "http://127.0.0.1:1"}
tenants: [{id: acme, keys: [%s]}]
`, key.KeyID)})
	got := gw.Post(t, key.BearerCredential, "/model/amazon.nova-lite-v1%3A0/converse", ask)
	var e struct{ Message string }
	if err := json.Unmarshal(got.Body, &e); err != nil || got.Status != 503 ||
		!strings.Contains(e.Message, "gateway has no valid AWS credentials") {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	if _, state := gw.Readyz(); !strings.Contains(state.Degraded["identity"], "no_credentials") {
		t.Errorf("readyz %v", state.Degraded)
	}
	if !strings.Contains(gw.Log.String(), `"level":"WARN"`) {
		t.Errorf("no warning in %s", gw.Log)
	}
}

// TestProxyIsJudgedAlike gives check and serve proxies and files that only one of them
// took (U4).
func TestProxyIsJudgedAlike(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing.pem")
	f := func(upstream, want string, env ...string) {
		t.Helper()
		file := filepath.Join(t.TempDir(), "sluice.yaml")
		yaml := fmt.Sprintf("listen: %s\nadmin: {listen: %s}\n%s\n", harness.FreeAddr(t), harness.FreeAddr(t), upstream)
		if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, command := range []string{"check", "serve"} {
			env := append([]string{"AWS_EC2_METADATA_DISABLED=true"}, env...)
			if _, out := harness.RunBoth(t, 2, env, command, "--config", file); !strings.Contains(out, want) {
				t.Errorf("%s of %s: %s, want %q", command, upstream, out, want)
			}
		}
	}
	for _, proxy := range []string{"socks4://x:1", "ftp://x", "http://", "x:1"} {
		f("upstream: {region: us-east-1, proxy: "+proxy+"}", ":3:38: error: upstream.proxy: must be a URL")
	}
	f("upstream: {region: us-east-1, ca_file: "+missing+"}", ":3:40: error: upstream.ca_file: ")
	f("upstream: {region: us-east-1, endpoint: 'http://169.254.169.254'}", ":3:41: error: upstream.endpoint: ")
	f("upstream: {region: us-east-1}\nupstreams: {eu: {region: eu-west-1, ca_file: "+missing+"}}",
		`upstreams["eu"].ca_file: `)
	f("upstream: {region: us-east-1}", "HTTPS_PROXY: must be", "HTTPS_PROXY=socks4://x:1")
	f("upstream: {region: us-east-1}", "AWS_CA_BUNDLE: ", "AWS_CA_BUNDLE="+missing)
	f("upstream: {region: us-east-1}", "profile", "AWS_PROFILE=nobody", "AWS_CONFIG_FILE="+missing)
	f("upstream: {region: us-east-1}\ntenants: [{id: a, external_id: abc}]", ":4:32: error: tenants[0].external_id: ")
}

// TestCutOffIsAnswered ends the gateway while a model works: who waits is answered so
// that no SDK sends the request again (U1).
func TestCutOffIsAnswered(t *testing.T) {
	begun := make(chan struct{}, 2)
	upstream := harness.StartScripted(t, map[string]harness.Play{
		"test.converse": func(c *net.TCPConn, _ int) bool { begun <- struct{}{}; io.Copy(io.Discard, c); return false },
	})
	key := harness.NewKey(t, "acme")
	gw := harness.Start(t, harness.Config{YAML: fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: %q}
timeouts: {drain: 1s}
tenants: [{id: acme, keys: [%s]}]
`, upstream.URL(), key.KeyID)})
	answers := make(chan harness.Answer, 2)
	for range cap(answers) {
		go func() { answers <- gw.Post(t, key.BearerCredential, "/model/test.converse/converse", ask) }()
	}
	for range cap(answers) {
		<-begun
	}
	gw.Signal(syscall.SIGTERM)
	for range cap(answers) {
		if got := <-answers; got.Status != 424 || got.Header.Get("x-should-retry") != "false" ||
			got.Header.Get("x-amzn-errortype") != "ModelErrorException" {
			t.Errorf("%d %v %s", got.Status, got.Header, got.Body)
		}
	}
}
