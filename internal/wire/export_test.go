package wire

import "github.com/sluice-gateway/sluice/internal/wire/jsonscan"

// DialectNames returns the names of all dialects.
func DialectNames() []string {
	names := make([]string, len(dialects))
	for i, d := range dialects {
		names[i] = d.Name
	}
	return names
}

// Metadatas calls yield for each pair of Converse's requestMetadata in body.
func (f *Facts) Metadatas(body []byte, yield func(key, value string)) {
	for key, value := range f.metadata(body) {
		if value.Present() {
			yield(key, string(jsonscan.AppendString(nil, body[value.Start:value.End])))
		}
	}
}

// EveryCap is every member that any family obeys as its output cap.
func EveryCap() []string { return everyCap }

// LimitOf returns what Limit fills in.
func (f *Facts) LimitOf(c Cap) (Limit, *Error) {
	var l Limit
	err := f.Limit(c, &l)
	return l, err
}
