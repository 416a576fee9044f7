package dialect

import (
	"encoding/json"
	"fmt"
	"strings"

	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/caller"
)

// heard is what a client makes of an answer: its words, its calls as their names and arguments, and the counts.
type heard struct {
	words string
	calls []string
	stop  string
	used  [4]int // input that no cache had to do with, output, read, written
}

// answer is one of Converse's.
type answer struct {
	heard
	blocks []string // a text, or JSON of a toolUse
}

func drawAnswer(t *rapid.T) (a answer) {
	for i := range rapid.IntRange(0, 4).Draw(t, "blocks") {
		if rapid.Bool().Draw(t, "is text") {
			words := text().Draw(t, "words")
			a.blocks, a.words = append(a.blocks, `{"text":`+encode(words)+`}`), a.words+words
			continue
		}
		in := inputs().Draw(t, "input")
		id := fmt.Sprintf("tooluse_%d", i)
		a.blocks = append(a.blocks, encode(object{"toolUse": object{"toolUseId": id, "name": "f", "input": in}}))
		a.calls = append(a.calls, id+" f "+encode(in))
	}
	a.stop = rapid.SampledFrom([]string{"end_turn", "max_tokens"}).Draw(t, "stop")
	if len(a.calls) > 0 && a.stop == "end_turn" {
		a.stop = "tool_use"
	}
	copy(a.used[:], rapid.SliceOfN(rapid.IntRange(0, 1<<20), 4, 4).Draw(t, "used"))
	return a
}

func (a *answer) usage() string {
	return encode(object{"inputTokens": a.used[0], "outputTokens": a.used[1],
		"totalTokens": a.used[0] + a.used[1] + a.used[2] + a.used[3], "cacheReadInputTokens": a.used[2],
		"cacheWriteInputTokens": a.used[3]})
}

// whole is the answer in the dialect.
func (a *answer) whole(t *rapid.T, x Exchange) string {
	body := `{"output":{"message":{"role":"assistant","content":[` + strings.Join(a.blocks, ",") + `]}},"stopReason":"` +
		a.stop + `","usage":` + a.usage() + `}`
	out, failure := x.Answer(&caller.Answer{ID: "01ID", Op: wire.OpConverse, Body: []byte(body)})
	if failure != nil {
		t.Fatalf("%+v", failure)
	}
	return string(out)
}

// play is the answer as a stream in the dialect, cut into pieces at random.
func (a *answer) play(t *rapid.T, x Exchange) string {
	s := x.Stream(&caller.Answer{ID: "01ID", Op: wire.OpConverseStream})
	var out []byte
	frame := func(kind, payload string) {
		raw := wire.AppendFrame(nil, []wire.Field{{Name: ":event-type", Value: kind}, {Name: ":message-type",
			Value: "event"}}, []byte(payload))
		var failure *caller.Failure
		if out, failure = s.Frame(out, wire.SplitFrame(raw)); failure != nil {
			t.Fatalf("%s %s: %+v", kind, payload, failure)
		}
	}
	frame("messageStart", `{"role":"assistant"}`)
	for i, b := range a.blocks {
		var block struct {
			Text    string
			ToolUse *struct {
				ToolUseID string `json:"toolUseId"`
				Name      string
				Input     json.RawMessage
			}
		}
		if err := json.Unmarshal([]byte(b), &block); err != nil {
			t.Fatal(err)
		}
		at := fmt.Sprintf(`{"contentBlockIndex":%d,`, i)
		left, wrap := block.Text, `"delta":{"text":%s}}`
		if u := block.ToolUse; u != nil {
			frame("contentBlockStart", at+`"start":{"toolUse":`+encode(object{"toolUseId": u.ToolUseID, "name": u.Name})+`}}`)
			left, wrap = string(u.Input), `"delta":{"toolUse":{"input":%s}}}`
		}
		for runes := []rune(left); len(runes) > 0; {
			n := rapid.IntRange(1, len(runes)).Draw(t, "cut")
			frame("contentBlockDelta", at+fmt.Sprintf(wrap, encode(string(runes[:n]))))
			runes = runes[n:]
		}
		frame("contentBlockStop", at[:len(at)-1]+`}`)
	}
	frame("messageStop", `{"stopReason":"`+a.stop+`"}`)
	frame("metadata", `{"usage":`+a.usage()+`}`)
	return string(s.End(out))
}

// events are the data of a stream.
func events(stream string) (data []string) {
	for line := range strings.Lines(stream) {
		if text, ok := strings.CutPrefix(line, "data: "); ok && strings.TrimSpace(text) != "[DONE]" {
			data = append(data, text)
		}
	}
	return data
}

// called is a call as heard has it. Arguments may have been written in another way.
func called(t *rapid.T, id, name, arguments string) string {
	var v any
	if err := json.Unmarshal([]byte(arguments), &v); err != nil {
		t.Fatalf("%v in %q", err, arguments)
	}
	return id + " " + name + " " + encode(v)
}

var chatStops = map[string]string{"stop": "end_turn", "tool_calls": "tool_use", "length": "max_tokens"}

func sumChat(t *rapid.T, whole string) heard { return addChat(t, whole) }

func streamedChat(t *rapid.T, stream string) heard { return addChat(t, events(stream)...) }

func addChat(t *rapid.T, parts ...string) (h heard) {
	type message struct {
		Content string
		Calls   []struct {
			Index    int
			ID       string
			Function struct{ Name, Arguments string }
		} `json:"tool_calls"`
	}
	var calls [][3]string
	for _, text := range parts {
		var c struct {
			Choices []struct {
				Delta, Message message
				Finish         string `json:"finish_reason"`
			}
			Usage *struct {
				Prompt     int `json:"prompt_tokens"`
				Completion int `json:"completion_tokens"`
				Details    struct {
					Read    int `json:"cached_tokens"`
					Written int `json:"cache_write_tokens"`
				} `json:"prompt_tokens_details"`
			}
		}
		if err := json.Unmarshal([]byte(text), &c); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		if u := c.Usage; u != nil {
			h.used = [4]int{u.Prompt - u.Details.Read - u.Details.Written, u.Completion, u.Details.Read, u.Details.Written}
		}
		for _, choice := range c.Choices {
			h.words += choice.Message.Content + choice.Delta.Content
			for i, call := range append(choice.Message.Calls, choice.Delta.Calls...) {
				if len(choice.Message.Calls) == 0 {
					i = call.Index
				}
				if i == len(calls) {
					calls = append(calls, [3]string{call.ID, call.Function.Name})
				}
				calls[i][2] += call.Function.Arguments
			}
			if choice.Finish != "" {
				h.stop = chatStops[choice.Finish]
			}
		}
	}
	for _, c := range calls {
		h.calls = append(h.calls, called(t, c[0], c[1], c[2]))
	}
	return h
}

func sumResponse(t *rapid.T, whole string) (h heard) {
	var r struct {
		Status     string
		Incomplete struct{ Reason string } `json:"incomplete_details"`
		Output     []struct {
			Type, Name, Arguments string
			Call                  string `json:"call_id"`
			Content               []struct{ Text string }
		}
		Usage struct {
			Input   int `json:"input_tokens"`
			Output  int `json:"output_tokens"`
			Details struct {
				Read    int `json:"cached_tokens"`
				Written int `json:"cache_write_tokens"`
			} `json:"input_tokens_details"`
		}
	}
	if err := json.Unmarshal([]byte(whole), &r); err != nil {
		t.Fatalf("%v in %s", err, whole)
	}
	for _, item := range r.Output {
		for _, c := range item.Content {
			h.words += c.Text
		}
		if item.Type == "function_call" {
			h.calls = append(h.calls, called(t, item.Call, item.Name, item.Arguments))
		}
	}
	h.stop = map[string]string{"completed": "end_turn", "incomplete max_output_tokens": "max_tokens"}[strings.TrimSpace(
		r.Status+" "+r.Incomplete.Reason)]
	if len(h.calls) > 0 && h.stop == "end_turn" {
		h.stop = "tool_use"
	}
	d := r.Usage.Details
	h.used = [4]int{r.Usage.Input - d.Read - d.Written, r.Usage.Output, d.Read, d.Written}
	return h
}

func streamedResponse(t *rapid.T, stream string) heard {
	all := events(stream)
	var words string
	var last struct{ Response json.RawMessage }
	for _, text := range all {
		var e struct{ Type, Delta string }
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		if e.Type == "response.output_text.delta" {
			words += e.Delta
		}
	}
	if err := json.Unmarshal([]byte(all[len(all)-1]), &last); err != nil {
		t.Fatal(err)
	}
	h := sumResponse(t, string(last.Response))
	if h.words != words {
		t.Fatalf("the deltas say %q, the end %q", words, h.words)
	}
	return h
}

type block struct {
	Type, Text, ID, Name string
	Input                json.RawMessage
}

type anthropicUsage struct {
	Input   int `json:"input_tokens"`
	Output  int `json:"output_tokens"`
	Read    int `json:"cache_read_input_tokens"`
	Written int `json:"cache_creation_input_tokens"`
}

func (u anthropicUsage) used() [4]int { return [4]int{u.Input, u.Output, u.Read, u.Written} }

func sumMessage(t *rapid.T, whole string) (h heard) {
	var m struct {
		Content []block
		Stop    string `json:"stop_reason"`
		Usage   anthropicUsage
	}
	if err := json.Unmarshal([]byte(whole), &m); err != nil {
		t.Fatalf("%v in %s", err, whole)
	}
	for _, b := range m.Content {
		h.words += b.Text
		if b.Type == "tool_use" {
			h.calls = append(h.calls, called(t, b.ID, b.Name, string(b.Input)))
		}
	}
	h.stop, h.used = m.Stop, m.Usage.used()
	return h
}

func streamedMessage(t *rapid.T, stream string) (h heard) {
	var calls [][3]string
	places := map[int]int{}
	for _, text := range events(stream) {
		var e struct {
			Type  string
			Index int
			Block block `json:"content_block"`
			Delta struct {
				Text    string
				Partial string `json:"partial_json"`
				Stop    string `json:"stop_reason"`
			}
			Usage *anthropicUsage
		}
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		if e.Block.Type == "tool_use" {
			places[e.Index] = len(calls)
			calls = append(calls, [3]string{e.Block.ID, e.Block.Name})
		}
		h.words += e.Block.Text + e.Delta.Text
		if e.Delta.Partial != "" {
			calls[places[e.Index]][2] += e.Delta.Partial
		}
		if e.Type == "message_delta" {
			h.stop, h.used = e.Delta.Stop, e.Usage.used()
		}
	}
	for _, c := range calls {
		if c[2] == "" {
			c[2] = "{}"
		}
		h.calls = append(h.calls, called(t, c[0], c[1], c[2]))
	}
	return h
}
