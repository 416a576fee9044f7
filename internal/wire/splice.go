package wire

import (
	"cmp"
	"slices"

	"github.com/sluice-gateway/sluice/internal/wire/jsonscan"
)

// Splice replaces the bytes [Start, End) of a body by Text. Start equal to End
// inserts.
type Splice struct {
	Start, End int
	Text       []byte
}

// ApplySplices appends body with the splices done. They refer to body as it is
// and may come in any order but must not overlap; the slice gets sorted. Members
// inserted at one point of an empty object get their comma here, because each
// was made without knowing of the other.
func ApplySplices(dst, body []byte, splices []Splice) []byte {
	slices.SortStableFunc(splices, func(a, b Splice) int { return cmp.Compare(a.Start, b.Start) })
	at := 0
	for i, s := range splices {
		dst = append(dst, body[at:s.Start]...)
		joined := i > 0 && s.Start == s.End && splices[i-1].Start == s.Start && splices[i-1].End == s.Start
		if joined && len(dst) > 0 && dst[len(dst)-1] != ',' {
			dst = append(dst, ',')
		}
		dst = append(dst, s.Text...)
		at = s.End
	}
	return append(dst, body[at:]...)
}

// insert puts member, `"name":value` without a comma, first into o.
func (o object) insert(member []byte) Splice {
	if !o.empty {
		member = append(member, ',')
	}
	return Splice{o.Start + 1, o.Start + 1, member}
}

// ModelSplice makes the body name model, and reports false when the body names
// none.
func (f *Facts) ModelSplice(model string) (Splice, bool) {
	if !f.BodyModel.Present() {
		return Splice{}, false
	}
	return Splice{f.BodyModel.Start, f.BodyModel.End, appendJSONString(nil, model)}, true
}

// maxMetadata is how many pairs requestMetadata may have (service model).
const maxMetadata = 16

// MetadataSplice puts a pair into Converse's requestMetadata; a pair of the
// same key is replaced. It reports false for other operations and when there is
// no room for another pair. body must be the one that f was read from.
func (f *Facts) MetadataSplice(body []byte, key, value string) (Splice, bool) {
	if f.Op != OpConverse && f.Op != OpConverseStream || !f.at.root.Present() {
		return Splice{}, false
	}
	member := appendJSONString(append(appendJSONString(nil, key), ':'), value)
	if !f.Metadata.Present() {
		if f.at.metadataOther {
			return Splice{}, false
		}
		return f.at.root.insert(slices.Concat([]byte(`"requestMetadata":{`), member, []byte("}"))), true
	}
	old, pairs := f.metadataValue(body, key)
	switch {
	case old.Present():
		return Splice{old.Start, old.End, appendJSONString(nil, value)}, true
	case pairs >= maxMetadata:
		return Splice{}, false
	}
	return object{Span: f.Metadata, empty: pairs == 0}.insert(member), true
}

// metadataValue finds the value of key in requestMetadata and counts the pairs.
func (f *Facts) metadataValue(body []byte, key string) (value Span, pairs int) {
	var s jsonscan.Scanner
	start := f.Metadata.Start
	s.Reset(body[start:f.Metadata.End])
	hit := false
	for t := s.Next(); t.Kind != jsonscan.End && t.Kind != jsonscan.Invalid; t = s.Next() {
		switch {
		case t.Kind == jsonscan.Key && s.Depth() == 1:
			pairs++
			hit = string(jsonscan.AppendString(nil, body[start+t.Start:start+t.End])) == key
		case hit && t.Kind == jsonscan.String && s.Depth() == 1:
			value, hit = Span{start + t.Start, start + t.End}, false
		}
	}
	return value, pairs
}
