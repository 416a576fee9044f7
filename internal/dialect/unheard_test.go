package dialect

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/internal/wire/caller"
)

// everything are requests with an object of each kind that the dialects have, and that are carried to Claude by
// Converse or, of Messages, to others.
var everything = []asked{
	{name: "chat", path: "/v1/chat/completions", model: claude, body: `{"model":"m","max_tokens":50,"messages":[
{"role":"system","content":[{"type":"text","text":"be kind"}]},
{"role":"user","content":[{"type":"text","text":"look"},
 {"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgo=","detail":"auto"}},
 {"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,JVBERi0="}}]},
{"role":"assistant","content":[{"type":"text","text":"hm"}],"tool_calls":[
 {"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}}]},
{"role":"tool","tool_call_id":"c1","content":[{"type":"text","text":"ok"}]},
{"role":"user","content":"go on"}],
"tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"}}}],
"tool_choice":{"type":"function","function":{"name":"f"}},"stream":true,"stream_options":{"include_usage":true},
"metadata":{"a":"b"}}`},
	{name: "chat's format", path: "/v1/chat/completions", model: claude, body: `{"model":"m","max_tokens":50,"messages":[
{"role":"user","content":"hi"}],"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":
{"type":"object","properties":{}}}}}`},
	{name: "responses", path: "/v1/responses", model: claude, body: `{"model":"m","store":false,"max_output_tokens":50,
"input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"look"},
 {"type":"input_image","image_url":"data:image/png;base64,iVBORw0KGgo=","detail":"auto"},
 {"type":"input_file","filename":"a.pdf","file_data":"data:application/pdf;base64,JVBERi0="}]},
{"type":"message","role":"assistant","content":[{"type":"output_text","text":"hm","annotations":[]}]},
{"type":"reasoning","id":"r","summary":[{"type":"summary_text","text":"s"}]},
{"type":"function_call","call_id":"c1","name":"f","arguments":"{}"},
{"type":"function_call_output","call_id":"c1","output":[{"type":"input_text","text":"ok"}]},
{"role":"user","content":"go on"}],
"tools":[{"type":"function","name":"f","description":"d","parameters":{"type":"object"}}],
"tool_choice":{"type":"function","name":"f"},"text":{"format":{"type":"text"}},"metadata":{"a":"b"}}`},
	{name: "responses' thinking", path: "/v1/responses", model: claude, body: `{"model":"m","store":false,"input":"hi",
"max_output_tokens":5000,"reasoning":{"effort":"low"}}`},
	{name: "messages", path: "/v1/messages", model: nova, body: `{"model":"m","max_tokens":50,
"system":[{"type":"text","text":"be kind","cache_control":{"type":"ephemeral"}}],"messages":[
{"role":"user","content":[{"type":"text","text":"look","cache_control":{"type":"ephemeral"}},
 {"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBORw0KGgo="}},
 {"type":"document","title":"a","source":{"type":"base64","media_type":"application/pdf","data":"JVBERi0="}},
 {"type":"document","source":{"type":"text","media_type":"text/plain","data":"words"}}]},
{"role":"assistant","content":[{"type":"text","text":"hm"},{"type":"tool_use","id":"c1","name":"f","input":{}}]},
{"role":"user","content":[{"type":"tool_result","tool_use_id":"c1","content":[{"type":"text","text":"ok"},
 {"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBORw0KGgo="}}]},
 {"type":"text","text":"go on"}]}],
"tools":[{"name":"f","description":"d","input_schema":{"type":"object"},"cache_control":{"type":"ephemeral"}}],
"tool_choice":{"type":"tool","name":"f"},"metadata":{"user_id":"u"}}`},
	{name: "messages' thinking", path: "/v1/messages", model: nova, body: `{"model":"m","max_tokens":5000,"messages":[
{"role":"user","content":"hi"},{"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"s"},
{"type":"text","text":"hm"}]},{"role":"user","content":"go on"}],
"thinking":{"type":"enabled","budget_tokens":1024},"output_config":{"effort":"low"}}`},
}

// inside calls f with each object of a value, and where it is.
func inside(v any, path string, f func(o map[string]any, path string)) {
	switch v := v.(type) {
	case map[string]any:
		f(v, path)
		for name, m := range v {
			inside(m, path+"."+name, f)
		}
	case []any:
		for i, e := range v {
			inside(e, fmt.Sprintf("%s[%d]", path, i), f)
		}
	}
}

// TestUnheardOfInside: a member that nobody here has heard of, in whichever object of a request, is carried, or refused
// by name, or dropped by name. So whatever the SDKs add is not lost in silence.
func TestUnheardOfInside(t *testing.T) {
	const name, mark = "unheard_of", "something-new"
	for _, a := range everything {
		var whole any
		if err := json.Unmarshal([]byte(a.body), &whole); err != nil {
			t.Fatal(a.name, err)
		}
		if _, failure := a.native(nil); failure != nil {
			t.Errorf("%s: %+v", a.name, failure)
			continue
		}
		inside(whole, "", func(o map[string]any, path string) {
			o[name] = mark
			defer delete(o, name)
			body, err := json.Marshal(whole)
			if err != nil {
				t.Fatal(err)
			}
			for _, policy := range []caller.Policy{caller.PolicyDefault, caller.PolicyDrop, caller.PolicyRefuse} {
				with := a
				with.body, with.policy = string(body), policy
				n, failure := with.native(nil)
				switch {
				case failure != nil && (strings.Contains(failure.Message, name) || policy != caller.PolicyDrop &&
					a.refused(policy, failure)):
				case failure == nil && strings.Contains(string(n.Body), mark):
				case failure == nil && slices.ContainsFunc(n.Dropped, func(d string) bool { return holds(d, path+"."+name) }):
				default:
					t.Errorf("%s, %s, policy %q: %+v %+v", a.name, path, policy, n, failure)
				}
			}
		})
	}
}

// TestKnownInside: members of the SDKs' types that Converse has no place for where they stand are named.
func TestKnownInside(t *testing.T) {
	f := func(want, content string) {
		t.Helper()
		a := asked{path: "/v1/messages", model: nova, body: `{"model":"m","max_tokens":5,"messages":[` +
			user(`"a"`) + `,{"role":"assistant","content":[{"type":"tool_use","id":"c","name":"f","input":{}}]},` +
			user(`[{"type":"tool_result","tool_use_id":"c","content":[`+content+`]}]`) + `]}`}
		if strings.HasPrefix(want, "messages[].content[].") && !strings.HasPrefix(want, "messages[].content[].content[]") {
			a.body = `{"model":"m","max_tokens":5,"messages":[` + user(`[`+content+`]`) + `]}`
		}
		n, failure := a.native(nil)
		if failure != nil || !slices.Contains(n.Dropped, want) {
			t.Errorf("%s: %+v %+v", content, n, failure)
		}
	}
	f("messages[].content[].content[].cache_control", `{"type":"text","text":"x","cache_control":{"type":"ephemeral"}}`)
	f("messages[].content[].content[].citations", `{"type":"text","text":"x","citations":[{"type":"char_location"}]}`)
	f("messages[].content[].cache_control.scope",
		`{"type":"text","text":"x","cache_control":{"type":"ephemeral","scope":"global"}}`)
	f("messages[].content[].cache_control.ttl",
		`{"type":"text","text":"x","cache_control":{"type":"ephemeral","ttl":"2h"}}`)
}

// refused reports whether the request is refused so without the member too.
func (a *asked) refused(policy caller.Policy, f *caller.Failure) bool {
	plain := *a
	plain.policy = policy
	_, failure := plain.native(nil)
	return failure != nil && failure.Message == f.Message
}

// holds reports whether a dropped path is that of a member, or of what it is in.
func holds(dropped, path string) bool {
	for _, digit := range "0123456789" {
		path = strings.ReplaceAll(path, string(digit), "")
	}
	path = strings.TrimPrefix(path, ".")
	return path == dropped || strings.HasPrefix(path, dropped+".") || strings.HasPrefix(path, dropped+"[")
}
