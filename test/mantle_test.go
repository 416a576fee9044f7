package test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/test/clients"
	"github.com/sluice-gateway/sluice/test/harness"
)

// mantleSettings name the host bedrock-mantle for some models. The stand-in wants signatures for it on its paths, and
// for the runtime host on all others.
const mantleSettings = `
upstream: {region: us-east-1, endpoint: %[1]q}
upstreams: {mantle: {kind: mantle, region: us-east-1, endpoint: %[1]q}}
model_upstreams: {"openai.gpt-5.4": mantle, "openai.gpt-oss-20b": mantle, "anthropic.claude-opus-5": mantle}
aliases: {newest: openai.gpt-5.4, opus: anthropic.claude-opus-5}
prices: [book.yaml]
tenants: [{id: acme, keys: [%[2]s]%[3]s}]
`

// onMantle runs the gateway with that host, and a price for what it serves.
func onMantle(t *testing.T, script, tenant string) (*harness.Gateway, *harness.Sandbox, harness.Key) {
	t.Helper()
	upstream := harness.StartSandbox(t, script)
	key := harness.NewKey(t, "acme")
	dir := t.TempDir()
	book := []byte(`
per: million
effective: 2026-01-01
source: test
prices:
  - {models: [openai.gpt-5.4, openai.gpt-oss-20b, anthropic.claude-opus-5], input: 1000, output: 1000, cache_read: 100}
`)
	if err := os.WriteFile(filepath.Join(dir, "book.yaml"), book, 0o600); err != nil {
		t.Fatal(err)
	}
	g := harness.Start(t, harness.Config{Dir: dir, YAML: fmt.Sprintf(mantleSettings, upstream.URL(), key.KeyID, tenant)})
	return g, upstream, key
}

// TestMantle: the models that the configuration names go to the host bedrock-mantle, by the paths that it has for them;
// all others go to the runtime host. All are metered to the token.
func TestMantle(t *testing.T) {
	g, upstream, key := onMantle(t, counts11, "")
	const responses, aTool = "/v1/responses", `,"tools":[{"type":"function","function":{"name":"f"}}]`
	const stored = `{"model":"openai.gpt-oss-20b","input":"hello","stream":true,"store":true}`
	for _, c := range []struct {
		path, body, op string
		mantle         bool
		dropped        string
	}{
		{"/v1/chat/completions", chatTo("newest", ""), "chat-completions", true, ""},
		{"/v1/chat/completions", chatTo("openai.gpt-5.4", `,"stream":true`+aTool), "chat-completions-stream", true, ""},
		{"/v1/chat/completions", chatTo("openai.gpt-oss-20b", `,"store":true`), "chat-completions", true, "store"},
		{responses, `{"model":"openai.gpt-5.4","input":"hello"}`, "responses", true, "store"},
		{responses, stored, "responses-stream", true, "store"},
		{"/v1/messages", askClaude("opus", ""), "messages", true, ""},
		{"/v1/messages?beta=true", askClaude("opus", `,"stream":true,"service_tier":"auto"`), "messages-stream", true, ""},
		{"/v1/messages/count_tokens", askClaude("anthropic.claude-opus-5", ""), "count-messages", true, ""},
		// Never without being named.
		{"/v1/chat/completions", chatTo(ossID, ""), "chat-completions", false, ""},
		{responses, `{"model":"` + gptID + `","input":"hello","store":false}`, "responses", false, ""},
		{"/v1/chat/completions", chatTo("openai.gpt-5.5", ""), "converse", false, ""},
		{"/v1/messages", askClaude("us.anthropic.claude-opus-5", ""), "invoke", false, ""},
	} {
		before := len(upstream.Log())
		res, body := askAs(t, g, key, c.path, c.body)
		log := upstream.Log()[before:]
		if res.StatusCode != 200 || res.Header.Get("X-Sluice-Dropped") != c.dropped || len(log) != 1 ||
			log[0].Operation != c.op || log[0].Mantle != c.mantle {
			t.Errorf("%s %s: %s %q %+v: %s", c.path, c.body, res.Status, res.Header.Get("X-Sluice-Dropped"), log, body)
		}
		if strings.HasPrefix(c.op, "responses") && !strings.Contains(body, `"store":false`) {
			t.Error("AWS was not told to store nothing:", body)
		}
		if c.op == "messages-stream" && (!strings.HasPrefix(body, "event: message_start\ndata: {") ||
			!strings.HasSuffix(body, "\n\n") || !strings.Contains(body, "event: message_stop\n")) {
			t.Error(body)
		}
	}
	harness.Eventually(t, 10*time.Second, func() (bool, string) {
		var calls, in, out, read int64
		for _, r := range g.Report("model") {
			calls, in, out, read = calls+r.Requests, in+r.Input, out+r.Output, read+r.CacheRead
		}
		return calls == 11 && in == 121 && out == 77 && read == 3300, fmt.Sprint(calls, in, out, read)
	})
}

// askClaude is a request of Messages.
func askClaude(model, members string) string {
	return `{"model":"` + model + `","max_tokens":50,"messages":[{"role":"user","content":"hello"}]` + members + `}`
}

// askAs asks in the dialect of the path.
func askAs(t *testing.T, g *harness.Gateway, key harness.Key, path, body string) (*http.Response, string) {
	t.Helper()
	if strings.HasPrefix(path, "/v1/messages") {
		return send(t, g, key, "POST", path, body, "Anthropic-Beta", "context-management-2025-06-27")
	}
	return sendBearer(t, g, key, "POST", path, body)
}

// TestMantleSDKs runs OpenAI's and Anthropic's own SDKs with models that this host has: chat, streams, tools, schemas,
// Responses, betas and counts.
func TestMantleSDKs(t *testing.T) {
	l := theLane(t)
	g, upstream, key := onMantle(t, `rules:
  - {match: {text: use a tool}, answer: {text: "", tool: {name: weather, input: {city: Rome}}, stop_reason: tool_use}}
  - {match: {text: weather}, answer: {text: "I look.", tool: {name: weather, input: {city: Rome}}, stop_reason: tool_use}}
  - {match: {text: structured}, answer: {text: '{"city":"Rome"}'}}
`+strings.Replace(strings.TrimPrefix(script, "rules:\n"), `"*opus*"`, `"*opus-4*"`, 1), "")
	for name, c := range map[string]struct{ python, js, model string }{
		"openai":    {"openai_client.py", "openai.mjs", "newest"},
		"anthropic": {"messages_client.py", "messages.mjs", "opus"},
	} {
		for _, command := range [][]string{
			{l.python(name), filepath.Join(l.root, "test/clients/python", c.python)}, {l.node(), filepath.Join(l.js(), c.js)},
		} {
			before := len(upstream.Log())
			got := outcomes(t, command, clients.Env(g.URL(), "OPENAI_BASE_URL="+g.URL()+"/v1", "OPENAI_API_KEY="+key.Bearer,
				"ANTHROPIC_BASE_URL="+g.URL(), "ANTHROPIC_API_KEY="+key.Bearer, "MODEL="+c.model,
				"THROTTLED_MODEL=amazon.nova-micro-v1:0", "LISTED=opus"))
			names := []string{"plain", "stream", "tools"}
			if name == "openai" {
				names = append(names, "responses")
			} else if names = append(names, "beta"); got["count"].Tokens == 0 || got["models"].Text != "listed" {
				t.Errorf("%q: %+v", command, got)
			}
			delete(got, "models")
			wantAnswers(t, got, names...)
			wantFailure(t, "error", got["error"], 400, "")
			wantFailure(t, "throttle", got["throttle"], 429, "")
			asked := 0
			for _, call := range upstream.Log()[before:] {
				if call.Mantle {
					asked++
				}
			}
			if asked < 5 {
				t.Errorf("%q: the host was asked %d times", command, asked)
			}
		}
	}
}

// TestMantleRefusals: what that host does not have is refused in the caller's dialect and says why; what it refuses
// itself comes in its own words, and its refusal of the gateway's credentials does not.
func TestMantleRefusals(t *testing.T) {
	g, upstream, key := onMantle(t, `rules:
  - {match: {text: slow down}, error: {status: 429, type: ThrottlingException, message: "slow down there"}}
  - {match: {text: who}, error: {status: 403, type: AccessDeniedException,
      message: "User is not authorized to perform: bedrock-mantle:CreateInference"}}
  - {match: {text: break}, answer: {text: a b c d e f g h i j k l m n o p q r s t u v w}, fault: {cut_after_frames: 3}}
`, `, output_tokens: {max: 60, on_exceed: reject}`)
	said := func(text string) func(string) string {
		return func(body string) string { return strings.Replace(body, "hello", text, 1) }
	}
	same := said("hello")
	for _, c := range []struct {
		path, body string
		with       func(string) string
		status     int
		says       string
		asked      bool
	}{
		{"/v1/messages", askClaude("newest", ""), same, 400, "is of kind mantle, which does not have converse", false},
		{"/v1/chat/completions", chatTo("opus", ""), same, 400, "is of kind mantle, which does not have converse", false},
		{"/v1/embeddings", `{"model":"newest","input":"x"}`, same, 400, "does not make embeddings", false},
		{"/v1/messages", strings.Replace(askClaude("opus", ""), "50", "61", 1), same, 400, "the limit is 60", false},
		{"/v1/messages", strings.Replace(askClaude("opus", ""), "50", "0", 1), same, 400, "output tokens", false},
		{"/v1/messages", askClaude("opus", ""), said("slow down"), 429, "slow down there", true},
		{"/v1/chat/completions", chatTo("newest", ""), said("slow down"), 429, "slow down there", true},
		{"/v1/messages", askClaude("opus", ""), said("who"), 529, `"overloaded_error"`, true},
		{"/v1/chat/completions", chatTo("newest", ""), said("who"), 503, `"error"`, true},
		{"/v1/responses", `{"model":"newest","input":"hello","background":true}`, same, 400, `"background"`, false},
		{"/v1/chat/completions", chatTo("newest", `,"max_tokens":55,"n":50`), same, 400, "the limit is 60", false},
	} {
		before := len(upstream.Log())
		res, body := askAs(t, g, key, c.path, c.with(c.body))
		if res.StatusCode != c.status || !strings.Contains(body, c.says) || !strings.Contains(body, `"error":{`) ||
			strings.Contains(body, "CreateInference") || (len(upstream.Log()) > before) != c.asked {
			t.Errorf("%s %s: %s %s %+v", c.path, c.with(c.body), res.Status, body, upstream.Log()[before:])
		}
	}
	for path, body := range map[string]string{
		"/v1/messages":         askClaude("opus", `,"stream":true`),
		"/v1/chat/completions": chatTo("newest", `,"stream":true`),
	} {
		_, got := askAs(t, g, key, path, said("break")(body))
		if !strings.Contains(got, `"error":{`) || strings.Contains(got, "message_stop") || strings.Contains(got, "[DONE]") {
			t.Error(path, got)
		}
	}
	converse := `{"messages":[{"role":"user","content":[{"text":"hi"}]}]}`
	res, body := sendBearer(t, g, key, "POST", "/model/newest/converse", converse)
	if res.StatusCode != 400 || !strings.Contains(body, "kind mantle") || res.Header.Get("X-Amzn-Errortype") == "" {
		t.Error(res.Status, body)
	}
}

// TestMantleBudget: what the models of that host cost is held and counted: with a budget of 0.2 dollars, and answers
// that cost about 0.02, the tenth or so is refused, and no SDK repeats it.
func TestMantleBudget(t *testing.T) {
	g, _, key := onMantle(t, counts11, `, budgets: [{period: day, usd: 0.2}]`)
	for _, c := range []struct{ path, body, code string }{
		{"/v1/messages", askClaude("opus", ""), "billing_error"},
		{"/v1/responses", `{"model":"newest","input":"hello","max_output_tokens":50}`, "insufficient_quota"},
	} {
		refused := false
		for range 20 {
			res, body := askAs(t, g, key, c.path, c.body)
			if refused = res.StatusCode == 429; refused {
				if !strings.Contains(body, c.code) || res.Header.Get("X-Should-Retry") != "false" {
					t.Error(res.Header, body)
				}
				break
			}
			if res.StatusCode != 200 {
				t.Fatal(res.Status, body)
			}
		}
		if !refused {
			t.Error(c.path, "was never refused")
		}
	}
}

// TestMantleStored: a stored response is asked for at the upstream and the path that have it.
func TestMantleStored(t *testing.T) {
	g, upstream, key := onMantle(t, counts11, ", store: allow")
	for _, model := range []string{"newest", "openai.gpt-oss-20b", gptID} {
		res, body := sendBearer(t, g, key, "POST", "/v1/responses", `{"model":"`+model+`","input":"hello"}`)
		_, id, _ := strings.Cut(body, `"id":"resp_`)
		id, _, _ = strings.Cut("resp_"+id, `"`)
		if res.StatusCode != 200 || res.Header.Get("X-Sluice-Dropped") != "" {
			t.Fatal(res.Status, body)
		}
		for _, method := range []string{"GET", "DELETE"} {
			before := len(upstream.Log())
			res, body := sendBearer(t, g, key, method, "/v1/responses/"+id, "")
			log := upstream.Log()[before:]
			if res.StatusCode != 200 || len(log) != 1 || log[0].Mantle != (model != gptID) {
				t.Error(model, method, res.Status, body, log)
			}
		}
	}
}
