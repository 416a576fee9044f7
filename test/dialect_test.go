package test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/test/harness"
)

const (
	sonnetName = "claude-sonnet-4-5"
	sonnetID   = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
)

// dialects starts a gateway that has a key for one tenant with these settings, and a stand-in behind it.
func dialects(t *testing.T, script, tenant, settings string) (*harness.Gateway, *harness.Sandbox, harness.Key) {
	t.Helper()
	upstream := harness.StartSandbox(t, script)
	key := harness.NewKey(t, "acme")
	g := harness.Start(t, harness.Config{YAML: fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: %q}
tenants: [{id: acme, keys: [%s]%s}]
%s`, upstream.URL(), key.KeyID, tenant, settings)})
	return g, upstream, key
}

// send makes a request as Anthropic's SDKs do, with an x-api-key.
func send(t *testing.T, g *harness.Gateway, key harness.Key, method, path, body string, header ...string) (
	*http.Response, string,
) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, g.URL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Api-Key", key.Bearer)
	req.Header.Set("Anthropic-Version", "2023-06-01")
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(got)
}

// events splits a stream of server-sent events into names and data.
func events(t *testing.T, stream string) (names []string, data []map[string]any) {
	t.Helper()
	lines := bufio.NewScanner(strings.NewReader(stream))
	for lines.Scan() {
		if name, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
			names = append(names, name)
		}
		if text, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			var v map[string]any
			if err := json.Unmarshal([]byte(text), &v); err != nil {
				t.Fatalf("%v in %s", err, text)
			}
			data = append(data, v)
		}
	}
	return names, data
}

// TestMessages: a plain call of Messages reaches Claude by InvokeModel, and a stream comes back
// as server-sent events.
func TestMessages(t *testing.T) {
	g, upstream, key := dialects(t, script, "", "")
	ask := `{"model":"` + sonnetName + `","max_tokens":64,"messages":[{"role":"user","content":"hello"}]`
	res, body := send(t, g, key, "POST", "/v1/messages?beta=true", ask+`}`)
	var answer struct {
		Type, Role string
		Content    []struct{ Type, Text string }
		Usage      map[string]any
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || res.StatusCode != 200 || answer.Type != "message" ||
		len(answer.Content) != 1 {
		t.Fatal(res.Status, body, err)
	}
	if h := res.Header; h.Get("X-Sluice-Model") != sonnetID || h.Get("Request-Id") == "" ||
		h.Get("Content-Type") != "application/json" {
		t.Error(h)
	}
	res, body = send(t, g, key, "POST", "/v1/messages", ask+`,"stream":true}`)
	names, data := events(t, body)
	if res.Header.Get("Content-Type") != "text/event-stream; charset=utf-8" || names[0] != "message_start" ||
		names[len(names)-1] != "message_stop" || len(data) != len(names) {
		t.Error(res.Header, body)
	}
	if strings.Contains(body, "amazon-bedrock") {
		t.Error(body)
	}
	for _, s := range upstream.Log() {
		if !strings.HasPrefix(s.Operation, "invoke") {
			t.Error(s.Operation)
		}
	}
}

// TestMessagesRefused: failures are said in the dialect, with the statuses that its SDKs know.
func TestMessagesRefused(t *testing.T) {
	g, _, key := dialects(t, script, "", "")
	f := func(method, path, body string, status int, kind, text string) {
		t.Helper()
		res, got := send(t, g, key, method, path, body)
		var e struct {
			Type      string
			Error     struct{ Type, Message string }
			RequestID string `json:"request_id"`
		}
		if err := json.Unmarshal([]byte(got), &e); err != nil || res.StatusCode != status || e.Type != "error" ||
			e.Error.Type != kind || !strings.Contains(e.Error.Message, text) ||
			e.RequestID != res.Header.Get("Request-Id") {
			t.Error(res.Status, got)
		}
	}
	f("POST", "/v1/messages", `{`, 400, "invalid_request_error", "not valid JSON")
	f("POST", "/v1/messages", `{}`, 400, "invalid_request_error", "model: Field required")
	f("POST", "/v1/messages", `{"model":"claude-nonesuch"}`, 404, "not_found_error", "claude-nonesuch")
	f("GET", "/v1/messages", ``, 405, "invalid_request_error", "method")
	f("POST", "/v1/messages/batches", `{}`, 404, "not_found_error", "CreateModelInvocationJob")
	f("POST", "/v1/nonesuch", `{}`, 404, "not_found_error", "/v1/messages")
	key.Bearer += "x"
	f("POST", "/v1/messages", `{"model":"`+sonnetName+`"}`, 401, "authentication_error", "")
	key.Bearer = ""
	f("POST", "/v1/messages", `{"model":"`+sonnetName+`"}`, 401, "authentication_error", "")
}
