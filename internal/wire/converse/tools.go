package converse

import (
	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/jsontree"
)

// Tool is what a model may call. Its texts are JSON, nil when absent.
type Tool struct {
	Name                string
	Description, Schema []byte
	Strict              bool
}

var anyObject = []byte(`{"type":"object","properties":{}}`)

// Schema is a schema for a tool's input, nil for one that says nothing. Models want one of an object with properties,
// be they none.
func Schema(v jsontree.Value) []byte {
	if v.Len() == 0 {
		return nil
	}
	if !v.Get("type").Is("object") || v.Get("properties").Present() {
		return v.Raw()
	}
	out := []byte(`{"properties":{}`)
	for m := range v.All() {
		if string(m.Name()) != "properties" { // which is null
			out = append(wire.AppendJSONString(append(out, ','), string(m.Name())), ':')
			out = append(out, m.Raw()...)
		}
	}
	return append(out, '}')
}

// Tool declares a tool.
func (b *Builder) Tool(t Tool) {
	name := b.name(t.Name)
	b.declared.add(name)
	dst := append(append(appendComma(b.tools), `{"toolSpec":{"name":"`...), name...)
	dst = append(dst, '"')
	if !Blank(t.Description) {
		dst = append(append(dst, `,"description":`...), t.Description...)
	}
	schema := t.Schema
	if schema == nil {
		schema = anyObject
	}
	dst = append(append(dst, `,"inputSchema":{"json":`...), schema...)
	dst = append(dst, '}')
	if t.Strict {
		dst = append(dst, `,"strict":true`...)
	}
	b.tools = append(dst, `}}`...)
}

// Tools is how many tools are declared.
func (b *Builder) Tools() int { return len(b.declared.list) }

// Declares reports whether there is a tool that the caller calls so.
func (b *Builder) Declares(name string) bool { return b.declared.has[b.name(name)] }

// ChooseAny makes the model call a tool, ChooseTool a certain one.
func (b *Builder) ChooseAny() { b.Choice = []byte(`{"any":{}}`) }

// ChooseTool makes the model call the tool that the caller calls so.
func (b *Builder) ChooseTool(name string) {
	b.Choice = []byte(`{"tool":{"name":"` + b.name(name) + `"}}`)
}

// withoutTools is what a model is told that has tools and must not call any: Converse has no such choice.
var withoutTools = []byte(`"Do not call any tool in your next answer. Answer in words."`)

// WithoutTools takes the tools back. Those of a conversation that has called some stay, because Converse wants them,
// and the model is asked in words not to call them.
func (b *Builder) WithoutTools() {
	b.Choice = nil
	if len(b.called.list) > 0 {
		b.System(withoutTools)
		return
	}
	b.tools, b.declared = nil, set{}
}

// OneCall makes the model call one tool at a time. Beside a choice that Converse has, it must not say which. It reports
// false when the model cannot be told.
func (b *Builder) OneCall() bool {
	switch {
	case b.Tools() == 0:
	case !b.Model.OneCall:
		return false
	case b.Choice != nil:
		b.Extra.Add("tool_choice", []byte(`{"disable_parallel_tool_use":true}`))
	default:
		b.Extra.Add("tool_choice", []byte(`{"type":"auto","disable_parallel_tool_use":true}`))
	}
	return true
}

// appendTools appends toolConfig. Tools that were called and are not declared any more are declared by name, because
// Converse refuses a conversation whose tools it does not know.
func (b *Builder) appendTools(dst []byte) []byte {
	for _, name := range b.called.list {
		if b.declared.has[name] {
			continue
		}
		b.declared.add(name)
		b.tools = append(append(appendComma(b.tools), `{"toolSpec":{"name":"`...), name...)
		b.tools = append(append(append(b.tools, `","inputSchema":{"json":`...), anyObject...), `}}}`...)
	}
	if len(b.tools) == 0 {
		return dst
	}
	dst = append(append(dst, `,"toolConfig":{"tools":[`...), b.tools...)
	dst = append(dst, ']')
	dst = appendMember(dst, `,"toolChoice":`, b.Choice, ``)
	return append(dst, '}')
}

// Call adds a call of a tool to the assistant's turn. input is a JSON object.
func (b *Builder) Call(id, name string, input []byte) {
	t := b.turn()
	sent, tool := b.id(id), b.name(name)
	if t.calls == nil {
		t.calls = map[string][]string{}
	}
	t.calls[id] = append(t.calls[id], sent)
	b.called.add(tool)
	dst := append(append(appendComma(t.blocks), `{"toolUse":{"toolUseId":"`...), sent...)
	dst = append(append(dst, `","name":"`...), tool...)
	t.blocks = append(append(append(dst, `","input":`...), input...), `}}`...)
}

// Result adds the result of a call to the user's turn. content is what the blocks of it are, joined by commas; images
// stand beside it where the model does not take them in it. It reports false when the turn before has no such call, or
// its result is there.
func (b *Builder) Result(id string, content []byte, failed bool) bool {
	sent := b.answered(id)
	if sent == "" {
		return false
	}
	t := b.turn()
	dst := append(append(appendComma(t.results), `{"toolResult":{"toolUseId":"`...), sent...)
	dst = append(append(append(dst, `","content":[`...), content...), ']')
	if b.Model.ResultStatus {
		status := `,"status":"success"`
		if failed {
			status = `,"status":"error"`
		}
		dst = append(dst, status...)
	}
	t.results = append(dst, `}}`...)
	return true
}

// answered takes the call that a result in the last turn is for from those that wait, "" for none.
func (b *Builder) answered(id string) (sent string) {
	if len(b.turns) < 2 {
		return ""
	}
	waiting := b.turns[len(b.turns)-2].calls
	calls := waiting[id]
	switch len(calls) {
	case 0:
		return ""
	case 1:
		delete(waiting, id)
	default:
		waiting[id] = calls[1:]
	}
	return calls[0]
}
