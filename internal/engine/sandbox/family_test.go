package sandbox

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/types"
	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/internal/wire"
)

// bodies has a body for each family. text is where its answer's text stands.
var bodies = []struct{ model, body, text string }{
	{"anthropic.claude-3-haiku-20240307-v1:0",
		`{"anthropic_version":"bedrock-2023-05-31","max_tokens":9,"messages":[{"role":"user","content":"hello"}]}`,
		"content.0.text"},
	{"anthropic.claude-v2", `{"prompt":"Human: hello","max_tokens_to_sample":9}`, "completion"},
	{"us.amazon.nova-lite-v1:0", `{"schemaVersion":"messages-v1","messages":[{"role":"user",` +
		`"content":[{"text":"hello"}]}],"inferenceConfig":{"maxTokens":9}}`, "output.message.content.0.text"},
	{"amazon.titan-text-express-v1", `{"inputText":"hello","textGenerationConfig":{"maxTokenCount":9}}`,
		"results.0.outputText"},
	{"meta.llama3-1-8b-instruct-v1:0", `{"prompt":"hello","max_gen_len":9}`, "generation"},
	{"mistral.mistral-7b-instruct-v0:2", `{"prompt":"hello","max_tokens":9}`, "outputs.0.text"},
	{"mistral.mistral-large-2407-v1:0", `{"messages":[{"role":"user","content":"hello"}],"max_tokens":9}`,
		"choices.0.message.content"},
	{"cohere.command-text-v14", `{"prompt":"hello","max_tokens":9}`, "generations.0.text"},
	{"cohere.command-r-plus-v1:0", `{"message":"hello","max_tokens":9}`, "text"},
	{"ai21.jamba-1-5-large-v1:0", `{"messages":[{"role":"user","content":"hello"}],"max_tokens":9}`,
		"choices.0.message.content"},
	{"deepseek.r1-v1:0", `{"prompt":"hello","max_tokens":9}`, "choices.0.text"},
	{"openai.gpt-oss-20b-1:0", `{"messages":[{"role":"user","content":"hello"}],"max_completion_tokens":9}`,
		"choices.0.message.content"},
	{"qwen.qwen3-32b-v1:0", `{"messages":[{"role":"user","content":"hello"}],"max_tokens":9}`,
		"choices.0.message.content"},
	{"arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc",
		`{"anthropic_version":"x","max_tokens":9,"messages":[{"role":"user","content":"hello"}]}`, "content.0.text"},
	{"ai21.j2-mid-v1", `{"prompt":"hello","maxTokens":9}`, "completions.0.data.text"},
	{"amazon.titan-embed-text-v2:0", `{"inputText":"hello","dimensions":256}`, ""},
	{"amazon.nova-2-multimodal-embeddings-v1:0",
		`{"taskType":"SINGLE_EMBEDDING","singleEmbeddingParams":{"text":{"value":"hello"}}}`, ""},
	{"cohere.embed-english-v3", `{"texts":["hello"],"input_type":"search_query"}`, ""},
	{"cohere.rerank-v3-5:0", `{"query":"hello","documents":["a","b"],"api_version":2}`, ""},
}

// billed is the log entry in the terms of package wire, which reads it from the
// answer. Wire has no part in making the answer.
func billed(e Entry) [2]wire.Count { return [2]wire.Count{wire.Known(e.Input), wire.Known(e.Output)} }

func TestInvokeEveryFamily(t *testing.T) {
	for _, c := range bodies {
		t.Run(c.model, func(t *testing.T) {
			b := newBench(t, "")
			res, err := b.post(t, nil, (wire.Target{Op: wire.OpInvoke, Model: c.model}).String(), c.body)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			if err != nil || res.StatusCode != 200 {
				t.Fatalf("%v %d %s", err, res.StatusCode, body)
			}
			e := b.only(t)
			usage := wire.ResponseUsage(wire.OpInvoke, wire.DialectOf(wire.ParseModelID(c.model).Foundation), fields(res.Header),
				body)
			if got := [2]wire.Count{usage.Input, usage.Output}; got != billed(e) {
				t.Errorf("the answer tells %+v, the log %+v: %s", got, billed(e), body)
			}
			var answer any
			if err := json.Unmarshal(body, &answer); err != nil {
				t.Fatal(err)
			}
			if c.text == "" {
				return
			}
			if text, _ := at(answer, c.text).(string); len(text) != 36 || e.Output != 9 {
				t.Errorf("text %q for %d tokens, want nine of four bytes", text, e.Output)
			}
		})
	}
}

func fields(h http.Header) (out wire.Header) {
	for name := range h {
		out = append(out, wire.Field{Name: name, Value: h.Get(name)})
	}
	return out
}

// at is lookup with array indexes below ten.
func at(v any, path string) any {
	for name := range strings.SplitSeq(path, ".") {
		if list, ok := v.([]any); ok && len(list) > int(name[0]-'0') {
			v = list[name[0]-'0']
			continue
		}
		v = lookup(v, name)
	}
	return v
}

func TestInvokeStreamEveryFamily(t *testing.T) {
	for _, c := range bodies {
		if c.text == "" || strings.HasPrefix(c.model, "ai21.j2") {
			continue
		}
		t.Run(c.model, func(t *testing.T) {
			b := newBench(t, "")
			res, err := b.post(t, nil, (wire.Target{Op: wire.OpInvokeStream, Model: c.model}).String(), c.body)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if res.Header.Get("X-Amzn-Bedrock-Content-Type") != "application/json" ||
				res.Header.Get("Content-Type") != "application/vnd.amazon.eventstream" {
				t.Errorf("head %v", res.Header)
			}
			usage := wire.StreamUsage{Op: wire.OpInvokeStream}
			final := 0
			for frames := wire.NewFrameReader(res.Body); ; {
				raw, err := frames.Next()
				if err == io.EOF {
					break
				}
				frame, parseErr := wire.ParseFrame(raw)
				if err != nil || parseErr != nil {
					t.Fatal(err, parseErr)
				}
				if usage.Observe(frame) {
					final++
				}
			}
			u, e := usage.Usage(), b.only(t)
			if got := [2]wire.Count{u.Input, u.Output}; got != billed(e) || final != 1 || e.Output != 9 || u.StopReason == "" {
				t.Errorf("the stream tells %+v, %d times, stop %q, the log %+v", got, final, u.StopReason, e)
			}
		})
	}
}

func TestInvokeStreamWithSDK(t *testing.T) {
	b := newBench(t, `rules: [{answer: {input_tokens: 7, output_tokens: 8, cache_read_tokens: 3, tool: {name: f, `+
		`input: {a: 1}}, text: Let me see.}}]`)
	out, err := b.InvokeModelWithResponseStream(context.Background(), &bedrockruntime.InvokeModelWithResponseStreamInput{
		ModelId: aws.String("anthropic.claude-3-haiku-20240307-v1:0"), Body: []byte(bodies[0].body),
		RequestMetadata: aws.String(`{"record":"r-2"}`)})
	if err != nil {
		t.Fatal(err)
	}
	stream := out.GetStream()
	defer stream.Close()
	var kinds []string
	var last object
	for e := range stream.Events() {
		last = nil
		if err := json.Unmarshal(e.(*types.ResponseStreamMemberChunk).Value.Bytes, &last); err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, last["type"].(string))
	}
	want := strings.Fields(`message_start content_block_start content_block_delta content_block_stop
		content_block_start content_block_delta content_block_stop message_delta message_stop`)
	if diff := cmp.Diff(want, kinds); diff != "" || stream.Err() != nil {
		t.Error(diff, stream.Err())
	}
	if m := metricsMember; whole(lookup(last, m+".inputTokenCount")) != 7 ||
		whole(lookup(last, m+".outputTokenCount")) != 8 || whole(lookup(last, m+".cacheReadInputTokenCount")) != 3 {
		t.Errorf("metrics %v", last)
	}
	if e := b.only(t); e.Metadata["record"] != "r-2" || e.CacheRead != 3 {
		t.Errorf("log %+v", e)
	}
}

func TestInvokeWithSDK(t *testing.T) {
	b := newBench(t, "")
	out, err := b.InvokeModel(context.Background(),
		&bedrockruntime.InvokeModelInput{ModelId: &bodies[0].model, Body: []byte(bodies[0].body),
			ServiceTier: types.ServiceTierTypeFlex})
	if err != nil || *out.ContentType != "application/json" || out.ServiceTier != types.ServiceTierTypeFlex {
		t.Fatalf("%v %+v", err, out)
	}
}

func TestSeveralAnswersAreBilledEach(t *testing.T) {
	f := func(model, body, list string) {
		t.Helper()
		b := newBench(t, "")
		res, err := b.post(t, nil, (wire.Target{Op: wire.OpInvoke, Model: model}).String(), body)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var answer object
		if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
			t.Fatal(err)
		}
		if rows, _ := answer[list].([]any); len(rows) != 3 || b.only(t).Output != 15 {
			t.Errorf("%s: %d answers for %d tokens, want 3 of 5", model, len(rows), b.only(t).Output)
		}
	}
	f("cohere.command-text-v14", `{"prompt":"x","max_tokens":5,"num_generations":3}`, "generations")
	f("ai21.j2-mid-v1", `{"prompt":"x","maxTokens":5,"numResults":3}`, "completions")
	f("openai.gpt-oss-20b-1:0", `{"messages":[{"role":"user","content":"x"}],"max_completion_tokens":5,"n":3}`, "choices")
}

func TestRefusals(t *testing.T) {
	b := newBench(t, "")
	f := func(target, body string, status int, kind string) {
		t.Helper()
		res, err := b.post(t, nil, target, body)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if got, _, _ := strings.Cut(res.Header.Get("X-Amzn-Errortype"), ":"); res.StatusCode != status || got != kind {
			t.Errorf("%s %s: %d %s, want %d %s", target, body, res.StatusCode, got, status, kind)
		}
	}
	f("/model/"+nova+"/converse", `{"messages"`, 400, "ValidationException")
	f("/model/"+nova+"/converse", `[]`, 400, "ValidationException")
	f("/model/"+nova+"/converse", ``, 400, "ValidationException")
	f("/model/"+nova+"/converse", `{"messages":[]}`, 400, "ValidationException")
	f("/model/"+nova+"/converse", `{"messages":[1],"inferenceConfig":{"maxTokens":0}}`, 400, "ValidationException")
	f("/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aprompt%2FABCDEFGHIJ/converse", `{"inferenceConfig":{}}`,
		400, "ValidationException")
	f("/model/anthropic.claude-3-haiku-20240307-v1%3A0/invoke", `{"messages":[]}`, 400, "ValidationException")
	f("/model/openai.gpt-oss-20b-1%3A0/invoke", `{"model":"other"}`, 400, "ValidationException")
	f("/model/amazon.titan-embed-text-v2%3A0/invoke-with-response-stream", `{"inputText":"x"}`, 400, "ValidationException")
	f("/model/"+nova+"/invoke-with-bidirectional-stream", `{}`, 400, "ValidationException")
	f("/guardrail/g/version/1/apply", `{}`, 400, "ValidationException")
	f("/guardrail-checks/invoke", `{}`, 400, "ValidationException")
	f("/async-invoke", `{}`, 400, "ValidationException")
	f("/nothing", `{}`, 404, "UnknownOperationException")
	for _, e := range b.Log() {
		if e.Input+e.Output+e.GuardrailUnits > 0 || e.Status < 400 {
			t.Errorf("billed %+v", e)
		}
	}
}
