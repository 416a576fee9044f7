package wire_test

import (
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/internal/wire"
)

// TestSearchUnits counts what a rerank is billed by. M7.
func TestSearchUnits(t *testing.T) {
	f := func(documents string, want int64) {
		t.Helper()
		body := `{"query":"x","documents":[` + documents + `],"top_n":3}`
		got := read(t, wire.OpInvoke, "rerank", body).Pieces(wire.DialectNamed("rerank"), []byte(body))
		if got != (wire.Pieces{Queries: want}) {
			t.Errorf("%.40s: %+v, want %d", documents, got, want)
		}
	}
	many := func(n int, document string) string { return strings.TrimSuffix(strings.Repeat(document+",", n), ",") }
	f("", 1)
	f(`"a","b"`, 1)
	f(many(100, `"a"`), 1)
	f(many(101, `"a"`), 2)
	f(many(60, `{"text":"`+strings.Repeat("a", 3000)+`"}`), 2)
}

// TestPieces: what a body asks for beside tokens, in the families that bill it.
func TestPieces(t *testing.T) {
	f := func(op wire.Operation, dialect, body string, want wire.Pieces) {
		t.Helper()
		if got := read(t, op, dialect, body).Pieces(wire.DialectNamed(dialect), []byte(body)); got != want {
			t.Errorf("%s %s: %+v, want %+v", dialect, body, got, want)
		}
	}
	images := func(n int64) wire.Pieces { return wire.Pieces{Images: n, Bound: true} }
	f(wire.OpInvoke, "picture", `{"taskType":"TEXT_IMAGE"}`, images(1))
	f(wire.OpInvoke, "picture", `{"imageGenerationConfig":{"numberOfImages":3}}`, images(3))
	f(wire.OpInvoke, "picture", `{"imageGenerationConfig":{"numberOfImages":"3"}}`, images(10))
	f(wire.OpInvoke, "picture", `{"imageGenerationConfig":{"numberOfImages":-3}}`, images(10))
	f(wire.OpInvoke, "picture", `{"text_prompts":[],"samples":2}`, images(2))
	length := func(ms int64) wire.Pieces { return wire.Pieces{Milliseconds: ms, Bound: true} }
	f(wire.OpStartAsyncInvoke, "picture", `{"modelInput":{"videoGenerationConfig":{"durationSeconds":6}}}`, length(6000))
	f(wire.OpStartAsyncInvoke, "picture", `{"modelInput":{"taskType":"MULTI_SHOT_MANUAL"}}`, length(120_000))
	f(wire.OpStartAsyncInvoke, "picture", `{"modelInput":{"duration":"9s"}}`, length(9000))
	f(wire.OpStartAsyncInvoke, "picture", `{"modelInput":{"duration":1e9}}`, length(120_000))
	f(wire.OpInvoke, "titan-embed", `{"inputText":"x","inputImage":"aGk="}`, wire.Pieces{Images: 1})
	f(wire.OpInvoke, "titan-embed", `{"inputText":"x"}`, wire.Pieces{})
	f(wire.OpInvoke, "nova-embed", `{"singleEmbeddingParams":{"image":{"source":{}}}}`, wire.Pieces{Images: 1})
	f(wire.OpInvoke, "nova-embed", `{"singleEmbeddingParams":{"video":{"source":{}}}}`, length(30_000))
	f(wire.OpInvoke, "marengo", `{"inputType":"text","inputText":"x"}`, wire.Pieces{Queries: 1})
	f(wire.OpInvoke, "marengo", `{"inputType":"text_image"}`, wire.Pieces{Queries: 1, Images: 1})
	f(wire.OpStartAsyncInvoke, "marengo", `{"modelInput":{"inputType":"video"}}`, length(14_400_000))
	f(wire.OpInvoke, "marengo", `{}`, length(14_400_000))
	f(wire.OpInvoke, "pegasus", `{"inputPrompt":"x"}`, length(3_600_000))
	f(wire.OpInvoke, "anthropic", `{"n":3}`, wire.Pieces{})
	f(wire.OpConverse, "picture", `{}`, wire.Pieces{})
}

// TestImagesOfAnswers: a family of pictures bills those that an answer has.
func TestImagesOfAnswers(t *testing.T) {
	for body, want := range map[string]wire.Count{
		`{"images":["aGk=","aGk="],"error":null}`: k(2), `{"images":[]}`: k(0), `{"images":null}`: {},
		`{"artifacts":[{"seed":1,"base64":"aGk=","finishReason":"SUCCESS"}]}`: k(1), `{}`: {},
		`{"seeds":[1],"finish_reasons":["Filter reason: prompt"]}`: {}, `{"images":["aGk=",null]}`: k(1),
	} {
		u := wire.ResponseUsage(wire.OpInvoke, wire.DialectNamed("picture"), nil, []byte(body))
		p := wire.Pieces{Images: 5, Bound: true}
		if u.Images != want || p.Fill(&u) != want.Known || !u.Complete() {
			t.Errorf("%s: %+v", body, u)
		}
		if u = wire.ResponseUsage(wire.OpInvoke, nil, nil, []byte(body)); u.Images.Known {
			t.Errorf("%s of another family: %+v", body, u)
		}
	}
}
