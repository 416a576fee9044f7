package dialect

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/caller"
)

type object = map[string]any

// use is a call of a tool, and its result.
type use struct {
	id, name, result string
	input            object
}

// turn is what a user says, and what the assistant then says and calls.
type turn struct {
	user, assistant string
	uses            []use
}

// talk is a valid request, in no dialect.
type talk struct {
	system string
	turns  []turn
	last   string // of the user
	tools  []string
	cap    int
	warm   float64
	stops  []string
}

func text() *rapid.Generator[string] {
	return rapid.StringMatching(`[a-zA-Z0-9äß価"\\{}<>&]([a-z äß価"\\{}<>&\n]{0,12}[a-zA-Z0-9äß価"}])?`)
}

func inputs() *rapid.Generator[object] {
	return rapid.Custom(func(t *rapid.T) object {
		out := object{}
		for name, v := range rapid.MapOfN(rapid.StringMatching(`[a-zä"]{1,6}`), text(), 0, 3).Draw(t, "input") {
			out[name] = v
		}
		return out
	})
}

func drawTalk(t *rapid.T) talk {
	k := talk{
		last: text().Draw(t, "last"), cap: rapid.IntRange(1, 4096).Draw(t, "cap"),
		warm:  float64(rapid.IntRange(0, 10).Draw(t, "warm")) / 10,
		stops: rapid.SliceOfN(text(), 0, 2).Draw(t, "stops"),
		tools: rapid.SliceOfNDistinct(rapid.StringMatching(`[a-zA-Z_-]{1,8}`), 1, 3, rapid.ID).Draw(t, "tools"),
	}
	if rapid.Bool().Draw(t, "has system") {
		k.system = text().Draw(t, "system")
	}
	n := 0
	for range rapid.IntRange(0, 3).Draw(t, "turns") {
		one := turn{user: text().Draw(t, "user")}
		for range rapid.IntRange(0, 2).Draw(t, "uses") {
			n++
			one.uses = append(one.uses, use{
				id: fmt.Sprintf("call_%d", n), name: rapid.SampledFrom(k.tools).Draw(t, "tool"),
				result: text().Draw(t, "result"), input: inputs().Draw(t, "input"),
			})
		}
		if len(one.uses) == 0 || rapid.Bool().Draw(t, "has assistant") {
			one.assistant = text().Draw(t, "assistant")
		}
		k.turns = append(k.turns, one)
	}
	return k
}

func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return string(b)
}

var schema = object{"type": "object", "properties": object{"a": object{"type": "string"}}}

// chat is the request as Chat Completions has it.
func (k *talk) chat() object {
	var messages []any
	add := func(role, content string, more object) {
		m := object{"role": role, "content": content}
		for name, v := range more {
			m[name] = v
		}
		messages = append(messages, m)
	}
	if k.system != "" {
		add("system", k.system, nil)
	}
	for _, one := range k.turns {
		add("user", one.user, nil)
		var calls []any
		for _, u := range one.uses {
			calls = append(calls, object{"id": u.id, "type": "function", "function": object{
				"name": u.name, "arguments": encode(u.input),
			}})
		}
		if len(calls) > 0 {
			add("assistant", one.assistant, object{"tool_calls": calls})
		} else {
			add("assistant", one.assistant, nil)
		}
		for _, u := range one.uses {
			add("tool", u.result, object{"tool_call_id": u.id})
		}
	}
	add("user", k.last, nil)
	var tools []any
	for _, name := range k.tools {
		tools = append(tools, object{"type": "function", "function": object{
			"name": name, "description": "d", "parameters": schema,
		}})
	}
	return object{"messages": messages, "tools": tools, "max_completion_tokens": k.cap, "temperature": k.warm,
		"stop": k.stops}
}

// responses is the request as Responses has it, which knows no stop sequences.
func (k *talk) responses() object {
	var items []any
	say := func(role, kind, words string) {
		items = append(items, object{"type": "message", "role": role, "content": []any{object{"type": kind, "text": words}}})
	}
	for _, one := range k.turns {
		say("user", "input_text", one.user)
		if one.assistant != "" {
			say("assistant", "output_text", one.assistant)
		}
		for _, u := range one.uses {
			items = append(items, object{"type": "function_call", "call_id": u.id, "name": u.name,
				"arguments": encode(u.input)})
		}
		for _, u := range one.uses {
			items = append(items, object{"type": "function_call_output", "call_id": u.id, "output": u.result})
		}
	}
	say("user", "input_text", k.last)
	var tools []any
	for _, name := range k.tools {
		tools = append(tools, object{"type": "function", "name": name, "description": "d", "parameters": schema})
	}
	out := object{"input": items, "tools": tools, "max_output_tokens": k.cap, "temperature": k.warm, "store": false}
	if k.system != "" {
		out["instructions"] = k.system
	}
	return out
}

// blocks are the messages of a dialect whose blocks these three make: results are part of the user's next turn.
func (k *talk) blocks(words func(string) object, call, result func(use) object) (messages []any) {
	say := func(role string, blocks ...any) {
		messages = append(messages, object{"role": role, "content": blocks})
	}
	var results []any
	for _, one := range k.turns {
		say("user", append(results, words(one.user))...)
		results = nil
		var said []any
		if one.assistant != "" {
			said = append(said, words(one.assistant))
		}
		for _, u := range one.uses {
			said, results = append(said, call(u)), append(results, result(u))
		}
		say("assistant", said...)
	}
	say("user", append(results, words(k.last))...)
	return messages
}

// messages is the request as Anthropic's Messages have it.
func (k *talk) messages() object {
	messages := k.blocks(
		func(s string) object { return object{"type": "text", "text": s} },
		func(u use) object { return object{"type": "tool_use", "id": u.id, "name": u.name, "input": u.input} },
		func(u use) object { return object{"type": "tool_result", "tool_use_id": u.id, "content": u.result} })
	var tools []any
	for _, name := range k.tools {
		tools = append(tools, object{"name": name, "description": "d", "input_schema": schema})
	}
	out := object{"messages": messages, "tools": tools, "max_tokens": k.cap, "temperature": k.warm,
		"stop_sequences": k.stops}
	if k.system != "" {
		out["system"] = k.system
	}
	return out
}

// converse is the request as Converse has it: what all dialects have to become.
func (k *talk) converse() object {
	words := func(s string) object { return object{"text": s} }
	messages := k.blocks(words,
		func(u use) object {
			return object{"toolUse": object{"toolUseId": u.id, "name": u.name, "input": u.input}}
		},
		func(u use) object {
			return object{"toolResult": object{
				"toolUseId": u.id, "content": []any{words(u.result)}, "status": "success",
			}}
		})
	var tools []any
	for _, name := range k.tools {
		tools = append(tools, object{"toolSpec": object{"name": name, "description": "d",
			"inputSchema": object{"json": schema}}})
	}
	limits := object{"maxTokens": k.cap, "temperature": k.warm}
	if len(k.stops) > 0 {
		limits["stopSequences"] = k.stops
	}
	out := object{"messages": messages, "toolConfig": object{"tools": tools}, "inferenceConfig": limits}
	if k.system != "" {
		out["system"] = []any{words(k.system)}
	}
	return out
}

// plainly is JSON as a value that can be compared. A result without a status is a success.
func plainly(t *rapid.T, text string) (v any) {
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				walk(e)
			}
		case object:
			if r, ok := v["toolResult"].(object); ok && r["status"] == nil {
				r["status"] = "success"
			}
			for _, e := range v {
				walk(e)
			}
		}
	}
	walk(v)
	return v
}

// spoken is a dialect by its path.
type spoken struct {
	path    string
	dialect Dialect
	request func(*talk) object
	sum     func(*rapid.T, string) heard // of a whole answer
	stream  func(*rapid.T, string) heard
}

// TestRoundTrip: a valid request becomes the same request of Converse from every dialect, whatever is in it, and an
// answer comes back with the same words, calls, stop and counts, whole and as a stream.
func TestRoundTrip(t *testing.T) {
	all := []spoken{
		{"/v1/chat/completions", OpenAI(), (*talk).chat, sumChat, streamedChat},
		{"/v1/responses", OpenAI(), (*talk).responses, sumResponse, streamedResponse},
		{"/v1/messages", Anthropic(), (*talk).messages, sumMessage, streamedMessage},
	}
	rapid.Check(t, func(t *rapid.T) {
		k, answer := drawTalk(t), drawAnswer(t)
		for _, s := range all {
			asked := s.request(&k)
			want := k.converse()
			if s.path == "/v1/responses" {
				delete(want["inferenceConfig"].(object), "stopSequences")
			}
			asked["model"] = "amazon.nova-lite-v1:0"
			for _, streams := range []bool{false, true} {
				if asked["stream"] = streams; streams && s.path == "/v1/chat/completions" {
					asked["stream_options"] = object{"include_usage": true}
				}
				x := s.dialect.Open("POST", s.path)
				n, failure := x.Native(request(s.path, encode(asked)))
				if failure != nil {
					t.Fatalf("%s: %+v", s.path, failure)
				}
				if got, want := plainly(t, string(n.Body)), plainly(t, encode(want)); !reflect.DeepEqual(got, want) ||
					len(n.Dropped) > 0 {
					t.Fatalf("%s: %s became\n%s, not\n%s; dropped %q", s.path, encode(asked), n.Body, encode(want), n.Dropped)
				}
				var got heard
				if streams {
					got = s.stream(t, answer.play(t, x))
				} else {
					got = s.sum(t, answer.whole(t, x))
				}
				if want := answer.heard; !reflect.DeepEqual(got, want) {
					t.Fatalf("%s, stream %v: heard %+v, not %+v", s.path, streams, got, want)
				}
			}
		}
	})
}

func request(path, body string) *caller.Request {
	return &caller.Request{
		ID: "01ID", Path: path, Body: []byte(body), Received: time.Unix(1_790_000_000, 0),
		Model: func(name string) caller.Model {
			return caller.Model{ID: name, Foundation: wire.ParseModelID(name).Foundation, Family: "nova"}
		},
		Foreign: func(*caller.Native) bool { return false },
	}
}
