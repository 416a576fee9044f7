// Package h1guard follows the framing of HTTP/1.1 on one connection, and finds what the
// rules let a server refuse and parsers pass over: empty lines before a request, line
// ends without a carriage return, chunk extensions and trailers of any length, chunk
// sizes with leading zeros for ever.
//
// A guard sees the bytes of a connection as they pass and changes none. It does not decide
// what a request means: where the head is one that the edge refuses anyway, it stops
// looking, because that connection is closed.
package h1guard

import (
	"bytes"
	"math"
	"strconv"
	"strings"
)

const (
	emptyBytes = 2    // before a request: one CRLF, which RFC 9112 section 2.2 asks to ignore
	sizeDigits = 16   // of a chunk
	extensions = 1024 // bytes of chunk extensions in one body
	trailers   = 1024 // bytes
	noted      = 64   // of a line of a head; framing fields are shorter
)

type state uint8

const (
	start state = iota // before a request
	line               // in a head
	body               // of a known length
	size               // of a chunk
	extension
	sizeEnd // the LF behind it
	data
	dataEnd  // the CR behind the data
	dataStop // the LF behind that
	trailer
	off // the connection will be closed
)

// Guard follows one connection. The zero value is at its beginning.
type Guard struct {
	state   state
	empty   int
	text    [noted]byte // the beginning of the line
	have    int         // of text
	length  int         // of the line
	carried bool        // its last byte is CR
	chunked bool
	told    bool  // there was a Content-Length
	left    int64 // of a body or chunk
	digits  int
	extra   int // bytes of extensions or trailers
	whole   int
}

// Received reads bytes that came from the caller. It returns what is wrong with them, or
// "". After that it must not be called again.
func (g *Guard) Received(p []byte) (wrong string) {
	for len(p) > 0 && wrong == "" {
		switch g.state {
		case off:
			return ""
		case body, data:
			n := min(g.left, int64(len(p)))
			if p, g.left = p[n:], g.left-n; g.left == 0 {
				g.state++
				if g.state == size { // the end of a body of known length
					g.begin()
				}
			}
		case line, trailer:
			p, wrong = g.lines(p)
		default:
			wrong = g.one(p[0])
			if g.state != line || g.length > 0 { // else the byte is the line's
				p = p[1:]
			}
		}
	}
	return wrong
}

// Cut reports whether a chunked body has begun and its end has not come. A connection that ends
// then has cut it, which parsers take for its end.
func (g *Guard) Cut() bool { return g.state >= size && g.state <= trailer }

// Whole is how many requests have come whole, and -1 within one.
func (g *Guard) Whole() int {
	if g.state != start || g.empty > 0 {
		return -1
	}
	return g.whole
}

func (g *Guard) begin() { *g = Guard{whole: g.whole + 1} }

// lines takes bytes up to the end of a line.
func (g *Guard) lines(p []byte) (rest []byte, wrong string) {
	end := bytes.IndexByte(p, '\n')
	part := p
	if end >= 0 {
		part = p[:end]
	}
	g.have += copy(g.text[g.have:], part)
	g.length += len(part)
	if len(part) > 0 {
		g.carried = part[len(part)-1] == '\r'
	}
	if g.state == trailer {
		if g.extra += len(part) + 1; g.extra > trailers {
			return nil, "trailers are too long"
		}
	}
	if end < 0 {
		return nil, ""
	}
	if !g.carried {
		return nil, "a line ends without a carriage return"
	}
	g.ended()
	return p[end+1:], ""
}

// ended looks at a whole line. An empty one is the end of the head or the trailers.
func (g *Guard) ended() {
	text, length := g.text[:g.have], g.length
	g.have, g.length, g.carried = 0, 0, false
	switch {
	case length > 1:
		if g.state == line {
			g.field(text)
		}
	case g.state == trailer, g.state == line && !g.chunked && g.left == 0:
		g.begin()
	case g.chunked && g.told:
		g.state = off
	case g.chunked:
		g.state, g.extra, g.digits, g.left = size, 0, 0, 0
	default:
		g.state = body
	}
}

// field notes a field that frames the body. What the edge refuses ends the look-out.
func (g *Guard) field(text []byte) {
	if c := text[0] | 0x20; c != 'c' && c != 't' { // as mostly
		return
	}
	name, value, _ := bytes.Cut(text, []byte(":"))
	value = bytes.Trim(value, " \t\r")
	switch {
	case bytes.EqualFold(name, []byte("content-length")):
		n, err := strconv.ParseUint(string(value), 10, 63)
		if err != nil || g.told {
			g.state = off
			return
		}
		g.told, g.left = true, int64(n)
	case bytes.EqualFold(name, []byte("transfer-encoding")):
		if !bytes.EqualFold(value, []byte("chunked")) || g.chunked {
			g.state = off
			return
		}
		g.chunked = true
	}
}

// one takes a byte where each matters.
func (g *Guard) one(c byte) (wrong string) {
	switch g.state {
	case start:
		if c != '\r' && c != '\n' {
			g.state = line
			return ""
		}
		if g.empty++; g.empty > emptyBytes || (c == '\n') != (g.empty == emptyBytes) {
			return "there are empty lines before the request"
		}
	case size:
		return g.sizeDigit(c)
	case extension:
		if g.extra++; g.extra > extensions {
			return "chunk extensions are too long"
		}
		switch {
		case c == '\r':
			g.state = sizeEnd
		case c < ' ' && c != '\t' || c == 0x7f:
			return "a chunk extension holds a control character"
		}
	case sizeEnd:
		if c != '\n' {
			return "a chunk size ends without a line feed"
		}
		g.state, g.digits = data, 0
		if g.left == 0 {
			g.state, g.extra = trailer, 0
		}
	case dataEnd, dataStop:
		if g.state == dataStop && c != '\n' || g.state == dataEnd && c != '\r' {
			return "a chunk is longer than its size"
		}
		if g.state++; g.state == trailer {
			g.state = size
		}
	}
	return ""
}

func (g *Guard) sizeDigit(c byte) (wrong string) {
	digit := strings.IndexByte("0123456789abcdef", c|0x20)
	switch {
	case c >= '0' && c <= '9', digit > 9:
		if g.digits++; g.digits > sizeDigits || g.left > math.MaxInt64>>4 {
			return "a chunk size is too long"
		}
		g.left = g.left<<4 | int64(digit)
	case g.digits == 0:
		return "a chunk has no size"
	case c == '\r':
		g.state = sizeEnd
	case c == ';':
		g.state = extension
	default:
		return "a chunk size is no number"
	}
	return ""
}
