package test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/test/harness"
)

const (
	light      = "amazon.nova-lite-v1:0"
	escalation = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
)

// TestRouting sends requests through a cascade and checks who answered, why,
// what went upstream and what was counted.
func TestRouting(t *testing.T) {
	sandbox := harness.StartSandbox(t, `rules:
  - {match: {model: "amazon.nova-lite*", text: "light fails"}, error: {status: 400, type: ValidationException, message: "the light model does not like this"}}
  - {match: {text: "all fail"}, error: {status: 400, type: ValidationException, message: "nobody likes this"}}
  - {match: {model: "amazon.nova-lite*"}, answer: {text: "light", input_tokens: 10, output_tokens: 5}}
  - {answer: {text: "escalation", input_tokens: 12, output_tokens: 6}}
`)
	key := harness.NewKey(t, "acme/support")
	gw := harness.Start(t, harness.Config{YAML: fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: %q}
aliases: {auto: %q}
tenants:
  - id: acme/support
    keys: [%s]
    output_tokens: {default: 500, max: 1000, on_exceed: clamp}
cascades:
  - name: support
    match: request.model == "auto"
    mode: rules
    light: %q
    escalation: %q
    escalate_if:
      - {id: contract, if: 'request.text.contains("contract")'}
      - {id: many, if: request.turns > 3}
`, sandbox.URL(), escalation, key.KeyID, light, escalation)})

	f := func(name, model, body, wantModel, path, reason, capped string) {
		t.Helper()
		got := gw.Post(t, key.BearerCredential, "/model/"+strings.ReplaceAll(model, ":", "%3A")+"/converse", body)
		h := got.Header
		have := [4]string{h.Get("x-sluice-model"), h.Get("x-sluice-path"), h.Get("x-sluice-reason"), h.Get("x-sluice-capped")}
		if want := [4]string{wantModel, path, reason, capped}; got.Status != http.StatusOK || have != want {
			t.Errorf("%s: %d %v, want %v\n%s", name, got.Status, have, want, got.Body)
		}
	}
	say := func(text, more string) string {
		return `{"messages":[{"role":"user","content":[{"text":"` + text + `"}]}]` + more + `}`
	}
	f("light", "auto", say("hello", ""), light, "light", "", "500")
	f("rule", "auto", say("read this contract", ""), escalation, "direct", "contract", "500")
	f("light error", "auto", say("light fails", ""), escalation, "escalated", "light_error", "500")
	f("unsupported", "auto", say("hello",
		`,"additionalModelRequestFields":{},"messages2":0,"system":[{"text":"s"},{"cachePoint":{"type":"default"}}]`), light, "light", "", "500")
	f("passthrough", light, say("hello", `,"inferenceConfig":{"maxTokens":64}`), light, "passthrough", "", "")
	f("clamped", light, say("hello", `,"inferenceConfig":{"maxTokens":4096}`), light, "passthrough", "", "1000")

	failed := gw.Post(t, key.BearerCredential, "/model/auto/converse", say("all fail", ""))
	if failed.Status != 400 || !strings.Contains(string(failed.Body), "nobody likes this") {
		t.Errorf("the last leg's error: %d %s", failed.Status, failed.Body)
	}
	checkRouted(t, gw)
}

func checkRouted(t *testing.T, gw *harness.Gateway) {
	t.Helper()
	want := map[string]harness.Row{
		light:      {Requests: 4, Legs: 6, Input: 40, Output: 20},
		escalation: {Requests: 3, Legs: 3, Escalated: 3, Input: 24, Output: 12},
	}
	harness.Eventually(t, time.Minute, func() (bool, string) {
		rows := gw.Report("model")
		if len(rows) != len(want) {
			return false, fmt.Sprintf("%+v", rows)
		}
		for _, row := range rows {
			w := want[row.Model]
			got := harness.Row{Requests: row.Requests, Legs: row.Legs, Escalated: row.Escalated, Input: row.Input,
				Output: row.Output}
			if got != w {
				return false, fmt.Sprintf("%s: %+v, want %+v", row.Model, got, w)
			}
		}
		return true, ""
	})
}

// TestCapReachesUpstream checks by the answer's length that the cap holds where
// it counts.
func TestCapReachesUpstream(t *testing.T) {
	sandbox := harness.StartSandbox(t, "rules: [{answer: {text: \""+strings.Repeat("word ", 4000)+"\"}}]\n")
	key := harness.NewKey(t, "acme")
	gw := harness.Start(t, harness.Config{YAML: fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: %q}
tenants: [{id: acme, keys: [%s], output_tokens: {default: 20, max: 50}}]
`, sandbox.URL(), key.KeyID)})
	f := func(target, body string, want int64) {
		t.Helper()
		before := len(sandbox.Log())
		got := gw.Post(t, key.BearerCredential, target, body)
		if got.Status != http.StatusOK {
			t.Errorf("%s: %d %s", target, got.Status, got.Body)
			return
		}
		if served := sandbox.Log()[before:]; len(served) != 1 || served[0].Output != want {
			t.Errorf("%s: upstream served %+v, want %d tokens", target, served, want)
		}
	}
	const claude = "/model/anthropic.claude-3-5-haiku-20241022-v1%3A0/invoke"
	f("/model/amazon.nova-lite-v1%3A0/converse", ask, 20)
	f("/model/amazon.nova-lite-v1%3A0/converse", strings.TrimSuffix(ask, "}")+`,"inferenceConfig":{"maxTokens":4096}}`, 50)
	f("/model/amazon.nova-lite-v1%3A0/converse-stream", strings.TrimSuffix(ask, "}")+`,"inferenceConfig":{}}`, 20)
	f(claude, `{"anthropic_version":"bedrock-2023-05-31","max_tokens":4096,"messages":[{"role":"user","content":"hello"}]}`,
		50)
	f(claude, `{"anthropic_version":"bedrock-2023-05-31","max_tokens":30,"messages":[{"role":"user","content":"hello"}]}`,
		30)
	f("/model/amazon.nova-lite-v1%3A0/invoke", ask, 20)
	f("/model/amazon.titan-text-express-v1/invoke", `{"inputText":"hello"}`, 20)
	f("/model/amazon.titan-text-express-v1/invoke", `{"inputText":"hello","textGenerationConfig":{"maxTokenCount":512}}`,
		50)
	f("/model/meta.llama3-1-8b-instruct-v1%3A0/invoke", `{"prompt":"hello","max_gen_len":512}`, 50)
	f("/model/mistral.mistral-large-2407-v1%3A0/invoke",
		`{"messages":[{"role":"user","content":"hello"}],"max_tokens":512}`, 50)
	f("/model/cohere.command-r-v1%3A0/invoke", `{"message":"hello"}`, 20)
}

// TestModelAnswersCarryJSON guards the tests above against a stand-in that
// answers nothing.
func TestModelAnswersCarryJSON(t *testing.T) {
	sandbox := harness.StartSandbox(t, script)
	key := harness.NewKey(t, "acme")
	gw := harness.Start(t, harness.Config{YAML: fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: %q}
tenants: [{id: acme, keys: [%s]}]
`, sandbox.URL(), key.KeyID)})
	got := gw.Post(t, key.SigV4Credential, "/model/amazon.nova-lite-v1%3A0/converse", ask)
	var answer struct {
		Output struct {
			Message struct{ Content []struct{ Text string } }
		}
	}
	if err := json.Unmarshal(got.Body, &answer); err != nil || answer.Output.Message.Content[0].Text != hello {
		t.Errorf("%v: %s", err, got.Body)
	}
}
