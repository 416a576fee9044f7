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

// head is a request's head as it was on the wire, before it has been checked.
type head struct {
	http2     bool
	proto     string // HTTP/1.0, HTTP/1.1; not looked at for HTTP/2
	method    string
	target    string
	authority string // Host field, or :authority
	header    wire.Header
	maxBody   int64
	counts    headCounts
	length    int64          // announced, -1 when nothing was
	room      [24]wire.Field // of most headers
}

// Fields that decide how a request is framed and who sent it.
const (
	fieldHost = iota
	fieldAuthorization
	fieldContentLength
	fieldTransferEncoding
	fieldContentEncoding
	decidingFields // how many there are
)

var fieldNames = [decidingFields]string{
	"host", "authorization", "content-length", "transfer-encoding", "content-encoding",
}

// headCounts is how often each of those fields was sent, and its last value.
type headCounts [decidingFields]struct {
	n     int
	value string
}

// count counts the fields in one pass.
func (c *headCounts) count(h wire.Header) {
	for _, f := range h {
		for i, name := range fieldNames {
			if len(f.Name) == len(name) && strings.EqualFold(f.Name, name) {
				c[i].n++
				c[i].value = f.Value
			}
		}
	}
}

func (h *head) hasBody() bool { return h.length > 0 || h.counts[fieldTransferEncoding].n > 0 }

// refusal is something that a strict server does not accept although the HTTP
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
	{"length and encoding", func(h *head) bool {
		return h.counts[fieldContentLength].n > 0 && h.counts[fieldTransferEncoding].n > 0
	}, wire.KindValidation, "Content-Length and Transfer-Encoding cannot be used together."},
	{"transfer encoding", func(h *head) bool {
		coding := h.counts[fieldTransferEncoding]
		chunked := strings.EqualFold(coding.value, "chunked") && h.proto == "HTTP/1.1" && !h.http2
		return coding.n > 1 || coding.n == 1 && !chunked
	}, wire.KindValidation, "The only supported Transfer-Encoding is chunked, over HTTP/1.1."},
	{"length", func(h *head) bool {
		n := h.counts[fieldContentLength].n
		return n > 1 || n == 1 && h.length < 0
	}, wire.KindValidation, "There must be one Content-Length, and it must be a number."},
	{"no host", func(h *head) bool { return h.authority == "" || !h.http2 && h.counts[fieldHost].n != 1 },
		wire.KindValidation, "The request must name one host."},
	{"host differs", func(h *head) bool {
		host := h.counts[fieldHost]
		return h.http2 && (host.n > 1 || host.n == 1 && host.value != h.authority)
	}, wire.KindValidation, "The host field and :authority differ."},
	{"bad host", func(h *head) bool { return !validAuthority(h.authority) },
		wire.KindValidation, "The host is not valid."},

	{"target form", func(h *head) bool { return !strings.HasPrefix(h.target, "/") },
		wire.KindValidation, "The request target must be a path."},
	{"target size", func(h *head) bool { return len(h.target) > maxTargetBytes },
		wire.KindHeaderTooLarge, "The request target is longer than 8 KB."},
	{"target bytes", func(h *head) bool { return !wire.ValidTarget(h.target) },
		wire.KindValidation, "The request target holds a byte that must be percent-encoded, a fragment, or a broken escape."},
	{"method", func(h *head) bool { return !methods[h.method] },
		wire.KindMethodNotAllowed, "This method is not supported."},

	{"fields", func(h *head) bool { return len(h.header) > maxHeaderFields },
		wire.KindHeaderTooLarge, "The request has more than 200 header fields."},
	{"two credentials", func(h *head) bool { return h.counts[fieldAuthorization].n > 1 },
		wire.KindValidation, "The request has more than one Authorization field."},
	{"content encoding", func(h *head) bool { return h.counts[fieldContentEncoding].n > 0 },
		wire.KindUnsupportedMedia, "Request bodies must not be compressed: Content-Encoding is not supported."},
	{"body where none belongs", func(h *head) bool { return (h.method == "GET" || h.method == "HEAD") && h.hasBody() },
		wire.KindValidation, "A GET request must not have a body."},
	{"body size", func(h *head) bool { return h.length > h.maxBody },
		wire.KindTooLarge, "The request body is too large."},
}

// methods are those that reach the request line, which knows the method of each
// path. CONNECT and TRACE never do.
var methods = map[string]bool{
	"GET": true, "HEAD": true, "POST": true, "PUT": true, "PATCH": true, "DELETE": true, "OPTIONS": true,
}

// read reads the fields of a request of HTTP/1.1 whose first line is known, and checks all.
func (h *head) read(fields string) *wire.Error {
	header, err := wire.AppendHeader(h.room[:0], fields)
	if err != nil {
		return err
	}
	h.authority = header.Get("host")
	h.header = header // it may lie in h itself
	return h.check()
}

// check completes h and returns the first refusal that applies, or nil.
func (h *head) check() *wire.Error {
	h.counts.count(h.header)
	h.length = -1
	if length := h.counts[fieldContentLength]; length.n == 1 {
		if n, err := strconv.ParseUint(length.value, 10, 63); err == nil { // digits only
			h.length = int64(n)
		}
	}
	for i := range refusals {
		if r := &refusals[i]; r.applies(h) {
			return &wire.Error{Kind: r.kind, Message: r.message}
		}
	}
	return nil
}

// validAuthority reports whether s may be a host with a port.
func validAuthority(s string) bool {
	for i := range len(s) {
		if !wire.Unreserved(s[i]) && strings.IndexByte(":[]%", s[i]) < 0 {
			return false
		}
	}
	return true
}

// longHeadBytes is what a connection with such a head holds more.
const longHeadBytes = maxHeaderBytes + readBuffer

// longHead notices a head that fills fasthttp's reader, and keeps it: fasthttp gives
// such a head up, and the connection is then served from its beginning with a
// larger reader.
type longHead struct {
	reading bool   // a head, with a reader of readBuffer bytes
	buffer  []byte // the whole memory of that reader
	kept    []byte // the beginning of a head, when the reader is full of it
	tooLong bool   // fasthttp has given up
	roomy   bool   // it is served with a larger reader
	again   []byte // what is left to be read again
}

// note looks at n bytes that were read into b. An empty reader reads to the
// beginning of its memory.
func (h *longHead) note(b []byte, n int) {
	if len(b) == readBuffer {
		h.buffer = b
	}
	if n > 0 && n == len(b) && h.buffer != nil && !bytes.Contains(h.buffer, []byte("\r\n\r\n")) {
		h.kept = append(h.kept[:0], h.buffer...)
	}
}
