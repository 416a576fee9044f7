package test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/test/harness"
)

// chatTo is a Chat Completions request to a model.
func chatTo(model, members string) string {
	return `{"model":"` + model + `","messages":[{"role":"user","content":"hello"}]` + members + `}`
}

// sendBearer makes a request as OpenAI's SDKs do, with a bearer key.
func sendBearer(t *testing.T, g *harness.Gateway, key harness.Key, method, path, body string) (*http.Response, string) {
	t.Helper()
	return send(t, g, key, method, path, body, "Authorization", "Bearer "+key.Bearer, "X-Api-Key", "",
		"Anthropic-Version", "")
}

// TestChatCompletions: a plain call and a stream reach any model by Converse, and are metered as such.
func TestChatCompletions(t *testing.T) {
	g, upstream, key := dialects(t, script, "", "")
	res, body := sendBearer(t, g, key, "POST", "/v1/chat/completions", chatTo("amazon.nova-lite-v1:0", `,"seed":1`))
	var answer struct {
		Object  string
		Model   string
		Choices []struct {
			Message      struct{ Content string }
			FinishReason string `json:"finish_reason"`
		}
		Usage struct {
			Prompt     int `json:"prompt_tokens"`
			Completion int `json:"completion_tokens"`
		}
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || res.StatusCode != 200 || len(answer.Choices) != 1 ||
		answer.Choices[0].Message.Content != hello || answer.Choices[0].FinishReason != "stop" || answer.Usage.Prompt != 11 ||
		answer.Usage.Completion != 7 || answer.Object != "chat.completion" {
		t.Fatal(res.Status, body, err)
	}
	if h := res.Header; h.Get("X-Sluice-Model") != "amazon.nova-lite-v1:0" || h.Get("X-Sluice-Dropped") != "seed" {
		t.Error(h)
	}
	res, body = sendBearer(t, g, key, "POST", "/v1/chat/completions", chatTo("amazon.nova-lite-v1:0",
		`,"stream":true,"stream_options":{"include_usage":true}`))
	if res.Header.Get("Content-Type") != "text/event-stream; charset=utf-8" ||
		!strings.HasSuffix(body, "data: [DONE]\n\n") ||
		!strings.Contains(body, `"usage":{"prompt_tokens":11,"completion_tokens":7,`) {
		t.Error(res.Header, body)
	}
	for _, s := range upstream.Log() {
		if !strings.HasPrefix(s.Operation, "converse") {
			t.Error(s.Operation)
		}
	}
	for _, c := range []struct {
		body       string
		status     int
		code, name string
	}{
		{chatTo("amazon.nova-lite-v1:0", `,"n":2`), 400, "unsupported_parameter", "n"},
		{chatTo("does-not-exist", ``), 400, "", ""},
		{chatTo("no such model", ``), 404, "model_not_found", "model"},
		{chatTo("amazon.nova-micro-v1:0", ``), 429, "rate_limit_exceeded", ""},
		{`{`, 400, "", ""},
	} {
		res, body := sendBearer(t, g, key, "POST", "/v1/chat/completions", c.body)
		var e struct {
			Error struct{ Message, Type, Code, Param string }
		}
		if err := json.Unmarshal([]byte(body), &e); err != nil || res.StatusCode != c.status || e.Error.Code != c.code ||
			e.Error.Param != c.name || e.Error.Message == "" {
			t.Errorf("%s: %d %s", c.body, res.StatusCode, body)
		}
	}
	key.Bearer = "wrong"
	res, body = sendBearer(t, g, key, "POST", "/v1/chat/completions", chatTo("amazon.nova-lite-v1:0", ""))
	if res.StatusCode != http.StatusUnauthorized || !strings.Contains(body, "invalid_api_key") {
		t.Error(res.Status, body)
	}
}

// counted are the tokens of one answer, as a dialect tells them: input is what no cache had to do with.
type counted struct{ input, output, read, written int }

// told is what the last usage of an answer or a stream says, in whatever dialect.
func told(t *testing.T, body string) counted {
	t.Helper()
	var u struct {
		Chat      int `json:"prompt_tokens"`
		ChatOut   int `json:"completion_tokens"`
		Input     int `json:"input_tokens"`
		Output    int `json:"output_tokens"`
		Native    int `json:"inputTokens"`
		NativeOut int `json:"outputTokens"`
		Read      int `json:"cache_read_input_tokens"`
		Written   int `json:"cache_creation_input_tokens"`
		Cached    int `json:"cacheReadInputTokens"`
		Cache     int `json:"cacheWriteInputTokens"`
		// Where the input includes what went to a cache, and what came from one.
		ChatDetails, ResponseDetails struct {
			Read    int `json:"cached_tokens"`
			Written int `json:"cache_write_tokens"`
		}
	}
	text := body[strings.LastIndex(body, `"usage":{`)+len(`"usage":`):]
	text = strings.NewReplacer("prompt_tokens_details", "ChatDetails", "input_tokens_details", "ResponseDetails").
		Replace(text)
	if err := json.NewDecoder(strings.NewReader(text)).Decode(&u); err != nil {
		t.Fatal(err, body)
	}
	read, written := u.ChatDetails.Read+u.ResponseDetails.Read, u.ChatDetails.Written+u.ResponseDetails.Written
	return counted{u.Chat + u.Input + u.Native - read - written, u.ChatOut + u.Output + u.NativeOut,
		read + u.Read + u.Cached, written + u.Written + u.Cache}
}

// TestDialectsCount: usage of the same call is the same in Converse, InvokeModel, Messages, Chat Completions and
// Responses, streamed or not, to the token and with caches, and so is what the books have.
func TestDialectsCount(t *testing.T) {
	g, _, key := dialects(t, `rules: [{answer: {text: hi, input_tokens: 11, output_tokens: 7, cache_read_tokens: 300,
  cache_write_tokens: 40, cache_write_1h_tokens: 2}}]`, "", "")
	bearer := []string{"Authorization", "Bearer " + key.Bearer, "X-Api-Key", "", "Anthropic-Version", ""}
	asked := 0
	for _, model := range []string{sonnetID, "amazon.nova-lite-v1:0"} {
		messages := `"max_tokens":64,"messages":[{"role":"user","content":"hello"}]`
		chat := `{"model":"` + model + `","messages":[{"role":"user","content":"hello"}]`
		response := `{"model":"` + model + `","input":"hello"`
		calls := []struct{ path, body string }{
			{"/model/" + model + "/converse", ask},
			{"/model/" + model + "/converse-stream", ask},
			{"/v1/messages", `{"model":"` + model + `",` + messages + `}`},
			{"/v1/messages", `{"model":"` + model + `","stream":true,` + messages + `}`},
			{"/v1/chat/completions", chat + `}`},
			{"/v1/chat/completions", chat + `,"stream":true,"stream_options":{"include_usage":true}}`},
			{"/v1/responses", response + `}`},
			{"/v1/responses", response + `,"stream":true}`},
		}
		if model == sonnetID {
			calls = append(calls, struct{ path, body string }{"/model/" + model + "/invoke",
				`{"anthropic_version":"bedrock-2023-05-31",` + messages + `}`})
		}
		for _, c := range calls {
			res, body := send(t, g, key, "POST", c.path, c.body, bearer...)
			if res.StatusCode != 200 {
				t.Fatal(res.Status, body)
			}
			if got, want := told(t, body), (counted{11, 7, 300, 42}); got != want {
				t.Errorf("%s %s: %+v, want %+v: %s", model, c.path, got, want, body)
			}
			asked++
		}
	}
	harness.Eventually(t, time.Minute, func() (bool, string) {
		var all harness.Row
		for _, r := range g.Report("model") {
			all.Requests, all.Input, all.Output = all.Requests+r.Requests, all.Input+r.Input, all.Output+r.Output
			all.CacheRead, all.CacheWrite = all.CacheRead+r.CacheRead, all.CacheWrite+r.CacheWrite
		}
		n := int64(asked)
		want := harness.Row{Requests: n, Input: 11 * n, Output: 7 * n, CacheRead: 300 * n, CacheWrite: 42 * n}
		return all == want, fmt.Sprintf("%+v, want %+v", all, want)
	})
}

// TestChatCascade: an alias of a cascade serves Chat Completions by a light model of one family and an escalation model
// of another, and the upstream never gets the alias: 37.
func TestChatCascade(t *testing.T) {
	g, upstream, key := dialects(t, script, "", `
aliases: {auto: `+sonnetID+`}
cascades:
  - {name: support, match: 'request.model == "auto"', mode: rules, light: "amazon.nova-lite-v1:0",
     escalation: `+sonnetID+`, escalate_if: [{id: long, if: 'request.text.contains("hard")'}]}
`)
	for _, stream := range []string{"", `,"stream":true`} {
		for ask, want := range map[string]string{"easy": "amazon.nova-lite-v1:0", "hard": sonnetID} {
			res, body := sendBearer(t, g, key, "POST", "/v1/chat/completions", `{"model":"auto","messages":[{"role":"user",`+
				`"content":"`+ask+`"}]`+stream+`}`)
			if served := res.Header.Get("X-Sluice-Model"); res.StatusCode != 200 || served != want ||
				!strings.Contains(body, `"model":"auto"`) {
				t.Error(res.Status, served, body)
			}
		}
	}
	for _, s := range upstream.Log() {
		if s.Model == "auto" {
			t.Errorf("%+v", s)
		}
	}
}

// TestOpenAIRefusals is bad input from outside: each is a documented answer in the dialect, and none a 500.
func TestOpenAIRefusals(t *testing.T) {
	g, _, key := dialects(t, script, `, budgets: [{period: day, usd: 0.0000001}], models: ["amazon.*"]`, "")
	nova := chatTo("amazon.nova-lite-v1:0", "")
	for _, c := range []struct {
		method, path, body string
		status             int
		code               string
	}{
		{"POST", "/v1/chat/completions", nova, 429, "insufficient_quota"},
		{"POST", "/v1/responses", `{"model":"amazon.nova-lite-v1:0","input":"hello"}`, 429, "insufficient_quota"},
		{"POST", "/v1/chat/completions", chatTo(sonnetID, ""), 403, "permission_denied"},
		{"POST", "/v1/chat/completions", `[]`, 400, "invalid_type"},
		{"POST", "/v1/chat/completions", ``, 400, ""},
		{"POST", "/v1/chat/completions", "\xff", 400, ""},
		{"POST", "/v1/responses", `{"model":"amazon.nova-lite-v1:0","input":[{"type":"function_call_output","call_id":"x",` +
			`"output":"y"}]}`, 400, "invalid_value"},
		{"POST", "/v1/embeddings", `{"model":"amazon.titan-embed-text-v2:0","input":[1,2]}`, 400, "invalid_type"},
		{"GET", "/v1/chat/completions", ``, 405, "method_not_allowed"},
		{"POST", "/v1/files", `{}`, 404, "unknown_url"},
		{"POST", "/v1/rerank", `{}`, 404, "unknown_url"},
		{"GET", "/v1/responses/resp_1", ``, 404, "unknown_url"},
		{"DELETE", "/v1/responses/resp_1", ``, 404, "unknown_url"},
		{"GET", "/v1/models/nothing", ``, 404, "model_not_found"},
	} {
		res, body := sendBearer(t, g, key, c.method, c.path, c.body)
		var e struct {
			Error struct{ Message, Type, Code string }
		}
		if err := json.Unmarshal([]byte(body), &e); err != nil || res.StatusCode != c.status || e.Error.Code != c.code ||
			e.Error.Message == "" || e.Error.Type == "" {
			t.Errorf("%s %s %s: %d %s", c.method, c.path, c.body, res.StatusCode, body)
		}
		if res.StatusCode == 429 && res.Header.Get("X-Should-Retry") != "false" {
			t.Error(res.Header)
		}
	}
}

// TestRateHeaders: answers in the dialect tell how the tenant's limits stand, and native ones do not.
func TestRateHeaders(t *testing.T) {
	g, _, key := dialects(t, script, `, limits: {requests_per_minute: 100, tokens_per_minute: 500000}`, "")
	var left []int
	for range 2 {
		res, body := sendBearer(t, g, key, "POST", "/v1/chat/completions", chatTo("amazon.nova-lite-v1:0", ""))
		h := res.Header
		n, err := strconv.Atoi(h.Get("X-Ratelimit-Remaining-Requests"))
		reset, failed := time.ParseDuration(h.Get("X-Ratelimit-Reset-Requests"))
		if err != nil || failed != nil || reset < 0 || reset > time.Minute || h.Get("X-Ratelimit-Limit-Requests") != "100" ||
			h.Get("X-Ratelimit-Limit-Tokens") != "500000" {
			t.Fatal(res.Status, h, body)
		}
		left = append(left, n)
	}
	if left[0] > 99 || left[1] >= left[0] && left[1] != 99 { // a new minute begins anew
		t.Error(left)
	}
	res, body := send(t, g, key, "POST", "/v1/messages", messagesTo(sonnetName, ""))
	const rate = "Anthropic-Ratelimit-"
	reset, err := time.Parse(time.RFC3339, res.Header.Get(rate+"Requests-Reset"))
	if h := res.Header; res.StatusCode != 200 || h.Get(rate+"Requests-Limit") != "100" || err != nil ||
		time.Until(reset) > time.Minute || h.Get(rate+"Tokens-Remaining") == "" || h.Get("X-Ratelimit-Limit-Tokens") != "" {
		t.Error(res.Status, body, h)
	}
	res, _ = sendBearer(t, g, key, "POST", "/model/amazon.nova-lite-v1:0/converse", ask)
	if res.StatusCode != 200 || res.Header.Get("X-Ratelimit-Limit-Requests") != "" {
		t.Error(res.Status, res.Header)
	}
}
