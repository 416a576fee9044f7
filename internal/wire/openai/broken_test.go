package openai

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/caller"
)

// TestBrokenStreams: a stream that breaks has an event that OpenAI's SDKs raise as an error: one with the member error.
// Those of Responses have all members of their type as well, and end as Codex expects them to.
func TestBrokenStreams(t *testing.T) {
	budget := &caller.Failure{Class: caller.ClassBudget, Message: "it is used up"}
	k := &known{model: "auto", echo: []byte(`"tools":[]`), passed: true}
	for _, c := range []struct {
		name   string
		stream caller.Stream
		first  event
		want   []string // the types of the events
	}{
		{"chat", k.chatStream(told("")), event{"messageStart", `{"role":"assistant"}`}, []string{"", ""}},
		{"responses", k.responseStream(told("")), event{"messageStart", `{"role":"assistant"}`},
			[]string{"response.created", "response.in_progress", "error", "response.failed"}},
		{"responses, before its begin", k.responseStream(told("")), event{}, []string{"error", "response.failed"}},
		{"chat of AWS", &passed{known: k, api: wire.OpChatStream}, event{"", "data: {\"choices\":[{}]}\n\n"},
			[]string{"", ""}},
		{"responses of AWS", &passed{known: k, api: wire.OpResponseStream}, event{"", "event: response.created\n" +
			`data: {"type":"response.created","sequence_number":0}` + "\n\n"}, []string{"response.created", "error"}},
	} {
		var out []byte
		if c.first.payload != "" {
			raw := wire.AppendFrame(nil, []wire.Field{{Name: ":event-type", Value: c.first.kind}}, []byte(c.first.payload))
			var failure *caller.Failure
			if out, failure = c.stream.Frame(nil, wire.SplitFrame(raw)); failure != nil {
				t.Fatal(c.name, failure)
			}
		}
		stream := string(c.stream.Fail(out, budget))
		var types []string
		raised := 0
		for line := range strings.Lines(stream) {
			data, ok := strings.CutPrefix(line, "data: ")
			if !ok {
				continue
			}
			var e struct {
				Type, Code, Message string
				Number              *int `json:"sequence_number"`
				Error               *struct{ Type, Code, Message string }
				Response            struct {
					Error struct{ Code, Message string }
				}
			}
			if err := json.Unmarshal([]byte(data), &e); err != nil {
				t.Fatal(c.name, err, data)
			}
			if e.Type != "" && (e.Number == nil || *e.Number != len(types)) {
				t.Errorf("%s: event %d has the number %v: %s", c.name, len(types), e.Number, data)
			}
			types = append(types, e.Type)
			if e.Error != nil {
				if raised++; e.Error.Code != "insufficient_quota" || e.Error.Message != budget.Message || e.Error.Type == "" {
					t.Errorf("%s: %s", c.name, data)
				}
			}
			if e.Type == "error" && (e.Code != "insufficient_quota" || e.Message != budget.Message) {
				t.Errorf("%s: %s", c.name, data)
			}
			if e.Type == "response.failed" && e.Response.Error.Code != "insufficient_quota" {
				t.Errorf("%s: Codex repeats it: %s", c.name, data)
			}
		}
		if raised != 1 || !slices.Equal(types, c.want) || strings.Contains(stream, "[DONE]") {
			t.Errorf("%s: %q, want %q:\n%s", c.name, types, c.want, stream)
		}
		if more := c.stream.End(nil); len(more) > 0 {
			t.Errorf("%s: it goes on: %s", c.name, more)
		}
	}
}

// TestThoughtIsCounted: the counts of a response have all members that its type has, whether the model has told how
// much it thought or not: Codex takes a response without them for a broken one, and asks again.
func TestThoughtIsCounted(t *testing.T) {
	k := &known{model: "auto", echo: []byte(`"tools":[]`)}
	whole, failure := k.responsesAnswer(told(`{"output":{"message":{"role":"assistant","content":[
		{"reasoningContent":{"reasoningText":{"text":"hm","signature":"sig"}}},{"text":"a"}]}},"stopReason":"end_turn",
		"usage":{"inputTokens":1,"outputTokens":7,"totalTokens":8}}`))
	if failure != nil || !strings.Contains(string(whole), `"output_tokens_details":{"reasoning_tokens":0}`) {
		t.Errorf("%+v %s", failure, whole)
	}
}

// TestTierThatServed: an answer tells the tier that has served it, as Converse does, and not what was asked for.
func TestTierThatServed(t *testing.T) {
	const tier = `"serviceTier":{"type":"flex"},"usage":{"inputTokens":1,"outputTokens":7,"totalTokens":8}`
	const body = `{"output":{"message":{"role":"assistant","content":[{"text":"a"}]}},"stopReason":"end_turn",` + tier + `}`
	k := &known{model: "auto", echo: []byte(`"tools":[]`), tier: "auto", usage: true}
	begun, stop := event{"messageStart", `{"role":"assistant"}`}, event{"messageStop", `{"stopReason":"end_turn"}`}
	metadata := event{"metadata", "{" + tier + "}"}
	whole, failure := k.chatAnswer(told(body))
	response, other := k.responsesAnswer(told(body))
	if failure != nil || other != nil {
		t.Fatal(failure, other)
	}
	for name, got := range map[string]string{
		"chat": string(whole), "responses": string(response),
		"chat's stream": frames(t, k.chatStream(told("")), begun, stop, metadata),
	} {
		if strings.Count(got, `"service_tier":"flex"`) != 1 {
			t.Errorf("%s: %s", name, got)
		}
	}
	stream := frames(t, k.responseStream(told("")), begun, stop, metadata)
	if strings.Count(stream, `"service_tier":"auto"`) != 2 || strings.Count(stream, `"service_tier":"flex"`) != 1 {
		t.Error(stream)
	}
}
