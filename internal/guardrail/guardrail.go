// Package guardrail knows which guardrail works on a request, and has it read the new turn of
// a conversation alone. A guardrail inside Converse reads all messages of each call, so what
// was said before is read, and billed, again with every turn. Where a message has blocks of
// guardContent, it reads those alone (AWS, "Include a guardrail with the Converse API").
package guardrail

import (
	"strings"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/jsonscan"
)

// header is the field that names the guardrail of InvokeModel (service model).
const header = "X-Amzn-Bedrock-GuardrailIdentifier"

// configTree finds the name in Converse's guardrailConfig.
var configTree = jsonscan.NewTree([]jsonscan.Rule{{Path: "guardrailIdentifier", Role: 1}})

// maxID bounds an id. AWS's have 12 characters; its service model has no bound for them.
const maxID = 32

// ID is the id in a name of a guardrail, which is the id or an ARN; "" for what no guardrail of AWS has
// (service model, GuardrailIdentifier).
func ID(name string) string {
	id := name[strings.LastIndexByte(name, '/')+1:]
	if len(id) > maxID || strings.Trim(id, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
		return ""
	}
	return id
}

// Name is the guardrail that works on what a model reads and writes, by id or ARN as the
// caller wrote it; "" for none. body must be the one that f was read from.
func Name(f *wire.Facts, h wire.Header, body []byte) string {
	if !f.Guardrail.Present() {
		return h.Get(header)
	}
	config := body[f.Guardrail.Start:f.Guardrail.End]
	var w jsonscan.Walker
	w.Reset(configTree, config)
	if m := w.Next(); m.Role != 0 && m.Kind == jsonscan.String {
		return string(jsonscan.Text(config, m.Token))
	}
	return ""
}
