package anthropic

import (
	"slices"

	"github.com/sluice-gateway/sluice/internal/wire/caller"
	"github.com/sluice-gateway/sluice/internal/wire/converse"
	"github.com/sluice-gateway/sluice/internal/wire/jsontree"
)

// toolHints are members of a tool that only help: the caller is served without them.
var toolHints = []string{"defer_loading", "input_examples", "eager_input_streaming", "allowed_callers"}

func readTools(t *translation, v jsontree.Value) {
	if !t.Is(v, caller.Array) {
		return
	}
	for tool := range v.All() {
		if t.Failure != nil || !t.Is(tool, caller.Object) {
			return
		}
		if kind := tool.Get("type"); kind.Present() && !kind.Is("custom") {
			why := "a tool that Anthropic defines is known to Claude only"
			if serverTool(kind.Text()) {
				why = "the server tool '" + kind.Text() + "' runs at Anthropic only"
			}
			t.Refuse(tool, why)
			continue
		}
		t.tool(tool)
	}
}

func (t *translation) tool(v jsontree.Value) {
	name, ok := t.Need(v, "name", caller.Text)
	if !ok {
		return
	}
	schema, ok := t.Need(v, "input_schema", caller.Object)
	if !ok {
		return
	}
	tool := converse.Tool{Name: name.Text(), Schema: converse.Schema(schema)}
	for m := range v.All() {
		switch known := string(m.Name()); {
		case !m.Present():
		case known == "description" && t.Is(m, caller.Text):
			tool.Description = m.Raw()
		case known == "strict" && m.IsTrue():
			if tool.Strict = t.b.Model.StrictTools; !tool.Strict {
				t.Drop(m)
			}
		case slices.Contains(toolHints, known):
			t.Drop(m)
		}
	}
	t.Only(v, append([]string{"name", "input_schema", "type", "description", "strict", "cache_control"}, toolHints...)...)
	switch {
	case tool.Name == "":
		t.failAt(name, "String should have at least 1 character")
	case t.b.Declares(tool.Name):
		t.failAt(v, "Tool names must be unique.")
	default:
		t.b.Tool(tool)
		t.b.ReadCachePoint(&t.Reading, v, converse.InTools)
	}
}

func readToolChoice(t *translation, v jsontree.Value) {
	kind, ok := t.Need(v, "type", caller.Text)
	if !ok {
		return
	}
	t.Only(v, "type", "name", "disable_parallel_tool_use")
	switch kind.Text() {
	case "auto":
	case "none":
		t.b.WithoutTools()
	case "any":
		switch {
		case t.b.Tools() == 0:
			t.failAt(v, "`tool_choice` may only be specified while providing `tools`.")
		case !t.b.Model.AnyTool:
			t.Refuse(v, "this model cannot be made to call a tool")
		default:
			t.b.ChooseAny()
		}
	case "tool":
		t.chooseTool(v)
	default:
		t.failAt(kind, "Input tag '"+kind.Text()+"' does not match any of the expected tags: 'auto', 'any', 'tool', 'none'")
	}
	if one := v.Get("disable_parallel_tool_use"); one.IsTrue() && t.Failure == nil && !t.b.OneCall() {
		t.Drop(one)
	}
}

func (t *translation) chooseTool(v jsontree.Value) {
	name, ok := t.Need(v, "name", caller.Text)
	switch {
	case !ok:
	case !t.b.Declares(name.Text()):
		t.failAt(v, "Tool '"+name.Text()+"' not found in provided tools")
	case !t.b.Model.NamedTool:
		t.Refuse(v, "this model cannot be made to call a tool")
	default:
		t.b.ChooseTool(name.Text())
	}
}

func readToolUse(t *translation, v jsontree.Value) {
	id, ok := t.Need(v, "id", caller.Text)
	if !ok {
		return
	}
	name, ok := t.Need(v, "name", caller.Text)
	if !ok {
		return
	}
	t.Only(v, "type", "id", "name", "input", "cache_control", "caller")
	if c := v.Get("caller"); c.Present() && !c.Get("type").Is("direct") { // a tool that runs at Anthropic
		t.Drop(c)
	}
	input := v.Get("input")
	if input.Present() && !t.Is(input, caller.Object) {
		return
	}
	t.b.Call(id.Text(), name.Text(), rawObject(input))
}

func readToolResult(t *translation, v jsontree.Value) {
	id, ok := t.Need(v, "tool_use_id", caller.Text)
	if !ok {
		return
	}
	t.Only(v, "type", "tool_use_id", "content", "is_error", "cache_control")
	failed := v.Get("is_error")
	if failed.IsTrue() && !t.b.Model.ResultStatus {
		t.Drop(failed)
	}
	said := t.resultContent(v.Get("content"))
	if t.Failure == nil && !t.b.Result(id.Text(), said, failed.IsTrue()) {
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
	case v.IsText():
		say(v)
	case t.Is(v, caller.Array):
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
	if t.Failure != nil || !t.Is(part, caller.Object) {
		return
	}
	kind, ok := t.Need(part, "type", caller.Text)
	if !ok {
		return
	}
	if c := part.Get("cache_control"); c.Present() {
		t.Drop(c) // a point has no place within a result
	}
	switch kind.Text() {
	case "text":
		t.Only(part, "type", "text", "cache_control", "citations")
		if c := part.Get("citations"); c.Len() > 0 {
			t.Drop(c)
		}
		if words, ok := t.Need(part, "text", caller.Text); ok {
			say(words)
		}
	case "image":
		t.media = append(t.media, func() { readImage(t, part) })
	case "document":
		t.media = append(t.media, func() { readDocument(t, part) })
	case "search_result":
		t.media = append(t.media, func() { readSearchResult(t, part) })
	default:
		t.Refuse(part, "a result of type '"+kind.Text()+"' cannot be carried")
	}
}
