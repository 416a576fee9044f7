// Package jsonscan reads JSON text once, without decoding it and without
// allocating. Scanner yields checked tokens as byte offsets; Walker runs a
// Scanner along a Tree of paths and yields only the values that the tree names.
//
// It is strict: RFC 8259 grammar, valid UTF-8, one value and nothing after it,
// at most MaxDepth containers inside one another. Numbers are checked for form,
// never for range, and escaped lone surrogates are accepted, as in
// encoding/json. It knows nothing of Bedrock.
package jsonscan

import (
	"encoding/binary"
	"math/bits"
	"strconv"
	"unicode/utf8"
)

// MaxDepth is how many containers may be nested.
const MaxDepth = 512

// MaxNumber is how many bytes a number may have. No model counts as far, and readers
// need time that grows with the square of the length.
const MaxNumber = 1000

// Kind is what a token is. The zero value is Invalid.
type Kind uint8

// The kinds of token.
const (
	Invalid Kind = iota // the text is not JSON
	End                 // the text ended properly
	Key                 // an object member's name
	String
	Number
	True
	False
	Null
	BeginObject
	EndObject
	BeginArray
	EndArray
)

// Token is one token, as a half-open range of bytes. Keys and strings include
// their quotes.
type Token struct {
	Kind       Kind
	Start, End int
	// Shrink is by how many bytes unescaping shortens a key or string.
	Shrink int
}

// TextLen is the length in bytes of a key or string after unescaping.
func (t Token) TextLen() int { return t.End - t.Start - 2 - t.Shrink }

// Fault is why a text was refused.
type Fault uint8

// The faults. The zero value is not used.
const (
	_            Fault = iota
	BadSyntax          // not JSON
	BadUTF8            // a string is not valid UTF-8
	TooDeep            // more than MaxDepth containers
	Truncated          // the text ends in the middle of a value
	DuplicateKey       // a member that the tree names occurs twice in one object
	LongNumber         // more than MaxNumber bytes
)

// Error says what is wrong and where.
type Error struct {
	Fault  Fault
	Offset int
	Name   string // the duplicated key
}

// Error describes the fault in words fit for a caller.
func (e *Error) Error() string {
	at := " at byte " + strconv.Itoa(e.Offset)
	switch e.Fault {
	case BadUTF8:
		return "invalid UTF-8" + at
	case TooDeep:
		return "more than " + strconv.Itoa(MaxDepth) + " nested values" + at
	case Truncated:
		return "the JSON text ends early" + at
	case LongNumber:
		return "a number of more than " + strconv.Itoa(MaxNumber) + " bytes" + at
	case DuplicateKey:
		return "duplicate member " + strconv.Quote(e.Name) + at
	}
	return "invalid JSON" + at
}

// expectation is what the grammar allows next.
type expectation uint8

const (
	expectValue expectation = iota
	expectElementOrEnd
	expectKeyOrEnd
	expectKey
	expectCommaOrEnd
	expectNothing
)

// Scanner yields the tokens of one text. The zero value scans an empty text.
type Scanner struct {
	data   []byte
	pos    int
	depth  int
	expect expectation
	coded  bool
	byWord bool        // the rest of the text, without blocks
	met    uint8       // sets of watch
	watch  *Beginnings // nil: none
	// objects has a bit per open container, set for an object.
	objects [MaxDepth/64 + 1]uint64
	err     *Error
}

// Reset makes s ready to scan data from its beginning.
func (s *Scanner) Reset(data []byte) {
	s.data, s.pos, s.depth, s.expect, s.coded, s.err = data, 0, 0, expectValue, false, nil
	s.watch, s.met, s.byWord = nil, 0, false
}

// Watch makes s note which keys and strings begin with some texts, until Reset.
func (s *Scanner) Watch(b *Beginnings) { s.watch = b }

// Met is of which sets that Watch named any key or string so far begins with a text, as
// bits from the first set's; of all, where one may because it has an escape by number.
func (s *Scanner) Met() uint8 {
	if s.coded {
		return everySet
	}
	return s.met
}

// Coded reports whether any key or string so far has an escape by number, like
// \u00e9, which may stand for any character.
func (s *Scanner) Coded() bool { return s.coded }

// Err is what is wrong with the text, after Next has returned Invalid; else nil.
func (s *Scanner) Err() *Error { return s.err }

// Depth is how many containers are open.
func (s *Scanner) Depth() int { return s.depth }

// Next returns the next token. After End or Invalid it returns the same again.
func (s *Scanner) Next() Token {
	if s.err != nil {
		return Token{Kind: Invalid, Start: s.pos, End: s.pos}
	}
	c := s.skipSpace()
	switch s.expect {
	case expectNothing:
		if s.pos == len(s.data) {
			return Token{Kind: End, Start: s.pos, End: s.pos}
		}
		return s.fail(BadSyntax)
	case expectCommaOrEnd:
		if c == ',' {
			s.pos++
			c = s.skipSpace()
			if s.inObject() {
				return s.key(c)
			}
			return s.value(c)
		}
		return s.closing(c)
	case expectKeyOrEnd:
		if c == '}' {
			return s.closing(c)
		}
		return s.key(c)
	case expectElementOrEnd:
		if c == ']' {
			return s.closing(c)
		}
	}
	return s.value(c)
}

// skipSpace moves to the next byte that is not white space and returns it, 0
// at the end of the text. A NUL in the text is refused by every caller anyway.
func (s *Scanner) skipSpace() byte {
	for ; s.pos < len(s.data); s.pos++ {
		c := s.data[s.pos]
		if c > ' ' || (c != ' ' && c != '\n' && c != '\t' && c != '\r') {
			return c
		}
	}
	return 0
}

func (s *Scanner) inObject() bool {
	return s.objects[s.depth/64]>>(s.depth%64)&1 == 1
}

func (s *Scanner) fail(f Fault) Token {
	if f == BadSyntax && s.pos >= len(s.data) {
		f = Truncated
	}
	s.err = &Error{Fault: f, Offset: s.pos}
	return Token{Kind: Invalid, Start: s.pos, End: s.pos}
}

// key reads a member's name and the colon after it.
func (s *Scanner) key(c byte) Token {
	if c != '"' {
		return s.fail(BadSyntax)
	}
	t := s.str(Key)
	if t.Kind == Invalid {
		return t
	}
	if s.skipSpace() != ':' {
		return s.fail(BadSyntax)
	}
	s.pos++
	s.expect = expectValue
	return t
}

func (s *Scanner) value(c byte) Token {
	switch c {
	case '"':
		s.afterValue()
		return s.str(String)
	case '{':
		return s.open(BeginObject, expectKeyOrEnd)
	case '[':
		return s.open(BeginArray, expectElementOrEnd)
	case 't':
		return s.literal("true", True)
	case 'f':
		return s.literal("false", False)
	case 'n':
		return s.literal("null", Null)
	}
	return s.number()
}

func (s *Scanner) afterValue() {
	s.expect = expectCommaOrEnd
	if s.depth == 0 {
		s.expect = expectNothing
	}
}

func (s *Scanner) open(k Kind, next expectation) Token {
	if s.depth == MaxDepth {
		return s.fail(TooDeep)
	}
	s.depth++
	word, bit := s.depth/64, uint64(1)<<(s.depth%64)
	s.objects[word] &^= bit
	if k == BeginObject {
		s.objects[word] |= bit
	}
	s.expect = next
	s.pos++
	return Token{Kind: k, Start: s.pos - 1, End: s.pos}
}

// closing reads the bracket that ends the innermost container.
func (s *Scanner) closing(c byte) Token {
	k, want := EndArray, byte(']')
	if s.inObject() {
		k, want = EndObject, '}'
	}
	if c != want {
		return s.fail(BadSyntax)
	}
	s.depth--
	s.pos++
	s.afterValue()
	return Token{Kind: k, Start: s.pos - 1, End: s.pos}
}

func (s *Scanner) literal(word string, k Kind) Token {
	start := s.pos
	if len(s.data)-start < len(word) || string(s.data[start:start+len(word)]) != word {
		return s.fail(BadSyntax)
	}
	s.pos += len(word)
	s.afterValue()
	return Token{Kind: k, Start: start, End: s.pos}
}

// number follows the grammar of RFC 8259 section 6.
func (s *Scanner) number() Token {
	start := s.pos
	if s.at('-') {
		s.pos++
	}
	switch {
	case s.at('0'):
		s.pos++
	case s.digits() == 0:
		return s.fail(BadSyntax)
	}
	if s.at('.') {
		s.pos++
		if s.digits() == 0 {
			return s.fail(BadSyntax)
		}
	}
	if s.at('e') || s.at('E') {
		s.pos++
		if s.at('+') || s.at('-') {
			s.pos++
		}
		if s.digits() == 0 {
			return s.fail(BadSyntax)
		}
	}
	if s.pos-start > MaxNumber {
		return s.fail(LongNumber)
	}
	s.afterValue()
	return Token{Kind: Number, Start: start, End: s.pos}
}

func (s *Scanner) at(c byte) bool { return s.pos < len(s.data) && s.data[s.pos] == c }

func (s *Scanner) digits() int {
	start := s.pos
	for s.pos < len(s.data) && s.data[s.pos]-'0' <= 9 {
		s.pos++
	}
	return s.pos - start
}

const (
	everyByte = 0x0101010101010101
	highBits  = 0x8080808080808080
)

// keyBytes are looked at a word at a time before blocks are: most keys and names.
const keyBytes = 16

// str reads a key or string from its opening quote. It looks at eight bytes at
// a time, of longer strings at 64, for what needs care: a quote, a backslash, a
// control byte, a character of more than one byte.
func (s *Scanner) str(k Kind) Token {
	data, start, pos, shrink := s.data, s.pos, s.pos+1, 0
	for {
		for long := pos + keyBytes; len(data)-pos >= 8; {
			if hit := special(binary.LittleEndian.Uint64(data[pos:])); hit != 0 {
				pos += bits.TrailingZeros64(hit) / 8
				break
			}
			if pos += 8; pos == long {
				next, escapes := s.prose(pos)
				pos, shrink = next, shrink+escapes
			}
		}
		if pos >= len(data) {
			s.pos = pos
			return s.fail(Truncated)
		}
		switch c := data[pos]; {
		case c == '"':
			s.pos = pos + 1
			if s.watch != nil {
				s.met |= s.watch.of(data[start+1 : s.pos])
			}
			return Token{Kind: k, Start: start, End: pos + 1, Shrink: shrink}
		case c == '\\':
			n, cut := escape(data[pos:])
			if n == 0 {
				s.pos = pos
				return s.fail(BadSyntax)
			}
			pos, shrink = pos+n, shrink+cut
			s.coded = s.coded || n > 2
		case c < ' ':
			s.pos = pos
			return s.fail(BadSyntax)
		case c < utf8.RuneSelf:
			pos++ // one of the last seven bytes
		default:
			next, escapes := s.wide(pos)
			if next == pos {
				return s.failWide(pos)
			}
			pos, shrink = next, shrink+escapes
		}
	}
}

// wide moves over characters of which the first, at pos, has more than one byte, and counts the
// escapes among them. It stays where it is when that one is not valid.
func (s *Scanner) wide(pos int) (next, escapes int) {
	if next, escapes = s.prose(pos); next > pos {
		return next, escapes
	}
	return pos + wide(s.data[pos:]), 0
}

// failWide fails for a string whose character at pos is not valid.
func (s *Scanner) failWide(pos int) Token {
	if !utf8.FullRune(s.data[pos:]) {
		s.pos = len(s.data)
		return s.fail(Truncated)
	}
	return s.fail(BadUTF8)
}

// special marks, with the lowest set bit exact, the bytes of w that are a quote, a
// backslash, below 0x20 or above 0x7f. Quotes and control bytes are found together:
// with the second bit turned they are all the bytes below 0x21.
func special(w uint64) uint64 {
	quote := (w ^ everyByte*2) - everyByte*('"'^2+1)
	slash := (w ^ everyByte*'\\') - everyByte
	return (quote | slash | w) & highBits
}

// wide is how many bytes the characters of more than one byte take that b begins with,
// up to the first that is not valid UTF-8. Those of two bytes and most of three are
// checked here: whole texts are made of them.
func wide(b []byte) int {
	n := 0
	for n+2 < len(b) {
		c, next := b[n], b[n+1]&0xc0 == 0x80
		switch {
		case c < utf8.RuneSelf:
			return n
		case c >= 0xc2 && c < 0xe0 && next:
			n += 2
		case c > 0xe0 && c < 0xf0 && c != 0xed && next && b[n+2]&0xc0 == 0x80:
			n += 3
		default:
			_, size := utf8.DecodeRune(b[n:])
			if size == 1 {
				return n
			}
			n += size
		}
	}
	if _, size := utf8.DecodeRune(b[n:]); n == 0 && size > 1 {
		return size // the last of the text
	}
	return n
}
