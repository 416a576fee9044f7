package test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/sluice-gateway/sluice/internal/wire"
)

const groundScript = `rules:
  - {match: {model: "*claude-3-haiku*", text: "invent"}, answer: {text: "You can return it within 60 days."}}
  - {match: {model: "*claude-3-haiku*", text: "overlook"}, answer: {text: "The documents do not mention it."}}
  - {match: {model: "*claude-3-haiku*"}, answer: {text: "You can return it within 30 days."}}
  - {match: {model: "*claude-3-5-haiku*", text: "invent"}, answer: {text: "You can return it within 60 days."}}
  - {match: {model: "*claude-3-5-haiku*", text: "overlook"}, answer: {text: "The documents do not mention it."}}
  - {match: {model: "*claude-3-5-haiku*"}, answer: {text: "You can return it within 30 days."}}
  - {answer: {text: "Thirty days, says the strong model."}}
`

// TestUngroundedEscalates has an answer that says what the supplied documents do not
// have go to the escalation model, for each operation, when that is switched on.
func TestUngroundedEscalates(t *testing.T) {
	const said = "<documents>Returns: you can return an item within 30 days.</documents>\\n" +
		"How long can I return it? (%s)"
	const claude = `{"anthropic_version":"bedrock-2023-05-31","max_tokens":99,` +
		`"messages":[{"role":"user","content":"%s"}]}`
	f := func(more, text, path, reason string) {
		t.Helper()
		_, gw, key := startScripted(t, groundScript, more)
		for op, body := range map[wire.Operation]string{
			wire.OpConverse:       `{"messages":[{"role":"user","content":[{"text":"%s"}]}]}`,
			wire.OpConverseStream: `{"messages":[{"role":"user","content":[{"text":"%s"}]}]}`,
			wire.OpInvoke:         claude,
			wire.OpInvokeStream:   claude,
		} {
			target := wire.Target{Op: op, Model: "auto"}
			body := fmt.Sprintf(body, fmt.Sprintf(said, text))
			if !json.Valid([]byte(body)) {
				t.Fatal(body)
			}
			for _, client := range cascadeClients() {
				_, h, raw := postWith(t, client, gw.URL()+target.String(), body, key)
				if h.Get("x-sluice-path") != path || h.Get("x-sluice-reason") != reason {
					t.Errorf("%s %s: %s %q, want %s %q: %s", op, text, h.Get("x-sluice-path"), h.Get("x-sluice-reason"),
						path, reason, textOf(op, raw))
				}
			}
		}
	}
	f("", "invent", "light", "agree")
	f("    on_ungrounded: escalate\n", "right", "light", "agree")
	f("    on_ungrounded: escalate\n", "invent", "escalated", "ungrounded")
	f("    on_ungrounded: escalate\n", "overlook", "escalated", "overlooked")
}
