package test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/test/harness"
)

const ask = `{"messages":[{"role":"user","content":[{"text":"hello"}]}]}`

// TestBadInput sends what callers get wrong: each gets a clear Bedrock error,
// and no upstream call is made for it.
func TestBadInput(t *testing.T) {
	sandbox := harness.StartSandbox(t, script)
	key, revoked := harness.NewKey(t, "acme"), harness.NewKey(t, "acme")
	gw := harness.Start(t, harness.Config{YAML: fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: %q}
tenants: [{id: acme, keys: [%s], deny_models: ["*opus*"]}]
`, sandbox.URL(), key.KeyID)})

	const nova = "/model/amazon.nova-lite-v1%3A0/converse"
	f := func(name string, cred harness.Credential, target, body string, status int, typ string) {
		t.Helper()
		got := gw.Post(t, cred, target, body)
		if got.Status != status || got.Header.Get("x-amzn-errortype") != typ {
			t.Errorf("%s: %d %s, want %d %s\n%s", name, got.Status, got.Header.Get("x-amzn-errortype"), status, typ, got.Body)
		}
		if !bytes.HasPrefix(got.Body, []byte(`{"message":"`)) || got.Header.Get("content-type") != "application/json" {
			t.Errorf("%s: not a Bedrock error: %s %s", name, got.Header.Get("content-type"), got.Body)
		}
	}
	bearer := key.BearerCredential
	wrong := func(token string) harness.Credential {
		return func(req *http.Request, _ []byte) error { req.Header.Set("Authorization", token); return nil }
	}
	late := func(req *http.Request, body []byte) error {
		err := key.SigV4Credential(req, body)
		req.Header.Set("X-Amz-Date", time.Now().Add(-10*time.Minute).UTC().Format("20060102T150405Z"))
		return err
	}
	tampered := func(req *http.Request, body []byte) error { return key.SigV4Credential(req, []byte("another body")) }

	f("no key", nil, nova, ask, 403, "MissingAuthenticationTokenException")
	f("wrong key", wrong("Bearer nonsense"), nova, ask, 403, "AccessDeniedException")
	f("revoked key", revoked.BearerCredential, nova, ask, 403, "AccessDeniedException")
	f("revoked pair", revoked.SigV4Credential, nova, ask, 403, "InvalidSignatureException")
	f("skewed clock", late, nova, ask, 403, "InvalidSignatureException")
	f("bad signature", tampered, nova, ask, 403, "InvalidSignatureException")
	f("unknown path", bearer, "/nowhere", ask, 404, "UnknownOperationException")
	f("unknown verb", bearer, "/model/amazon.nova-lite-v1%3A0/predict", ask, 404, "UnknownOperationException")
	f("malformed", bearer, nova, `{"messages":[`, 400, "ValidationException")
	f("duplicate", bearer, nova, `{"inferenceConfig":{"maxTokens":1,"maxTokens":9},"messages":[]}`, 400,
		"ValidationException")
	f("escaped duplicate", bearer, nova, `{"inferenceConfig":{"maxTokens":1,"max\u0054okens":9},"messages":[]}`, 400,
		"ValidationException")
	f("deep nesting", bearer, nova, `{"a":`+strings.Repeat("[", 100_000)+strings.Repeat("]", 100_000)+`}`, 400,
		"ValidationException")
	f("invalid UTF-8", bearer, nova, "{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"\xff\"}]}]}", 400,
		"ValidationException")
	f("denied model", bearer, "/model/anthropic.claude-3-opus-20240229-v1%3A0/converse", ask, 403, "AccessDeniedException")
	f("bidirectional", bearer, "/model/amazon.nova-sonic-v1%3A0/invoke-with-bidirectional-stream", "", 400,
		"ValidationException")
	f("too large", bearer, nova, `{"messages":[],"a":"`+strings.Repeat("x", 27<<20)+`"}`, 413,
		"RequestEntityTooLargeException")

	denied := gw.Post(t, bearer, "/model/anthropic.claude-3-opus-20240229-v1%3A0/converse", ask)
	if !bytes.Contains(denied.Body, []byte("anthropic.claude-3-opus-20240229-v1:0")) {
		t.Errorf("the refusal does not name the model: %s", denied.Body)
	}
	wantMethodNotAllowed(t, gw, key)
	wantShortBodyRefused(t, gw, key)
	if served := sandbox.Log(); len(served) != 0 {
		t.Errorf("%d upstream calls were made, want none: %+v", len(served), served)
	}
	if got := gw.Post(t, bearer, nova, ask); got.Status != http.StatusOK {
		t.Errorf("a good request after all: %d %s", got.Status, got.Body)
	}
}

func wantMethodNotAllowed(t *testing.T, gw *harness.Gateway, key harness.Key) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, gw.URL()+"/model/amazon.nova-lite-v1%3A0/converse", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key.Bearer)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d, want 405", res.StatusCode)
	}
}

// wantShortBodyRefused sends half of the announced body and ends the connection's
// sending side.
func wantShortBodyRefused(t *testing.T, gw *harness.Gateway, key harness.Key) {
	t.Helper()
	conn, err := net.Dial("tcp", gw.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /model/amazon.nova-lite-v1%%3A0/converse HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer "+
		"%s\r\nContent-Length: 100\r\n\r\n{\"messages\":", gw.Addr, key.Bearer)
	conn.(*net.TCPConn).CloseWrite()
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Errorf("short body: %v", err)
		return
	}
	body, _ := io.ReadAll(res.Body)
	if res.StatusCode != http.StatusBadRequest {
		t.Errorf("short body: %d %s, want 400", res.StatusCode, body)
	}
}
