package converse

import (
	"slices"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/caller"
	"github.com/sluice-gateway/sluice/internal/wire/capability"
	"github.com/sluice-gateway/sluice/internal/wire/jsontree"
)

// Settings are what a request says beside its conversation. Its fields may be set at any time before Append.
type Settings struct {
	Model capability.Model
	// Inference, Extra and Rest are members, each `"name":value`, of inferenceConfig, of additionalModelRequestFields,
	// and of the body itself.
	Inference, Extra, Rest Members
	// Metadata are the pairs of requestMetadata.
	Metadata Members
	// MaxTokens is the cap on the output, 0 for none.
	MaxTokens int64
	// Thinking is whether the model reasons before it answers: it takes no sampling then, and tells how much it was.
	Thinking bool
	// Choice is toolConfig's toolChoice, nil for none.
	Choice []byte

	pairs   int // of requestMetadata
	sampled bool
}

// Samples reports whether the model takes one more parameter of sampling, of the value f. Where it does not, the
// parameter is dropped; 1 is what models do by themselves, and says nothing.
func (b *Settings) Samples(in *caller.Reading, v jsontree.Value, f float64) bool {
	how := b.Model.Sampling
	if b.Thinking || how == capability.SamplingNone || how == capability.SamplingOne && b.sampled {
		if f != 1 {
			in.Drop(v)
		}
		return false
	}
	return true
}

// Temperature adds the first parameter of sampling: a number.
func (b *Settings) Temperature(v []byte) {
	b.sampled = true
	b.Inference.Add("temperature", v)
}

// TopK adds top_k, a number, in the family's own place. It reports false when there is none.
func (b *Settings) TopK(v []byte) bool {
	switch place := b.Model.TopK; place {
	case "":
		return false
	case "inferenceConfig.topK":
		b.Extra.Add("inferenceConfig", slices.Concat([]byte(`{"topK":`), v, []byte(`}`)))
	default:
		b.Extra.Add(place, v)
	}
	return true
}

// BindTo binds the answer to a JSON schema, where the model has capability.SchemaNative. name and description are JSON
// strings; description may be nil.
func (b *Settings) BindTo(schema, name, description []byte) {
	out := []byte(`{"textFormat":{"type":"json_schema","structure":{"jsonSchema":{"schema":`)
	out = wire.AppendJSONString(out, string(schema))
	out = append(append(out, `,"name":`...), name...)
	out = appendMember(out, `,"description":`, description, ``)
	b.Rest.Add("outputConfig", append(out, `}}}}`...))
}

// Bounds of requestMetadata (service model).
const (
	maxPairs = 16
	maxPair  = 256 // bytes of a key or a value
)

// Pair adds a pair of requestMetadata, with the letters that it takes. It reports false when there is no key, or no
// room for one more.
func (b *Settings) Pair(key, value string) bool {
	if key == "" || b.pairs == maxPairs {
		return false
	}
	b.pairs++
	b.Metadata.Add(metadataText(key), wire.AppendJSONString(nil, metadataText(value)))
	return true
}

// metadataText makes a text one that requestMetadata takes (service model, RequestMetadataKeyString).
func metadataText(s string) string {
	out := []byte(s[:min(len(s), maxPair)])
	for i, c := range out {
		if !plain(c, " \t\n\r:_@$#=/+,-.") {
			out[i] = '_'
		}
	}
	return string(out)
}
