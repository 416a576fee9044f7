package openai

import (
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/internal/wire"
)

// The symptoms that trackers of other gateways have, by the number in the list of the issue, as far as OpenAI's callers
// could meet them. Where the number is not in a test's text or below, this is why:
//
//	4, 7, 11, 16, 40, 43  of Anthropic's callers alone
//	5, 6       effort and schemas go where the model's generation has them: TestChatRequests, "effort …", "schema …"
//	12         no model's lower bound is known as data; what the upstream says of it reaches the caller as it is
//	19, 20     cache_control is TestSymptoms "cache points"
//	23, 34     nothing is buffered or used again across frames: FuzzAnswers, TestStreamEqualsWhole
//	28         one tool that cannot be carried is 400 with its name: TestChatRefused, "a tool that is custom"
//	32, 50     Chat Completions has one count of what goes to a cache: TestChatAnswers, "21, 22"
//	36, 51     the status is that of the failure: TestFailures, and test/openai_test.go from outside
//	37         the alias is the line's to resolve: test/openai_test.go
//	38         content-encoding is no field of an answer that the line passes on (wire.DescribesAnswer)
//	39         pings are the handler's: internal/dialect
//	42         system messages stay blocks of their own: TestChatRequests, "a developer speaks first"
//	46         what is signed is the engine's
//	54         the gateway sets no cache points that nobody asked for

// TestSymptoms are those that no other test has.
func TestSymptoms(t *testing.T) {
	signed := `{"role":"assistant","content":"a","reasoning_details":[{"type":"reasoning.text","text":"hm","signatu` +
		`re":"s",` +
		`"format":"anthropic.claude-sonnet-4-5-20250929-v1:0"}],"tool_calls":[{"id":"c","type":"function","function":` +
		`{"name":"weather","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c","content":"sunny"}`
	unsigned := `{"role":"assistant","tool_calls":[{"id":"c","type":"function","function":{"name":"weather","arguments":` +
		`"{}"}}]},{"role":"tool","tool_call_id":"c","content":"sunny"}`
	turn := func(model, history, members string) string {
		return `{"model":"` + model + `","messages":[{"role":"user","content":"hi"},` + history + `]` +
			`,` + weather + members + `}`
	}
	for _, c := range []struct{ name, body, has, hasNot, dropped string }{
		{"8: thinking without the reasoning of the call", turn(sonnet45, unsigned, `,"reasoning_effort":"low"`), `"toolUse"`,
			`"thinking"`, "reasoning_effort"},
		{"8, 33: thinking with it", turn(sonnet45, signed, `,"reasoning_effort":"low"`),
			`{"reasoningContent":{"reasoningText":{"text":"hm","signature":"s"}}}`, "", ""},
		{"52: another model's reasoning", turn(sonnet4, signed, ``), `"toolUse"`, `reasoningContent`,
			"messages[].reasoning_details"},
		{"14: the choice of a tool",
			with(sonnet45, weather+`,"tool_choice":{"type":"function","function":{"name":"weather"}}`),
			`"toolChoice":{"tool":{"name":"weather"}}`, "", ""},
		{"17: a developer, and no content", `{"model":"m.x","messages":[{"role":"developer","content":"a"},{"role":"user",` +
			`"content":"hi"},{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":` +
			`"f"}}]},{"role":"tool","tool_call_id":"c","content":[]}]}`, `"system":[{"text":"a"}]`, `"text":""`, ""},
		{"19, 20: cache points", `{"model":"` + sonnet45 + `","messages":[{"role":"system","content":[{"type":"text","` +
			`text":"s",` +
			`"cache_control":{"type":"ephemeral","ttl":"1h"}}]},{"role":"user","content":"hi"}` +
			`,` + strings.TrimSuffix(unsigned, "}") +
			`,"cache_control":{"type":"ephemeral"}}],"tools":[{"type":"function","function":{"name":"weather"},"cache_con` +
			`trol":` +
			`{"type":"ephemeral"}}]}`, `{"text":"s"},{"cachePoint":{"type":"default","ttl":"1h"}}`, "", ""},
		{"19: a cache point for who has none", `{"model":"` + llama + `","messages":[{"role":"user","content":[{"type"` +
			`:"text",` +
			`"text":"hi","cache_control":{"type":"ephemeral"}}]}]}`, "", "cachePoint", "messages[].content[].cache_control"},
		{"27: calls without arguments", turn(sonnet45, unsigned, ``), `"input":{}`, "", ""},
		{"48: additional fields beside each other", with(sonnet4, weather+`,"top_k":3,"parallel_tool_calls":false`),
			`"additionalModelRequestFields":{"top_k":3,"tool_choice":{"type":"auto","disable_parallel_tool_use":true}}`, "", ""},
		{"49: no cap that nobody asked for", with(sonnet45, ``), "", "maxTokens", ""},
		{"53: a result of a tool", turn(novaLite, unsigned, ``), `"toolResult"`, "", ""},
	} {
		_, n, failure := chatAPI.request(asked(c.body))
		if failure != nil {
			t.Errorf("%s: %+v", c.name, failure)
			continue
		}
		if !strings.Contains(string(n.Body), c.has) || c.hasNot != "" && strings.Contains(string(n.Body), c.hasNot) ||
			strings.Join(n.Dropped, ",") != c.dropped {
			t.Errorf("%s: dropped %s of %s", c.name, n.Dropped, n.Body)
		}
		var facts wire.Facts
		if err := facts.Read(n.Op, nil, n.Body); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestErrorCodes: codes are strings, as clients read them: 45.
func TestErrorCodes(t *testing.T) {
	for class, f := range failures {
		if strings.Trim(f.code, "0123456789") == "" && f.code != "" || f.status == 0 || f.kind == "" {
			t.Errorf("%d: %+v", class, f)
		}
	}
}
