package test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/sluice-gateway/sluice/internal/wire"
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

// messagesTo is a request of Messages to a model.
func messagesTo(model, members string) string {
	return `{"model":"` + model + `","max_tokens":64,"messages":[{"role":"user","content":"hello"}]` + members + `}`
}

// TestMessagesToOthers: other families answer Messages too, as a whole and as a stream, with the same counts, and what
// they cannot be given is named or refused as the tenant wants it.
func TestMessagesToOthers(t *testing.T) {
	const nova = "amazon.nova-lite-v1:0"
	tool := `,"tools":[{"name":"get_weather","input_schema":{"type":"object","properties":{"city":{"type":"string"}}}}]`
	g, upstream, key := dialects(t, `rules:
  - {match: {text: weather}, answer: {text: "I look.", tool: {name: get_weather, input: {city: Rome}},`+
		` stop_reason: tool_use, input_tokens: 3, output_tokens: 4}}
  - {answer: {text: "Hello.", input_tokens: 11, output_tokens: 7, cache_read_tokens: 5, cache_write_1h_tokens: 9}}
`, "", "")
	usage := `"input_tokens":11,"cache_creation_input_tokens":9,"cache_read_input_tokens":5,` +
		`"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":9},"output_tokens":7`
	res, body := send(t, g, key, "POST", "/v1/messages", messagesTo(nova, `,"thinking":{"type":"adaptive"}`))
	if res.StatusCode != 200 || !strings.Contains(body, `"content":[{"type":"text","text":"Hello."}],`+
		`"stop_reason":"end_turn"`) ||
		!strings.Contains(body, usage) || res.Header.Get("X-Sluice-Dropped") != "thinking" {
		t.Error(res.Status, res.Header, body)
	}
	res, body = send(t, g, key, "POST", "/v1/messages", messagesTo(nova, `,"stream":true`))
	names, _ := events(t, body)
	if res.StatusCode != 200 || names[0] != "message_start" || names[len(names)-1] != "message_stop" ||
		!strings.Contains(body, usage) {
		t.Error(res.Status, body)
	}
	res, body = send(t, g, key, "POST", "/v1/messages", messagesTo(nova, `,"container":"x"`))
	if res.StatusCode != 400 || !strings.Contains(body, "container") {
		t.Error(res.Status, body)
	}
	ask := strings.Replace(messagesTo(nova, tool), `"hello"`, `"weather"`, 1)
	_, body = send(t, g, key, "POST", "/v1/messages", ask)
	if !strings.Contains(body, `"name":"get_weather","input":{"city":"Rome"}}],"stop_reason":"tool_use"`) {
		t.Error(body)
	}
	for _, s := range upstream.Log() {
		if !strings.HasPrefix(s.Operation, "converse") {
			t.Error(s.Operation)
		}
	}
}

// TestMessagesInCascades: a cascade of two families answers a plain request with its light model, and leaves one that
// only Claude understands to Claude.
func TestMessagesInCascades(t *testing.T) {
	g, _, key := dialects(t, script, "", `
aliases: {claude-auto: `+sonnetID+`}
cascades:
  - {name: c, match: 'request.model == "claude-auto"', light: amazon.nova-lite-v1:0,`+
		` escalation: `+sonnetID+`, mode: check}
`)
	for _, c := range []struct{ members, path, model string }{
		{``, "light", "amazon.nova-lite-v1:0"},
		{`,"stream":true`, "light", "amazon.nova-lite-v1:0"},
		{`,"thinking":{"type":"enabled","budget_tokens":10}`, "direct", sonnetID},
		{`,"context_management":{"edits":[]}`, "direct", sonnetID},
	} {
		res, body := send(t, g, key, "POST", "/v1/messages", messagesTo("claude-auto", c.members))
		if h := res.Header; res.StatusCode != 200 || h.Get("X-Sluice-Path") != c.path || h.Get("X-Sluice-Model") != c.model ||
			!strings.Contains(body, `"role":"assistant"`) {
			t.Error(c.members, res.Status, h, body)
		}
	}
}

// TestMessagesCountAndModels: tokens are counted by the upstream, and estimated where it does not; models are listed by
// what the tenant may use, in the shape that the header asks for.
func TestMessagesCountAndModels(t *testing.T) {
	g, _, key := dialects(t, `rules:
  - {match: {operation: count-tokens, model: "*nova*"}, error: {status: 400, type: ValidationException,`+
		` message: "The provided model doesn't support counting tokens."}}
`, `, deny_models: ["*llama*"]`, `aliases: {claude-auto: `+sonnetID+`}`)
	ask := func(model string) (*http.Response, string) {
		return send(t, g, key, "POST", "/v1/messages/count_tokens",
			`{"model":"`+model+`","messages":[{"role":"user","content":"hello, how are you?"}]}`)
	}
	if res, body := ask(sonnetName); res.StatusCode != 200 || !strings.HasPrefix(body, `{"input_tokens":`) ||
		res.Header.Get("X-Sluice-Estimated") != "" {
		t.Error(res.Status, res.Header, body)
	}
	if res, body := ask("amazon.nova-lite-v1:0"); res.StatusCode != 200 || !strings.HasPrefix(body,
		`{"input_tokens":`) ||
		res.Header.Get("X-Sluice-Estimated") != "input_tokens" {
		t.Error(res.Status, res.Header, body)
	}
	if res, body := ask("meta.llama3-1-8b-instruct-v1:0"); res.StatusCode != 403 || !strings.Contains(body,
		"permission_error") {
		t.Error(res.Status, body)
	}
	res, body := send(t, g, key, "GET", "/v1/models?limit=1000", "")
	if res.StatusCode != 200 || !strings.Contains(body, `{"type":"model","id":"claude-auto"`) ||
		!strings.Contains(body, `"id":"`+sonnetID+`"`) || strings.Contains(body,
		"llama") || !strings.Contains(body, `"has_more":`) {
		t.Error(res.Status, body)
	}
	if res, body = send(t, g, key, "GET", "/v1/models/claude-auto",
		""); res.StatusCode != 200 || !strings.Contains(body, `"claude-auto"`) {
		t.Error(res.Status, body)
	}
	if res, body = send(t, g, key, "GET", "/v1/models", "", "Anthropic-Version", ""); !strings.Contains(body,
		`"object":"list"`) {
		t.Error(res.Status, body)
	}
}

// TestMessagesBudget: a budget that is used up is told so that no SDK repeats the call.
func TestMessagesBudget(t *testing.T) {
	g, _, key := dialects(t, script, `, budgets: [{period: month, usd: 0.000001, on_exceed: reject}]`, "")
	res, body := send(t, g, key, "POST", "/v1/messages", messagesTo(sonnetName, ""))
	if res.StatusCode != 429 || res.Header.Get("X-Should-Retry") != "false" || !strings.Contains(body,
		`"billing_error"`) {
		t.Error(res.Status, res.Header, body)
	}
}

// TestMessagesRecorded: what recorded clients sent to Claude reaches the upstream with the same JSON values when it
// comes in as Messages, and the answer comes back as it was.
func TestMessagesRecorded(t *testing.T) {
	var mu sync.Mutex
	var got []byte
	var play *harness.Recording
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		got, _ = io.ReadAll(r.Body)
		for name, value := range play.ResponseHeaders {
			w.Header().Set(name, value)
		}
		w.WriteHeader(play.Status)
		w.Write(play.ResponseBody)
	}))
	defer upstream.Close()
	key := harness.NewKey(t, "acme")
	g := harness.Start(t, harness.Config{YAML: fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: %q}
tenants: [{id: acme, keys: [%s]}]`, upstream.URL, key.KeyID)})
	played := 0
	for _, rec := range harness.Recordings(t) {
		target, err := wire.ParseTarget(rec.Method, rec.Path, "")
		var body map[string]any
		if err != nil || !target.Op.IsInvoke() || json.Unmarshal(rec.RequestBody, &body) != nil ||
			body["anthropic_version"] == nil || body["messages"] == nil {
			continue
		}
		played++
		mu.Lock()
		play = rec
		mu.Unlock()
		body["model"] = target.Model
		if target.Op.Streams() {
			body["stream"] = true
		}
		ask, _ := json.Marshal(body)
		res, answer := send(t, g, key, "POST", "/v1/messages", string(ask))
		delete(body, "model")
		delete(body, "stream")
		var sent map[string]any
		if err := json.Unmarshal(got, &sent); err != nil || !reflect.DeepEqual(sent, body) {
			t.Errorf("%s: %s", rec.ID, got)
		}
		switch {
		case rec.Status != 200:
			if res.StatusCode < 400 || !strings.Contains(answer, `"type":"error"`) {
				t.Errorf("%s: %s %s", rec.ID, res.Status, answer)
			}
		case !target.Op.Streams():
			if answer != string(rec.ResponseBody) {
				t.Errorf("%s: %s", rec.ID, answer)
			}
		default:
			if names, _ := events(t, answer); names[len(names)-1] != "message_stop" {
				t.Errorf("%s: %s", rec.ID, answer)
			}
		}
	}
	if played < 5 {
		t.Errorf("%d recordings", played)
	}
}
