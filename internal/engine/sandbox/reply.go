package sandbox

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"unicode/utf8"

	"github.com/sluice-gateway/sluice/internal/wire"
)

// reply is the answer of a model before it gets the form of an operation.
type reply struct {
	id, model string
	text      string
	tool      *Tool
	stop      string // one of Converse's stop reasons
	word      string // the same in the words of the model's family

	input, output, cacheRead, write5m, write1h int64
	copies                                     int64
	latency                                    int64 // milliseconds
	guard                                      *guarding
}

// canned is the default answer. The reference differs by seed, model and text. Profiles of a model answer alike.
const canned = "This is a canned answer from the Sluice sandbox. No model was called and nothing was understood. " +
	"Reference %016x."

// newReply returns the answer that the rule gives to the call.
func newReply(c *call, a *Answer, o *Options) *reply {
	r := &reply{
		id: c.id, model: c.model, text: a.Text, tool: a.Tool, stop: a.StopReason, copies: max(c.copies, 1),
		input: c.inputTokens, cacheRead: a.CacheReadTokens, write5m: a.CacheWriteTokens, write1h: a.CacheWrite1hTokens,
	}
	if r.text == "" && r.tool == nil {
		r.text = fmt.Sprintf(canned, reference(o.Seed, wire.BaseModel(c.model, o.Behind), c.lastText))
	}
	if r.stop == "" {
		r.stop = "end_turn"
		if r.tool != nil {
			r.stop = "tool_use"
		}
	}
	r.output = tokens(len(r.text))
	if r.tool != nil {
		r.output += tokens(len(r.toolInput()))
	}
	if a.InputTokens != nil {
		r.input = *a.InputTokens
	}
	if a.OutputTokens != nil {
		r.output = *a.OutputTokens
	}
	r.cut(c.cap)
	r.output *= r.copies
	r.word = r.stop
	if c.family != nil {
		r.suit(c.family)
	}
	r.guard = guardingOf(c, r)
	return r
}

// suit fits the answer to what the family reports.
func (r *reply) suit(f *family) {
	if word, ok := f.stops[r.stop]; ok {
		r.word = word
	}
	if f.noOutput || f.noTokens {
		r.output = 0
	}
	if f.noTokens {
		r.input = 0
	}
}

// cut shortens the answer to the caller's cap, in proportion.
func (r *reply) cut(limit int64) {
	if limit == 0 || r.output <= limit {
		return
	}
	end := int(int64(len(r.text)) * limit / r.output)
	for end > 0 && !utf8.RuneStart(r.text[end]) {
		end--
	}
	r.text, r.tool, r.stop, r.output = r.text[:end], nil, "max_tokens", limit
}

func (r *reply) toolObject() object {
	if r.tool.Input == nil {
		return object{}
	}
	return r.tool.Input
}

func (r *reply) toolInput() string { return string(marshal(r.toolObject())) }

func (r *reply) toolID() string { return "tooluse_" + r.id[:8] }

// pieces splits the text for a stream: about sixteen bytes each, and not more
// than maxPieces.
func (r *reply) pieces() []string {
	size := max(16, len(r.text)/maxPieces+1)
	var out []string
	for rest := r.text; rest != ""; {
		end := min(size, len(rest))
		for end < len(rest) && !utf8.RuneStart(rest[end]) {
			end++
		}
		out, rest = append(out, rest[:end]), rest[end:]
	}
	return out
}

const maxPieces = 256

func reference(seed uint64, model, text string) uint64 {
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%d\x00%s\x00%s", seed, model, text)
	return h.Sum64()
}

// bill copies what the reply costs into a log entry.
func (r *reply) bill(e *Entry) {
	e.Input, e.Output = r.input, r.output
	e.CacheRead, e.CacheWrite5m, e.CacheWrite1h = r.cacheRead, r.write5m, r.write1h
	if r.guard != nil {
		e.GuardrailUnits = r.guard.input + r.guard.output
	}
}

// usageMembers are the members that report usage, in any family.
var usageMembers = map[string]bool{
	"usage": true, metricsMember: true, "inputTextTokenCount": true, "inputTokenCount": true, "tokenCount": true,
	"totalOutputTextTokenCount": true, "prompt_token_count": true, "generation_token_count": true,
}

// dropUsage removes all that reports usage from an answer.
func dropUsage(v any) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			dropUsage(e)
		}
	case object:
		for name, e := range v {
			if usageMembers[name] {
				delete(v, name)
				continue
			}
			dropUsage(e)
		}
	}
}

// marshal encodes what is made of maps, slices and plain values.
func marshal(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic("BUG: sandbox answer is not JSON: " + err.Error())
	}
	return text
}
