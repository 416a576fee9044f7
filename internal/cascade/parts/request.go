package parts

import (
	"encoding/json"

	"github.com/sluice-gateway/sluice/internal/cascade/answer"
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
	r := &answer.Request{Schema: schema(f.Schema, body)}
	if f.Tools == 0 || f.ToolList.End > len(body) {
		return r
	}
	var tools []requestTool
	if json.Unmarshal(body[f.ToolList.Start:f.ToolList.End], &tools) != nil {
		return r
	}
	for _, t := range tools {
		switch {
		case t.ToolSpec != nil:
			r.Tools = append(r.Tools, answer.Tool{Name: t.ToolSpec.Name, Schema: t.ToolSpec.InputSchema.JSON})
		case t.Function != nil:
			r.Tools = append(r.Tools, answer.Tool{Name: t.Function.Name, Schema: t.Function.Parameters})
		case t.Name != "":
			r.Tools = append(r.Tools, answer.Tool{Name: t.Name, Schema: t.InputSchema, Other: t.Definitions})
		}
	}
	return r
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
