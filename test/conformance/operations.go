package main

import (
	"fmt"
	"net/http"
	"strings"
)

// family is how one family of models is asked by InvokeModel; MARK in a body is the text, CAP
// its output cap. Keys are sorted, so that only the rows of bytes fail where somebody encodes bodies again.
type family struct {
	name, model, body string
	streams           bool
}

const (
	novaModel   = "amazon.nova-lite-v1:0"
	sonnetModel = "anthropic.claude-sonnet-4-5-20250929-v1:0"
)

func families() []family {
	const messages = `"messages":[{"content":"MARK","role":"user"}]`
	return []family{
		{"Anthropic", "anthropic.claude-3-5-haiku-20241022-v1:0",
			`{"anthropic_version":"bedrock-2023-05-31","max_tokens":CAP,` + messages + `}`, true},
		{"Nova", novaModel,
			`{"inferenceConfig":{"maxTokens":CAP},"messages":[{"content":[{"text":"MARK"}],"role":"user"}]}`, true},
		{"Titan", "amazon.titan-text-express-v1",
			`{"inputText":"MARK","textGenerationConfig":{"maxTokenCount":CAP}}`, true},
		{"Llama", "meta.llama3-1-8b-instruct-v1:0", `{"max_gen_len":CAP,"prompt":"MARK"}`, true},
		{"Mistral", "mistral.mistral-7b-instruct-v0:2", `{"max_tokens":CAP,"prompt":"MARK"}`, true},
		{"Cohere Command R", "cohere.command-r-v1:0", `{"max_tokens":CAP,"message":"MARK"}`, true},
		{"AI21 Jamba", "ai21.jamba-1-5-mini-v1:0", `{"max_tokens":CAP,` + messages + `}`, true},
		{"DeepSeek", "deepseek.r1-v1:0", `{"max_tokens":CAP,"prompt":"MARK"}`, true},
		{"OpenAI", "openai.gpt-oss-20b-1:0", `{"max_completion_tokens":CAP,` + messages + `}`, true},
		{"Titan embeddings", "amazon.titan-embed-text-v2:0", `{"inputText":"MARK"}`, false},
		{"Cohere embeddings", "cohere.embed-english-v3", `{"input_type":"search_document","texts":["MARK"]}`, false},
	}
}

// of is the family's body with a mark and a cap.
func (f family) of(mark string, limit int64) string {
	return strings.NewReplacer("MARK", mark, "CAP", fmt.Sprint(limit)).Replace(f.body)
}

func operationChecks() []check {
	return []check{
		{"operations/converse", "Converse of each family's models: request and answer byte for byte.",
			each(func(f family) bool { return f.streams }, "converse", converseBody)},
		{"operations/converse-stream", "ConverseStream of each family's models: request and frames byte for byte.",
			each(func(f family) bool { return f.streams }, "converse-stream", converseBody)},
		{"operations/invoke", "InvokeModel in each family's own form: request and answer byte for byte.",
			each(func(family) bool { return true }, "invoke", invokeBody)},
		{"operations/invoke-stream", "InvokeModelWithResponseStream in each family's form: request and frames byte for byte.",
			each(func(f family) bool { return f.streams }, "invoke-with-response-stream", invokeBody)},
		{"operations/count-tokens", "CountTokens is served, byte for byte.",
			each(func(f family) bool { return f.name == "Anthropic" }, "count-tokens", countBody)},
	}
}

func converseBody(_ family, mark string) string { return plain(mark) }
func invokeBody(f family, mark string) string   { return f.of(mark, 64) }
func countBody(_ family, mark string) string    { return `{"input":{"converse":` + plain(mark) + `}}` }

// each asks an operation of each family's model that wanted holds for, and compares both directions.
func each(
	wanted func(f family) bool, operation string, body func(f family, mark string) string,
) func(*suite) (string, error) {
	return func(s *suite) (string, error) {
		n := 0
		var failed []string
		for _, f := range families() {
			if !wanted(f) {
				continue
			}
			n++
			if err := s.echo(f.model, operation, func(mark string) string { return body(f, mark) }, nil); err != nil {
				failed = append(failed, f.name+": "+err.Error())
			}
		}
		if failed != nil {
			return "", fmt.Errorf("%d of %d families: %s", len(failed), n, strings.Join(failed, "; "))
		}
		return fmt.Sprintf("%d families, identical in both directions", n), nil
	}
}

// echo asks once and compares the request at the upstream with the caller's, and the answer at the caller with the
// upstream's.
func (s *suite) echo(model, operation string, body func(mark string) string,
	reply func(w http.ResponseWriter, e *exchange)) error {
	v := s.up.expect(reply)
	text := body(v.mark)
	a, err := s.whole(request{path: path(model, operation), body: text})
	if err != nil {
		return err
	}
	e, err := v.once()
	if err != nil {
		return err
	}
	if err := same("the request", e.body, []byte(text)); err != nil {
		return err
	}
	return same("the answer", a.body, e.answered())
}
