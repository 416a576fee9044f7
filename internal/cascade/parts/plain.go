package parts

import (
	"bytes"

	"github.com/sluice-gateway/sluice/internal/cascade/answer"
	"github.com/sluice-gateway/sluice/internal/wire/jsonscan"
)

// The readers in this file read the form that nearly all bodies of Converse have,
// without decoding them. They know nothing of a body of any other form, or with a
// member that they have not heard of, and leave it to the decoder.
const (
	plainObject uint8 = iota + 1
	plainList
	plainMessage
	plainText
	plainStop
	plainTool
	plainName
	plainSchema
	plainIgnored
	plainOther
)

func plainTree(roles map[uint8][]string) *jsonscan.Tree {
	var rules []jsonscan.Rule
	for role, paths := range roles {
		for _, path := range paths {
			rules = append(rules, jsonscan.Rule{Path: path, Role: role})
		}
	}
	return jsonscan.NewTree(rules)
}

var answerTree = plainTree(map[uint8][]string{
	plainObject:  {"", "output", "output.message.content[]"},
	plainMessage: {"output.message"},
	plainList:    {"output.message.content"},
	plainText:    {"output.message.content[].text"},
	plainStop:    {"stopReason"},
	plainIgnored: {"output.message.role", "metrics", "usage", "trace", "performanceConfig", "serviceTier"},
	plainOther:   {"*", "output.*", "output.message.*", "output.message.content[].*"},
})

// form reports whether a value is what its role says.
func form(m jsonscan.Match) bool {
	switch m.Role {
	case plainObject, plainMessage, plainTool, plainSchema:
		return m.Kind == jsonscan.BeginObject || m.Kind == jsonscan.EndObject
	case plainList:
		return m.Kind == jsonscan.BeginArray || m.Kind == jsonscan.EndArray
	case plainText, plainStop, plainName:
		return m.Kind == jsonscan.String
	}
	return m.Role == plainIgnored
}

// plainAnswer reads an answer of Converse that is text alone, nil for any other.
func plainAnswer(body []byte) *answer.Answer {
	var (
		w       jsonscan.Walker
		a       answer.Answer
		text    []byte
		message bool
	)
	w.Reset(answerTree, body)
	for m := w.Next(); m.Role != 0; m = w.Next() {
		if !form(m) {
			return nil
		}
		switch m.Role {
		case plainMessage:
			message = true
		case plainStop:
			a.StopReason = unquoted(body, m)
		case plainText:
			if text == nil {
				text = make([]byte, 0, m.TextLen())
			}
			if len(text) > 0 && m.TextLen() > 0 {
				text = append(text, '\n')
			}
			text = jsonscan.AppendString(text, body[m.Start:m.End])
		}
	}
	if w.Err() != nil || !message {
		return nil
	}
	a.Text = string(text)
	return &a
}

func unquoted(body []byte, m jsonscan.Match) string {
	var room [64]byte
	return string(jsonscan.AppendString(room[:0], body[m.Start:m.End]))
}

var toolsTree = plainTree(map[uint8][]string{
	plainList:    {""},
	plainObject:  {"[]", "[].toolSpec.inputSchema"},
	plainTool:    {"[].toolSpec"},
	plainName:    {"[].toolSpec.name"},
	plainSchema:  {"[].toolSpec.inputSchema.json"},
	plainIgnored: {"[].toolSpec.description"},
	plainOther:   {"[].*", "[].toolSpec.*", "[].toolSpec.inputSchema.*"},
})

// plainTools reads a list of Converse's tools, and reports whether it could.
func plainTools(list []byte) (tools []answer.Tool, ok bool) {
	var w jsonscan.Walker
	w.Reset(toolsTree, list)
	for m := w.Next(); m.Role != 0; m = w.Next() {
		switch {
		case !form(m):
			return nil, false
		case m.Role == plainTool && m.Kind == jsonscan.BeginObject:
			tools = append(tools, answer.Tool{})
		case m.Role == plainName:
			tools[len(tools)-1].Name = unquoted(list, m)
		case m.Role == plainSchema && m.Kind == jsonscan.EndObject: // copied: it outlives the body
			tools[len(tools)-1].Schema = bytes.Clone(list[m.Start:m.End])
		}
	}
	return tools, w.Err() == nil
}
