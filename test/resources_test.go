package test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
	"github.com/sluice-gateway/sluice/test/harness"
)

// TestAsyncJobs starts jobs of two tenants: the model in the body obeys policy,
// each sees its own job only, also after a restart, and nobody lists all.
func TestAsyncJobs(t *testing.T) {
	f := func(name, ledger string) {
		t.Run(name, func(t *testing.T) { testAsyncJobs(t, ledger) })
	}
	f("embedded", "")
	f("redis", fmt.Sprintf("ledger: {redis: %q}\n", redistest.NewServer(t).URL()))
}

func testAsyncJobs(t *testing.T, ledger string) {
	sandbox := harness.StartSandbox(t, "rules: []\n")
	mine, theirs, plain := harness.NewKey(t, "acme"), harness.NewKey(t, "other"), harness.NewKey(t, "plain")
	const jobs = "[start-async-invoke, get-async-invoke]"
	c := harness.Config{Dir: t.TempDir(), YAML: fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: %q}
aliases: {video: amazon.nova-reel-v1:0}
tenants:
  - {id: acme, keys: [%s], operations: %s, deny_models: ["*luma*"]}
  - {id: other, keys: [%s], operations: %[3]s}
  - {id: plain, keys: [%[5]s]}
%[6]s`, sandbox.URL(), mine.KeyID, jobs, theirs.KeyID, plain.KeyID, ledger)}
	gw := harness.Start(t, c)
	body := func(model string) string {
		return `{"modelId":"` + model +
			`","modelInput":{"taskType":"TEXT_VIDEO"},"outputDataConfig":{"s3OutputDataConfig":{"s3Uri":"s3://bucket/"}}}`
	}
	started := gw.Post(t, mine.BearerCredential, "/async-invoke", body("video"))
	var job struct{ InvocationArn string }
	if err := json.Unmarshal(started.Body, &job); err != nil || started.Status != http.StatusOK ||
		job.InvocationArn == "" {
		t.Fatalf("start: %d %s", started.Status, started.Body)
	}
	if served := sandbox.Log(); len(served) != 1 || served[0].Operation != "start-async-invoke" {
		t.Errorf("upstream: %+v", served)
	}
	target := "/async-invoke/" + url.PathEscape(job.InvocationArn)
	check := func(name string, key harness.Key, status int) {
		t.Helper()
		for _, cred := range []harness.Credential{key.BearerCredential, key.SigV4Credential} {
			if got := gw.Get(t, cred, target); got.Status != status || status == http.StatusOK &&
				!strings.Contains(string(got.Body), "amazon.nova-reel-v1:0") {
				t.Errorf("%s: %d %s, want %d", name, got.Status, got.Body, status)
			}
		}
	}
	check("my job", mine, 200)
	check("another tenant's job", theirs, 404)
	check("an operation that is not allowed", plain, 403)
	if got := gw.Get(t, mine.BearerCredential, "/async-invoke"); got.Status != http.StatusForbidden {
		t.Errorf("list: %d %s", got.Status, got.Body)
	}
	if got := gw.Post(t, mine.BearerCredential, "/async-invoke",
		body("luma.ray-v2:0")); got.Status != http.StatusForbidden || !strings.Contains(string(got.Body), "luma.ray-v2:0") {
		t.Errorf("a denied model: %d %s", got.Status, got.Body)
	}
	gw.Stop()
	gw = harness.Start(t, c)
	check("my job after a restart", mine, 200)
	check("another tenant's job after a restart", theirs, 404)
	harness.Eventually(t, time.Minute, func() (bool, string) {
		for _, row := range gw.Report("tenant,model") { // no answer says what a video costs
			if row.Tenant == "acme" && row.Model == "amazon.nova-reel-v1:0" {
				return row.Requests == 1 && row.Unknown == 1, fmt.Sprintf("%+v", row)
			}
		}
		return false, "no row for the job"
	})
}

// TestGuardrail meters ApplyGuardrail by text units, at the rate of the shipped price book.
func TestGuardrail(t *testing.T) {
	sandbox := harness.StartSandbox(t, "rules: []\n")
	key, chat := harness.NewKey(t, "acme"), harness.NewKey(t, "chat")
	gw := harness.Start(t, harness.Config{YAML: fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: %q}
tenants:
  - {id: acme, keys: [%s]}
  - {id: chat, keys: [%s], guard_new_turn: true}
`, sandbox.URL(), key.KeyID, chat.KeyID)})
	text := strings.Repeat("word ", 700) // 3,500 characters: four units
	for _, cred := range []harness.Credential{key.BearerCredential, key.SigV4Credential} {
		got := gw.Post(t, cred, "/guardrail/abc123/version/1/apply",
			`{"source":"INPUT","content":[{"text":{"text":"`+text+`"}}]}`)
		if got.Status != http.StatusOK || !strings.Contains(string(got.Body), `"contentPolicyUnits":4`) {
			t.Fatalf("%d %s", got.Status, got.Body)
		}
	}
	harness.Eventually(t, time.Minute, func() (bool, string) {
		rows := gw.Report("model")
		return len(rows) == 1 && rows[0].Requests == 2 && rows[0].Cost == "0.006" && rows[0].Unpriced == 0 &&
			rows[0].Unknown == 0 &&
			strings.Contains(rows[0].Model, "abc123"), fmt.Sprintf("%+v, want a cost of 2 x 4 units at 0.00075 USD", rows)
	})
	testNewTurn(t, gw, sandbox, chat, text)
}

// testNewTurn has a guardrail read a question of four units, and not the four of the question before again.
func testNewTurn(t *testing.T, gw *harness.Gateway, sandbox *harness.Sandbox, key harness.Key, text string) {
	turn := func(role string) string { return `{"role":"` + role + `","content":[{"text":"` + text + `"}]}` }
	body := `{"messages":[` + turn("user") + `,` + turn("assistant") + `,` + turn("user") +
		`],"guardrailConfig":{"guardrailIdentifier":"abc123","guardrailVersion":"1","trace":"enabled"}}`
	for _, cred := range []harness.Credential{key.BearerCredential, key.SigV4Credential} {
		got := gw.Post(t, cred, "/model/amazon.nova-lite-v1%3A0/converse", body)
		if got.Status != http.StatusOK || got.Header.Get("x-sluice-guardrail") != "new_turn" {
			t.Fatalf("%d %s %v", got.Status, got.Body, got.Header)
		}
	}
	served := sandbox.Log()
	if last := served[len(served)-1]; last.GuardrailUnits != 5 { // and one for the answer
		t.Errorf("%d units, want 5", last.GuardrailUnits)
	}
	harness.Eventually(t, time.Minute, func() (bool, string) {
		n := gw.Metric(`sluice_guardrail_calls_total{guardrail="abc123",outcome="passed"}`)
		return n == 4, fmt.Sprintf("%g calls, want 4", n)
	})
}

// TestBasePath serves below a prefix, which the upstream does not see, and at
// the root as well.
func TestBasePath(t *testing.T) {
	sandbox := harness.StartSandbox(t, script)
	key := harness.NewKey(t, "acme")
	gw := harness.Start(t, harness.Config{YAML: fmt.Sprintf(`
base_path: /bedrock/v1
upstream: {region: us-east-1, endpoint: %q}
tenants: [{id: acme, keys: [%s]}]
`, sandbox.URL(), key.KeyID)})
	f := func(target string, status int) {
		t.Helper()
		for _, cred := range []harness.Credential{key.BearerCredential, key.SigV4Credential} {
			if got := gw.Post(t, cred, target, ask); got.Status != status {
				t.Errorf("%s: %d %s, want %d", target, got.Status, got.Body, status)
			}
		}
	}
	f("/bedrock/v1/model/amazon.nova-lite-v1%3A0/converse", 200)
	f("/model/amazon.nova-lite-v1%3A0/converse", 200)
	f("/bedrock/v1x/model/amazon.nova-lite-v1%3A0/converse", 404)
	f("/bedrock/v1", 404)
	f("/bedrock%2Fv1/model/amazon.nova-lite-v1%3A0/converse", 404)
	if n := len(sandbox.Log()); n != 4 {
		t.Errorf("%d calls upstream, want 4", n)
	}
	// U9: a proxy that takes the prefix off, behind which the caller signs the whole.
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		to := &url.URL{Scheme: "http", Host: gw.Addr}
		(&httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(to)
			p.Out.Host = r.Host
			p.Out.URL.Path = strings.TrimPrefix(r.URL.Path, "/bedrock/v1")
			p.Out.URL.RawPath = strings.TrimPrefix(r.URL.EscapedPath(), "/bedrock/v1")
		}}).ServeHTTP(w, r)
	}))
	defer proxy.Close()
	for _, cred := range []harness.Credential{key.BearerCredential, key.SigV4Credential} {
		req, err := http.NewRequest(http.MethodPost, proxy.URL+"/bedrock/v1/model/amazon.nova-lite-v1%3A0/converse",
			strings.NewReader(ask))
		if err != nil {
			t.Fatal(err)
		}
		if err := cred(req, []byte(ask)); err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if body, _ := io.ReadAll(res.Body); res.StatusCode != 200 {
			t.Errorf("by the proxy: %d %s", res.StatusCode, body)
		}
		res.Body.Close()
	}
}

// TestCertificateReload replaces the certificate of a running gateway, first by
// nonsense.
func TestCertificateReload(t *testing.T) {
	t.Parallel() // it mostly waits
	first, firstPool := certificate(t)
	second, secondPool := certificate(t)
	key := harness.NewKey(t, "acme")
	gw := harness.Start(t, harness.Config{YAML: fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: sandbox}
tenants: [{id: acme, keys: [%s]}]
tls: {cert: %q, key: %q}
`, key.KeyID, first+".pem", first+".key")})
	trusts := func(pool *x509.CertPool) error {
		conn, err := tls.Dial("tcp", gw.Addr, &tls.Config{RootCAs: pool})
		if err == nil {
			conn.Close()
		}
		return err
	}
	if err := trusts(firstPool); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(first+".pem", []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, time.Minute, func() (bool, string) {
		return strings.Contains(gw.Log.String(), "certificate not reloaded"), "the log does not tell of the bad certificate"
	})
	if err := trusts(firstPool); err != nil {
		t.Errorf("after a bad certificate: %v", err)
	}
	for _, ending := range []string{".key", ".pem"} {
		data, err := os.ReadFile(second + ending)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(first+ending, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	harness.Eventually(t, time.Minute, func() (bool, string) {
		err := trusts(secondPool)
		return err == nil, fmt.Sprint(err)
	})
}
