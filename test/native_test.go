package test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/test/harness"
)

// Models that AWS serves on OpenAI's own paths.
const (
	ossID  = "openai.gpt-oss-120b-1:0"
	gptID  = "us.openai.gpt-5.6"
	grokID = "us.xai.grok-4.6"
)

// toGPT begins a request of Responses.
const toGPT = `{"model":"` + gptID + `","input":`

// counts11 answers everybody with counts that nobody could guess.
const counts11 = `rules: [{answer: {text: hi, input_tokens: 11, output_tokens: 7, cache_read_tokens: 300}}]`

// TestNativeOpenAI: Chat Completions and Responses reach the models that AWS serves on these paths there, as they
// came, and are metered to the token, streams too; what is stored is refused, and named.
func TestNativeOpenAI(t *testing.T) {
	g, upstream, key := dialects(t, counts11, "", "aliases: {oss: "+ossID+"}\n")
	usage := `,"stream_options":{"include_usage":true}`
	ask := `{"input":"hello","model":"`
	for _, c := range []struct{ path, body, op, dropped string }{
		{"/v1/chat/completions", chatTo(ossID, ""), "chat-completions", ""},
		{"/v1/chat/completions", chatTo("oss", `,"store":true,"logprobs":true`), "chat-completions", "store"},
		{"/v1/chat/completions", chatTo("bedrock/"+grokID, `,"stream":true`+usage), "chat-completions-stream", ""},
		{"/v1/chat/completions", chatTo(grokID, `,"stream":true,"unheard_of":1`), "chat-completions-stream", ""},
		{"/v1/chat/completions", chatTo(gptID, `,"max_tokens":50,"temperature":0.3`), "chat-completions", "temperature"},
		{"/v1/responses", ask + gptID + `"}`, "responses", "store"},
		{"/v1/responses", ask + gptID + `","stream":true,"store":false}`, "responses-stream", ""},
		// Not served there: Responses in one region, gpt-oss in Responses, tools with thinking, generations before 5.6.
		{"/v1/responses", ask + `openai.gpt-5.6","store":false}`, "converse", ""},
		{"/v1/responses", ask + ossID + `","store":false}`, "converse", ""},
		{"/v1/chat/completions", chatTo(gptID, `,"tools":[{"type":"function","function":{"name":"f"}}]`), "converse", ""},
		{"/v1/chat/completions", chatTo("openai.gpt-5.4", ""), "converse", ""},
	} {
		before := len(upstream.Log())
		res, body := sendBearer(t, g, key, "POST", c.path, c.body)
		log := upstream.Log()[before:]
		if res.StatusCode != 200 || res.Header.Get("X-Sluice-Dropped") != c.dropped || len(log) != 1 ||
			log[0].Operation != c.op {
			t.Errorf("%s: %s %q %+v: %s", c.body, res.Status, res.Header.Get("X-Sluice-Dropped"), log, body)
		}
		if asked := strings.Contains(c.body, usage); c.op == "chat-completions-stream" &&
			(asked != strings.Contains(body, `"usage":`) || !strings.HasSuffix(body, "data: [DONE]\n\n")) {
			t.Error(c.body, body)
		}
	}
	harness.Eventually(t, time.Minute, func() (bool, string) {
		var calls, in, out, read int64
		for _, r := range g.Report("model") {
			calls, in, out, read = calls+r.Requests, in+r.Input, out+r.Output, read+r.CacheRead
		}
		return calls == 11 && in == 121 && out == 77 && read == 3300, fmt.Sprint(calls, in, out, read)
	})
}

// TestNativePathsOff: a tenant without native paths has all its requests go by Converse.
func TestNativePathsOff(t *testing.T) {
	g, upstream, key := dialects(t, counts11, `, native_paths: false`, "")
	for path, body := range map[string]string{
		"/v1/chat/completions": chatTo(ossID, ""), "/v1/responses": toGPT + `"hello"}`,
	} {
		res, got := sendBearer(t, g, key, "POST", path, body)
		log := upstream.Log()
		if res.StatusCode != 200 || log[len(log)-1].Operation != "converse" {
			t.Error(path, res.Status, got, log)
		}
	}
}

// TestNativeRefused: what AWS says of a request comes as it said it; what the gateway refuses is in the dialect.
func TestNativeRefused(t *testing.T) {
	g, _, key := dialects(t, `rules:
  - {match: {text: slow down}, error: {status: 429, type: ThrottlingException, message: "slow down"}}
  - {match: {text: break}, answer: {text: a b c d e f g h i j k l m n o p q r s t u v w}, fault: {cut_after_frames: 2}}
`, `, output_tokens: {max: 20, on_exceed: reject}, models: ["openai.*", "us.openai.*"]`, "")
	for _, c := range []struct {
		path, body string
		status     int
		says       string
	}{
		{"chat/completions", chatTo(ossID, `,"max_tokens":21`), 400, "the limit is 20"},
		{"chat/completions", chatTo(ossID, `,"max_tokens":5,"n":5`), 400, "the limit is 20"},
		{"chat/completions", chatTo(grokID, ``), 403, "permission_denied"},
		{"chat/completions", strings.Replace(chatTo(ossID, ""), "hello", "slow down", 1), 429, "rate_limit_exceeded"},
		{"responses", toGPT + `"x","max_output_tokens":99}`, 400, "the limit is 20"},
		{"responses", toGPT + `"x","previous_response_id":"resp_1"}`, 400, `"previous_response_id"`},
		{"responses", toGPT + `"x","conversation":"c"}`, 400, `"conversation"`},
		{"responses", toGPT + `"x","background":true}`, 400, `"background"`},
		{"responses", toGPT + `[{"type":"item_reference","id":"i"}]}`, 400, "unsupported_parameter"},
		{"responses", `{"model":"` + gptID + `","model":"x","input":"x"}`, 400, "model"},
		{"responses/resp_1", ``, 404, "unknown_url"},
	} {
		res, body := sendBearer(t, g, key, "POST", "/v1/"+c.path, c.body)
		var e struct {
			Error struct{ Message, Type string }
		}
		if json.Unmarshal([]byte(body), &e) != nil || e.Error.Message == "" || res.StatusCode != c.status ||
			!strings.Contains(body, c.says) {
			t.Errorf("%s: %s %s", c.body, res.Status, body)
		}
	}
	_, body := sendBearer(t, g, key, "POST", "/v1/chat/completions",
		strings.Replace(chatTo(ossID, `,"stream":true`), "hello", "break", 1))
	if !strings.Contains(body, `data: {"error":`) || strings.Contains(body, "[DONE]") {
		t.Error(body)
	}
}

// TestStoredResponses: where the tenant lets AWS store them, responses are asked for, gone on from and deleted, by
// their own tenant alone.
func TestStoredResponses(t *testing.T) {
	g, upstream, key := dialects(t, counts11, ", store: allow", "")
	ask := func(key harness.Key, method, path, body string) (*http.Response, string) {
		return sendBearer(t, g, key, method, "/v1/responses"+path, body)
	}
	for _, stream := range []string{"", `,"stream":true`} {
		res, body := ask(key, "POST", "", toGPT+`"hello"`+stream+`}`)
		if res.StatusCode != 200 || res.Header.Get("X-Sluice-Dropped") != "" {
			t.Fatal(res.Status, body)
		}
		_, id, _ := strings.Cut(body, `"id":"resp_`)
		id, _, _ = strings.Cut("resp_"+id, `"`)
		if res, body := ask(key, "GET", "/"+id, ""); res.StatusCode != 200 || !strings.Contains(body, `"output"`) {
			t.Error(id, res.Status, body)
		}
		on := toGPT + `"and then","previous_response_id":"` + id + `"}`
		if res, body := ask(key, "POST", "", on); res.StatusCode != 200 {
			t.Error(res.Status, body)
		}
		res, body = ask(key, "POST", "/"+id+"/cancel", "")
		if res.StatusCode != 400 || !strings.Contains(body, "cancelled") {
			t.Error(res.Status, body)
		}
		res, body = ask(key, "DELETE", "/"+id, "")
		if res.StatusCode != 200 || !strings.Contains(body, `"deleted":true`) {
			t.Error(res.Status, body)
		}
		if res, body := ask(key, "GET", "/"+id, ""); res.StatusCode != 404 {
			t.Error(res.Status, body)
		}
	}
	if res, body := ask(key, "GET", "/resp_of_another", ""); res.StatusCode != 404 ||
		!strings.Contains(body, "resp_of_another") {
		t.Error(res.Status, body)
	}
	res, body := ask(key, "POST", "", toGPT+`"x","previous_response_id":"resp_of_another"}`)
	if res.StatusCode != 404 {
		t.Error(res.Status, body)
	}
	var ops []string
	for _, s := range upstream.Log() {
		if !slices.Contains(ops, s.Operation) {
			ops = append(ops, s.Operation)
		}
	}
	if fmt.Sprint(ops) != "[responses get-response cancel-response delete-response responses-stream]" {
		t.Error(ops) // what is another's was never asked for
	}
}

// TestFittedLegs: a request for one generation is served by legs of others, which get what they take; answers name it.
func TestFittedLegs(t *testing.T) {
	const opus, haiku = "us.anthropic.claude-opus-4-7", "us.anthropic.claude-haiku-4-5-20251001-v1:0"
	g, upstream, key := dialects(t, counts11, "", `
aliases: {auto: `+opus+`, claude: `+opus+`}
cascades:
  - {name: mixed, match: 'request.model == "auto"', mode: rules, light: "amazon.nova-lite-v1:0",
     escalation: `+opus+`, escalate_if: [{id: long, if: 'request.text.contains("hard")'}]}
  - {name: claudes, match: 'request.model == "claude"', mode: rules, light: `+haiku+`,
     escalation: `+opus+`, escalate_if: [{id: long, if: 'request.text.contains("hard")'}]}
`)
	chat := func(ask string) string {
		return `{"model":"auto","reasoning_effort":"high","messages":[{"role":"user","content":"` + ask + `"}]}`
	}
	messages := func(ask string) string {
		return `{"model":"claude","max_tokens":4000,"thinking":{"type":"adaptive"},"messages":[` + ask + `]}`
	}
	const easy, hard = `{"role":"user","content":"easy"}`, `{"role":"user","content":"hard"}`
	for _, c := range []struct{ path, body, served, fitted string }{
		{"/v1/chat/completions", chat("easy"), "amazon.nova-lite-v1:0", "output_config,thinking"},
		{"/v1/chat/completions", chat("hard"), opus, ""},
		{"/v1/messages", messages(easy), haiku, "thinking"},
		{"/v1/messages", messages(hard), opus, ""},
		// Opus 4.7 refuses to go on from words of the assistant, Haiku 4.5 does not: no escalation.
		{"/v1/messages", messages(hard + `,{"role":"assistant","content":"{"}`), haiku, "thinking"},
	} {
		res, body := sendBearer(t, g, key, "POST", c.path, c.body)
		h := res.Header
		if res.StatusCode != 200 || h.Get("X-Sluice-Model") != c.served || h.Get("X-Sluice-Fitted") != c.fitted {
			t.Errorf("%s: %s %s %q: %s", c.body, res.Status, h.Get("X-Sluice-Model"), h.Get("X-Sluice-Fitted"), body)
		}
	}
	if n := len(upstream.Log()); n != 5 {
		t.Error(n, "calls")
	}
}
