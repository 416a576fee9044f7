package gateway

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/snapshot"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// rawFrames are an event whose payload is raw, and the end of the stream.
func (p *reply) rawFrames(r *engine.Request) [][]byte {
	headers := func(name string) []wire.Field {
		return []wire.Field{{Name: ":event-type", Value: name}, {Name: ":content-type", Value: "application/json"},
			{Name: ":message-type", Value: "event"}}
	}
	if r.Op == wire.OpInvokeStream {
		payload, _ := json.Marshal(map[string][]byte{"bytes": []byte(*p.raw)})
		return [][]byte{wire.AppendFrame(nil, headers("chunk"), payload)}
	}
	return [][]byte{wire.AppendFrame(nil, headers("contentBlockDelta"), []byte(*p.raw)),
		wire.AppendFrame(nil, headers("messageStop"), []byte(`{"stopReason":"end_turn"}`)),
		wire.AppendFrame(nil, headers("metadata"), []byte(`{"usage":{"inputTokens":1,"outputTokens":1}}`))}
}

// tried asks once and checks who answered, and why; any of the reasons will do.
func tried(t *testing.T, s *snapshot.Snapshot, op wire.Operation, body string, script func(*engine.Request) reply,
	path string, reasons ...string,
) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(s, script)
		got := b.do(b.ask(t.Context(), op, body))
		b.line.Close(t.Context())
		found := false
		for _, reason := range reasons {
			found = found || got.reason == reason
		}
		if got.status != 200 || got.path != path || !found {
			t.Errorf("%s %s: %d, %s because of %q, want %s because of %q\n%s", t.Name(), op, got.status, got.path, got.reason,
				path, reasons, got.body)
		}
	})
}

var both = []wire.Operation{wire.OpConverse, wire.OpConverseStream}

// TestC1C2C3 asks through Converse in mode check, with the light and the second
// opinion of the cases.
func TestC1C2C3(t *testing.T) {
	s := compiled(t, partnered)
	strong := reply{text: "strong"}
	f := func(light, partner, path string, reasons ...string) {
		t.Helper()
		for _, op := range both {
			tried(t, s, op, hello, byModel(reply{text: light}, reply{text: partner}, strong), path, reasons...)
		}
	}
	objects := `[{"sku":"A","qty":1},{"sku":"B","qty":2}]`
	for _, pair := range [][2]string{
		{objects, `[{"sku":"A","qty":1},{"sku":"B","qty":9},{"sku":"C","qty":1}]`},
		{"{\"sku\":\"A\",\"qty\":1}\n\nCorrection:\n{\"sku\":\"A\",\"qty\":2}", `{"sku":"A","qty":1}`},
		{"4155550132", "4155550133"}, {"5 km", "5 miles"}, {"€100", "$100"}, {"3.10", "3.1"},
		{"return (a+b)/2", "return a+b/2"}, {"rm -rf /srv/build/*", "rm -rf /srv/build/"},
		{"J. K. Rowling", "J. R. R. Tolkien"},
	} {
		f(pair[0], pair[1], "escalated", "disagree")
		f(pair[1], pair[0], "escalated", "disagree")
	}
	f(objects, `[{"qty": 1.0, "sku": "A"}, {"qty": 2, "sku": "B"}]`, "light", "agree")
	f("$1,000", "1000 dollars", "light", "agree")
	f(`{"ok":true}`+"\n\nOn reflection that is wrong.", `{"ok":true}`, "escalated", "unknown")
}

// TestC3Choices takes a letter with a full stop for a choice where choices were
// offered.
func TestC3Choices(t *testing.T) {
	s := compiled(t, partnered)
	asked := strings.Replace(hello, "hello", `Who?\nA. Rowling\nB. Tolkien\n`, 1)
	for _, op := range both {
		script := byModel(reply{text: "B. Tolkien, I think"}, reply{text: "The answer is (B)."}, reply{text: "strong"})
		tried(t, s, op, asked, script, "light", "agree")
		tried(t, s, op, hello, script, "escalated", "disagree")
	}
}

// TestC4 has tool choices that the light answer does not honour.
func TestC4(t *testing.T) {
	s := compiled(t, "")
	strong := reply{text: "strong"}
	f := func(choice string, light reply, path, reason string) {
		t.Helper()
		body := strings.Replace(offering, `"toolConfig":{`, `"toolConfig":{`+choice, 1)
		for _, op := range both {
			tried(t, s, op, body, byModel(light, reply{}, strong), path, reason)
		}
	}
	words, call := reply{text: "light"}, reply{tool: "look", input: "{}", text: "light"}
	other := reply{tool: "other", input: "{}", text: "light"}
	f(`"toolChoice":{"any":{}},`, words, "escalated", "tool_choice")
	f(`"toolChoice":{"tool":{"name":"look"}},`, words, "escalated", "tool_choice")
	f(`"toolChoice":{"tool":{"name":"look"}},`, other, "escalated", "tool_choice")
	f(`"toolChoice":{"any":{}},`, other, "escalated", "tool_args")
	f(`"toolChoice":{"any":{}},`, call, "light", "")
	f(`"toolChoice":{"tool":{"name":"look"}},`, call, "light", "")
	f(`"toolChoice":{"auto":{}},`, words, "light", "")
	f("", reply{text: "light", stop: "tool_use"}, "escalated", "tool_choice")

	c := compiledFor(t, claude, "")
	tool := `"tools":[{"name":"look","input_schema":{"type":"object"}}],"tool_choice":`
	for _, op := range []wire.Operation{wire.OpInvoke, wire.OpInvokeStream} {
		ask := func(choice string, light reply, path, reason string) {
			t.Helper()
			body := strings.Replace(claude.body, `"messages"`, tool+choice+`,"messages"`, 1)
			tried(t, c, op, body, claude.script(light, reply{}, strong, strong), path, reason)
		}
		ask(`{"type":"any"}`, words, "escalated", "tool_choice")
		ask(`{"type":"tool","name":"look"}`, other, "escalated", "tool_choice")
		ask(`{"type":"none"}`, call, "escalated", "tool_choice")
		ask(`{"type":"tool","name":"look"}`, call, "light", "")
	}
}

// TestC5C6 has refusals, and answers that merely begin like them.
func TestC5C6(t *testing.T) {
	s := compiled(t, "")
	f := func(light, path, reason string) {
		t.Helper()
		for _, op := range both {
			tried(t, s, op, hello, byModel(reply{text: light}, reply{}, reply{text: "strong"}), path, reason)
		}
	}
	f("Lo siento, pero no puedo ayudarte con eso.", "escalated", "refusal")
	f("**I'm sorry, but I can't help with that.**", "escalated", "refusal")
	f("<thinking>The user wants to know. I had better look.</thinking>", "escalated", "empty")
	f("<thinking>The user wants to", "escalated", "empty")
	f("<thinking>Hm.</thinking>\n**Sorry, I can't help with that.**", "escalated", "refusal")
	f("```\n```", "escalated", "empty")
	f("I'm sorry, but I can confirm that order 1187 shipped", "light", "")
	f("I'm unable to find any error in this function; it is correct", "light", "")
}

// TestC7 has bodies that are no answers, with unknown: accept, and schemas of which
// a part cannot be read.
func TestC7(t *testing.T) {
	strong := reply{text: "strong"}
	for _, settings := range []string{"    unknown: accept\n", partnered + "    unknown: accept\n"} {
		for name, models := range map[string]family{"mixed": mixed, "claude": claude, "nova": nova} {
			s := compiledFor(t, models, strings.ReplaceAll(settings, partnerModel, models.partner))
			for _, raw := range []string{
				"<!DOCTYPE html><title>502</title>", `{"output":{"message":{"content":[{"text":"hal`, `{}`, ``, `null`, "OK",
			} {
				t.Run(fmt.Sprint(name, " ", raw), func(t *testing.T) {
					light := reply{raw: &raw}
					script := models.script(light, reply{text: "light"}, strong, strong)
					for _, op := range both {
						if (raw == "{}" || raw == "null") && op == wire.OpConverseStream {
							continue // an event without anything: the stream is empty, not broken
						}
						tried(t, s, op, hello, script, "escalated", "light_error")
					}
					if models.body != "" {
						tried(t, s, wire.OpInvoke, models.body, script, "escalated", "light_error")
						tried(t, s, wire.OpInvokeStream, models.body, script, "escalated", "light_error")
					}
				})
			}
		}
	}
}

// TestC7Schemas checks the rest of a schema of which a part cannot be read.
func TestC7Schemas(t *testing.T) {
	s := compiled(t, "    unknown: accept\n")
	f := func(schema, light, path, reason string) {
		t.Helper()
		quoted, err := json.Marshal(schema)
		if err != nil {
			t.Fatal(err)
		}
		body := strings.Replace(hello, "{", `{"outputConfig":{"textFormat":{"type":"json_schema","structure":{"jsonSchema":`+
			`{"schema":`+string(quoted)+`}}}},`, 1)
		for _, op := range both {
			tried(t, s, op, body, byModel(reply{text: light}, reply{}, reply{text: "strong"}), path, reason)
		}
	}
	object := func(members string) string {
		return `{"type":"object","required":["zip","n"],"properties":{"n":{"type":"integer"},"zip":` + members + `}}`
	}
	for _, unread := range []string{
		`{"type":"string","pattern":"^(?=.*\\d).+$"}`, `{"type":"string","pattern":"(?<!a)b\\1"}`, `{"type":"string","pattern":"["}`,
		`{"$ref":"https://example.com/zip.json"}`, `{"$ref":"#/definitions/missing"}`, `{"type":"zipcode"}`,
		`{"type":"string","required":true}`, `{"type":"string","minLength":"1"}`,
	} {
		f(object(unread), `{"zip":"12345","n":1}`, "light", "")
		f(object(unread), `{"zip":"12345","n":"1"}`, "escalated", "schema")
		f(object(unread), `{"zip":"12345"}`, "escalated", "schema")
		f(object(unread), `no JSON`, "escalated", "schema")
	}
}

// TestUnreadParts has answers with parts that are not read: they are unknown, never
// the same and never empty.
func TestUnreadParts(t *testing.T) {
	strong := reply{text: "strong"}
	f := func(name, content, settings, path, reason string) {
		t.Helper()
		raw := `{"output":{"message":{"role":"assistant","content":[` + content + `]}},"stopReason":"end_turn","usage":{}}`
		light := reply{raw: &raw}
		tried(t, compiled(t, settings), wire.OpConverse, hello, byModel(light, light, strong), path, reason)
	}
	for name, block := range map[string]string{
		"image":    `{"image":{"format":"png","source":{"bytes":"AA=="}}}`,
		"document": `{"document":{"name":"d","format":"pdf","source":{"bytes":"AA=="}}}`,
		"video":    `{"video":{"format":"mp4","source":{"bytes":"AA=="}}}`,
		"citation": `{"citationsContent":{"content":[{"text":"light 42"}],"citations":[{"title":"t"}]}}`,
		"server":   `{"toolUse":{"toolUseId":"t","name":"search","input":{},"type":"server_tool_use"}}`,
		"result":   `{"toolResult":{"toolUseId":"t","content":[]}}`,
		"new":      `{"hologram":{"x":1}}`,
	} {
		f(name, block, partnered, "escalated", "unknown")
		f(name, block, "", "escalated", "unknown")
		f(name, `{"text":"light 42"},`+block, partnered, "escalated", "unknown")
		f(name, `{"text":"light 42"},`+block, partnered+"    unknown: accept\n", "light", "unknown")
	}
	thought := `{"reasoningContent":{"reasoningText":{"text":"hm","signature":"s"}}}`
	f("reasoning alone", thought, partnered, "escalated", "unknown")
	f("reasoning beside", thought+`,{"text":"light 42"}`, partnered, "light", "agree")
}
