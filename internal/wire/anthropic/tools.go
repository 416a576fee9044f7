package anthropic

import (
	"slices"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/caller"
	"github.com/sluice-gateway/sluice/internal/wire/converse"
	"github.com/sluice-gateway/sluice/internal/wire/jsontree"
)

func firstFailure(first, then *caller.Failure) *caller.Failure {
	if first != nil {
		return first
	}
	return then
}

// toolHints are members of a tool that only help: the caller is served without them.
var toolHints = []string{"defer_loading", "input_examples", "eager_input_streaming", "allowed_callers"}

func readTools(t *translation, v jsontree.Value) {
	if !t.is(v, aList) {
		return
	}
	for tool := range v.All() {
		if t.failure != nil || !t.is(tool, anObject) {
			return
		}
		if kind := tool.Get("type"); kind.Present() && !kind.Is("custom") {
			why := "a tool that Anthropic defines is known to Claude only"
			if serverTool(kind.Text()) {
				why = "the server tool '" + kind.Text() + "' runs at Anthropic only"
			}
			t.refuse(tool, why)
			continue
		}
		t.tool(tool)
	}
}

func (t *translation) tool(v jsontree.Value) {
	name, ok := t.need(v, "name", aString)
	if !ok {
		return
	}
	schema, ok := t.need(v, "input_schema", anObject)
	if !ok {
		return
	}
	tool := converse.Tool{Name: name.Text(), Schema: schemaOf(schema)}
	for m := range v.All() {
		switch known := string(m.Name()); {
		case !m.Present():
		case known == "description" && t.is(m, aString):
			tool.Description = m.Raw()
		case known == "strict" && m.IsTrue():
			if tool.Strict = t.b.Model.StrictTools; !tool.Strict {
				t.drop(m)
			}
		case slices.Contains(toolHints, known):
			t.drop(m)
		}
	}
	t.only(v, append([]string{"name", "input_schema", "type", "description", "strict", "cache_control"}, toolHints...)...)
	switch {
	case tool.Name == "":
		t.failAt(name, "String should have at least 1 character")
	case t.b.Declares(tool.Name):
		t.failAt(v, "Tool names must be unique.")
	default:
		t.b.Tool(tool)
		t.cachePoint(v, converse.InTools)
	}
}

// schemaOf is a schema for a tool's input. Models want one of an object with properties, be
// they none.
func schemaOf(v jsontree.Value) []byte {
	if v.Len() == 0 {
		return nil
	}
	if !v.Get("type").Is("object") || v.Get("properties").Present() {
		return v.Raw()
	}
	out := []byte(`{"properties":{}`)
	for m := range v.All() {
		if string(m.Name()) != "properties" {
			out = append(wire.AppendJSONString(append(out, ','), string(m.Name())), ':')
			out = append(out, m.Raw()...)
		}
	}
	return append(out, '}')
}

// withoutTools is what a model is told that has tools and must not call any: Converse has no
// such choice.
var withoutTools = []byte(`"Do not call any tool in your next answer. Answer in words."`)

func readToolChoice(t *translation, v jsontree.Value) {
	kind, ok := t.need(v, "type", aString)
	if !ok {
		return
	}
	t.only(v, "type", "name", "disable_parallel_tool_use")
	switch kind.Text() {
	case "auto":
	case "none":
		t.b.WithoutTools()
		if t.b.Called() {
			t.b.System(withoutTools)
		}
	case "any":
		switch {
		case t.b.Tools() == 0:
			t.failAt(v, "`tool_choice` may only be specified while providing `tools`.")
		case !t.b.Model.AnyTool:
			t.refuse(v, "this model cannot be made to call a tool")
		default:
			t.b.ChooseAny()
		}
	case "tool":
		t.chooseTool(v)
	default:
		t.failAt(kind, "Input tag '"+kind.Text()+"' does not match any of the expected tags: 'auto', 'any', 'tool', 'none'")
	}
	if one := v.Get("disable_parallel_tool_use"); one.IsTrue() && t.failure == nil {
		t.oneCall(one)
	}
}

func (t *translation) chooseTool(v jsontree.Value) {
	name, ok := t.need(v, "name", aString)
	switch {
	case !ok:
	case !t.b.Declares(name.Text()):
		t.failAt(v, "Tool '"+name.Text()+"' not found in provided tools")
	case !t.b.Model.NamedTool:
		t.refuse(v, "this model cannot be made to call a tool")
	default:
		t.b.ChooseTool(name.Text())
	}
}

// oneCall tells Claude to call one tool at a time. Beside a choice that Converse has, it must not say which.
func (t *translation) oneCall(v jsontree.Value) {
	switch {
	case t.b.Tools() == 0:
	case !t.b.Model.OneCall:
		t.drop(v)
	case t.b.Choice != nil:
		t.b.Extra.Add("tool_choice", []byte(`{"disable_parallel_tool_use":true}`))
	default:
		t.b.Extra.Add("tool_choice", []byte(`{"type":"auto","disable_parallel_tool_use":true}`))
	}
}

func readToolUse(t *translation, v jsontree.Value) {
	id, ok := t.need(v, "id", aString)
	if !ok {
		return
	}
	name, ok := t.need(v, "name", aString)
	if !ok {
		return
	}
	t.only(v, "type", "id", "name", "input", "cache_control", "caller")
	input := v.Get("input")
	if input.Present() && !t.is(input, anObject) {
		return
	}
	raw := []byte("{}")
	if input.Present() {
		raw = input.Raw()
	}
	t.b.Call(id.Text(), name.Text(), raw)
}

func readToolResult(t *translation, v jsontree.Value) {
	id, ok := t.need(v, "tool_use_id", aString)
	if !ok {
		return
	}
	t.only(v, "type", "tool_use_id", "content", "is_error", "cache_control")
	said := t.resultContent(v.Get("content"))
	if t.failure == nil && !t.b.Result(id.Text(), said, v.Get("is_error").IsTrue()) {
		t.failAt(v, "unexpected `tool_use_id` found in `tool_result` blocks: "+id.Text()+
			". Each `tool_result` block must have a corresponding `tool_use` block in the previous message.")
	}
}

// resultContent is what a tool returned: words in the result, and all else beside it, in the same
// turn.
func (t *translation) resultContent(v jsontree.Value) []byte {
	var out []byte
	say := func(words jsontree.Value) {
		if converse.Blank(words.Raw()) {
			return
		}
		if len(out) > 0 {
			out = append(out, ',')
		}
		out = append(append(append(out, `{"text":`...), words.Raw()...), '}')
	}
	switch {
	case !v.Present():
	case kindOf(v) == aString:
		say(v)
	case t.is(v, aList):
		for part := range v.All() {
			t.resultPart(part, say)
		}
	}
	switch {
	case len(out) > 0:
	case len(t.media) > 0:
		return []byte(`{"text":"See below."}`)
	default:
		return []byte(`{"text":"(no output)"}`)
	}
	return out
}

func (t *translation) resultPart(part jsontree.Value, say func(jsontree.Value)) {
	if t.failure != nil || !t.is(part, anObject) {
		return
	}
	kind, ok := t.need(part, "type", aString)
	if !ok {
		return
	}
	switch kind.Text() {
	case "text":
		if words, ok := t.need(part, "text", aString); ok {
			say(words)
		}
	case "image":
		t.media = append(t.media, func() { readImage(t, part) })
	case "document":
		t.media = append(t.media, func() { readDocument(t, part) })
	case "search_result":
		t.media = append(t.media, func() { readSearchResult(t, part) })
	default:
		t.refuse(part, "a result of type '"+kind.Text()+"' cannot be carried")
	}
}
