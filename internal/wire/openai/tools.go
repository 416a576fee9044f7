package openai

import (
	"strconv"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/caller"
	"github.com/sluice-gateway/sluice/internal/wire/capability"
	"github.com/sluice-gateway/sluice/internal/wire/converse"
	"github.com/sluice-gateway/sluice/internal/wire/jsontree"
)

func readTools(r *request, v jsontree.Value) {
	for t := range v.All() {
		if r.Failure != nil || !r.Is(t, caller.Object) {
			return
		}
		kind, ok := r.Need(t, "type", caller.Text)
		if !ok {
			return
		}
		if !kind.Is("function") {
			r.Refuse(t, "Only tools of type 'function' can be.")
			continue
		}
		f := t
		if r.nested { // Chat Completions has it one level deeper than Responses
			r.Only(t, "type", "function", "cache_control")
			if f, ok = r.Need(t, "function", caller.Object); !ok {
				return
			}
		}
		readFunction(r, f)
		r.b.ReadCachePoint(&r.Reading, t, converse.InTools)
	}
}

func readFunction(r *request, f jsontree.Value) {
	name, ok := r.Need(f, "name", caller.Text)
	if !ok {
		return
	}
	known := []string{"name", "description", "parameters", "strict", "cache_control"}
	if !r.nested {
		known = append(known, "type")
	}
	r.Only(f, known...)
	tool := converse.Tool{Name: name.Text()}
	if d := f.Get("description"); d.Present() && r.Is(d, caller.Text) {
		tool.Description = d.Raw()
	}
	if p := f.Get("parameters"); p.Present() && r.Is(p, caller.Object) {
		tool.Schema = converse.Schema(p)
	}
	if s := f.Get("strict"); s.Present() && r.Is(s, caller.Boolean) && s.IsTrue() {
		if tool.Strict = r.b.Model.StrictTools; !tool.Strict {
			r.Drop(s)
		}
	}
	switch {
	case len(tool.Name) == 0:
		r.fail(name, codeValue, "Invalid '"+name.Path()+"': empty string.")
	case r.b.Declares(tool.Name):
		r.fail(name, codeValue, "Invalid '"+name.Path()+"': two tools have the name '"+tool.Name+"'.")
	default:
		r.b.Tool(tool)
	}
}

func readToolChoice(r *request, v jsontree.Value) {
	if v.IsObject() {
		chooseNamed(r, v)
		return
	}
	switch v.Text() {
	case "auto":
	case "none":
		r.b.WithoutTools()
	case "required":
		switch {
		case r.b.Tools() == 0:
			r.fail(v, codeValue, "Invalid value for 'tool_choice': it is only allowed when 'tools' are specified.")
		case !r.b.Model.AnyTool:
			r.Refuse(v, "It cannot be made to call a tool.")
		default:
			r.b.ChooseAny()
		}
	default:
		r.fail(v, codeValue, "Invalid value: '"+v.Text()+"'. Supported values are: 'none', 'auto' and 'required'.")
	}
}

// chooseNamed reads a choice of one tool, {"type":"function","function":{"name":…}} or with the name at its top.
func chooseNamed(r *request, v jsontree.Value) {
	kind, ok := r.Need(v, "type", caller.Text)
	if !ok {
		return
	}
	if !kind.Is("function") {
		r.Refuse(v, "A choice is one of 'function'.")
		return
	}
	f := v
	if r.nested {
		r.Only(v, "type", "function")
		if f, ok = r.Need(v, "function", caller.Object); !ok {
			return
		}
		r.Only(f, "name")
	} else {
		r.Only(v, "type", "name")
	}
	name, ok := r.Need(f, "name", caller.Text)
	switch {
	case !ok:
	case !r.b.Declares(name.Text()):
		r.fail(name, codeValue, "Invalid value: no tool has the name '"+name.Text()+"'.")
	case !r.b.Model.NamedTool:
		r.Refuse(v, "It cannot be made to call a tool.")
	default:
		r.b.ChooseTool(name.Text())
	}
}

func readParallel(r *request, v jsontree.Value) {
	if !r.b.OneCall() {
		r.Drop(v)
	}
}

func readResponseFormat(r *request, v jsontree.Value) {
	kind, ok := r.Need(v, "type", caller.Text)
	if !ok {
		return
	}
	switch kind.Text() {
	case "text":
		r.Only(v, "type")
	case "json_object":
		r.Only(v, "type")
		r.b.System([]byte(`"Answer with one JSON object and nothing else: no words around it, no code fence."`))
	case "json_schema":
		s := v
		if r.nested {
			r.Only(v, "type", "json_schema")
			if s, ok = r.Need(v, "json_schema", caller.Object); !ok {
				return
			}
		}
		bindTo(r, s)
	default:
		r.fail(kind, codeValue, "Invalid value: '"+kind.Text()+"'. Supported values are: 'json_object', 'json_schema' and "+
			"'text'.")
	}
}

// jsonTool is the name of the tool that stands for a schema.
const jsonTool = "answer_in_json"

// bindTo binds the answer to a schema, as the model can be bound.
func bindTo(r *request, v jsontree.Value) {
	name, ok := r.Need(v, "name", caller.Text)
	if !ok {
		return
	}
	schema, ok := r.Need(v, "schema", caller.Object)
	if !ok {
		return
	}
	r.Only(v, "type", "name", "schema", "description", "strict")
	description := v.Get("description")
	if description.Present() && !r.Is(description, caller.Text) {
		return
	}
	if s := v.Get("strict"); s.Present() && !r.Is(s, caller.Boolean) {
		return
	}
	how := r.b.Model.Schema
	if how == capability.SchemaTool && (!r.b.Model.AnyTool || r.b.Choice != nil) {
		how = capability.SchemaWords
	}
	switch how {
	case capability.SchemaNative:
		r.b.BindTo(schema.Raw(), name.Raw(), description.Raw())
	case capability.SchemaTool:
		toolSchema(r, description, schema)
	default:
		wordSchema(r, v, description, schema)
	}
}

// toolSchema makes a tool of the schema, whose input then is the answer. Beside tools of the caller, the model may call
// one of those instead, as it may with OpenAI.
func toolSchema(r *request, description, schema jsontree.Value) {
	others := r.b.Tools() > 0
	t := converse.Tool{Name: jsonTool, Schema: converse.Schema(schema), Description: description.Raw(),
		Strict: r.b.Model.StrictTools}
	if !description.Present() {
		t.Description = []byte(`"Gives your answer. Call it once, with all of the answer."`)
	}
	r.b.Tool(t)
	r.jsonTool = jsonTool
	if others {
		r.b.ChooseAny()
		return
	}
	r.b.ChooseTool(jsonTool)
}

func wordSchema(r *request, v, description, schema jsontree.Value) {
	if s := v.Get("strict"); s.IsTrue() {
		r.Drop(s)
	}
	words := "Answer with one JSON value and nothing else: no words around it, no code fence. It has to be valid by " +
		"this JSON schema:\n" + string(schema.Raw())
	if about := description.Text(); about != "" {
		words += "\nWhat it is: " + about
	}
	r.b.System(wire.AppendJSONString(nil, words))
}

// budgets are Claude's thinking tokens by effort, where it has no effort of its own.
var budgets = map[string]int64{"minimal": 1024, "low": 1024, "medium": 4096, "high": 16384, "xhigh": 32000,
	"max": 32000}

const leastBudget = 1024 // of Claude's

func readEffort(r *request, v jsontree.Value) {
	effort := v.Text()
	if !capability.KnownEffort(effort) {
		r.fail(v, codeValue, "Invalid value: '"+effort+"'. Supported values are: 'none', 'minimal', 'low', 'medium', "+
			"'high', "+
			"'xhigh' and 'max'.")
		return
	}
	m := &r.b.Model
	if effort == "none" && !m.AlwaysThinks && m.Thinking != capability.ThinkingEffort {
		return // no model thinks unasked, but those that always do
	}
	fit := m.Effort(effort)
	switch m.Thinking {
	case capability.ThinkingAdaptive:
		if r.b.Choice == nil || m.AlwaysThinks { // who has to call a tool must not think before
			think(r, `{"type":"adaptive"}`)
		}
		r.b.Extra.Add("output_config", []byte(`{"effort":"`+fit+`"}`))
	case capability.ThinkingBudget:
		thinkWithin(r, v, budgets[effort])
		return
	case capability.ThinkingNova:
		if fit == "high" && r.b.MaxTokens > 0 { // which forbids a cap
			fit = "medium"
		}
		r.b.Extra.Add("reasoningConfig", []byte(`{"type":"enabled","maxReasoningEffort":"`+fit+`"}`))
	case capability.ThinkingEffort:
		r.b.Extra.Add("reasoning_effort", []byte(`"`+fit+`"`))
	default:
		r.Drop(v)
		return
	}
	if effort == "none" && fit != "none" {
		r.Drop(v)
	}
}

// think turns Claude's thinking on, with which it takes no sampling and cannot be forced to call a tool.
func think(r *request, how string) {
	r.b.Thinking = true
	r.b.Extra.Add("thinking", []byte(how))
}

// thinkWithin turns thinking on with a budget. It has to be below the cap, and the conversation must have the reasoning
// of calls that wait for their results; else there is none.
func thinkWithin(r *request, v jsontree.Value, tokens int64) {
	if r.b.MaxTokens > 0 {
		tokens = min(tokens, r.b.MaxTokens-1)
	}
	if tokens < leastBudget || r.unsigned && r.lastRole == "tool" || r.b.Choice != nil {
		r.Drop(v)
		return
	}
	think(r, `{"type":"enabled","budget_tokens":`+strconv.FormatInt(tokens, 10)+`}`)
}
