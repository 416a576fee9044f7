package jsonscan

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// escape measures the escape sequence at the start of b: its length and how
// many bytes shorter its meaning is. A surrogate pair is one sequence. The
// length is 0 when the sequence is not valid.
func escape(b []byte) (length, shrink int) {
	switch {
	case len(b) < 2:
		return 0, 0
	case isShort(b[1]):
		return 2, 1
	case b[1] == 'u':
		r, n := unicodeEscape(b)
		return n, n - utf8.RuneLen(r)
	}
	return 0, 0
}

// isShort reports whether a byte makes an escape with the backslash before it. It does
// not branch on which one it is: texts mix them.
func isShort(c byte) bool {
	const (
		low  = 1<<'"' | 1<<'/'
		high = 1<<('\\'-64) | 1<<('b'-64) | 1<<('f'-64) | 1<<('n'-64) | 1<<('r'-64) | 1<<('t'-64)
	)
	return uint64(low)>>c&1 == 1 || uint64(high)>>(c-64)&1 == 1
}

// unicodeEscape reads \uXXXX, or two of them that form a surrogate pair. A lone
// surrogate reads as U+FFFD. n is 0 when the digits are not hexadecimal.
func unicodeEscape(b []byte) (r rune, n int) {
	r, ok := hex4(b)
	if !ok {
		return utf8.RuneError, 0
	}
	if r < 0xd800 || r > 0xdfff {
		return r, 6
	}
	if low, ok := hex4(b[6:]); ok && r < 0xdc00 && low >= 0xdc00 && low <= 0xdfff {
		return (r-0xd800)<<10 + (low - 0xdc00) + 0x10000, 12
	}
	return utf8.RuneError, 6
}

func hex4(b []byte) (rune, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range b[2:6] {
		switch {
		case c-'0' <= 9:
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// AppendString appends quoted without its quotes and escapes. It must be a key or
// string of a text that was scanned.
func AppendString(dst, quoted []byte) []byte {
	b := quoted[1 : len(quoted)-1]
	for len(b) > 0 {
		dst, b = appendPiece(dst, b, len(b))
	}
	return dst
}

// appendPiece appends what b begins with, one escape or plain text of at most so
// many bytes, and returns what is left of b.
func appendPiece(dst, b []byte, most int) (out, rest []byte) {
	if b[0] != '\\' {
		plain := b[:min(len(b), most)]
		if n := bytes.IndexByte(plain, '\\'); n >= 0 {
			plain = plain[:n]
		}
		return append(dst, plain...), b[len(plain):]
	}
	if b[1] == 'u' {
		r, n := unicodeEscape(b)
		return utf8.AppendRune(dst, r), b[n:]
	}
	return append(dst, shortEscape(b[1])), b[2:]
}

// MaxLiteral is how long a Literal may be.
const MaxLiteral = 1024

// Literal is a text of at most MaxLiteral bytes to look for, with the place of the
// byte in it that is rarest in prose. The zero value is the empty text.
type Literal struct {
	text []byte
	rare int
}

// frequent are the most frequent bytes of English prose, the most frequent first.
const frequent = " etaoinshrdlucmfwgypbvkxjqz"

// NewLiteral prepares a text to be looked for. Bytes beyond ASCII count as the most
// frequent: there are languages of nothing else.
func NewLiteral(text string) Literal {
	l := Literal{text: []byte(text)}
	rarest := -1
	for i, c := range l.text {
		rank := strings.IndexByte(frequent, c)
		if rank < 0 && c < utf8.RuneSelf {
			rank = len(frequent)
		}
		if rank > rarest {
			l.rare, rarest = i, rank
		}
	}
	return l
}

// in reports whether b has the text. Where its rarest byte is frequent after all,
// the search of the standard library is faster.
func (l *Literal) in(b []byte) bool {
	if len(l.text) == 0 {
		return true
	}
	for at, misses := l.rare, 0; at < len(b); misses++ {
		next := bytes.IndexByte(b[at:], l.text[l.rare])
		if next < 0 {
			return false
		}
		start := at + next - l.rare
		if misses > 8+at/16 {
			return bytes.Contains(b[start:], l.text)
		}
		if bytes.HasPrefix(b[start:], l.text) {
			return true
		}
		at += next + 1
	}
	return false
}

// Contains reports whether the text of a key or string, without its escapes, has
// the literal in it. quoted must be of a text that was scanned, and coded whether
// its scanner was Coded after it. It allocates only for a long literal and a text
// with escapes.
func (l *Literal) Contains(quoted []byte, coded bool) bool {
	b := quoted[1 : len(quoted)-1]
	asWritten := l.in(b)
	switch {
	case bytes.IndexByte(b, '\\') < 0:
		return asWritten
	case !asWritten && !coded && !bytes.ContainsAny(l.text, shortEscapes):
		return false // nothing of the literal can be written as an escape here
	}
	var room [512]byte // a stack that must grow for it costs more than a long literal does
	if len(l.text) > len(room)/2 {
		return l.inPieces(b, make([]byte, 2*MaxLiteral))
	}
	return l.inPieces(b, room[:])
}

// inPieces looks into a text with escapes, of which room takes a piece at a time. It
// has room for two literals.
func (l *Literal) inPieces(b, room []byte) bool {
	text := room[:0]
	for len(b) > 0 {
		for len(b) > 0 && len(text) <= cap(text)-utf8.UTFMax {
			text, b = appendPiece(text, b, cap(text)-len(text))
		}
		if l.in(text) {
			return true
		}
		seam := text[max(0, len(text)-len(l.text)+1):] // it may begin in it
		text = room[:copy(room, seam)]
	}
	return false
}

// shortEscapes are the characters that have an escape of two bytes.
const shortEscapes = "\"\\/\b\f\n\r\t"

func shortEscape(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c
}

// Text is what a key or a string of a text says, without a copy where it has no escapes.
func Text(text []byte, t Token) []byte {
	if t.Shrink == 0 {
		return text[t.Start+1 : t.End-1]
	}
	return AppendString(nil, text[t.Start:t.End])
}
