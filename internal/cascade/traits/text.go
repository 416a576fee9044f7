package traits

import (
	"math/bits"
	"unicode"
	"unicode/utf8"
)

// scanned bounds the bytes of a text that are read: three quarters of it from the
// start, the rest from the end. It bounds the time of a check; what conversation has
// longer answers is rare.
const scanned = 24 << 10

// sketch is a set of hashes as a bit map. Sets of up to some thousands hashes are
// counted and compared within a few percent, in a microsecond and without sorting.
type sketch [1 << 9]uint64

func (s *sketch) add(h uint32) {
	h = mix(h)
	s[h>>6&(1<<9-1)] |= 1 << (h & 63)
}

func (s *sketch) count() int {
	n := 0
	for _, w := range s {
		n += bits.OnesCount64(w)
	}
	return n
}

// shared is how many hashes two sets have in common.
func (s *sketch) shared(t *sketch) int {
	n := 0
	for i, w := range s {
		n += bits.OnesCount64(w & t[i])
	}
	return n
}

// mix spreads a hash over its low bits.
func mix(h uint32) uint32 {
	h ^= h >> 16
	h *= 0x85ebca6b
	h ^= h >> 13
	h *= 0xc2b2ae35
	return h ^ h>>16
}

// longest is the longest run of words that is compared between texts.
const longest = 3

// text is what one text is counted as.
type text struct {
	bytes, words, letters, capitals, digits, foreign, marks int

	grams          [longest]sketch // runs of 1 to 3 words, lower-cased
	numbers, names sketch          // numbers as written; words with a capital inside a sentence
	cues           [cueCount]int
	starts         cue // what the first words are, cueCount for nothing known

	lines, bullets, items, headings, fences, rows, blank int

	sentences int
	inFence   bool // a code fence is open at the end
	end       byte // class of the last character: see endOf

	json    bool // it starts as a JSON document does, or has one in a fence
	scripts [languageCount]int
}

// read counts a text.
func (t *text) read(s string) {
	*t = text{bytes: len(s), starts: cueCount, end: endOf(s), json: startsJSON(s)}
	if len(s) > scanned {
		head, tail := s[:scanned*3/4], s[len(s)-scanned/4:]
		t.readLines(head)
		t.readWords(head)
		t.readLines(tail)
		t.readWords(tail)
		return
	}
	t.readLines(s)
	t.readWords(s)
}

const offset, prime = 2166136261, 16777619 // of FNV-1a

// scan reads the words of a text.
type scan struct {
	t *text
	s string

	hash    uint32 // of the word that is being read
	size    int
	digits  int
	capital bool

	before [2]uint32 // hashes of the two words before, the nearest first
	fresh  bool      // nothing of the sentence was read yet
}

func (t *text) readWords(s string) {
	w := scan{t: t, s: s, hash: offset, fresh: true}
	for i := 0; i < len(s); {
		if s[i] < utf8.RuneSelf {
			w.ascii(i)
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		w.wide(r)
		i += size
	}
	w.finish()
}

// ascii reads one character.
func (w *scan) ascii(i int) {
	c := w.s[i]
	if class := classes[c]; class != 0 {
		w.letter(c, class)
		return
	}
	if w.inNumber(i) {
		w.hash = (w.hash ^ uint32(c)) * prime
		w.size++
		w.digits++
		return
	}
	w.finish()
	switch c {
	case '.', '!', '?':
		if !w.fresh {
			w.t.sentences++
		}
		w.fresh = true
	case '\n', ':':
		w.fresh = true
	}
	if c > ' ' {
		w.t.marks++
	}
}

// inNumber reports whether a dot or comma stands between digits.
func (w *scan) inNumber(i int) bool {
	if c := w.s[i]; c != '.' && c != ',' || w.size == 0 || w.digits < w.size || i+1 == len(w.s) {
		return false
	}
	return w.s[i+1] >= '0' && w.s[i+1] <= '9'
}

// wide reads a character outside ASCII.
func (w *scan) wide(r rune) {
	t := w.t
	t.foreign++
	t.scripts[scriptOf(r)]++
	switch {
	case alone(r): // scripts that do not separate words: a character is one
		w.finish()
		w.hash, w.size = uint32(r)*prime, 1
		w.finish()
	case unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r):
		if unicode.IsUpper(r) && w.size == 0 {
			w.capital = true
		}
		w.hash = (w.hash ^ uint32(unicode.ToLower(r))) * prime
		w.size++
		t.letters++
	default:
		w.finish()
		if ends(r) {
			t.sentences++
			w.fresh = true
		}
	}
}

// ends reports whether a character outside ASCII ends a sentence.
func ends(r rune) bool { return r == '。' || r == '！' || r == '？' || r == '؟' || r == '।' }

// The classes of ASCII characters that words are made of.
const (
	lower = iota + 1
	upper
	digit
)

// classes has 0 for what separates words.
var classes = func() (table [utf8.RuneSelf]byte) {
	for c := range table {
		switch {
		case c >= 'a' && c <= 'z', c == '_':
			table[c] = lower
		case c >= 'A' && c <= 'Z':
			table[c] = upper
		case c >= '0' && c <= '9':
			table[c] = digit
		}
	}
	return table
}()

func (w *scan) letter(c, class byte) {
	switch class {
	case digit:
		w.digits++
		w.t.digits++
	case upper:
		if w.size == 0 {
			w.capital = true
		}
		w.t.capitals++
		c += 'a' - 'A'
		w.t.letters++
	default:
		w.t.letters++
	}
	w.hash = (w.hash ^ uint32(c)) * prime
	w.size++
}

// finish ends a word, if there is one.
func (w *scan) finish() {
	if w.size == 0 {
		return
	}
	t := w.t
	runs := [longest]uint32{w.hash}
	t.grams[0].add(w.hash)
	if w.before[0] != 0 {
		runs[1] = joined(w.before[0], w.hash)
		t.grams[1].add(runs[1])
		if w.before[1] != 0 {
			runs[2] = joined(joined(w.before[1], w.before[0]), w.hash)
			t.grams[2].add(runs[2])
		}
	}
	switch {
	case w.digits > 0:
		t.numbers.add(w.hash)
	case w.capital && !w.fresh:
		t.names.add(w.hash)
	}
	t.cue(&runs)
	t.words++
	w.before[1], w.before[0] = w.before[0], w.hash
	w.hash, w.size, w.digits, w.capital, w.fresh = offset, 0, 0, false, false
}

// joined is the hash of a run and the word after it.
func joined(run, next uint32) uint32 { return run*31 + next }

// alone reports whether a letter is a word: Han, kana, Thai and their neighbours.
func alone(r rune) bool {
	return r >= 0x0E00 && r <= 0x0EFF || r >= 0x3040 && r <= 0x30FF || r >= 0x3400 && r <= 0x9FFF ||
		r >= 0x20000 && r <= 0x3FFFF
}
