// Package guardrail knows which guardrail works on a request, and has it read the new turn of
// a conversation alone. A guardrail inside Converse reads all messages of each call, so what
// was said before is read, and billed, again with every turn. Where a message has blocks of
// guardContent, it reads those alone (AWS, "Include a guardrail with the Converse API").
package guardrail

import (
	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/jsonscan"
)

// header is the field that names the guardrail of InvokeModel (service model).
const header = "X-Amzn-Bedrock-GuardrailIdentifier"

// configTree finds the name in Converse's guardrailConfig.
var configTree = jsonscan.NewTree([]jsonscan.Rule{{Path: "guardrailIdentifier", Role: 1}})

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
