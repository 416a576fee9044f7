package parts_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/internal/cascade/answer"
	"github.com/sluice-gateway/sluice/internal/cascade/parts"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// TestUnreadByDialect has what an answer may have beside its text, in the words of
// each family. Sources: service model (ContentBlock), Anthropic Messages API, OpenAI
// chat completions, Cohere Command R, Bedrock user guide.
func TestUnreadByDialect(t *testing.T) {
	f := func(body string, unread bool) {
		t.Helper()
		a := parts.Answer(wire.OpInvoke, []byte(body))
		if a == nil || a.Broken || a.Unread != unread {
			t.Errorf("%s: read as %+v, want unread %v", body, a, unread)
			return
		}
		r := &answer.Request{}
		same := answer.Agree(answer.KeyOf(r, a), answer.KeyOf(r, a))
		if v := answer.Check(r, a, nil, answer.Options{}).Veto; unread && (v == answer.Empty || same == answer.Same) {
			t.Errorf("%s: veto %q, with itself %v", body, v, same)
		}
	}
	claude := func(blocks string) string {
		return `{"type":"message","content":[` + blocks + `],"stop_reason":"end_turn"}`
	}
	said := `{"type":"text","text":"42"}`
	f(claude(said), false)
	f(claude(`{"type":"thinking","thinking":"hm","signature":"s"},`+said), false)
	f(claude(`{"type":"thinking","thinking":"hm","signature":"s"}`), true)
	f(claude(`{"type":"redacted_thinking","data":"x"}`), true)
	for _, block := range []string{
		`{"type":"text","text":"42","citations":[{"type":"char_location"}]}`,
		`{"type":"image","source":{}}`, `{"type":"document","source":{}}`, `{"type":"hologram"}`,
		`{"type":"server_tool_use","name":"web_search","input":{}}`,
		`{"type":"web_search_tool_result","content":[]}`, `{"type":"mcp_tool_use","name":"x","input":{}}`,
	} {
		f(claude(block), true)
		f(claude(said+","+block), true)
	}
	openAI := func(message string) string {
		return `{"choices":[{"message":{` + message + `},"finish_reason":"stop"}]}`
	}
	f(openAI(`"content":"42"`), false)
	f(openAI(`"content":"42","refusal":null,"annotations":[],"audio":null,"tool_calls":null`), false)
	f(openAI(`"content":"42","reasoning_content":"hm"`), false)
	f(openAI(`"content":[{"type":"thinking","thinking":[]},{"type":"text","text":"42"}]`), false)
	f(openAI(`"content":null,"reasoning":"hm"`), true)
	f(openAI(`"content":"42","annotations":[{"type":"url_citation"}]`), true)
	f(openAI(`"content":null,"audio":{"id":"a","data":"AA=="}`), true)
	f(openAI(`"content":[{"type":"image_url","image_url":{}}]`), true)
	f(openAI(`"content":{"hologram":1}`), true)
	f(openAI(`"content":null,"tool_calls":[{"type":"custom","custom":{"name":"x","input":"y"}}]`), true)
	f(`{"choices":[{"message":{"content":"42"}},{"message":{"content":"43"}}]}`, true)
	f(`{"text":"42","citations":[{"start":0}],"finish_reason":"COMPLETE"}`, true)
	f(`{"text":"42","finish_reason":"COMPLETE"}`, false)
	f(`{"generations":[{"text":"42"},{"text":"43"}]}`, true)
	f(`{"results":[{"outputText":"42"},{"outputText":"43"}]}`, true)
	f(`{"output":{"message":{"content":[{"text":"42"},{"image":{}}]}},"stopReason":"end_turn"}`, true)

	refused := parts.Answer(wire.OpInvoke, []byte(openAI(`"content":null,"refusal":"I will not."`)))
	if v := answer.Check(&answer.Request{}, refused, nil, answer.Options{}).Veto; v != answer.StopReason {
		t.Errorf("a refusal of OpenAI's: %q", v)
	}
}

// TestToolChoiceByDialect has C4 in the words of each family.
func TestToolChoiceByDialect(t *testing.T) {
	f := func(op wire.Operation, dialect, body string, want answer.ToolChoice) {
		t.Helper()
		var facts wire.Facts
		if err := facts.Read(op, wire.DialectNamed(dialect), []byte(body)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, parts.Request(&facts, []byte(body)).ToolChoice); diff != "" {
			t.Errorf("%s %s: %s", dialect, body, diff)
		}
	}
	must, look := answer.ToolChoice{Must: true}, answer.ToolChoice{Must: true, Names: []string{"look"}}
	for choice, want := range map[string]answer.ToolChoice{
		`{"any":{}}`: must, `{"tool":{"name":"look"}}`: look, `{"auto":{}}`: {}, `null`: {},
	} {
		body := `{"messages":[],"toolConfig":{"toolChoice":` + choice + `,"tools":[{"toolSpec":{"name":"look"}}]}}`
		f(wire.OpConverse, "", body, want)
		f(wire.OpConverseStream, "", body, want)
		f(wire.OpInvoke, "nova", body, want)
	}
	for choice, want := range map[string]answer.ToolChoice{
		`{"type":"any"}`: must, `{"type":"tool","name":"look"}`: look, `{"type":"auto"}`: {},
		`{"type":"none"}`: {Never: true},
		`{"type":"any","disable_parallel_tool_use":true}`: {Must: true, One: true},
	} {
		f(wire.OpInvoke, "anthropic",
			`{"anthropic_version":"x","max_tokens":9,"messages":[],"tools":[{"name":"look"}],"tool_choice":`+choice+`}`, want)
	}
	for choice, want := range map[string]answer.ToolChoice{
		`"required"`: must, `"any"`: must, `"auto"`: {}, `"none"`: {Never: true},
		`{"type":"function","function":{"name":"look"}}`: look, `{"type":"custom","custom":{"name":"look"}}`: look,
		`{"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[{"type":"function","name":"look"}]}}`: look,
		`{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[{"function":{"name":"look"}}]}}`:          {Names: []string{"look"}},
	} {
		for _, dialect := range []string{"openai", "mistral", "jamba", "cohere-chat", ""} {
			f(wire.OpInvoke, dialect, `{"messages":[],"message":"hi","tools":[{"type":"function","function":{"name":"look"}}],`+
				`"tool_choice":`+choice+`}`, want)
		}
	}
	f(wire.OpInvoke, "cohere-chat", `{"message":"hi","tools":[{"name":"look"}],"tool_choice":"REQUIRED"}`, must)
	one := answer.ToolChoice{One: true}
	for more, want := range map[string]answer.ToolChoice{
		`"parallel_tool_calls":false`: one, `"parallel_tool_calls":true`: {}, `"parallel_tool_calls":null`: {},
		`"parallel_tool_calls":false,"tool_choice":"required"`: {Must: true, One: true},
		`"tool_choice":"auto","user":"parallel_tool_calls"`:    {}, `"user":"\"parallel_tool_calls\":false"`: {},
	} {
		for _, dialect := range []string{"openai", "mistral", ""} {
			f(wire.OpInvoke, dialect, `{"messages":[],"tools":[{"type":"function","function":{"name":"look"}}],`+more+`}`, want)
		}
		f(wire.OpInvoke, "openai", `{"messages":[],`+more+`}`, answer.ToolChoice{Must: want.Must})
	}
	for more, want := range map[string]answer.ToolChoice{
		`{"parallel_tool_calls":false}`: one, `{"parallel_tool_calls":true}`: {}, `{}`: {},
		`{"tool_choice":{"type":"auto","disable_parallel_tool_use":true}}`: one,
	} {
		f(wire.OpConverse, "", `{"messages":[],"toolConfig":{"tools":[{"toolSpec":{"name":"look"}}]},`+
			`"additionalModelRequestFields":`+more+`}`, want)
	}
}

// TestChoicesOffered finds what a request offers to choose from.
func TestChoicesOffered(t *testing.T) {
	f := func(text string, offered bool) {
		t.Helper()
		body := `{"messages":[{"role":"user","content":[{"text":"` + text + `"}]}]}`
		var facts wire.Facts
		if err := facts.Read(wire.OpConverse, nil, []byte(body)); err != nil {
			t.Fatal(err)
		}
		r := parts.Request(&facts, []byte(body))
		key := func(text string) answer.Key { return answer.KeyOf(r, &answer.Answer{Text: text}) }
		if got := answer.Agree(key("B. Tolkien"), key("B")) == answer.Same; got != offered {
			t.Errorf("%q offers choices: %v, want %v", text, got, offered)
		}
	}
	for _, text := range []string{
		`Who?\nA. Rowling\nB. Tolkien`, `Who?\n(A) Rowling\n(B) Tolkien`, `Who? A) Rowling B) Tolkien`,
		`Who?\n  A: Rowling\n  B: Tolkien`,
		`Who?\n- A) Rowling\n- B) Tolkien`, `Who? (A) Rowling, (B) Tolkien`,
	} {
		f(text, true)
	}
	for _, text := range []string{`Who wrote it?`, `A. Lincoln was who?`, `Is plan B) better?`, `Section A: what?`} {
		f(text, false)
	}
}
