package dialect

import (
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/caller"
)

// answered are the members of Converse's answers: of ContentBlock, and of how a stream begins and goes on. Those of
// value true reach callers. Facts: AWS service model bedrock-runtime 2023-09-30.
var answered = map[string]bool{
	"text": true, "toolUse": true, "reasoningContent": true, "citationsContent": true, "image": false, "document": false,
	"video": false, "audio": false, "toolResult": false, "guardContent": false, "cachePoint": false, "searchResult": false,
	"SDK_UNKNOWN_MEMBER": false, "odd: name\n\ndata: {}": false,
}

// TestNothingOfAnswersIsLost: whatever a model answers with reaches callers of each dialect, or they are told that it
// is lost: in x-sluice-dropped, or within a stream in a comment.
func TestNothingOfAnswersIsLost(t *testing.T) {
	for _, c := range []struct{ path, body string }{
		{"/v1/chat/completions", `{"model":"m","stream":%,"messages":[{"role":"user","content":"hi"}]}`},
		{"/v1/responses", `{"model":"m","stream":%,"input":"hi","store":false}`},
		{"/v1/messages", `{"model":"m","stream":%,"max_tokens":9,"messages":[{"role":"user","content":"hi"}]}`},
	} {
		for kind, carried := range answered {
			want := "content[]." + kind
			if strings.Contains(kind, "\n") {
				want = "content[].unknown"
			}
			block := encode(object{kind: samplesOf(kind)})
			told := &caller.Answer{ID: "01ID", Op: wire.OpConverse, Body: []byte(`{"output":{"message":{"role":"assistant",` +
				`"content":[` + block + `]}},"stopReason":"end_turn","usage":{"inputTokens":1,"outputTokens":1}}`)}
			out, failure := opened(t, c.path, strings.Replace(c.body, "%", "false", 1)).Answer(told)
			if failure != nil {
				t.Fatal(failure)
			}
			if said := strings.Contains(string(out), "some words") || strings.Contains(string(out), `"f"`); said != carried ||
				slices.Contains(told.Lost, want) == carried {
				t.Errorf("%s, %q: lost %q of %s", c.path, kind, told.Lost, out)
			}
			if carried {
				continue
			}
			s := opened(t, c.path, strings.Replace(c.body, "%", "true", 1)).Stream(&caller.Answer{ID: "01ID",
				Op: wire.OpConverseStream})
			var stream []byte
			for _, f := range [][2]string{
				{"messageStart", `{"role":"assistant"}`}, {"contentBlockStart", `{"contentBlockIndex":0,"start":` + block + `}`},
				{"contentBlockDelta", `{"contentBlockIndex":0,"delta":` + block + `}`},
				{"contentBlockStop", `{"contentBlockIndex":0}`}, {"messageStop", `{"stopReason":"end_turn"}`},
				{"metadata", `{"usage":{"inputTokens":1,"outputTokens":1}}`},
			} {
				raw := wire.AppendFrame(nil, []wire.Field{{Name: ":event-type", Value: f[0]}}, []byte(f[1]))
				if stream, failure = s.Frame(stream, wire.SplitFrame(raw)); failure != nil {
					t.Fatal(failure)
				}
			}
			if strings.Count(string(stream), "\n\n: x-sluice-dropped: "+want+"\n\n") != 1 {
				t.Errorf("%s, %q: %s", c.path, kind, stream)
			}
		}
	}
}

// samplesOf is what a member of an answer may have.
func samplesOf(kind string) any {
	switch kind {
	case "text":
		return "some words"
	case "toolUse":
		return object{"toolUseId": "t", "name": "f", "input": object{}}
	case "reasoningContent":
		return object{"reasoningText": object{"text": "some words", "signature": "s"}}
	case "citationsContent":
		return object{"content": []any{object{"text": "some words"}}}
	}
	return object{"format": "png"}
}

// opened is the exchange of a request to a model that Converse reaches.
func opened(t *testing.T, path, body string) Exchange {
	t.Helper()
	d := OpenAI()
	if path == "/v1/messages" {
		d = Anthropic()
	}
	x := d.Open("POST", path)
	_, failure := x.Native(&caller.Request{
		Method: "POST", Path: path, Body: []byte(body), Model: func(string) caller.Model { return nova },
		Foreign: func(*caller.Native) bool { return false }, Cascaded: func(func() *caller.Native) bool { return false },
	})
	if failure != nil {
		t.Fatal(failure)
	}
	return x
}
