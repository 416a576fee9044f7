package ground

import (
	"bytes"
	"math"
	"strings"
	"unicode/utf8"
)

// use is why a word is looked for in a source.
type use uint8

const (
	useName    use = iota // a claim
	useQuote              // the first word of a claim
	useNumber             // a number in words that a claim has
	useContent            // a word of the answer
	useAsked              // a word of the question
	useDay                // a day of the week, while days are claimed
)

// wanted is a word that is looked for.
type wanted struct {
	folded []byte
	use    use
	strict bool // only inflected as names are
	of     int  // claim, word of the question, or day
	next   int  // wanted word with the same slot, 0 for none
	found  bool
}

const slots = 2048

// index finds the words that are looked for by how they begin.
type index struct {
	heads [slots]uint16 // number of the first wanted word, 0 for none
	words []wanted      // from 1
}

func newIndex(n int) *index {
	x := &index{words: make([]wanted, 1, n+1)}
	return x
}

func (x *index) add(folded []byte, w wanted) {
	if len(x.words) >= math.MaxUint16 || len(folded) == 0 {
		return
	}
	slot := prefixHash(folded) % slots
	for i := x.heads[slot]; i != 0 && w.use == useContent; i = uint16(x.words[i].next) {
		if x.words[i].use == useContent && bytes.Equal(x.words[i].folded, folded) {
			return
		}
	}
	w.folded, w.next = folded, int(x.heads[slot])
	x.heads[slot] = uint16(len(x.words))
	x.words = append(x.words, w)
}

// addName adds a name, and how it is written without a dieresis.
func (x *index) addName(folded []byte, claim int) {
	w := wanted{use: useName, strict: true, of: claim}
	x.add(folded, w)
	if bare := undotted(folded); len(bare) < len(folded) { // Mueller for Müller, and the other way round
		x.add(bare, w)
	}
}

// undotted is a name without the first letter e that stands for a dieresis.
func undotted(folded []byte) []byte {
	for i := 1; i < len(folded); i++ {
		if folded[i] == 'e' && (folded[i-1] == 'u' || folded[i-1] == 'o' || folded[i-1] == 'a') {
			return append(append([]byte(nil), folded[:i]...), folded[i+1:]...)
		}
	}
	return folded
}

// addUmlaut adds the form of a name with the letters e that stand for a dieresis.
func (x *index) addUmlaut(raw []byte, claim int) {
	var out []byte
	changed := false
	for _, r := range string(raw) {
		out = utf8.AppendRune(out, fold(r))
		switch r {
		case 'ä', 'ö', 'ü', 'Ä', 'Ö', 'Ü':
			out, changed = append(out, 'e'), true
		}
	}
	if changed {
		x.add(out, wanted{use: useName, strict: true, of: claim})
	}
}

// same reports whether a word of a source is the wanted one, perhaps inflected.
func (w *wanted) same(folded []byte) bool {
	if bytes.Equal(w.folded, folded) {
		return true
	}
	p := common(w.folded, folded)
	if w.strict {
		return p > 0 && inflected(w.folded[:p], w.folded[p:], folded[p:])
	}
	scale := 1
	if w.folded[0] >= 0x80 {
		scale = utf8.RuneLen(firstRune(w.folded))
	}
	mine, others := len(w.folded)-p, len(folded)-p
	if scale == 3 { // syllables
		return p >= 2*scale && mine <= 2*scale && others <= 3*scale
	}
	if mine == 0 && p >= 6*scale { // a part of a compound
		return true
	}
	long := p >= 4*scale && mine <= 3*scale && others <= 4*scale
	return long || p >= 3*scale && mine+others <= scale && mine*others == 0
}

func firstRune(b []byte) rune {
	r, _ := utf8.DecodeRune(b)
	return r
}

// common is the length of what two words begin with, in whole runes.
func common(a, b []byte) int {
	n := min(len(a), len(b))
	i := 0
	for i < n && a[i] == b[i] {
		i++
	}
	for i > 0 && i < len(a) && !utf8.RuneStart(a[i]) {
		i--
	}
	return i
}

// inflected reports whether two words with one stem are forms of one name, given
// their endings.
func inflected(stem, a, b []byte) bool {
	if stem[0] >= 0x80 {
		n := utf8.RuneLen(firstRune(stem))
		return len(stem) >= 3*n && ending(slavicEnds, a) && ending(slavicEnds, b)
	}
	if len(stem) < 3 {
		return false
	}
	if len(a) > 0 && len(b) > 0 { // Italian for Italy
		return len(stem) >= 4 && ending(nationEnds, a) && ending(nationEnds, b)
	}
	return ending(nameEnds, a) && ending(nameEnds, b) || len(stem) >= 5 && ending(nationEnds, a) && ending(nationEnds, b)
}

const (
	nameEnds   = " s es n en ns e er ers em owi a u om ie iem ow "
	nationEnds = " y ia an ian ians ese ish isch ische ischen ischer ien ans n "
	slavicEnds = " а я у ю ы и е о ой ей ом ем ым им ого его ому ему ых их ые ий ая яя " +
		"ою ью ов ев ами ями ах ях ин ина инои ому ский ская ского скому ским ское ской ские ских ск й ь "
)

// ending reports whether an ending is in a list; nothing is in each list.
func ending(list string, e []byte) bool {
	if len(e) == 0 {
		return true
	}
	if len(e) > 12 {
		return false
	}
	var room [16]byte
	room[0] = ' '
	n := 1 + copy(room[1:], e)
	room[n] = ' '
	return strings.Contains(list, string(room[:n+1]))
}
