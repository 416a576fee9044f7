package leg

import (
	"encoding/json"
	"strings"

	"github.com/sluice-gateway/sluice/internal/wire"
)

// metadataHeader carries request metadata of InvokeModel as JSON text (service
// model, bedrock-runtime).
const metadataHeader = "X-Amzn-Bedrock-Request-Metadata"

// Limits of request metadata (service model).
const (
	maxMetadataHeader = 8500
	maxMetadataPairs  = 16
)

// tag puts pairs into the request metadata of one attempt, so that Bedrock's
// invocation log names them (upstream.tag_requests). For Converse they are
// splices of body, the caller's body that f was read from; for InvokeModel the
// header comes back with them. What the caller put there stays. Where there is no
// room for all, the first goes alone; without room for that, or for other
// operations, nothing changes and the call goes untagged.
func tag(f *wire.Facts, body []byte, h wire.Header, pairs []wire.Pair) (wire.Header, []wire.Splice) {
	for _, some := range [...][]wire.Pair{pairs, pairs[:1]} {
		if f.Op.IsInvoke() {
			if tagged, ok := tagHeader(h, some); ok {
				return tagged, nil
			}
		} else if s, ok := f.MetadataSplices(body, some...); ok { // never for operations but Converse
			return h, s
		}
	}
	return h, nil
}

// tagHeader returns a copy with the pairs in it. It reports false when what the
// caller sent is not an object of strings or has no room.
func tagHeader(h wire.Header, pairs []wire.Pair) (wire.Header, bool) {
	text := h.Get(metadataHeader)
	if text == "" {
		text = "{}"
	}
	text, ok := tagText(text, pairs)
	if !ok || h.Count(metadataHeader) > 1 || len(text) > maxMetadataHeader {
		return nil, false
	}
	out := make(wire.Header, 0, len(h)+1)
	for _, f := range h {
		if !strings.EqualFold(f.Name, metadataHeader) {
			out = append(out, f)
		}
	}
	return append(out, wire.Field{Name: metadataHeader, Value: text}), true
}

// tagText puts the pairs first into an object and leaves the caller's bytes
// alone. A caller's own pair of such a key loses: it would name another's record.
func tagText(text string, pairs []wire.Pair) (string, bool) {
	var all map[string]string
	if err := json.Unmarshal([]byte(text), &all); err != nil || all == nil {
		return "", false
	}
	callers, forged := len(all), false
	var ours strings.Builder
	for i, p := range pairs {
		_, taken := all[p.Key]
		forged = forged || taken
		all[p.Key] = p.Value
		member, err := json.Marshal(p.Value)
		if err != nil {
			return "", false
		}
		if i > 0 {
			ours.WriteByte(',')
		}
		ours.WriteString(`"` + p.Key + `":` + string(member))
	}
	switch {
	case len(all) > maxMetadataPairs:
		return "", false
	case forged:
		b, err := json.Marshal(all)
		return string(b), err == nil
	case callers > 0:
		ours.WriteByte(',')
	}
	brace := strings.IndexByte(text, '{') + 1
	return text[:brace] + ours.String() + text[brace:], true
}
