package test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/test/clients"
)

// chatTo is a Chat Completions request to a model.
func chatTo(model, members string) string {
	return `{"model":"` + model + `","messages":[{"role":"user","content":"hello"}]` + members + `}`
}

// TestChatCompletions: a plain call and a stream reach any model by Converse, and are metered as such.
func TestChatCompletions(t *testing.T) {
	g, upstream, key := dialects(t, script, "", "")
	bearer := []string{"Authorization", "Bearer " + key.Bearer, "X-Api-Key", "", "Anthropic-Version", ""}
	res, body := send(t, g, key, "POST", "/v1/chat/completions", chatTo("amazon.nova-lite-v1:0", `,"seed":1`), bearer...)
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
	res, body = send(t, g, key, "POST", "/v1/chat/completions", chatTo("amazon.nova-lite-v1:0",
		`,"stream":true,"stream_options":{"include_usage":true}`), bearer...)
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
		res, body := send(t, g, key, "POST", "/v1/chat/completions", c.body, bearer...)
		var e struct {
			Error struct{ Message, Type, Code, Param string }
		}
		if err := json.Unmarshal([]byte(body), &e); err != nil || res.StatusCode != c.status || e.Error.Code != c.code ||
			e.Error.Param != c.name || e.Error.Message == "" {
			t.Errorf("%s: %d %s", c.body, res.StatusCode, body)
		}
	}
	res, body = send(t, g, key, "POST", "/v1/chat/completions", chatTo("amazon.nova-lite-v1:0", ""), "Authorization",
		"Bearer wrong", "X-Api-Key", "", "Anthropic-Version", "")
	if res.StatusCode != http.StatusUnauthorized || !strings.Contains(body, "invalid_api_key") {
		t.Error(res.Status, body)
	}
}

// talk makes the stand-in call tools for who asks it to, and answer as all clients expect for the rest.
const talk = `rules:
  - {match: {text: use a tool}, answer: {text: "", tool: {name: weather, input: {city: Rome}}, stop_reason: tool_use}}
  - match: {text: structured}
    answer: {text: "", tool: {name: answer_in_json, input: {city: Rome}}, stop_reason: tool_use}
`

// TestOpenAIPython runs OpenAI's SDK: chat, streams, tools, structured output, Responses, embeddings and models.
func TestOpenAIPython(t *testing.T) {
	l := theLane(t)
	g, _, key := dialects(t, talk+strings.TrimPrefix(script, "rules:\n"), "", "")
	cmd := exec.CommandContext(t.Context(), l.python("openai"),
		filepath.Join(l.root, "test/clients/python/openai_client.py"))
	cmd.Env = clients.Env(g.URL(), "OPENAI_BASE_URL="+g.URL()+"/v1", "OPENAI_API_KEY="+key.Bearer)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, errs.String())
	}
	var got map[string]call
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	for _, name := range []string{"plain", "stream", "tools", "responses"} {
		if got[name].Text != hello {
			t.Errorf("%s: %+v", name, got[name])
		}
	}
	for _, name := range []string{"structured", "embeddings", "models"} {
		if got[name].Text != "ok" {
			t.Errorf("%s: %+v", name, got[name])
		}
	}
	wantFailure(t, "error", got["error"], 400, "BadRequestError")
	wantFailure(t, "throttle", got["throttle"], 429, "RateLimitError")
	for name, field := range map[string]string{
		"two_answers": "n", "logprobs": "logprobs", "earlier": "previous_response_id",
	} {
		if wantFailure(t, name, got[name], 400, "unsupported_parameter"); got[name].Message != field {
			t.Errorf("%s: %+v", name, got[name])
		}
	}
}
