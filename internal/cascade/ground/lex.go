package ground

import (
	"unicode"
	"unicode/utf8"
)

// kind is what a token is.
type kind uint8

const (
	atEnd  kind = iota
	word        // letters, perhaps with digits behind them
	pair        // two neighbouring signs of a script that writes no spaces
	number      // digits, with what belongs to them
)

// What stands between a token and the one before it.
const (
	sepLine    = 1 << iota // a line feed
	sepStop                // the end of a sentence
	sepOther               // anything but spaces
	sepQuote               // an opening quote or bracket
	sepHyphen              // a dash of any length
	sepEquals              // an equals sign
	sepHeading             // the line is a heading, or a label in bold
)

// token is one word, pair of signs or number of a text.
type token struct {
	kind       kind
	start, end int
	pre        uint32 // hash of its first three letters, folded
	sep        uint8
	upper      bool // it begins with an upper-case letter
	capitals   bool // it has two upper-case letters or more, or a digit
}

// lexer splits a text into tokens. It allocates nothing.
type lexer struct {
	text []byte
	pos  int
	num  num  // of the last token that is a number
	prev rune // the sign before pos, of a script without spaces; 0 for none
	last token
	// ahead is what peek found.
	ahead follower
}

// Classes of bytes.
const (
	cOther = iota
	cLetter
	cUpper
	cDigit
	cSpace
	cLine
	cHigh // part of a rune beyond ASCII
)

var classes = func() (c [256]uint8) {
	for b := range 256 {
		switch {
		case b >= 'a' && b <= 'z':
			c[b] = cLetter
		case b >= 'A' && b <= 'Z':
			c[b] = cUpper
		case b >= '0' && b <= '9':
			c[b] = cDigit
		case b == ' ' || b == '\t' || b == '\r':
			c[b] = cSpace
		case b == '\n':
			c[b] = cLine
		case b >= 0x80:
			c[b] = cHigh
		}
	}
	return c
}()

// folds are the letters U+00C0 to U+017F without their accents, in lower case.
const folds = "aaaaaaaceeeeiiiidnooooo*ouuuuypsaaaaaaaceeeeiiiidnooooo/ouuuuypy" +
	"aaaaaaccccccccddddeeeeeeeeeegggggggghhhhiiiiiiiiiiiijjkkklllllllllln" +
	"nnnnnnnnooooooooorrrrrrssssssssttttttuuuuuuuuuuuuwwyyyzzzzzzs"

// fold is a letter in lower case and without its accent.
func fold(r rune) rune {
	switch {
	case r < 0x80:
		if r >= 'A' && r <= 'Z' {
			r |= 0x20
		}
		return r
	case r >= 0xC0 && int(r-0xC0) < len(folds):
		return rune(folds[r-0xC0])
	case r >= 0x410 && r <= 0x42F: // Cyrillic
		return r + 0x20
	case r == 'ё' || r == 'Ё':
		return 'е'
	}
	return unicode.ToLower(r)
}

// unspaced reports whether a rune is of a script that writes no spaces.
func unspaced(r rune) bool {
	return r >= 0x3040 && r <= 0x30FF && r != '・' || r >= 0x3400 && r <= 0x9FFF || r >= 0xF900 && r <= 0xFAFF
}

// lettered reports whether a rune beyond ASCII belongs to words.
func lettered(r rune) bool {
	if r >= 0xC0 && r < 0x250 { // Latin
		return r != '×' && r != '÷'
	}
	if r >= 0x400 && r < 0x482 { // Cyrillic
		return true
	}
	return unicode.IsLetter(r) || unicode.Is(unicode.Mn, r) || unicode.Is(unicode.Mc, r)
}

const (
	fnv      = 16777619
	fnvStart = uint32(2166136261)
	prefix   = 3 // letters that are hashed
)

// next returns the next token, of the kind atEnd when there is none.
func (l *lexer) next() token {
	sep := uint8(0)
	for l.pos < len(l.text) {
		switch b := l.text[l.pos]; classes[b] {
		case cSpace:
			l.pos++
		case cLine:
			l.pos++
			sep |= sepLine
		case cLetter, cUpper:
			return l.word(sep)
		case cDigit:
			return l.number(sep)
		case cOther:
			sep |= l.mark(b)
			l.pos++
		default:
			r, size := utf8.DecodeRune(l.text[l.pos:])
			if _, digit := digitOf(r); digit {
				return l.number(sep)
			}
			if unspaced(r) {
				if t := l.pair(r, size, sep); t.kind != atEnd {
					return t
				}
				continue
			}
			if lettered(r) {
				return l.word(sep)
			}
			sep |= markOf(r)
			l.pos += size
		}
		l.prev = 0
	}
	return token{start: l.pos, end: l.pos, sep: sep | sepStop}
}

// mark is what an ASCII mark at pos separates.
func (l *lexer) mark(b byte) uint8 {
	switch b {
	case '.':
		if l.pos+1 < len(l.text) && classes[l.text[l.pos+1]] != cSpace && classes[l.text[l.pos+1]] != cLine {
			return sepOther
		}
		if l.last.kind == word && l.last.upper && l.abbreviated() {
			return sepOther
		}
		return sepStop | sepOther
	case '!', '?', ':', ';':
		return sepStop | sepOther
	case '"', '(', '[', '|':
		return sepQuote | sepOther
	case '*', '#', '_', '`', '>':
		return sepHeading | sepOther
	case '-':
		return sepHyphen | sepOther
	case '=':
		return sepEquals | sepOther
	}
	return sepOther
}

// abbreviated reports whether the last word is a title or an initial, behind which
// a full stop ends no sentence.
func (l *lexer) abbreviated() bool {
	var room [16]byte
	t := l.last
	if t.end-t.start > 5 {
		return false
	}
	w := appendFolded(room[:0], l.text[t.start:t.end])
	return len(w) == 1 || lexicon.of(w).bits&isTitle != 0
}

func markOf(r rune) uint8 {
	switch r {
	case '。', '！', '？', '：', '；', '؟', '।', '…':
		return sepStop | sepOther
	case '“', '„', '«', '»', '”', '「', '『', '（', '‘':
		return sepQuote | sepOther
	case '–', '—', '−', '~', '〜', '～':
		return sepHyphen | sepOther
	case '•', '·', '◦', '▪':
		return sepStop | sepOther
	case 0xA0, 0x202F, 0x2009, 0x3000, 0xFEFF, 0x200B:
		return 0
	}
	return sepOther
}

// word reads letters, and digits behind them: X200 is one word.
func (l *lexer) word(sep uint8) token {
	t := token{kind: word, start: l.pos, sep: sep}
	letters, uppers, h := 0, 0, fnvStart
	text, i := l.text, l.pos
	for i < len(text) {
		b := text[i]
		r, size := rune(b|0x20), 1
		switch classes[b] {
		case cLetter:
			if letters >= prefix { // most of a text
				for i < len(text) && classes[text[i]] == cLetter {
					i++
				}
				continue
			}
		case cUpper:
			uppers++
			t.upper = t.upper || letters == 0
		case cDigit:
			r, uppers = rune(b), uppers+2
		case cHigh:
			var upper bool
			if r, size, upper = letterAt(text[i:]); upper {
				uppers++
				t.upper = t.upper || letters == 0
			}
		default:
			size = 0
		}
		if size == 0 {
			break
		}
		if letters < prefix {
			h = (h ^ uint32(r)) * fnv
		}
		letters++
		i += size
	}
	l.pos = i
	t.end, t.pre, t.capitals = i, h, uppers > 1
	if monthish.has(h) {
		l.monthDay(&t)
	}
	l.prev, l.last = 0, t
	return t
}

// letterAt is the letter beyond ASCII that a text begins with, folded; its size is 0
// when there is none.
func letterAt(text []byte) (r rune, size int, upper bool) {
	r, size = utf8.DecodeRune(text)
	if unspaced(r) || !lettered(r) {
		return 0, 0, false
	}
	folded := fold(r)
	return folded, size, folded != r && unicode.IsUpper(r)
}

// prefixHash is the hash of the first letters of a folded word.
func prefixHash(folded []byte) uint32 {
	h, n := fnvStart, 0
	for _, r := range string(folded) {
		if n++; n > prefix {
			break
		}
		h = (h ^ uint32(r)) * fnv
	}
	return h
}

// beginnings are hashes with which words of the lexicon begin: most words need no
// look-up.
type beginnings [1 << 12]bool

func (b *beginnings) has(hash uint32) bool { return b[hash&(1<<12-1)] }

// beginningsOf takes the words of the lexicon that belong, and others.
func beginningsOf(belongs func(w string, e entry) bool, others ...string) (set beginnings) {
	for w, e := range lexicon.words {
		if belongs(w, e) {
			others = append(others, w)
		}
	}
	for _, w := range others {
		set[prefixHash([]byte(w))&(1<<12-1)] = true
	}
	return set
}

// numeric are words that change a number before them, monthish names of months, citing
// those behind which documents have their number.
var (
	numeric = beginningsOf(func(w string, e entry) bool {
		return e.measures() || e.bits&(isHalf|isClock|isOf|isOrdinal) != 0 || w == "a" || w == "p"
	})
	monthish = beginningsOf(func(_ string, e entry) bool { return e.month > 0 })
	citing   = beginningsOf(func(_ string, e entry) bool { return e.bits&isCiting != 0 }, attributes...)
)

// pair reads one sign and returns it with the one before it.
func (l *lexer) pair(r rune, size int, sep uint8) token {
	prev := l.prev
	start := l.pos
	l.pos += size
	l.prev = r
	if prev == 0 {
		return token{} // what stands before it counts for the pair
	}
	t := token{kind: pair, start: start - utf8.RuneLen(prev), end: l.pos, sep: sep}
	h := fnvStart
	h = (h ^ uint32(prev)) * fnv
	h = (h ^ uint32(r)) * fnv
	t.pre = h
	l.last = t
	return t
}

// appendFolded appends the letters of a word, folded.
func appendFolded(dst, w []byte) []byte {
	for i := 0; i < len(w); {
		if w[i] < 0x80 {
			dst = append(dst, byte(fold(rune(w[i]))))
			i++
			continue
		}
		r, size := utf8.DecodeRune(w[i:])
		i += size
		if unicode.Is(unicode.Mn, r) { // a combining accent
			continue
		}
		dst = utf8.AppendRune(dst, fold(r))
	}
	return dst
}
