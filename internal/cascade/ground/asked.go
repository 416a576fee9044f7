package ground

import (
	"math/bits"
	"strings"
	"unicode/utf8"
)

// maxAsked is how many words of a question are looked for.
const maxAsked = 64

// What the question asks for, and what a passage has.
const (
	hasNumber = 1 << iota
	hasMoney
	hasTime
	hasName
	hasPlace
)

// passage is a sentence of a source, or two, with words of the question.
type passage struct {
	mask uint64 // of the words
	has  uint8
}

const maxPassages = 64

// asked is a question, and the passages of the source that have its words.
type asked struct {
	words int    // that are looked for
	needs uint8  // what an answer has to have
	named uint64 // words that are names

	counts   [maxAsked]int // how often the source has each
	current  passage
	previous passage
	best     []passage
	least    int // words in the poorest of them, when there are many
}

// read notes the words of a question in an index, with their memory in a.
func (q *asked) read(question []byte, a *answered, x *index) {
	german := mostSpoken(&a.languages) == german
	l := lexer{text: question}
	first := true
	for t := l.next(); t.kind != atEnd && q.words < maxAsked; t = l.next() {
		folded := a.fold(question[t.start:t.end])
		if t.kind != number && !framing(&t, folded) {
			if t.upper && !first && !german || t.capitals {
				q.named |= 1 << q.words
			}
			x.add(folded, wanted{use: useAsked, of: q.words})
			q.words++
		}
		first = false
	}
}

// framing reports whether a word of a question says nothing of what is asked for.
func framing(t *token, folded []byte) bool {
	const frame = isStop | isAsk | isWho | isWhere | isWhen | isHowMany | isCost
	e := lexicon.of(folded)
	return e.bits&frame != 0 || e.unit != noUnit || t.kind == word && utf8.RuneCount(folded) < 3 ||
		t.kind == pair && particle(folded)
}

// particles are signs of Chinese and Japanese that only join words, or ask.
const particles = "的了吗呢是在有和与什么多少几何哪谁请问怎样可以能否会要这那个到为该年月日时時间間長长久誰ー你们我其"

// particle reports whether a pair of signs has one that only joins words.
func particle(w []byte) bool {
	for _, r := range string(w) {
		if r >= 0x3040 && r <= 0x309F || strings.ContainsRune(particles, r) { // hiragana
			return true
		}
	}
	return false
}

// needs is what the answer to a question has to have.
func needs(question []byte) (n uint8) {
	l := lexer{text: question}
	for t := l.next(); t.kind != atEnd; t = l.next() {
		switch t.kind {
		case word:
			var room [64]byte
			e := lexicon.of(appendFolded(room[:0], question[t.start:min(t.end, t.start+len(room)/2)]))
			for _, one := range asking {
				if e.bits&one.word != 0 {
					n |= one.needs
				}
			}
		case pair:
			n |= asksIn(string(question[t.start:t.end]))
		}
	}
	return n
}

// asking is what words of questions ask for.
var asking = [...]struct {
	word  part
	needs uint8
}{
	{isWho, hasName}, {isWhere, hasPlace}, {isWhen, hasTime}, {isHowMany, hasNumber}, {isCost, hasMoney | hasNumber},
}

// asksIn is what a pair of signs asks for in Chinese and Japanese.
func asksIn(w string) uint8 {
	switch w {
	case "多少", "几天", "几个", "多久", "多长", "何日", "何人", "何年", "何個":
		return hasNumber
	case "何时", "何時", "几点", "いつ":
		return hasTime | hasNumber
	}
	return 0
}

// answerable is how much of the question the best passage has: a sentence, with the
// one before it. Names of the question may stand anywhere.
func (q *asked) answerable() float64 {
	if q.words == 0 {
		return 0
	}
	var anywhere uint64
	for i := range q.words {
		if q.counts[i] > 0 && q.named>>i&1 == 1 {
			anywhere |= 1 << i
		}
	}
	if q.named&^anywhere != 0 {
		return 0
	}
	best := 0.0
	for _, w := range q.best {
		share := float64(bits.OnesCount64(w.mask|anywhere)) / float64(q.words)
		if !q.satisfied(w.has) {
			share /= 2
		}
		best = max(best, share)
	}
	return best
}

// satisfied reports whether a passage has what the question asks for.
func (q *asked) satisfied(has uint8) bool {
	if q.needs&(hasMoney|hasNumber|hasTime) != 0 && has&(hasNumber|hasMoney|hasTime) == 0 {
		return false
	}
	if q.needs&hasMoney != 0 && has&hasMoney == 0 || q.needs&hasTime != 0 && has&hasTime == 0 {
		return false
	}
	return q.needs&hasName == 0 || has&hasName != 0
}

// close ends a sentence. It keeps it together with the one before it, when it is
// among those with the most words of the question.
func (q *asked) close(supplied bool) {
	w := q.current
	both := passage{w.mask | q.previous.mask, w.has | q.previous.has}
	q.current, q.previous = passage{}, w
	if !supplied || both.mask == 0 {
		return
	}
	if len(q.best) < maxPassages {
		q.best = append(q.best, both)
		return
	}
	if bits.OnesCount64(both.mask) <= q.least {
		return
	}
	worst := 0
	for i := range q.best {
		if bits.OnesCount64(q.best[i].mask) < bits.OnesCount64(q.best[worst].mask) {
			worst = i
		}
	}
	if q.least = bits.OnesCount64(q.best[worst].mask); bits.OnesCount64(both.mask) > q.least {
		q.best[worst] = both
	}
}
