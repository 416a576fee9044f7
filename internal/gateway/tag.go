package gateway

import (
	"encoding/json"
	"strings"

	"github.com/sluice-gateway/sluice/internal/meter"
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

// tag puts a record's id into the request metadata of one attempt, so that
// Bedrock's invocation log names it (upstream.tag_requests). For Converse that
// is a splice of body, the caller's body that f was read from; for InvokeModel
// the header comes back with it. What the caller put there stays. Without room,
// or for other operations, nothing changes and the call goes untagged.
func tag(f *wire.Facts, body []byte, h wire.Header, id string) (wire.Header, []wire.Splice) {
	switch f.Op {
	case wire.OpConverse, wire.OpConverseStream:
		if s, ok := f.MetadataSplice(body, meter.TagKey, id); ok {
			return h, []wire.Splice{s}
		}
	case wire.OpInvoke, wire.OpInvokeStream:
		return tagHeader(h, id), nil
	}
	return h, nil
}

// tagHeader returns a copy with the id in it, or h itself when what the caller
// sent is not an object of strings or has no room.
func tagHeader(h wire.Header, id string) wire.Header {
	text := h.Get(metadataHeader)
	if text == "" {
		text = "{}"
	}
	text, ok := tagText(text, id)
	if !ok || h.Count(metadataHeader) > 1 || len(text) > maxMetadataHeader {
		return h
	}
	out := make(wire.Header, 0, len(h)+1)
	for _, f := range h {
		if !strings.EqualFold(f.Name, metadataHeader) {
			out = append(out, f)
		}
	}
	return append(out, wire.Field{Name: metadataHeader, Value: text})
}

// tagText puts the id first into an object and leaves the caller's bytes alone.
// A caller's own pair of that key loses: it would name another's record.
func tagText(text, id string) (string, bool) {
	var pairs map[string]string
	if err := json.Unmarshal([]byte(text), &pairs); err != nil || pairs == nil || len(pairs) >= maxMetadataPairs {
		return "", false
	}
	if _, taken := pairs[meter.TagKey]; taken {
		pairs[meter.TagKey] = id
		b, err := json.Marshal(pairs)
		return string(b), err == nil
	}
	member := `"` + meter.TagKey + `":"` + id + `"`
	if len(pairs) > 0 {
		member += ","
	}
	brace := strings.IndexByte(text, '{') + 1
	return text[:brace] + member + text[brace:], true
}
