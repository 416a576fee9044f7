package parts

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/sluice-gateway/sluice/internal/cascade/answer"
	"github.com/sluice-gateway/sluice/internal/cascade/value"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// requestTool has the members by which the families describe a tool that a model may
// call. Cohere describes arguments in its own way, which is no JSON Schema: answers
// are not validated against it.
type requestTool struct {
	ToolSpec *struct {
		Name        string
		InputSchema struct {
			JSON json.RawMessage `json:"json"`
		} `json:"inputSchema"`
	} `json:"toolSpec"`
	Name        string
	InputSchema json.RawMessage `json:"input_schema"`
	Definitions json.RawMessage `json:"parameter_definitions"`
	Function    *struct {
		Name       string
		Parameters json.RawMessage
	}
}

// Request reads what the checks need to know about a request. What cannot be
// read is absent: the checks then validate less.
func Request(f *wire.Facts, body []byte) *answer.Request {
	r := &answer.Request{Schema: schema(f.Schema, body), Choices: choices(f, body)}
	if r.Schema == nil && f.JSONOutput {
		r.Schema = json.RawMessage(`{"type":"object"}`)
	}
	r.ToolChoice = choiceOfTools(f.ToolChoice, body)
	r.ToolChoice.One = r.ToolChoice.One || f.Tools > 0 && oneAtATime(body)
	if f.Tools == 0 || f.ToolList.End > len(body) {
		return r
	}
	list := body[f.ToolList.Start:f.ToolList.End]
	if tools, ok := plainTools(list); ok {
		r.Tools = tools
		return r
	}
	r.Tools = decodedTools(list)
	return r
}

// decodedTools reads a list of tools of any family.
func decodedTools(list []byte) (all []answer.Tool) {
	var tools []requestTool
	if json.Unmarshal(list, &tools) != nil {
		return nil
	}
	for _, t := range tools {
		switch {
		case t.ToolSpec != nil:
			all = append(all, answer.Tool{Name: t.ToolSpec.Name, Schema: t.ToolSpec.InputSchema.JSON})
		case t.Function != nil:
			all = append(all, answer.Tool{Name: t.Function.Name, Schema: t.Function.Parameters})
		case t.Name != "":
			all = append(all, answer.Tool{Name: t.Name, Schema: t.InputSchema, Other: t.Definitions})
		}
	}
	return all
}

// maxOffering is how much text is searched for choices.
const maxOffering = 256 << 10

func choices(f *wire.Facts, body []byte) value.Choices {
	if f.TextBytes > maxOffering {
		return 0
	}
	const lineEnds = 64 // about as many texts; more are no mistake
	return value.Offered(string(f.AppendText(make([]byte, 0, f.TextBytes+lineEnds), body)))
}

// toolChoice has the members by which the families say which tool is to be called.
type toolChoice struct {
	Any         *struct{} `json:"any"` // Converse, Nova
	Tool        *named
	Type, Name  string // Anthropic
	NotParallel bool   `json:"disable_parallel_tool_use"`
	Function    *named // OpenAI
	Custom      *named
	Allowed     *struct {
		Mode  string
		Tools []struct {
			named

			Function *named
		}
	} `json:"allowed_tools"`
}

type named struct{ Name string }

// together has the members beside the choice by which a request allows one call only. In
// Converse the families' own members are in an object.
type together struct {
	Parallel   *bool           `json:"parallel_tool_calls"` // OpenAI, Mistral
	Choice     json.RawMessage `json:"tool_choice"`         // an object or a word
	Additional *together       `json:"additionalModelRequestFields"`
}

func (t *together) off() bool {
	var choice toolChoice
	read := json.Unmarshal(t.Choice, &choice) == nil // it is there, and no word
	return t.Parallel != nil && !*t.Parallel || read && choice.NotParallel
}

// oneAtATime reports whether a body says that a model may call no two tools at once.
func oneAtATime(body []byte) bool {
	says := func(member string) bool { return bytes.Contains(body, []byte(member)) }
	if !says(`"parallel_tool_calls"`) && !says(`"disable_parallel_tool_use"`) {
		return false // most do not, and are not read again
	}
	var t together
	if json.Unmarshal(body, &t) != nil {
		return false
	}
	return t.off() || t.Additional != nil && t.Additional.off()
}

func choiceOfTools(at wire.Span, body []byte) (c answer.ToolChoice) {
	if !at.Present() || at.End > len(body) {
		return c
	}
	var t toolChoice
	raw := body[at.Start:at.End]
	if json.Unmarshal(raw, &t.Type) != nil && json.Unmarshal(raw, &t) != nil {
		return c
	}
	c.One = t.NotParallel
	for _, n := range []*named{t.Tool, t.Function, t.Custom, {t.Name}} {
		if n != nil && n.Name != "" {
			c.Must, c.Names = true, []string{n.Name}
		}
	}
	mode := t.Type
	if t.Allowed != nil {
		mode = t.Allowed.Mode
		for _, tool := range t.Allowed.Tools {
			if tool.Function != nil {
				tool.Name = tool.Function.Name
			}
			c.Names = append(c.Names, tool.Name)
		}
	}
	switch strings.ToLower(mode) {
	case "any", "required":
		c.Must = true
	case "none":
		c.Never = true
	}
	c.Must = c.Must || t.Any != nil
	return c
}

// schema is the structured-output schema of a body. Converse has it as JSON in
// a string.
func schema(at wire.Span, body []byte) json.RawMessage {
	if !at.Present() || at.End > len(body) {
		return nil
	}
	raw := body[at.Start:at.End]
	var quoted string
	if json.Unmarshal(raw, &quoted) == nil {
		return json.RawMessage(quoted)
	}
	if len(raw) > 0 && raw[0] == '{' {
		return raw
	}
	return nil
}
