package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/internal/wire"
)

const (
	algorithm   = "AWS4-HMAC-SHA256"
	terminator  = "aws4_request"
	stampLayout = "20060102T150405Z"
	dayLength   = len("20060102")

	fieldAuthorization = "authorization"
	fieldDate          = "x-amz-date"
	fieldToken         = "x-amz-security-token"
	fieldBodyHash      = "x-amz-content-sha256"
	ownPrefix          = "x-amz-" // of the fields and parameters that belong to a signature

	nameHost      = "host"
	nameAuthority = ":authority"
)

// Request is what a signature covers.
type Request struct {
	Method string
	// Path is the path as on the wire, escapes included. Empty means "/".
	Path string
	// Query is the raw query without its question mark.
	Query string
	// Authority is the value of Host, or of :authority over HTTP/2.
	Authority string
	// HTTP2 allows a caller to sign :authority in the place of host.
	HTTP2 bool
	// Header is every other field. For Sign it must hold none of the fields
	// that Sign adds; for Verify it must hold all that arrived, in their order.
	Header wire.Header
	// BodyHash is the SHA-256 of the body.
	BodyHash [sha256.Size]byte
	// SendBodyHash makes Sign add x-amz-content-sha256, which Bedrock does not
	// need. Verify does not look at it.
	SendBodyHash bool
}

// scope is what a signing key is valid for.
type scope struct{ day, region, service string }

func (s scope) appendTo(dst []byte) []byte {
	dst = append(append(dst, s.day...), '/')
	dst = append(append(dst, s.region...), '/')
	dst = append(append(dst, s.service...), '/')
	return append(dst, terminator...)
}

func (s scope) clone() scope {
	return scope{strings.Clone(s.day), strings.Clone(s.region), strings.Clone(s.service)}
}

// key derives the signing key: a chain of HMACs over day, region and service.
func (s scope) key(secret string) [sha256.Size]byte {
	k := mac(append([]byte("AWS4"), secret...), []byte(s.day))
	k = mac(k[:], []byte(s.region))
	k = mac(k[:], []byte(s.service))
	return mac(k[:], []byte(terminator))
}

func mac(key, data []byte) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, key)
	h.Write(data)
	h.Sum(sum[:0])
	return sum
}

// draft is a request with the parts of its signature.
type draft struct {
	req    *Request
	fields wire.Header
	// names are the signed fields: lower case, sorted, each once.
	names []string
	stamp string
	scope scope
}

// appendToSign appends the text that is signed, which names the canonical request
// by its hash. It makes the canonical request in dst's spare room.
func (d *draft) appendToSign(dst []byte) []byte {
	start := len(dst)
	dst = d.appendCanonical(dst)
	sum := sha256.Sum256(dst[start:])
	dst = append(append(dst[:start], algorithm...), '\n')
	dst = append(append(dst, d.stamp...), '\n')
	dst = append(d.scope.appendTo(dst), '\n')
	return hex.AppendEncode(dst, sum[:])
}

// appendCanonical appends the canonical request.
func (d *draft) appendCanonical(dst []byte) []byte {
	dst = append(append(dst, d.req.Method...), '\n')
	dst = append(appendPath(dst, d.req.Path), '\n')
	dst = append(appendQuery(dst, d.req.Query), '\n')
	for _, name := range d.names {
		dst = append(append(dst, name...), ':')
		dst = append(d.appendValues(dst, name), '\n')
	}
	dst = append(dst, '\n')
	dst = append(appendJoined(dst, d.names), '\n')
	return hex.AppendEncode(dst, d.req.BodyHash[:])
}

// appendValues appends the values of all fields called name, in their order on
// the wire, with a comma between.
func (d *draft) appendValues(dst []byte, name string) []byte {
	if name == nameHost || name == nameAuthority {
		return appendValue(dst, d.req.Authority)
	}
	first := true
	for _, f := range d.fields {
		if !strings.EqualFold(f.Name, name) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		dst = appendValue(dst, f.Value)
		first = false
	}
	return dst
}

// appendValue appends a value without the white space around it and with one
// space for each run inside. Line ends count as white space, so a value that
// was folded over several lines reads as one line. The Go SDK keeps inner tabs,
// against the rule and against the other SDKs; here they become a space.
func appendValue(dst []byte, value string) []byte {
	start := len(dst)
	gap := false
	for i := range len(value) {
		if isSpace(value[i]) {
			gap = len(dst) > start
			continue
		}
		if gap {
			dst = append(dst, ' ')
			gap = false
		}
		dst = append(dst, value[i])
	}
	return dst
}

func isSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }

func appendJoined(dst []byte, names []string) []byte {
	for i, name := range names {
		if i > 0 {
			dst = append(dst, ';')
		}
		dst = append(dst, name...)
	}
	return dst
}

func appendPath(dst []byte, path string) []byte {
	if path == "" {
		return append(dst, '/')
	}
	for i := range len(path) {
		if path[i] == '/' {
			dst = append(dst, '/')
			continue
		}
		dst = wire.AppendEscaped(dst, path[i])
	}
	return dst
}

// appendQuery appends the canonical query: each name and value decoded and
// encoded again, so that every spelling of a byte signs the same, then sorted
// in encoded form. A plus is a plus and not a space (RFC 3986).
func appendQuery(dst []byte, query string) []byte {
	if query == "" {
		return dst
	}
	type pair struct{ name, value string }
	var pairs []pair
	for part := range strings.SplitSeq(query, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		pairs = append(pairs, pair{recode(name), recode(value)})
	}
	slices.SortFunc(pairs, func(a, b pair) int {
		if c := strings.Compare(a.name, b.name); c != 0 {
			return c
		}
		return strings.Compare(a.value, b.value)
	})
	for i, p := range pairs {
		if i > 0 {
			dst = append(dst, '&')
		}
		dst = append(append(append(dst, p.name...), '='), p.value...)
	}
	return dst
}

func recode(s string) string {
	out := make([]byte, 0, len(s)+8)
	for i := 0; i < len(s); i++ {
		c := s[i]
		if b, ok := wire.Unescape(s[i:]); ok {
			c = b
			i += 2
		}
		out = wire.AppendEscaped(out, c)
	}
	return string(out)
}
