package openai

import (
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/caller"
)

func TestEmbeddings(t *testing.T) {
	for _, c := range []struct{ body, want string }{
		{`{"model":"amazon.titan-embed-text-v2:0","input":"a","dimensions":256}`, `{"inputText":"a","dimensions":256}`},
		{`{"model":"amazon.titan-embed-text-v1","input":["a"],"encoding_format":"float"}`, `{"inputText":"a"}`},
		{`{"model":"cohere.embed-english-v3","input":["a","b"]}`, `{"texts":["a","b"],"input_type":"search_document"}`},
		{`{"model":"us.cohere.embed-v4:0","input":["a"],"input_type":"search_query","dimensions":512}`,
			`{"texts":["a"],"input_type":"search_query","embedding_types":["float"],"output_dimension":512}`},
		{`{"model":"amazon.nova-2-multimodal-embeddings-v1:0","input":"a","dimensions":1024}`, `{"schemaVersion":` +
			`"nova-multimodal-embed-v1","taskType":"SINGLE_EMBEDDING","singleEmbeddingParams":{"embeddingPurpose":"GENERI` +
			`C_INDEX",` +
			`"text":{"truncationMode":"NONE","value":"a"},"embeddingDimension":1024}}`},
	} {
		_, n, f := embeddingsRequest(asked(c.body))
		if f != nil {
			t.Errorf("%s: %+v", c.body, f)
			continue
		}
		same(t, c.body, n.Body, c.want)
	}
	for _, c := range []struct{ body, param, code string }{
		{`{"model":"amazon.titan-embed-text-v1","input":"a","dimensions":256}`, "dimensions", codeUnsupported},
		{`{"model":"amazon.titan-embed-text-v2:0","input":[` + strings.Repeat(`"a",`, 1024) + `"a"]}`, "input", codeValue},
		{`{"model":"amazon.titan-embed-text-v2:0","input":["a",[1]]}`, "input[1]", codeType},
		{`{"model":"amazon.titan-embed-text-v2:0","input":["a",""]}`, "input[1]", codeValue},
		{`{"model":"cohere.embed-english-v3","input":[1,2]}`, "input[0]", codeType},
		{`{"model":"cohere.embed-english-v3","input":[[1,2]]}`, "input[0]", codeType},
		{`{"model":"cohere.embed-english-v3","input":[]}`, "input", codeValue},
		{`{"model":"cohere.embed-english-v3","input":""}`, "input", codeValue},
		{`{"model":"cohere.embed-english-v3"}`, "input", codeMissing},
		{`{"model":"cohere.embed-english-v3","input":"a","encoding_format":"int8"}`, "encoding_format", codeValue},
		{`{"model":"cohere.embed-english-v3","input":"a","stream":true}`, "stream", codeUnknown},
		{`{"model":"amazon.nova-lite-v1:0","input":"a"}`, "model", codeValue},
	} {
		if _, _, f := embeddingsRequest(asked(c.body)); f == nil || f.Param != c.param || f.Code != c.code {
			t.Errorf("%s: %+v, want %s at %s", c.body, f, c.code, c.param)
		}
	}
}

func TestEmbeddingsAnswers(t *testing.T) {
	counted := wire.Header{{Name: "X-Amzn-Bedrock-Input-Token-Count", Value: "7"}}
	for _, c := range []struct{ body, want string }{
		{`{"embedding":[0.5,-1e-3],"inputTextTokenCount":7}`, `[{"object":"embedding","index":0,"embedding":[0.5,-1e-3]}]`},
		{`{"embeddings":[[1],[2]]}`,
			`[{"object":"embedding","index":0,"embedding":[1]},{"object":"embedding","index":1,"embedding":[2]}]`},
		{`{"embeddings":{"float":[[1]]}}`, `[{"object":"embedding","index":0,"embedding":[1]}]`},
		{`{"embeddings":[{"embeddingType":"TEXT","embedding":[1]}]}`, `[{"object":"embedding","index":0,"embedding":[1]}]`},
	} {
		k := &known{model: "e", foundation: "amazon.titan-embed-text-v2:0", inputs: strings.Count(c.want, "index")}
		got, f := k.embeddingsAnswer(&caller.Answer{Body: []byte(c.body), Header: counted})
		if f != nil {
			t.Errorf("%s: %+v", c.body, f)
			continue
		}
		same(t, c.body, got, `{"object":"list","data":`+c.want+`,"model":"e","usage":{"prompt_tokens":7,"total_tokens":7}}`)
	}
	k := &known{base64: true, inputs: 1}
	got, _ := k.embeddingsAnswer(&caller.Answer{Body: []byte(`{"embedding":[1,-2.5]}`)})
	if !strings.Contains(string(got), `"embedding":"AACAPwAAIMA="`) {
		t.Errorf("%s", got)
	}
}

// TestEmbeddingsInParts: texts that the model takes one by one, or 96 at a time, become several calls; the answers are
// one, in the order of the texts, with the sum of their counts. One that lacks an embedding is none.
func TestEmbeddingsInParts(t *testing.T) {
	for _, c := range []struct {
		model        string
		texts, calls int
	}{
		{"amazon.titan-embed-text-v2:0", 1, 1}, {"amazon.titan-embed-text-v2:0", 3, 3},
		{"amazon.nova-2-multimodal-embeddings-v1:0", 1024, 1024},
		{"cohere.embed-english-v3", 96, 1}, {"cohere.embed-english-v3", 97, 2}, {"cohere.embed-v4:0", 1000, 11},
	} {
		input := `"a"` + strings.Repeat(`,"a"`, c.texts-1)
		k, n, f := embeddingsRequest(asked(`{"model":"` + c.model + `","input":[` + input + `]}`))
		if f != nil || 1+len(n.Further) != c.calls || k.inputs != c.texts {
			t.Errorf("%+v: %+v %+v", c, k, f)
		}
	}
	counted := wire.Header{{Name: "X-Amzn-Bedrock-Input-Token-Count", Value: "7"}}
	a := &caller.Answer{Parts: []caller.Part{
		{Header: counted, Body: []byte(`{"embedding":[1]}`)}, {Header: counted, Body: []byte(`{"embedding":[2]}`)},
	}}
	got, f := (&known{inputs: 2}).embeddingsAnswer(a)
	if f != nil {
		t.Fatal(f)
	}
	same(t, "two parts", got, `{"object":"list","data":[{"object":"embedding","index":0,"embedding":[1]},`+
		`{"object":"embedding","index":1,"embedding":[2]}],"model":"","usage":{"prompt_tokens":14,"total_tokens":14}}`)
	if _, f = (&known{inputs: 3}).embeddingsAnswer(a); f == nil {
		t.Error("an embedding that is missing was not noticed")
	}
}

func TestPaths(t *testing.T) {
	for _, c := range []struct {
		method, path string
		class        caller.Class
	}{
		{"GET", "/v1/chat/completions", caller.ClassMethod},
		{"POST", "/v1/models", caller.ClassMethod},
		{"POST", "/v1/files", caller.ClassNotFound},
		{"GET", "/v1/batches/batch_1", caller.ClassNotFound},
		{"POST", "/v1/images/generations", caller.ClassNotFound},
		{"POST", "/v1/rerank", caller.ClassNotFound},
		{"GET", "/v1/responses/resp_1", caller.ClassNotFound},
		{"POST", "/v1/v1/chat/completions", caller.ClassNotFound},
		{"POST", "/v1/chat/completions/x", caller.ClassNotFound},
		{"POST", "/v1/nothing", caller.ClassNotFound},
	} {
		if _, f := Open(c.method, c.path).Native(asked(`{}`)); f == nil || f.Class != c.class || f.Message == "" {
			t.Errorf("%s %s: %+v", c.method, c.path, f)
		}
	}
	x := Open("GET", "/v1/models/a%2Fb")
	if _, f := x.Native(&caller.Request{Path: "/v1/models/a%2Fb"}); f != nil {
		t.Fatal(f)
	}
	all := &caller.Answer{Models: []caller.Listed{{ID: "x", Owner: "amazon"}, {ID: "a/b", Owner: "anthropic"}}}
	if got, f := x.Answer(all); f != nil || string(got) != `{"id":"a/b","object":"model","created":0,"owned_by":"an`+
		`thropic"}` {
		t.Errorf("%s %+v", got, f)
	}
}
