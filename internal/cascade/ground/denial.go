package ground

import "strings"

// longDenial is how long an answer may be that says nothing but that. Longer ones say
// something beside it.
const longDenial = 480

// denies reports whether the answer says that the source does not have what was asked
// for, and claims nothing that it found instead.
func (a *answered) denies() bool {
	if len(a.text) > 3*longDenial || len(strings.TrimSpace(string(a.text))) == 0 {
		return false
	}
	text := strings.ToLower(string(a.text))
	for _, d := range lexicon.denials {
		if i := strings.Index(text, d); i >= 0 {
			return len(text) < longDenial && a.firm() == 0
		}
	}
	if len(a.text) > longDenial {
		return false
	}
	return a.deniesWords() && a.firm() <= 1
}

// firm is how many numbers and quotations the answer has that the source has too: it
// then tells something beside what it could not find.
func (a *answered) firm() int {
	n := 0
	for i := range a.claims {
		if c := &a.claims[i]; (c.aspect == ofNumber && !c.loose || c.aspect == ofQuote) && c.found {
			n++
		}
	}
	return n
}

// What a sentence has for a denial.
type clause struct {
	negative, strong, weak, matter, first bool
	words                                 int
}

// denies: it is not mentioned; the documents do not contain it; I cannot find it; no
// information.
func (c clause) denies() bool {
	return c.negative && (c.strong || c.weak && (c.matter || c.first || c.words <= 4))
}

// deniesWords looks for a denial in the first sentences.
func (a *answered) deniesWords() bool {
	l := lexer{text: a.text}
	var c clause
	sentences := 0
	var room [48]byte
	for t := l.next(); sentences < 3; t = l.next() {
		if t.sep&(sepStop|sepLine) != 0 || t.kind == atEnd {
			if c.denies() {
				return true
			}
			if c.words > 0 {
				sentences++
			}
			c = clause{}
		}
		if t.kind == atEnd {
			return false
		}
		c.words++
		if t.kind != word || t.end-t.start > len(room) {
			continue
		}
		b := lexicon.of(appendFolded(room[:0], a.text[t.start:t.end])).bits
		c.negative = c.negative || b&isNegative != 0
		c.strong = c.strong || b&isStrong != 0
		c.weak = c.weak || b&isWeak != 0
		c.matter = c.matter || b&isMatter != 0
		c.first = c.first || b&isFirst != 0
	}
	return false
}
