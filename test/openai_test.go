package test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
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
