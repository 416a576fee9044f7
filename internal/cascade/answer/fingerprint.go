package answer

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-gateway/sluice/internal/cascade/value"
)

// Hash names the form that a request demands of its answer: the schema of
// structured output, and the tools with the schemas of their arguments. It is
// "" for a request for free text. The order of members and of tools, spaces and
// 10 for 10.0 do not change it. A schema that is not JSON counts as the bytes
// that it is. A nil *Schemas hashes too, and remembers nothing.
func (s *Schemas) Hash(r *Request) string {
	if r.Schema == nil && len(r.Tools) == 0 {
		return ""
	}
	if s == nil {
		return hashForm(r)
	}
	raw := make([]string, 0, 1+3*len(r.Tools))
	for _, t := range r.Tools {
		raw = append(raw, t.Name, string(t.Schema), string(t.Other))
	}
	key := []byte(joined(append(raw, string(r.Schema))...))
	return s.hashes.of(key, maxSchemas, func([]byte) string { return hashForm(r) })
}

func hashForm(r *Request) string {
	tools := make([]string, 0, len(r.Tools))
	for _, t := range r.Tools {
		tools = append(tools, joined(t.Name, exact(t.Schema), exact(t.Other)))
	}
	slices.Sort(tools)
	sum := sha256.Sum256([]byte(joined(append(tools, exact(r.Schema))...)))
	return hex.EncodeToString(sum[:16])
}

// exact is a document in its canonical form, or as it is when it is none.
func exact(doc []byte) string {
	if text, ok := value.ExactJSON(string(doc)); ok {
		return text
	}
	return string(doc)
}

// joined concatenates texts so that no two lists give the same.
func joined(texts ...string) string {
	var b strings.Builder
	for _, t := range texts {
		b.WriteString(strconv.Itoa(len(t)))
		b.WriteByte(':')
		b.WriteString(t)
	}
	return b.String()
}
