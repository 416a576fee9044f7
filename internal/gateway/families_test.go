package gateway

import (
	"encoding/base64"
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// family is a cascade's models and how InvokeModel bodies are spelt that fit all
// of them.
type family struct {
	light, partner, escalation string
	body                       string // of InvokeModel; "" when the models spell it differently
}

var (
	mixed  = family{lightModel, partnerModel, escalationModel, ""}
	nova   = family{"amazon.nova-lite-v1:0", "amazon.nova-micro-v1:0", "us.amazon.nova-pro-v1:0", hello}
	claude = family{"anthropic.claude-3-haiku-20240307-v1:0", "us.anthropic.claude-3-5-haiku-20241022-v1:0",
		escalationModel,
		`{"anthropic_version":"bedrock-2023-05-31","max_tokens":100,"messages":[{"role":"user","content":"hello"}]}`}
)

// script has each model of a family answer as it is told, and any other as judge
// models do.
func (f *family) script(light, partner, escalation, judge reply) func(*engine.Request) reply {
	return func(r *engine.Request) reply {
		switch r.Model {
		case f.light:
			return light
		case f.partner:
			return partner
		case f.escalation:
			return escalation
		}
		return judge
	}
}

func isClaude(model string) bool { return strings.Contains(model, "anthropic") }

// body is a whole answer to r.
func (p *reply) body(r *engine.Request) []byte {
	if p.raw != nil {
		return []byte(*p.raw)
	}
	if r.Op != wire.OpInvoke || !isClaude(r.Model) {
		return p.converse() // Nova's is the same
	}
	var content []any
	if p.text != "" {
		content = append(content, map[string]any{"type": "text", "text": p.text})
	}
	if p.tool != "" {
		content = append(content, map[string]any{"type": "tool_use", "name": p.tool, "input": json.RawMessage(p.input)})
	}
	body, _ := json.Marshal(map[string]any{
		"type": "message", "role": "assistant", "content": content, "stop_reason": p.stopReason(),
		"usage": map[string]any{"input_tokens": 10, "output_tokens": max(p.output, 5)},
	})
	return body
}

// event is one event of a stream.
type event struct {
	name    string
	payload map[string]any
}

// events are those of a stream in answer to r, two for the text.
func (p *reply) events(r *engine.Request) []event {
	switch {
	case r.Op != wire.OpInvokeStream:
		return p.converseEvents()
	case isClaude(r.Model):
		return chunks(p.claudeEvents())
	}
	all := p.converseEvents()
	for i, e := range all {
		all[i].payload = map[string]any{e.name: e.payload}
	}
	return chunks(all)
}

// chunks are events as InvokeModelWithResponseStream wraps them. The last one
// has the bill.
func chunks(all []event) []event {
	all[len(all)-1].payload["amazon-bedrock-invocationMetrics"] = map[string]any{"inputTokenCount": 10,
		"outputTokenCount": 5}
	for i, e := range all {
		raw, _ := json.Marshal(e.payload)
		all[i] = event{"chunk", map[string]any{"bytes": raw}}
	}
	return all
}

func (p *reply) pieces() []string { return []string{p.text[:len(p.text)/2], p.text[len(p.text)/2:]} }

func (p *reply) converseEvents() []event {
	all := []event{{"messageStart", map[string]any{"role": "assistant"}}}
	for _, piece := range p.pieces() {
		all = append(all, event{"contentBlockDelta", map[string]any{"contentBlockIndex": 0,
			"delta": map[string]any{"text": piece}}})
	}
	if p.tool != "" {
		all = append(all,
			event{"contentBlockStart", map[string]any{"contentBlockIndex": 1,
				"start": map[string]any{"toolUse": map[string]any{"toolUseId": "t", "name": p.tool}}}},
			event{"contentBlockDelta", map[string]any{"contentBlockIndex": 1,
				"delta": map[string]any{"toolUse": map[string]any{"input": p.input}}}})
	}
	return append(all, event{"messageStop", map[string]any{"stopReason": p.stopReason()}},
		event{"metadata", map[string]any{"usage": p.usage()}})
}

func (p *reply) claudeEvents() []event {
	var all []event
	say := func(payload map[string]any) { all = append(all, event{"chunk", payload}) }
	say(map[string]any{"type": "message_start", "message": map[string]any{"role": "assistant",
		"usage": map[string]any{"input_tokens": 10, "output_tokens": 1}}})
	say(map[string]any{"type": "content_block_start", "index": 0,
		"content_block": map[string]any{"type": "text", "text": ""}})
	for _, piece := range p.pieces() {
		say(map[string]any{"type": "content_block_delta", "index": 0,
			"delta": map[string]any{"type": "text_delta", "text": piece}})
	}
	say(map[string]any{"type": "content_block_stop", "index": 0})
	if p.tool != "" {
		say(map[string]any{"type": "content_block_start", "index": 1,
			"content_block": map[string]any{"type": "tool_use", "name": p.tool, "input": map[string]any{}}})
		say(map[string]any{"type": "content_block_delta", "index": 1,
			"delta": map[string]any{"type": "input_json_delta", "partial_json": p.input}})
	}
	say(map[string]any{"type": "message_delta", "delta": map[string]any{"stop_reason": p.stopReason()},
		"usage": map[string]any{"output_tokens": max(p.output, 5)}})
	say(map[string]any{"type": "message_stop"})
	return all
}

var wrapped = regexp.MustCompile(`"bytes":"([A-Za-z0-9+/]*)`)

// visible is what a caller could read of an answer, whole or cut: as it came,
// and unwrapped.
func visible(body []byte) []byte {
	out := body
	for _, m := range wrapped.FindAllSubmatch(body, -1) {
		whole := m[1][:len(m[1])/4*4]
		text, err := base64.StdEncoding.DecodeString(string(whole))
		if err == nil {
			out = append(out[:len(out):len(out)], text...)
		}
	}
	return out
}

// TestVisible finds what a caller could read in the streams of every family,
// also when they end in the middle.
func TestVisible(t *testing.T) {
	p := reply{text: "MARK: and more of it"}
	for _, r := range []*engine.Request{
		{Op: wire.OpConverseStream, Model: nova.light}, {Op: wire.OpInvokeStream, Model: nova.light},
		{Op: wire.OpInvokeStream, Model: claude.light},
	} {
		var body []byte
		for _, frame := range p.frames(r) {
			body = append(body, frame...)
		}
		if !holds(visible(body), "MARK: and") || !holds(visible(body[:len(body)*3/4]), "MARK") {
			t.Errorf("%s of %s: %q", r.Op, r.Model, visible(body))
		}
	}
}
