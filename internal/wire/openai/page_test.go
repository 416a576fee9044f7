package openai

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/caller"
	"github.com/sluice-gateway/sluice/internal/wire/capability"
)

// apis are the requests that have tables.
var apis = []struct {
	name      string
	table     *table
	translate func(*caller.Request) (*known, *caller.Native, *caller.Failure)
	rest      string // what a request has beside its model and the field
}{
	{"/v1/chat/completions", chat, chatAPI.request, `"messages":[{"role":"user","content":"hi"}]`},
	{"/v1/responses", responses, responsesAPI.request, `"input":"hi","store":false`},
	{"/v1/embeddings", embeddings, embeddingsRequest, `"input":"hi"`},
}

// samples are a value of each field that is not the same as none.
var samples = map[string]string{
	"stream": `true`, "stream_options": `{"include_usage":true}`, "max_tokens": `9`, "max_completion_tokens": `9`,
	"tools":       `[{"type":"function","name":"f","function":{"name":"f"}}]`,
	"tool_choice": `"required"`, "response_format": `{"type":"json_schema","json_schema":{"name":"x","schema":{"a":1}}}`,
	"reasoning_effort": `"low"`, "temperature": `0.5`, "top_p": `0.5`, "top_k": `5`, "stop": `"x"`,
	"parallel_tool_calls": `false`, "service_tier": `"flex"`, "metadata": `{"a":"b"}`, "user": `"u"`,
	"safety_identifier": `"u"`, "prompt_cache_key": `"k"`, "prompt_cache_retention": `"24h"`, "seed": `1`,
	"verbosity": `"low"`, "frequency_penalty": `1`, "presence_penalty": `1`, "logit_bias": `{"1":1}`,
	"prediction": `{"type":"content","content":"x"}`, "store": `true`, "n": `2`, "logprobs": `true`, "top_logprobs": `1`,
	"modalities": `["audio"]`, "audio": `{"voice":"v","format":"wav"}`, "moderation": `{"model":"m"}`,
	"web_search_options": `{}`, "functions": `[{"name":"f"}]`, "function_call": `{"name":"f"}`,
	"previous_response_id": `"resp_1"`, "include": `["reasoning.encrypted_content"]`, "instructions": `"be kind"`,
	"max_output_tokens": `9`, "text": `{"format":{"type":"json_schema","name":"x","schema":{"a":1}}}`,
	"reasoning": `{"effort":"low"}`, "client_metadata": `{"a":"b"}`, "max_tool_calls": `3`, "truncation": `"auto"`,
	"background": `true`, "conversation": `"c"`, "prompt": `{"id":"p"}`, "context_management": `[{}]`,
	"encoding_format": `"base64"`, "dimensions": `256`, "input_type": `"search_query"`,
}

// families are models of each kind, by what the page calls them.
var families = []struct{ name, model string }{
	{"Claude 3.5", "anthropic.claude-3-5-haiku-20241022-v1:0"}, {"Claude 4", sonnet4}, {"Claude 4.5", sonnet45},
	{"Claude 4.6", "us.anthropic.claude-sonnet-4-6"}, {"Claude 4.7, 4.8, 5", opus47},
	{"Opus and Sonnet 5.5", "us.anthropic.claude-opus-5-5"}, {"Nova", novaLite},
	{"Nova 2", "us.amazon.nova-2-lite-v1:0"}, {"Llama", llama}, {"Mistral", "mistral.mistral-large-2407-v1:0"},
	{"gpt-oss", "openai.gpt-oss-120b-1:0"}, {"GPT", "us.openai.gpt-5.6"}, {"Grok", "us.xai.grok-4"},
	{"Qwen", "qwen.qwen3-32b-v1:0"}, {"DeepSeek", "deepseek.v3-v1:0"},
}

// outcome is what becomes of a field: a cell of the page.
func outcome(t *testing.T, api, name, model, body string,
	translate func(*caller.Request) (*known, *caller.Native, *caller.Failure), plain []byte,
) string {
	t.Helper()
	k, n, failure := translate(asked(body))
	switch {
	case failure != nil && (failure.Param == name || strings.HasPrefix(failure.Param, name+".") ||
		strings.HasPrefix(failure.Param, name+"[")):
		return "refused"
	case failure != nil:
		t.Errorf("%s %s, %s: %+v", api, name, model, failure)
	case slices.ContainsFunc(n.Dropped, func(d string) bool { return d == name || strings.HasPrefix(d, name+".") }):
		if name == "response_format" || name == "text" {
			return "words"
		}
		return "dropped"
	case string(n.Body) != string(plain), k.stream, k.usage, k.encrypted, k.base64, len(n.Header) > 0:
		if strings.Contains(string(n.Body), "Answer with one JSON value") {
			return "words"
		}
		return "carried"
	}
	return "nothing"
}

// TestEveryField walks every field of every table by every family: it is carried, it is refused and named, or it is
// dropped and named. docs/dialects.md has the same as a table.
func TestEveryField(t *testing.T) {
	var page strings.Builder
	for _, api := range apis {
		fmt.Fprintf(&page, "\n### `%s`\n\n| field | what becomes of it |\n|---|---|\n", api.name)
		for _, f := range api.table.Fields {
			fmt.Fprintf(&page, "| `%s` | %s |\n", f.Name, strings.Join(cells(t, &api, &f), "; "))
		}
	}
	page.WriteString("\n### Models\n\nAs of " + capability.Date + ".\n\n" + modelsPage())
	update(t, page.String())
}

// cells are the outcomes of a field, with the families that have each, or without when all have the same.
func cells(t *testing.T, api *struct {
	name      string
	table     *table
	translate func(*caller.Request) (*known, *caller.Native, *caller.Failure)
	rest      string
}, f *field,
) (out []string) {
	models := families
	if api.table == embeddings {
		models = []struct{ name, model string }{{"Titan 1", "amazon.titan-embed-text-v1"},
			{"Titan 2", "amazon.titan-embed-text-v2:0"}, {"Cohere 3", "cohere.embed-english-v3"},
			{"Cohere 4", "us.cohere.embed-v4:0"}, {"Nova 2", "amazon.nova-2-multimodal-embeddings-v1:0"}}
	}
	names := map[string][]string{}
	for _, m := range models {
		head := `{"model":"` + m.model + `",` + api.rest
		if strings.Contains("tool_choice parallel_tool_calls", f.Name) {
			head += `,"tools":` + samples["tools"]
			if api.table == chat {
				head = strings.ReplaceAll(head, `"name":"f","function"`, `"function"`)
			} else {
				head = strings.ReplaceAll(head, `,"function":{"name":"f"}`, ``)
			}
		}
		sample := samples[f.Name]
		if f.Name == "tools" {
			sample = map[bool]string{true: `[{"type":"function","function":{"name":"f"}}]`,
				false: `[{"type":"function","name":"f"}]`}[api.table == chat]
		}
		_, plain, failure := api.translate(asked(head + "}"))
		if failure != nil {
			t.Fatal(failure)
		}
		how := "carried"
		if sample != "" {
			body := strings.Replace(head, `,"store":false`, "", 1)
			if f.Name != "store" {
				body = head
			}
			how = outcome(t, api.name, f.Name, m.model, body+`,"`+f.Name+`":`+sample+"}", api.translate, plain.Body)
		} else if !f.Must && f.Name != "model" {
			t.Errorf("%s: there is no sample of %s", api.name, f.Name)
		}
		if how == "nothing" || how == "carried" && f.How > caller.Fitted {
			t.Errorf("%s, %s: %s is lost in silence, or carried against the table: %s", api.name, m.model, f.Name, how)
		}
		names[how] = append(names[how], m.name)
	}
	words := map[string]string{
		"carried": "carried", "refused": "400", "dropped": "dropped and named", "words": "asked in words",
	}
	for _, how := range []string{"carried", "words", "refused", "dropped"} {
		switch which := names[how]; {
		case len(which) == len(models):
			out = append(out, words[how])
		case len(which) > 0:
			out = append(out, words[how]+" for "+strings.Join(which, ", "))
		}
	}
	if f.Note != "" {
		out = append(out, f.Note)
	}
	return out
}

// modelsPage is what each family takes, by package capability.
func modelsPage() string {
	var b strings.Builder
	b.WriteString("| family | sampling | thinking | JSON schema | forced tools | cache points | images | documents " +
		"| prefill |\n|---|---|---|---|---|---|---|---|---|\n")
	yes := func(is bool) string { return map[bool]string{true: "yes", false: "no"}[is] }
	sampling := [...]string{"all", "one of temperature and top_p", "none"}
	thinking := [...]string{"no", "by budget", "adaptive", "reasoningConfig", "reasoning_effort"}
	schema := [...]string{"in words", "by a forced tool", "native"}
	for _, f := range families {
		m := capability.Of(wire.ParseModelID(f.model).Foundation)
		think := thinking[m.Thinking]
		if m.AlwaysThinks {
			think += ", always"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", f.name, sampling[m.Sampling], think,
			schema[m.Schema], yes(m.AnyTool), yes(m.CachePoints), yes(m.Pictures), yes(m.Documents), yes(!m.NoPrefill))
	}
	return b.String()
}

// update compares a part of docs/dialects.md with what it has to be; SLUICE_UPDATE=1 writes it.
func update(t *testing.T, want string) {
	t.Helper()
	const file = "../../../docs/dialects.md"
	const begin, end = "<!-- openai: written by its test -->\n", "\n<!-- openai ends -->"
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, found := strings.Cut(string(page), begin)
	got, tail, ended := strings.Cut(rest, end)
	switch {
	case !found || !ended:
		t.Fatal("docs/dialects.md has no place for the tables")
	case got == want:
	case os.Getenv("SLUICE_UPDATE") == "":
		t.Error("docs/dialects.md is not what the tables say: SLUICE_UPDATE=1 go test ./internal/wire/openai writes it")
	default:
		if err := os.WriteFile(file, []byte(head+begin+want+end+tail), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
