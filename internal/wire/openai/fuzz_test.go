package openai

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/caller"
)

// FuzzRequests: whatever comes, a request is refused with a message, or becomes a body that is JSON and that the reader
// of Converse bodies takes.
func FuzzRequests(f *testing.F) {
	for _, body := range []string{
		with(sonnet45, weather+`,"tool_choice":"required","temperature":0.5,"stop":["a"],"reasoning_effort":"low"`),
		with(novaLite, `"response_format":{"type":"json_schema","json_schema":{"name":"x","schema":{"type":"object"}}}`),
		`{"model":"m.x","messages":[{"role":"system","content":"a"},{"role":"user","content":[{"type":"text","text":"b"},` +
			`{"type":"image_url","image_url":{"url":"data:image/png;base64,` + png + `"}}]},{"role":"assistant","tool_calls":` +
			`[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c",` +
			`"content":"x"}]}`,
		`{"model":"m.x","input":[{"role":"user","content":"a"},{"type":"function_call","call_id":"c","name":"f",` +
			`"arguments":"{}"},{"type":"function_call_output","call_id":"c","output":"x"}],"text":{"format":{"type":"text"}}}`,
		`{"model":"cohere.embed-v4:0","input":["a"],"dimensions":4}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, translate := range []func(*caller.Request) (*known, *caller.Native, *caller.Failure){
			chatAPI.request, responsesAPI.request, embeddingsRequest,
		} {
			_, n, failure := translate(asked(string(body)))
			if failure != nil {
				if failure.Message == "" || !json.Valid(AppendFailure(nil, failure)) {
					t.Fatalf("%+v", failure)
				}
				continue
			}
			if !json.Valid(n.Body) {
				t.Fatalf("%s", n.Body)
			}
			if strings.ContainsAny(strings.Join(n.Dropped, ""), "\r\n") {
				t.Fatalf("%q", n.Dropped)
			}
			var facts wire.Facts
			if err := facts.Read(n.Op, nil, n.Body); err != nil {
				t.Fatalf("%v in %s", err, n.Body)
			}
		}
	})
}

// FuzzAnswers: whatever an upstream answers, the caller gets JSON, or a failure: 44.
func FuzzAnswers(f *testing.F) {
	f.Add("contentBlockDelta", []byte(`{"contentBlockIndex":0,"delta":{"text":"a"}}`))
	f.Add("contentBlockStart", []byte(`{"contentBlockIndex":0,"start":{"toolUse":{"toolUseId":"a","name":"b"}}}`))
	f.Add("messageStop", []byte(`{"stopReason":"end_turn"}`))
	f.Add("metadata", []byte(`{"usage":{"inputTokens":1,"outputTokens":2}}`))
	f.Add("", []byte(`{"output":{"message":{"content":[{"text":"a"},{"toolUse":{"toolUseId":"a","name":"b"}}]}}}`))
	f.Fuzz(func(t *testing.T, kind string, payload []byte) {
		k := &known{model: "m", usage: true, encrypted: true, jsonTool: jsonTool, echo: []byte(`"tools":[]`)}
		from := told(string(payload))
		for _, answer := range []func(*caller.Answer) ([]byte, *caller.Failure){
			k.chatAnswer, k.responsesAnswer, k.embeddingsAnswer,
		} {
			if got, failure := answer(from); failure == nil && !json.Valid(got) {
				t.Fatalf("%s", got)
			}
		}
		if len(kind) > 100 {
			return
		}
		for _, s := range []caller.Stream{k.chatStream(from), k.responseStream(from)} {
			frame := wire.SplitFrame(encoded(event{kind, string(payload)}))
			out, failure := s.Frame(nil, frame)
			if failure == nil {
				out, failure = s.Frame(out, frame)
			}
			if failure != nil {
				out = s.Fail(out, failure)
			}
			for _, line := range strings.Split(string(s.End(out)), "\n") {
				if data, ok := strings.CutPrefix(line, "data: "); ok && data != "[DONE]" && !json.Valid([]byte(data)) {
					t.Fatalf("%s", data)
				}
			}
		}
	})
}

// piece is a block of an answer.
type piece struct {
	text, thought, name, input string
}

// drawAnswer is an answer of Converse, whole and as the events of a stream.
func drawAnswer(t *rapid.T) (whole string, events []event) {
	quote := func(s string) string { return string(wire.AppendJSONString(nil, s)) }
	blocks := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) piece {
		switch rapid.IntRange(0, 2).Draw(t, "kind") {
		case 0:
			return piece{text: rapid.StringN(1, 20, -1).Draw(t, "text")}
		case 1:
			return piece{thought: rapid.StringN(1, 20, -1).Draw(t, "thought")}
		}
		in, _ := json.Marshal(rapid.MapOfN(rapid.String(), rapid.Int(), 0, 3).Draw(t, "input"))
		return piece{name: "f", input: string(in)}
	}), 0, 5).Draw(t, "blocks")
	var content []string
	cut := func(s string, wrap func(part string)) {
		runes := []rune(s)
		for len(runes) > 0 {
			n := rapid.IntRange(1, len(runes)).Draw(t, "cut")
			wrap(string(runes[:n]))
			runes = runes[n:]
		}
	}
	events = append(events, event{"messageStart", `{"role":"assistant"}`})
	for i, b := range blocks {
		at := `{"contentBlockIndex":` + string(appendInt(nil, int64(i)))
		delta := func(d string) { events = append(events, event{"contentBlockDelta", at + `,"delta":{` + d + `}}`}) }
		switch {
		case b.text != "":
			content = append(content, `{"text":`+quote(b.text)+`}`)
			cut(b.text, func(part string) { delta(`"text":` + quote(part)) })
		case b.thought != "":
			content = append(content, `{"reasoningContent":{"reasoningText":{"text":`+quote(b.thought)+`,"signature":"s"}}}`)
			cut(b.thought, func(part string) { delta(`"reasoningContent":{"text":` + quote(part) + `}`) })
			delta(`"reasoningContent":{"signature":"s"}`)
		default:
			use := `"toolUse":{"toolUseId":"t` + string(appendInt(nil, int64(i))) + `","name":"f"`
			content = append(content, `{`+use+`,"input":`+b.input+`}}`)
			events = append(events, event{"contentBlockStart", at + `,"start":{` + use + `}}}`})
			if b.input != "{}" {
				cut(b.input, func(part string) { delta(`"toolUse":{"input":` + quote(part) + `}`) })
			}
		}
		events = append(events, event{"contentBlockStop", at + `}`})
	}
	stop := rapid.SampledFrom([]string{"end_turn", "tool_use", "max_tokens", "content_filtered"}).Draw(t, "stop")
	n := rapid.SliceOfN(rapid.IntRange(0, 9), 4, 4).Draw(t, "counts")
	usage := `"usage":{"inputTokens":` + string(appendInt(nil, int64(n[0]))) + `,"outputTokens":` +
		string(appendInt(nil, int64(n[1]))) + `,"cacheReadInputTokens":` + string(appendInt(nil, int64(n[2]))) +
		`,"cacheWriteInputTokens":` + string(appendInt(nil, int64(n[3]))) + `}`
	whole = `{"output":{"message":{"role":"assistant","content":[` + strings.Join(content, ",") + `]}},"stopReason"` +
		`:"` + stop +
		`",` + usage + `}`
	return whole, append(events, event{"messageStop", `{"stopReason":"` + stop + `"}`}, event{"metadata", `` +
		`{` + usage + `}`})
}

// summed is what a client of Chat Completions makes of a stream, or of an answer.
type summed struct {
	Content, Reasoning, Finish string
	Calls                      [][3]string
	Usage                      string
}

type message struct {
	Content   *string
	Reasoning string `json:"reasoning_content"`
	ToolCalls []struct {
		Index    *int
		ID       string
		Function struct{ Name, Arguments string }
	} `json:"tool_calls"`
}

func sum(t *rapid.T, chunks ...string) (s summed) {
	for _, data := range chunks {
		var c struct {
			Choices []struct {
				Delta, Message message
				FinishReason   *string `json:"finish_reason"`
			}
			Usage json.RawMessage
		}
		if err := json.Unmarshal([]byte(data), &c); err != nil {
			t.Fatalf("%v in %s", err, data)
		}
		if len(c.Usage) > 0 && string(c.Usage) != "null" {
			s.Usage = string(c.Usage)
		}
		for _, choice := range c.Choices {
			for _, m := range []message{choice.Delta, choice.Message} {
				if m.Content != nil {
					s.Content += *m.Content
				}
				s.Reasoning += m.Reasoning
				for i, call := range m.ToolCalls {
					if call.Index != nil {
						i = *call.Index
					}
					if i == len(s.Calls) {
						s.Calls = append(s.Calls, [3]string{call.ID, call.Function.Name})
					}
					s.Calls[i][2] += call.Function.Arguments
				}
			}
			if choice.FinishReason != nil {
				s.Finish = *choice.FinishReason
			}
		}
	}
	return s
}

// TestStreamEqualsWhole: a stream adds up to what the same answer is without one, and usage is the same, in Chat
// Completions and in Responses.
func TestStreamEqualsWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		whole, events := drawAnswer(t)
		k := &known{model: "m", usage: true, encrypted: true, echo: []byte(`"tools":[]`)}
		stream := func(s caller.Stream) (out string) {
			var b []byte
			for _, e := range events {
				var failure *caller.Failure
				if b, failure = s.Frame(b, wire.SplitFrame(encoded(e))); failure != nil {
					t.Fatal(failure)
				}
			}
			return string(s.End(b))
		}
		plain, failure := k.chatAnswer(told(whole))
		if failure != nil {
			t.Fatal(failure)
		}
		var chunks []string
		for _, e := range strings.Split(stream(k.chatStream(told(""))), "\n\n") {
			if data := strings.TrimPrefix(e, "data: "); data != "" && data != "[DONE]" {
				chunks = append(chunks, data)
			}
		}
		a, b := sum(t, string(plain)), sum(t, chunks...)
		if a.Content != b.Content || a.Reasoning != b.Reasoning || a.Finish != b.Finish || a.Usage != b.Usage ||
			!slices.Equal(a.Calls, b.Calls) {
			t.Fatalf("whole  %+v\nstream %+v", a, b)
		}
		response, failure := k.responsesAnswer(told(whole))
		if failure != nil {
			t.Fatal(failure)
		}
		said := strings.TrimSuffix(stream(k.responseStream(told(""))), "}\n\n")
		if _, last, _ := strings.Cut(said[strings.LastIndex(said, "\ndata: "):], `"response":`); last != string(response) {
			t.Fatalf("whole  %s\nstream %s", response, last)
		}
	})
}
