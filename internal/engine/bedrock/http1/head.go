package http1

import (
	"bufio"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/sluice-gateway/sluice/internal/wire"
)

const (
	maxHead    = 64 << 10 // bytes of one head, or of all trailers
	maxLine    = 16 << 10
	maxFields  = 256
	maxInterim = 8 // 1xx answers before the final one
)

// ours are the fields that describe the connection or the framing. This client
// sets them, so a request must not have its own.
var ours = []string{
	"Host", "Content-Length", "Transfer-Encoding", "Connection", "Keep-Alive",
	"Proxy-Connection", "Proxy-Authorization", "TE", "Trailer", "Upgrade", "Expect",
}

// validate refuses what could change the meaning of the head.
func validate(req *Request) error {
	if !wire.IsToken(req.Method) || !isTarget(req.Target) {
		return errors.New("request line with bytes that it cannot hold")
	}
	for _, f := range req.Header {
		switch {
		case !wire.IsToken(f.Name) || !wire.IsFieldValue(f.Value):
			return fmt.Errorf("header field %q cannot be written", f.Name)
		case wire.NameIn(f.Name, ours):
			return fmt.Errorf("header field %s belongs to the connection", f.Name)
		}
	}
	return nil
}

// appendHead writes the head of a request that validate accepted.
func (c *Client) appendHead(dst []byte, req *Request) []byte {
	dst = append(dst, req.Method...)
	dst = append(dst, ' ')
	if c.forward.yes {
		dst = append(dst, "http://"...)
		dst = append(dst, c.authority...)
	}
	dst = append(dst, req.Target...)
	dst = append(dst, " HTTP/1.1\r\nHost: "...)
	dst = append(dst, c.authority...)
	dst = append(dst, "\r\n"...)
	dst = append(dst, c.forward.authorization...)
	for _, f := range req.Header {
		dst = append(dst, f.Name...)
		dst = append(dst, ": "...)
		dst = append(dst, f.Value...)
		dst = append(dst, "\r\n"...)
	}
	size := len(req.Body)
	for _, part := range req.Parts {
		size += len(part)
	}
	if size > 0 || req.Method != http.MethodGet {
		dst = append(dst, "Content-Length: "...)
		dst = strconv.AppendInt(dst, int64(size), 10)
		dst = append(dst, "\r\n"...)
	}
	return append(dst, "\r\n"...)
}

// keepAlive is whether a connection may be used after its answer.
type keepAlive bool

// head is a status line and the fields after it.
type head struct {
	status    int
	header    wire.Header
	framing   framing
	keepAlive keepAlive
}

// readHead reads one head strictly: CRLF ends each line, no folded lines, no
// space before a colon, no control bytes. Leniency here is how answers are
// smuggled past one of two readers (RFC 9112, 11.2).
//
// The fields are appended to room, which may be nil.
func readHead(r *bufio.Reader, room wire.Header) (head, error) {
	block, err := readBlock(r)
	if err != nil {
		return head{}, err
	}
	line, rest, _ := strings.Cut(block, "\r\n")
	minor, status, err := parseStatusLine(line)
	if err != nil {
		return head{}, err
	}
	header, err := parseFields(room, rest)
	if err != nil {
		return head{}, err
	}
	h := head{status: status, header: header}
	if h.framing, err = framingOf(minor, status, header); err != nil {
		return head{}, err
	}
	h.keepAlive = keepAlive(minor == 1 && h.framing.kind != untilClose && !closes(header))
	return h, nil
}

// readBlock returns the lines before the empty one, each with its CRLF, as one
// string, so that fields need no copies.
func readBlock(r *bufio.Reader) (string, error) {
	block := make([]byte, 0, 1024)
	for {
		line, err := readLine(r)
		if err != nil {
			return "", err
		}
		if len(line) == 0 {
			return string(block), nil
		}
		if block = append(append(block, line...), "\r\n"...); len(block) > maxHead {
			return "", malformed("head too large")
		}
	}
}

// parseStatusLine reads "HTTP/1.x NNN reason"; the reason may be missing.
func parseStatusLine(line string) (minor, status int, err error) {
	const shape = "HTTP/1.x NNN"
	if len(line) < len(shape) || line[:7] != shape[:7] || line[7] != '0' && line[7] != '1' || line[8] != ' ' {
		return 0, 0, malformed("not an HTTP/1 status line")
	}
	code, reason := line[9:len(shape)], line[len(shape):]
	if reason != "" && reason[0] != ' ' || !wire.IsFieldValue(reason) {
		return 0, 0, malformed("bad status line")
	}
	if code[0] < '1' || code[0] > '9' || strings.Trim(code, "0123456789") != "" {
		return 0, 0, malformed("bad status code")
	}
	status, err = strconv.Atoi(code)
	return int(line[7] - '0'), status, err
}

func parseFields(room wire.Header, block string) (wire.Header, error) {
	if strings.Count(block, "\r\n") > maxFields {
		return nil, malformed("too many header fields")
	}
	header, err := wire.AppendHeader(room, block)
	if err != nil {
		return nil, malformed("bad header field")
	}
	return header, nil
}

// bodyKind is how the end of a body is known. A body that lasts until the end
// of the connection cannot be distinguished from one that was cut, not even inside
// TLS (crypto/tls accepts an end without close_notify); Bedrock sends none.
type bodyKind uint8

const (
	sized bodyKind = iota
	chunked
	untilClose
)

// framing is where a body ends; length is for sized ones.
type framing struct {
	kind   bodyKind
	length int64
}

// framingOf applies RFC 9112, 6.3, and refuses what could be read in two ways:
// both length and transfer coding, codings other than chunked, lengths that
// contradict each other.
func framingOf(minor, status int, h wire.Header) (framing, error) {
	codings, lengths := h.Count("Transfer-Encoding"), h.Count("Content-Length")
	if codings > 0 {
		if codings > 1 || lengths > 0 || minor == 0 || !strings.EqualFold(h.Get("Transfer-Encoding"), "chunked") {
			return framing{}, malformed("ambiguous body length")
		}
	}
	length, err := contentLength(h)
	if err != nil {
		return framing{}, err
	}
	switch {
	case status < 200 || status == 204 || status == 304:
		return framing{kind: sized}, nil
	case codings > 0:
		return framing{kind: chunked}, nil
	case lengths > 0:
		return framing{kind: sized, length: length}, nil
	default:
		return framing{kind: untilClose}, nil
	}
}

// contentLength returns the length that all Content-Length fields agree on, 0
// when there is none.
func contentLength(h wire.Header) (int64, error) {
	first := h.Get("Content-Length")
	for _, f := range h {
		if !strings.EqualFold(f.Name, "Content-Length") {
			continue
		}
		if f.Value != first || f.Value == "" || len(f.Value) > 18 || strings.Trim(f.Value, "0123456789") != "" {
			return 0, malformed("bad content length")
		}
	}
	if first == "" {
		return 0, nil
	}
	return strconv.ParseInt(first, 10, 64)
}

// closes reports whether the server ends the connection after this answer.
func closes(h wire.Header) bool {
	for _, f := range h {
		if !strings.EqualFold(f.Name, "Connection") {
			continue
		}
		for option := range strings.SplitSeq(f.Value, ",") {
			if strings.EqualFold(strings.Trim(option, " \t"), "close") {
				return true
			}
		}
	}
	return false
}

// isTarget accepts an origin-form target without looking into it.
func isTarget(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return s != "" && s[0] == '/'
}
