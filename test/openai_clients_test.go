package test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/test/clients"
)

// talk makes the stand-in call tools for who asks it to, and answer as all clients expect for the rest.
const talk = `rules:
  - {match: {text: use a tool}, answer: {text: "", tool: {name: weather, input: {city: Rome}}, stop_reason: tool_use}}
  - {match: {text: use Place}, answer: {text: "", tool: {name: Place, input: {city: Rome}}, stop_reason: tool_use}}
  - {match: {text: structured, model: "*claude*"}, answer: {text: '{"city":"Rome"}'}}
  - match: {text: structured}
    answer: {text: "", tool: {name: answer_in_json, input: {city: Rome}}, stop_reason: tool_use}
`

// TestOpenAISDKs runs OpenAI's own SDKs: chat, streams, tools, structured output, Responses, embeddings and models.
func TestOpenAISDKs(t *testing.T) {
	l := theLane(t)
	g, _, key := dialects(t, talk+strings.TrimPrefix(script, "rules:\n"), "", "")
	for name, command := range map[string][]string{
		"python": {l.python("openai"), filepath.Join(l.root, "test/clients/python/openai_client.py")},
		"js":     {l.node(), filepath.Join(l.js(), "openai.mjs")},
	} {
		t.Run(name, func(t *testing.T) {
			got := outcomes(t, command, clients.Env(g.URL(), "OPENAI_BASE_URL="+g.URL()+"/v1", "OPENAI_API_KEY="+key.Bearer))
			wantAnswers(t, got, "plain", "stream", "tools", "responses")
			wantFailure(t, "error", got["error"], 400, "")
			wantFailure(t, "throttle", got["throttle"], 429, "")
			for name, field := range map[string]string{
				"two_answers": "n", "logprobs": "logprobs", "earlier": "previous_response_id",
			} {
				if wantFailure(t, name, got[name], 400, "unsupported_parameter"); got[name].Message != field {
					t.Errorf("%s: %+v", name, got[name])
				}
			}
		})
	}
}

// wantAnswers checks the calls that bring the stand-in's text, and that all others that a program made itself sure of
// went well.
func wantAnswers(t *testing.T, got map[string]call, names ...string) {
	t.Helper()
	for _, name := range names {
		if got[name].Text != hello {
			t.Errorf("%s: %+v", name, got[name])
		}
	}
	for _, name := range []string{"structured", "embeddings", "models"} {
		if c, made := got[name]; made && c.Text != "ok" {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

// TestFrameworks runs frameworks that speak Chat Completions, Responses and Messages: plain calls, streams, tools and
// their results, structured output, embeddings and errors. make test-clients runs them all.
func TestFrameworks(t *testing.T) {
	l := theLane(t)
	g, _, key := dialects(t, talk+strings.TrimPrefix(script, "rules:\n"), "", `
aliases: {gpt-4o: "amazon.nova-lite-v1:0", gpt-4o-mini: does-not-exist, gpt-4.1: "amazon.nova-micro-v1:0",
  claude-3-haiku-20240307: does-not-exist}
`)
	python := func(client, file string) []string {
		return []string{l.python(client), filepath.Join(l.root, "test/clients/python", file)}
	}
	for name, command := range map[string][]string{
		"vercel":     {l.node(), filepath.Join(l.js(), "vercel_callers.mjs")},
		"langchain":  python("langchain-openai", "langchain_callers.py"),
		"llamaindex": python("llama-index-llms-openai", "llamaindex_callers.py"),
		"litellm":    python("litellm", "litellm_caller.py"),
	} {
		for _, api := range []string{"chat", "responses", "messages"} {
			env := clients.Env(g.URL(), "API="+api, "BASE="+g.URL(), "KEY="+key.Bearer, "OPENAI_BASE_URL="+g.URL()+"/v1",
				"OPENAI_API_BASE="+g.URL()+"/v1", "OPENAI_API_KEY="+key.Bearer, "ANTHROPIC_BASE_URL="+g.URL(),
				"ANTHROPIC_API_KEY="+key.Bearer, "NAMES=gpt-4o,gpt-4o-mini,gpt-4.1")
			if api == "messages" {
				env = append(env, "MODEL="+sonnetName, "THROTTLED_MODEL=claude-opus-4-5",
					"NAMES="+sonnetName+",claude-3-haiku-20240307,claude-opus-4-5")
			}
			t.Run(name+"/"+api, func(t *testing.T) {
				t.Parallel()
				if name != "vercel" && os.Getenv("SLUICE_REPEATS") == "" {
					t.Skip("SKIPPED: " + name + " takes long to install and to start: make test-clients runs it")
				}
				got := outcomes(t, command, env)
				wantAnswers(t, got, "plain", "stream", "tools")
				wantFailure(t, "error", got["error"], 400, "")
				wantFailure(t, "throttle", got["throttle"], 429, "")
			})
		}
	}
}
