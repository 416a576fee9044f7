package wire

import (
	"cmp"
	"encoding/hex"
	"slices"
	"strings"
)

// Field is one header field as it was on the wire.
type Field struct{ Name, Value string }

// Header is the header fields of one message in their order on the wire.
// Names keep their spelling; look-ups ignore case. The zero value is empty.
type Header []Field

// Get returns the value of the first field called name, or "".
func (h Header) Get(name string) string {
	for _, f := range h {
		if strings.EqualFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}

// Count returns how many fields are called name.
func (h Header) Count(name string) int {
	n := 0
	for _, f := range h {
		if strings.EqualFold(f.Name, name) {
			n++
		}
	}
	return n
}

// NameIn reports whether a field's name is one of names, in whatever case.
func NameIn(name string, names []string) bool {
	for _, n := range names {
		if len(n) == len(name) && strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}

// HasPrefixFold reports whether s, such as a field's name, begins with prefix, in
// whatever case.
func HasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// DescribesAnswer reports whether a field of an upstream's answer speaks of the answer, and not of the connection that
// it came over.
func DescribesAnswer(name string) bool {
	return strings.EqualFold(name, "content-type") || strings.EqualFold(name, "retry-after") ||
		strings.EqualFold(name, "content-encoding") ||
		HasPrefixFold(name, "x-amzn-") || HasPrefixFold(name, "x-amz-")
}

// AnswerFault says what keeps an answer from being a success by its head, "" for
// nothing. Errors speak for themselves. frames is whether its body is an event stream,
// and known whether the model's family always answers in JSON.
func AnswerFault(op Operation, known bool, status int, h Header, frames bool) string {
	media := MediaType(h)
	switch {
	case status < 200 || status >= 400:
		return ""
	case status >= 300:
		return "a redirect"
	case status > 202:
		return "a status that no operation has"
	case !strings.EqualFold(cmp.Or(h.Get("content-encoding"), "identity"), "identity"):
		return "encoded, though that was not asked for"
	case op.Streams() && !frames:
		return "not an event stream"
	case frames && !op.Streams():
		return "an event stream, though none was asked for"
	case frames || mustBeJSON(media) && !isMarkup(media):
		return ""
	case op == OpInvoke && !known && !strings.HasPrefix(media, "text/") && !isMarkup(media):
		return "" // of a model that is asked for pictures or sound
	}
	return "of a content type that no operation has"
}

// MediaType is the content type without its parameters, in lower case.
func MediaType(h Header) string {
	media, _, _ := strings.Cut(h.Get("content-type"), ";")
	return strings.ToLower(strings.TrimSpace(media))
}

// mustBeJSON reports whether a body is JSON by its media type, or whether that says nothing.
func mustBeJSON(media string) bool {
	return media == "" || media == "text/plain" || media == "application/octet-stream" || strings.Contains(media, "json")
}

func isMarkup(media string) bool {
	return strings.Contains(media, "html") || strings.Contains(media, "xml") || strings.HasPrefix(media, "multipart/")
}

// AppendHeader splits a header block, of which each line ends in CR LF, into
// fields whose strings share its memory; an empty line ends it. It refuses, as
// KindValidation, what parsers are known to read differently: folded lines, bare
// line feeds, control bytes, and names with anything but token characters.
func AppendHeader(header Header, block string) (Header, *Error) {
	header = slices.Grow(header, strings.Count(block, "\n"))
	for block != "" {
		line, rest, ok := strings.Cut(block, "\n")
		if !ok || !strings.HasSuffix(line, "\r") {
			return nil, Errorf(KindValidation, "A header line does not end in CR LF.")
		}
		if line == "\r" {
			break
		}
		name, value, ok := strings.Cut(line[:len(line)-1], ":")
		if !ok || !IsToken(name) {
			return nil, Errorf(KindValidation, "A header field's name is not valid.")
		}
		value = strings.Trim(value, " \t")
		if !IsFieldValue(value) {
			return nil, Errorf(KindValidation, "A header field's value is not valid.")
		}
		header = append(header, Field{name, value})
		block = rest
	}
	return header, nil
}

// IsToken reports whether s is a token, such as a field's name (RFC 9110, 5.6.2).
func IsToken(s string) bool { return s != "" && tokenBytes.hold(s) }

// IsLowerToken reports whether s is a token without upper-case letters.
func IsLowerToken(s string) bool { return s != "" && lowerTokenBytes.hold(s) }

// IsFieldValue reports whether s may be a field's value: it has no control bytes
// but tabs (RFC 9110, 5.5).
func IsFieldValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// ValidTarget reports whether s holds only what RFC 3986 allows in a path and a
// query, with every escape complete. A fragment is not allowed: by the rules it
// never reaches a server.
func ValidTarget(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			if !targetBytes[s[i]] {
				return false
			}
			continue
		}
		if _, ok := Unescape(s[i:]); !ok {
			return false
		}
		i += 2
	}
	return true
}

type byteSet [256]bool

var (
	tokenBytes      = setOf(func(c byte) bool { return Unreserved(c) || strings.IndexByte("!#$%&'*+^`|", c) >= 0 })
	lowerTokenBytes = setOf(func(c byte) bool { return tokenBytes[c] && (c < 'A' || c > 'Z') })
	targetBytes     = setOf(func(c byte) bool { return Unreserved(c) || strings.IndexByte(":@!$&'()*+,;=/?", c) >= 0 })
)

func setOf(member func(byte) bool) (set byteSet) {
	for c := range set {
		set[c] = member(byte(c))
	}
	return set
}

// hold reports whether the set has all bytes of s.
func (set *byteSet) hold(s string) bool {
	for i := range len(s) {
		if !set[s[i]] {
			return false
		}
	}
	return true
}

// Unreserved reports whether c never needs an escape in a URI (RFC 3986, 2.3).
func Unreserved(c byte) bool {
	return c-'0' <= 9 || (c|0x20)-'a' <= 'z'-'a' || c == '-' || c == '.' || c == '_' || c == '~'
}

// Unescape reads the %XX that s begins with, and reports whether there is one.
func Unescape(s string) (c byte, ok bool) {
	if len(s) < 3 || s[0] != '%' {
		return 0, false
	}
	var b [1]byte
	_, err := hex.Decode(b[:], []byte(s[1:3]))
	return b[0], err == nil
}

// AppendEscaped appends c, as %XX in upper case unless it is unreserved.
func AppendEscaped(dst []byte, c byte) []byte {
	const digits = "0123456789ABCDEF"
	if Unreserved(c) {
		return append(dst, c)
	}
	return append(dst, '%', digits[c>>4], digits[c&15])
}
