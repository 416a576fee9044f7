package anthropic

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/caller"
)

// answers are answers of Converse: as a whole, as frames, and as Messages has them.
var answers = []struct{ name, content, frames, want string }{
	{"words", `{"text":"a\"b"}`, `delta 0 {"text":"a"} delta 0 {"text":"\"b"} stop 0`, `{"type":"text","text":"a\"b"}`},
	// Symptoms 2 and 25: indices are contiguous from 0, whatever Converse's are.
	{"two calls (30)", `{"text":"x"},{"toolUse":{"toolUseId":"t1","name":"f","input":{"a":[1,2]}}},
		{"toolUse":{"toolUseId":"t2","name":"g","input":{}}}`,
		`delta 0 {"text":"x"} stop 0 start 2 {"toolUse":{"toolUseId":"t1",` +
			`"name":"f"}} delta 2 {"toolUse":{"input":"{\"a\":"}}
		delta 2 {"toolUse":{"input":"[1,2]}"}} stop 2 start 3 {"toolUse":{"toolUseId":"t2","name":"g"}} stop 3`,
		`{"type":"text","text":"x"},{"type":"tool_use","id":"t1","name":"f","input":{"a":[1,2]}},
		{"type":"tool_use","id":"t2","name":"g","input":{}}`},
	{"thinking (22, 47)", `{"reasoningContent":{"reasoningText":{"text":"hm","signature":"s+/="}}},
		{"reasoningContent":{"redactedContent":"cg=="}},{"text":"x"}`,
		`delta 0 {"reasoningContent":{"text":"h"}} delta 0 {"reasoningContent":{"text":"m"}}
		delta 0 {"reasoningContent":{"signature":"s+/="}} stop 0 delta 1 {"reasoningContent":{"redactedContent":"cg=="}} stop 1
		delta 2 {"text":"x"}`, // symptom 22: a block that is not stopped
		`{"type":"thinking","thinking":"hm","signature":"s+/="},{"type":"redacted_thinking","data":"cg=="},` +
			`{"type":"text","text":"x"}`},
	{"nothing (44)", ``, ``, ``},
}

// framesOf makes frames of words: start, delta and stop with the index and what is in it.
func framesOf(t *testing.T, words, stop, usage string) (frames []wire.Frame) {
	t.Helper()
	add := func(kind, payload string) {
		raw := wire.AppendFrame(nil, []wire.Field{{Name: ":event-type", Value: kind}, {Name: ":message-type",
			Value: "event"}},
			[]byte(payload))
		frames = append(frames, wire.SplitFrame(raw))
	}
	add("messageStart", `{"role":"assistant"}`)
	parts := strings.Fields(words)
	for i := 0; i < len(parts); {
		kind, index := parts[i], parts[i+1]
		i += 2
		switch kind {
		case "start", "delta":
			add(map[string]string{"start": "contentBlockStart", "delta": "contentBlockDelta"}[kind],
				`{"contentBlockIndex":`+index+`,"`+kind+`":`+parts[i]+`}`)
			i++
		case "stop":
			add("contentBlockStop", `{"contentBlockIndex":`+index+`}`)
		}
	}
	if stop != "" {
		add("messageStop", `{"stopReason":"`+stop+`"}`)
	}
	if usage != "" {
		add("metadata", `{"usage":`+usage+`,"metrics":{"latencyMs":1}}`)
	}
	return frames
}

// message is what an SDK makes of a stream.
type accumulated struct {
	message map[string]any
	inputs  map[int]string // of calls
	names   []string
}

// accumulate reads server-sent events as Anthropic's SDKs do.
func accumulate(t *testing.T, stream []byte) *accumulated {
	t.Helper()
	a := &accumulated{inputs: map[int]string{}}
	var name string
	for _, line := range strings.Split(string(stream), "\n") {
		if n, ok := strings.CutPrefix(line, "event: "); ok {
			name = n
			a.names = append(a.names, n)
		}
		data, ok := strings.CutPrefix(line, "data: ")
		if !ok {
			continue
		}
		var e struct {
			Type    string
			Index   int
			Message map[string]any
			Block   map[string]any `json:"content_block"`
			Delta   map[string]any
			Usage   map[string]any
		}
		if err := json.Unmarshal([]byte(data), &e); err != nil || e.Type != name {
			t.Fatal(err, name, data)
		}
		a.take(t, e.Type, e.Index, e.Message, e.Block, e.Delta, e.Usage)
	}
	return a
}

func (a *accumulated) take(t *testing.T, kind string, index int, message, block, delta, usage map[string]any) {
	t.Helper()
	content := func() []any { return a.message["content"].([]any) }
	switch kind {
	case "message_start":
		a.message = message
	case "content_block_start":
		if index != len(content()) {
			t.Fatalf("block %d begins after %d", index, len(content()))
		}
		a.message["content"] = append(content(), block)
	case "content_block_delta":
		b := content()[index].(map[string]any)
		switch delta["type"] {
		case "text_delta":
			b["text"] = b["text"].(string) + delta["text"].(string)
		case "thinking_delta":
			b["thinking"] = b["thinking"].(string) + delta["thinking"].(string)
		case "signature_delta":
			b["signature"] = delta["signature"]
		case "input_json_delta":
			a.inputs[index] += delta["partial_json"].(string)
		}
	case "content_block_stop":
		if whole := a.inputs[index]; whole != "" {
			var v any
			if err := json.Unmarshal([]byte(whole), &v); err != nil {
				t.Fatal(err, whole)
			}
			content()[index].(map[string]any)["input"] = v
		}
	case "message_delta":
		for k, v := range delta {
			a.message[k] = v
		}
		a.message["usage"] = usage // cumulative
	}
}

// TestAnswers: a stream says what the whole answer says, counts too (symptoms 13, 15, 21, 22, 24, 26, 32, 50).
func TestAnswers(t *testing.T) {
	usages := []struct{ native, want string }{
		{`{"inputTokens":11,"outputTokens":7,"totalTokens":18}`,
			`{"input_tokens":11,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":7}`},
		{`{"inputTokens":1,"outputTokens":7,"cacheReadInputTokens":5,"cacheWriteInputTokens":9,
			"cacheDetails":[{"ttl":"1h","inputTokens":3},{"ttl":"5m","inputTokens":6}]}`,
			`{"input_tokens":1,"cache_creation_input_tokens":9,"cache_read_input_tokens":5,"output_tokens":7,
			"cache_creation":{"ephemeral_5m_input_tokens":6,"ephemeral_1h_input_tokens":3}}`},
		{`{"inputTokens":1,"outputTokens":7,"cacheWriteInputTokens":9,"cacheDetails":[{"ttl":"1h","inputTokens":3}]}`,
			`{"input_tokens":1,"cache_creation_input_tokens":9,"cache_read_input_tokens":0,"output_tokens":7}`},
	}
	for _, c := range answers {
		for native, stop := range stops {
			for _, u := range usages {
				x := Open("POST", "/v1/messages")
				x.asked = "nova"
				a := &caller.Answer{ID: "01X", Op: wire.OpConverse,
					Body: []byte(`{"output":{"message":{"role":"assistant","content":[` +
						c.content + `]}},"stopReason":"` + native + `","usage":` + u.native + `}`)}
				got, failure := x.Answer(a)
				if stop == "" {
					if failure == nil || failure.Class != caller.ClassModel {
						t.Errorf("%s %s", native, got)
					}
					continue
				}
				want := `{"id":"msg_01X","type":"message","role":"assistant","model":"nova","content":[` + c.want +
					`],"stop_reason":"` + stop + `","stop_sequence":null,"usage":` + u.want + `}`
				if failure != nil || !sameJSON(t, string(got), want) {
					t.Errorf("%s: %s %v", c.name, got, failure)
				}
				s := x.Stream(&caller.Answer{ID: "01X", Op: wire.OpConverseStream})
				out := play(t, s, framesOf(t, c.frames, native, u.native))
				whole, err := json.Marshal(accumulate(t, out).message)
				if err != nil || !sameJSON(t, string(whole), want) {
					t.Errorf("%s: %s %v\n%s", c.name, whole, err, out)
				}
			}
		}
	}
}

// play runs frames through a stream.
func play(t *testing.T, s caller.Stream, frames []wire.Frame) (out []byte) {
	t.Helper()
	for _, f := range frames {
		var failure *caller.Failure
		if out, failure = s.Frame(out, f); failure != nil {
			return s.Fail(out, failure)
		}
	}
	return s.End(out)
}

// TestRenamedTools: a name that Converse does not take comes back as the caller has it.
func TestRenamedTools(t *testing.T) {
	x := Open("POST", "/v1/messages")
	const odd = `"tools":[{"name":"get weather","input_schema":{"type":"object","properties":{}}}]`
	n, failure := x.Native(request(ask("nova", odd, hi), ""))
	if failure != nil || len(x.renamed) != 1 {
		t.Fatal(failure, x.renamed)
	}
	for sent := range x.renamed {
		got, _ := x.Answer(&caller.Answer{Op: n.Op,
			Body: []byte(`{"output":{"message":{"content":[{"toolUse":{"toolUseId":"a",` +
				`"name":"` + sent + `","input":{}}}]}},"stopReason":"tool_use"}`)})
		out := play(t, x.Stream(&caller.Answer{}),
			framesOf(t, `start 0 {"toolUse":{"toolUseId":"a","name":"`+sent+`"}} stop 0`, "tool_use", `{}`))
		for _, said := range []string{string(got), string(out)} {
			if !strings.Contains(said, `"name":"get weather"`) || strings.Contains(said, sent) {
				t.Error(said)
			}
		}
	}
}

// TestBrokenStreams (symptoms 1 and 44): a stream without its end is an error and no success, and
// nothing follows an error.
func TestBrokenStreams(t *testing.T) {
	x := Open("POST", "/v1/messages")
	f := func(words, stop, usage, last string) {
		t.Helper()
		s := x.Stream(&caller.Answer{ID: "01X", Op: wire.OpConverseStream})
		frames := framesOf(t, words, stop, usage)
		out := play(t, s, frames)
		names := accumulateNames(out)
		if names[len(names)-1] != last || strings.Count(string(out), "event: "+last) != 1 {
			t.Errorf("%s", out)
		}
		after, _ := s.Frame(nil, frames[0])
		if after = s.End(s.Fail(after, &caller.Failure{})); len(after) > 0 {
			t.Errorf("after the end: %s", after)
		}
	}
	f(`delta 0 {"text":"x"}`, "", "", "error")
	f(`delta 0 {"text":"x"}`, "malformed_tool_use", "", "error")
	f(`delta 0 {"text":"x"}`, "end_turn", "", "message_stop")
	f(`delta 0 {"toolUse":{"input":"x"}} delta 1 {"nonesuch":1} stop 7`, "nonesuch", "{}", "message_stop")
	f(`start 0 {} delta 0 null`, "end_turn", "{}", "message_stop")
}

func accumulateNames(out []byte) (names []string) {
	for _, line := range strings.Split(string(out), "\n") {
		if n, ok := strings.CutPrefix(line, "event: "); ok {
			names = append(names, n)
		}
	}
	return names
}

// TestReframed (symptom 39): each event of InvokeModel's stream leaves with the same bytes, without
// what Bedrock adds to the last one; pings of the upstream pass too.
func TestReframed(t *testing.T) {
	s := Open("POST", "/v1/messages").Stream(&caller.Answer{Op: wire.OpInvokeStream})
	f := func(event, want string) {
		t.Helper()
		if got, failure := reframe(t, s, event); failure != nil || got != want {
			t.Errorf("%q %v", got, failure)
		}
	}
	f(`{"type":"ping"}`, "event: ping\ndata: {\"type\":\"ping\"}\n\n")
	f(`{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"E+/="}}`,
		"event: content_block_delta\ndata: "+
			`{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"E+/="}}`+"\n\n")
	f(`{"type":"message_stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":1}}`,
		"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n")
	f(`{ "type":"a" , "text":"amazon-bedrock-runtime"}`,
		"event: a\ndata: "+`{ "type":"a" , "text":"amazon-bedrock-runtime"}`+"\n\n")
	f("{\n\"index\":1,\"type\":\"a\"}", "event: a\ndata: { \"index\":1,\"type\":\"a\"}\n\n")
	for _, payload := range []string{`{"bytes":"!"}`, `{}`, ``, `{"bytes":1}`} {
		raw := wire.AppendFrame(nil, []wire.Field{{Name: ":event-type", Value: "chunk"}}, []byte(payload))
		if got, failure := s.Frame(nil, wire.SplitFrame(raw)); failure == nil {
			t.Errorf("%q: %q", payload, got)
		}
	}
}

// TestReframedCounts (langchain issue 35509): Bedrock counts the input in message_start alone, Anthropic in
// message_delta too, and there clients look for it. What Bedrock says itself stays.
func TestReframedCounts(t *testing.T) {
	const start = `{"type":"message_start","message":{"usage":{"input_tokens":11,"cache_creation_input_tokens":40,` +
		`"cache_read_input_tokens":300,"cache_creation":{"ephemeral_5m_input_tokens":40},"output_tokens":1}}}`
	const bare = `{"type":"message_start","message":{"usage":{"input_tokens":11,"output_tokens":1}}}`
	const all = `"input_tokens":11,"cache_creation_input_tokens":40,"cache_read_input_tokens":300`
	delta := func(usage string) string {
		return `{"type":"message_delta","delta":{"stop_reason":"end_turn","usage":{}},"usage":` + usage + `}`
	}
	for _, c := range []struct{ start, usage, want string }{
		{start, `{"output_tokens":7}`, `{` + all + `,"output_tokens":7}`},
		{bare, `{"output_tokens":7}`, `{"input_tokens":11,"output_tokens":7}`},
		{start, `{}`, `{` + all + `}`},
		{start, `{ }`, `{` + all + ` }`},
		{start, `{"input_tokens":12,"output_tokens":7}`, `{"cache_creation_input_tokens":40,` +
			`"cache_read_input_tokens":300,"input_tokens":12,"output_tokens":7}`},
		{start, `{` + all + `,"output_tokens":7}`, `{` + all + `,"output_tokens":7}`},
		{start, `null`, `null`},
		{start, `7`, `7`},
		{`{"type":"message_start"}`, `{"output_tokens":7}`, `{"output_tokens":7}`},
		{`{"type":"message_start","message":{"usage":{"input_tokens":"x"}}}`, `{"output_tokens":7}`, `{"output_tokens":7}`},
	} {
		s := Open("POST", "/v1/messages").Stream(&caller.Answer{Op: wire.OpInvokeStream})
		for _, event := range [][2]string{{c.start, c.start}, {delta(c.usage), delta(c.want)}} {
			want := "event: " + string(typeOf([]byte(event[0]))) + "\ndata: " + event[1] + "\n\n"
			if got, failure := reframe(t, s, event[0]); failure != nil || got != want {
				t.Errorf("%s: %q %v", c.usage, got, failure)
			}
		}
	}
}

// reframe is what the caller gets of an event of InvokeModel's stream.
func reframe(t *testing.T, s caller.Stream, event string) (string, *caller.Failure) {
	t.Helper()
	payload := `{"bytes":"` + base64.StdEncoding.EncodeToString([]byte(event)) + `","p":"abc"}`
	raw := wire.AppendFrame(nil, []wire.Field{{Name: ":event-type", Value: "chunk"}}, []byte(payload))
	f := wire.SplitFrame(raw)
	got, failure := s.Frame(nil, f)
	f.Data = []byte(event)
	if again, _ := s.Frame(nil, f); !bytes.Equal(again, got) {
		t.Errorf("%q, and of what was decoded before %q", got, again)
	}
	return string(got), failure
}

// TestCounts: tokens are counted of what would be asked, by the upstream.
func TestCounts(t *testing.T) {
	f := func(body, want string) {
		t.Helper()
		n, failure := Open("POST", "/v1/messages/count_tokens").Native(request(body, ""))
		if failure != nil || n.Op != wire.OpCountTokens || !sameJSON(t, string(n.Body), want) || n.Count == nil {
			t.Errorf("%+v %+v", n, failure)
		}
	}
	coded := func(body string) string {
		return `{"input":{"invokeModel":{"body":` + strconv.Quote(base64.StdEncoding.EncodeToString([]byte(body))) + `}}}`
	}
	f(`{"model":"claude","messages":[`+hi+`]}`,
		coded(`{"anthropic_version":"bedrock-2023-05-31","messages":[`+hi+`],"max_tokens":1}`))
	f(`{"model":"nova","messages":[`+hi+`],"system":"s"}`,
		`{"input":{"converse":{"messages":[{"role":"user","content":[{"text":"hi"}]}],"system":[{"text":"s"}]}}}`)
	n, failure := Open("POST", "/v1/messages/count_tokens").Native(request(`{"model":"unheard","messages":[`+hi+`]}`, ""))
	if failure != nil || n.Count != nil {
		t.Errorf("the gateway would count for a model that nobody knows: %+v %+v", n, failure)
	}
	got, failure := Open("POST", "/v1/messages/count_tokens").Answer(&caller.Answer{Body: []byte(`{"inputTokens":12}`)})
	if failure != nil || string(got) != `{"input_tokens":12}` {
		t.Errorf("%s %v", got, failure)
	}
}

// TestModels: pages of models are those of Anthropic's API.
func TestModels(t *testing.T) {
	all := []caller.Listed{{ID: "a", Name: "A"}, {ID: "b/c", Name: "B"}, {ID: "d", Name: "D"}}
	all = append(all, caller.Listed{ID: testModels["claude"].ID, Name: "Claude"})
	f := func(path, query string, want ...string) {
		t.Helper()
		x := Open("GET", path)
		r := request("", "")
		r.Path, r.Query = path, query
		if n, failure := x.Native(r); failure != nil || !n.Op.Control() {
			t.Fatal(n, failure)
		}
		got, failure := x.Answer(&caller.Answer{Models: all})
		if failure != nil {
			got = []byte(failure.Message)
		}
		for _, part := range want {
			if !strings.Contains(string(got), part) {
				t.Errorf("%s?%s: %s", path, query, got)
			}
		}
	}
	f("/v1/models", "", `"has_more":false,"first_id":"a","last_id":"`+all[3].ID+`"`, `"display_name":"B"`)
	f("/v1/models", "limit=2", `"has_more":true,"first_id":"a","last_id":"b/c"`)
	f("/v1/models", "limit=2&after_id=b/c", `"has_more":false,"first_id":"d","last_id":"us.anthropic.claude`)
	f("/v1/models", "limit=1&before_id=d", `"has_more":true,"first_id":"b/c"`)
	f("/v1/models", "after_id="+all[3].ID, `{"data":[],"has_more":false,"first_id":null,"last_id":null}`)
	f("/v1/models", "limit=0", "between 1 and 1000")
	f("/v1/models", "after_id=x", "no such model")
	f("/v1/models/b%2Fc", "", `"type":"model","id":"b/c"`)
	f("/v1/models/claude", "", `"id":"us.anthropic.claude-sonnet-4-5-20250929-v1:0"`) // a name that requests may have
	f("/v1/models/x", "", "model: x")
}
