package wire

import (
	"cmp"
	"fmt"
	"iter"
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
// was made on its own.
func ApplySplices(dst, body []byte, splices []Splice) []byte {
	var room [16][]byte
	parts := AppendParts(room[:0], body, splices)
	size := 0
	for _, part := range parts {
		size += len(part)
	}
	dst = slices.Grow(dst, size)
	for _, part := range parts {
		dst = append(dst, part...)
	}
	return dst
}

// AppendParts appends the parts, one after the other, of body with the splices done, as
// ApplySplices does them, without a copy of either.
func AppendParts(parts [][]byte, body []byte, splices []Splice) [][]byte {
	slices.SortStableFunc(splices, func(a, b Splice) int { return cmp.Compare(a.Start, b.Start) })
	at, last := 0, byte(',')
	add := func(part []byte) {
		if len(part) > 0 {
			parts, last = append(parts, part), part[len(part)-1]
		}
	}
	for i, s := range splices {
		add(body[at:s.Start])
		joined := i > 0 && s.Start == s.End && splices[i-1].Start == s.Start && splices[i-1].End == s.Start
		if joined && last != ',' {
			add([]byte(","))
		}
		add(s.Text)
		at = s.End
	}
	add(body[at:])
	return parts
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
	return Splice{f.BodyModel.Start, f.BodyModel.End, AppendJSONString(nil, model)}, true
}

// AskTier has a request that names no service tier ask for one: in the header of InvokeModel, in the body elsewhere. It
// reports false for bodies that have no room for it.
func AskTier(f *Facts, tier string) (header Field, body Splice, ok bool) {
	switch {
	case f.TierNamed:
		return Field{}, Splice{}, false
	case f.Op.IsInvoke():
		return Field{Name: headerTier, Value: tier}, Splice{}, true
	case !f.at.root.Present() || !f.Op.IsConverse() && !f.Op.IsOpenAI():
		return Field{}, Splice{}, false
	case f.Op.IsConverse():
		return Field{}, f.at.root.insert(fmt.Appendf(nil, `"serviceTier":{"type":%q}`, tier)), true
	}
	return Field{}, f.at.root.insert(fmt.Appendf(nil, `"service_tier":%q`, tier)), true
}

// maxMetadata is how many pairs requestMetadata may have (service model).
const maxMetadata = 16

// Pair is one entry of request metadata.
type Pair struct{ Key, Value string }

// MetadataSplices put pairs of different keys into Converse's requestMetadata and
// replace the value of a key that it has. It reports false for other operations
// and when there is no room for all. body must be the one that f was read from.
func (f *Facts) MetadataSplices(body []byte, pairs ...Pair) ([]Splice, bool) {
	if !f.Op.IsConverse() || !f.at.root.Present() || !f.Metadata.Present() && f.at.metadataOther {
		return nil, false
	}
	old := map[string]Span{}
	there := 0
	for key, value := range f.metadata(body) {
		there++
		if value.Present() {
			old[key] = value
		}
	}
	var splices []Splice
	var members []byte
	for _, p := range pairs {
		if value := old[p.Key]; value.Present() {
			splices = append(splices, Splice{value.Start, value.End, AppendJSONString(nil, p.Value)})
			continue
		}
		if len(members) > 0 {
			members = append(members, ',')
		}
		members = AppendJSONString(append(AppendJSONString(members, p.Key), ':'), p.Value)
	}
	if there+len(pairs)-len(splices) > maxMetadata {
		return nil, false
	}
	switch {
	case len(members) == 0:
	case f.Metadata.Present():
		splices = append(splices, object{Span: f.Metadata, empty: there == 0}.insert(members))
	default:
		splices = append(splices, f.at.root.insert(slices.Concat([]byte(`"requestMetadata":{`), members, []byte("}"))))
	}
	return splices, true
}

// MetadataValue is the value of a key of Converse's requestMetadata, "" without one.
// body must be the one that f was read from.
func (f *Facts) MetadataValue(body []byte, name string) string {
	for key, value := range f.metadata(body) {
		if key == name && value.Present() {
			return string(jsonscan.AppendString(nil, body[value.Start:value.End]))
		}
	}
	return ""
}

// User is whom the body says that it is for, "" when it does not. body must be the
// one that f was read from.
func (f *Facts) User(body []byte) string {
	return string(jsonscan.AppendString(nil, body[f.UserSpan.Start:f.UserSpan.End]))
}

// metadata returns the members of Converse's requestMetadata with the place of
// each value, which is absent when it is not a string.
func (f *Facts) metadata(body []byte) iter.Seq2[string, Span] {
	return func(yield func(string, Span) bool) {
		if !f.Metadata.Present() {
			return
		}
		start := f.Metadata.Start
		var s jsonscan.Scanner
		s.Reset(body[start:f.Metadata.End])
		for t := s.Next(); t.Kind != jsonscan.End && t.Kind != jsonscan.Invalid; t = s.Next() {
			if t.Kind != jsonscan.Key || s.Depth() != 1 {
				continue
			}
			key := string(jsonscan.AppendString(nil, body[start+t.Start:start+t.End]))
			value := Span{}
			if t = s.Next(); t.Kind == jsonscan.String {
				value = Span{start + t.Start, start + t.End}
			}
			if !yield(key, value) {
				return
			}
		}
	}
}
