package server

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/sluice-gateway/sluice/internal/wire"
)

const (
	maxHeaderBytes  = 64 << 10
	maxHeaderFields = 200
	maxTargetBytes  = 8 << 10
	// unreadLimit is how many bytes of an unread body are worth draining to keep
	// a connection.
	unreadLimit = 64 << 10
)

// head is a request's head as it stood on the wire, before anything is believed
// of it.
type head struct {
	http2     bool
	proto     string // HTTP/1.0, HTTP/1.1; not looked at for HTTP/2
	method    string
	target    string
	authority string // Host field, or :authority
	header    wire.Header
	maxBody   int64
	counts    headCounts
	length    int64 // announced, -1 when nothing was
}

// headCounts is what one pass over the fields finds of those that decide how a
// request is framed and who sent it.
type headCounts struct {
	host, authorization, contentLength, transferEncoding, contentEncoding int

	contentLengthValue, transferEncodingValue, hostValue string
}

func (h *head) hasBody() bool { return h.length > 0 || h.counts.transferEncoding > 0 }

// refusal is one thing that a strict server does not accept although the HTTP
// parsers below it do, or may in some version.
type refusal struct {
	name    string
	applies func(*head) bool
	kind    wire.Kind
	message string
}

// refusals are tried in order; the first that applies is the answer. The first
// group is about framing: a request that two servers could read differently is
// never passed on. Sources: RFC 9110, RFC 9112, RFC 9113 section 8, and the
// published request-smuggling cases against other proxies.
var refusals = []refusal{
	{"version", func(h *head) bool {
		return !h.http2 && h.proto != "HTTP/1.1" && h.proto != "HTTP/1.0"
	}, wire.KindVersion, "This HTTP version is not supported."},
	{"length and encoding", func(h *head) bool { return h.counts.contentLength > 0 && h.counts.transferEncoding > 0 },
		wire.KindValidation, "Content-Length and Transfer-Encoding cannot stand together."},
	{"transfer encoding", func(h *head) bool {
		c := &h.counts
		return c.transferEncoding > 1 || c.transferEncoding == 1 && (h.http2 || h.proto != "HTTP/1.1" || !strings.EqualFold(c.transferEncodingValue, "chunked"))
	}, wire.KindValidation, "The only supported Transfer-Encoding is chunked, over HTTP/1.1."},
	{"length", func(h *head) bool { return h.counts.contentLength > 1 || h.counts.contentLength == 1 && h.length < 0 },
		wire.KindValidation, "Content-Length must stand once and be a number."},
	{"no host", func(h *head) bool { return h.authority == "" || !h.http2 && h.counts.host != 1 },
		wire.KindValidation, "The request must name one host."},
	{"host differs", func(h *head) bool {
		return h.http2 && (h.counts.host > 1 || h.counts.host == 1 && h.counts.hostValue != h.authority)
	}, wire.KindValidation, "The host field and :authority differ."},
	{"bad host", func(h *head) bool { return !all(h.authority, authorityByte) },
		wire.KindValidation, "The host is not valid."},

	{"target form", func(h *head) bool { return !strings.HasPrefix(h.target, "/") },
		wire.KindValidation, "The request target must be a path."},
	{"target size", func(h *head) bool { return len(h.target) > maxTargetBytes },
		wire.KindHeaderTooLarge, "The request target is longer than 8 KB."},
	{"target bytes", func(h *head) bool { return !validTarget(h.target) },
		wire.KindValidation, "The request target holds a byte that must be percent-encoded, a fragment, or a broken escape."},
	{"method", func(h *head) bool { return !methods[h.method] },
		wire.KindMethodNotAllowed, "This method is not supported."},

	{"fields", func(h *head) bool { return len(h.header) > maxHeaderFields },
		wire.KindHeaderTooLarge, "The request has more than 200 header fields."},
	{"two credentials", func(h *head) bool { return h.counts.authorization > 1 },
		wire.KindValidation, "The request has more than one Authorization field."},
	{"content encoding", func(h *head) bool { return h.counts.contentEncoding > 0 },
		wire.KindUnsupportedMedia, "Request bodies must not be compressed: Content-Encoding is not supported."},
	{"body where none belongs", func(h *head) bool { return (h.method == "GET" || h.method == "HEAD") && h.hasBody() },
		wire.KindValidation, "A GET request must not have a body."},
	{"body size", func(h *head) bool { return h.length > h.maxBody },
		wire.KindTooLarge, "The request body is too large."},
}

// methods are those that reach the line, which knows what each path takes.
// CONNECT and TRACE never do.
var methods = map[string]bool{"GET": true, "HEAD": true, "POST": true, "PUT": true, "PATCH": true, "DELETE": true, "OPTIONS": true}

// check completes h and returns the first refusal that applies, or nil.
func (h *head) check() *wire.Error {
	h.count()
	h.length = -1
	if h.counts.contentLength == 1 {
		if n, ok := parseLength(h.counts.contentLengthValue); ok {
			h.length = n
		}
	}
	for i := range refusals {
		if r := &refusals[i]; r.applies(h) {
			return &wire.Error{Kind: r.kind, Message: r.message}
		}
	}
	return nil
}

func (h *head) count() {
	c := &h.counts
	for _, f := range h.header {
		switch len(f.Name) {
		case len("host"):
			if strings.EqualFold(f.Name, "host") {
				c.host++
				c.hostValue = f.Value
			}
		case len("authorization"):
			if strings.EqualFold(f.Name, "authorization") {
				c.authorization++
			}
		case len("content-length"):
			if strings.EqualFold(f.Name, "content-length") {
				c.contentLength++
				c.contentLengthValue = f.Value
			}
		case len("content-encoding"):
			if strings.EqualFold(f.Name, "content-encoding") {
				c.contentEncoding++
			}
		case len("transfer-encoding"):
			if strings.EqualFold(f.Name, "transfer-encoding") {
				c.transferEncoding++
				c.transferEncodingValue = f.Value
			}
		}
	}
}

// parseLength takes digits only: no sign, no space, no list.
func parseLength(s string) (n int64, ok bool) {
	if !all(s, func(b byte) bool { return '0' <= b && b <= '9' }) {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// parseHeader splits a raw header block into fields whose strings share one
// copy. It refuses what parsers are known to read differently: folded lines,
// bare line feeds, and names with anything but token characters.
func parseHeader(block []byte) (wire.Header, *wire.Error) {
	text := string(block)
	header := make(wire.Header, 0, bytes.Count(block, []byte{'\n'}))
	for text != "" {
		line, rest, ok := strings.Cut(text, "\n")
		text = rest
		if !ok || !strings.HasSuffix(line, "\r") {
			return nil, wire.Errorf(wire.KindValidation, "A header line does not end in CR LF.")
		}
		line = line[:len(line)-1]
		if line == "" {
			break
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || name == "" || !all(name, tokenByte) {
			return nil, wire.Errorf(wire.KindValidation, "A header field's name is not valid.")
		}
		value = strings.Trim(value, " \t")
		if !all(value, valueByte) {
			return nil, wire.Errorf(wire.KindValidation, "A header field's value is not valid.")
		}
		header = append(header, wire.Field{Name: name, Value: value})
	}
	return header, nil
}

// validTarget accepts path and query bytes of RFC 3986 and whole escapes. A
// fragment never reaches a server by the rules, so it is refused as well.
func validTarget(s string) bool {
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '%':
			if i+2 >= len(s) || !hexByte(s[i+1]) || !hexByte(s[i+2]) {
				return false
			}
			i += 2
		case !targetByte(s[i]):
			return false
		}
	}
	return true
}

func all(s string, valid func(byte) bool) bool {
	for i := range len(s) {
		if !valid(s[i]) {
			return false
		}
	}
	return true
}

// byteSet is a set of ASCII bytes.
type byteSet [256]bool

func setOf(members string) (set byteSet) {
	for i := range len(members) {
		set[members[i]] = true
	}
	return set
}

const (
	letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits  = "0123456789"
)

var (
	tokens      = setOf(letters + digits + "!#$%&'*+-.^_`|~")
	targets     = setOf(letters + digits + "-._~:@!$&'()*+,;=/?")
	authorities = setOf(letters + digits + "-._~:[]%")
)

func tokenByte(b byte) bool     { return tokens[b] }
func targetByte(b byte) bool    { return targets[b] }
func authorityByte(b byte) bool { return authorities[b] }
func valueByte(b byte) bool     { return b >= ' ' && b != 0x7f || b == '\t' }

func hexByte(b byte) bool {
	return '0' <= b && b <= '9' || 'a' <= b|0x20 && b|0x20 <= 'f'
}
