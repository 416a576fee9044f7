package ground

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"
)

// name adds a claim for a word of a name, and joins it to the word before.
func (a *answered) name(t *token, begins bool) {
	r, _ := utf8.DecodeRune(a.text[t.start:])
	last := len(a.claims) - 1
	joined := last >= 0 && a.claims[last].aspect == ofName && a.claims[last].end == a.prev.end && t.sep&^sepHyphen == 0
	c := a.add(claim{
		aspect: ofName, start: t.start, end: t.end, script: scriptOf(r), alone: !joined, leading: begins && !a.bare,
	})
	if joined && c.end > 0 && last+1 < len(a.claims) {
		a.claims[last].next, a.claims[last].alone = last+1, false
	}
}

// names reports whether a word is the name of something.
func (a *answered) names(t, following *token, e entry, begins bool) bool {
	const nothing = isStop | isTitle | isGeneric | isHalf
	if !t.upper || begins && e.bits&isStarter != 0 || e.bits&nothing != 0 || e.measures() {
		return false
	}
	if n := utf8.RuneCount(a.text[t.start:t.end]); n < 2 || n == 2 && !t.capitals && !follows(a, t) {
		return false
	}
	if following.kind == word && lexicon.of(a.fold(a.text[following.start:following.end])).unit >= firstCurrency {
		return false // Swiss francs
	}
	if t.end <= a.lineEnd || e.bits&(isNegative|isMatter) != 0 {
		return false
	}
	if a.bare {
		return e.bits&isYes == 0
	}
	if t.capitals {
		return true
	}
	if a.german {
		return a.germanName(t, following, begins)
	}
	if !begins {
		return true
	}
	subject := following.kind == word && !following.upper && !ends(a.text[t.start:t.end])
	return a.leads(following) || a.asksName && a.tokens <= maxShort && subject
}

// maxShort is how many words an answer has at most that only says who or where.
const maxShort = 24

// follows reports whether the word before is of a name too.
func follows(a *answered, t *token) bool {
	last := len(a.claims) - 1
	return last >= 0 && a.claims[last].aspect == ofName && a.claims[last].end == a.prev.end && t.sep == 0
}

// leads reports whether a word that begins a sentence is followed by another word
// with a capital, so that both are one name.
func (a *answered) leads(following *token) bool {
	if following.kind != word || !following.upper || following.sep&sepOther != 0 || following.end-following.start < 2 {
		return false
	}
	e := lexicon.of(a.fold(a.text[following.start:following.end]))
	return e.bits&(isStop|isGeneric) == 0 && e.month == 0 && e.day == 0 && !following.capitals
}

// ends reports whether a word has an ending that names do not have.
func ends(w []byte) bool {
	for _, ending := range [...]string{"ing", "tion", "ment", "ly", "ed"} {
		if bytes.HasSuffix(w, []byte(ending)) {
			return true
		}
	}
	return false
}

func (a *answered) lowered(t *token) string { return string(a.fold(a.text[t.start:t.end])) }

// fold folds a word, in memory that lasts as long as the answer.
func (a *answered) fold(w []byte) []byte {
	start := len(a.arena)
	a.arena = appendFolded(a.arena, w)
	return a.arena[start:len(a.arena):len(a.arena)]
}

// germanNouns are endings and words of nouns, which German writes with a capital.
var germanNounEnds = [...]string{
	"ung", "ungen", "heit", "keit", "keiten", "schaft", "tion", "tionen", "tat", "nis", "tum", "ment", "ik",
	"zeit", "zeiten", "tag", "tage", "tagen", "frist", "kosten", "geld", "nummer", "preis", "service", "kunde",
	"kunden", "ware", "liste", "richtlinie", "seite", "kauf", "recht", "schein", "karte", "ling", "chen",
	"ismus", "ur", "anz", "enz", "ei",
}

// germanName reports whether a German word with a capital is a name and no noun. A
// noun has an article or an adjective before it, or an ending of nouns; a name
// stands by itself, behind a title or beside another name.
func (a *answered) germanName(t, following *token, begins bool) bool {
	w := a.lowered(t)
	for _, ending := range germanNounEnds {
		if strings.HasSuffix(w, ending) {
			return false
		}
	}
	before := lexicon.of(a.prevTok)
	switch {
	case begins:
		return false
	case before.bits&isTitle != 0 || follows(a, t):
		return true
	case before.bits&isArticle != 0 || a.prev.kind == number:
		return false
	case before.bits&isPlace != 0:
		return a.asksName && (following.kind != word || !following.upper || following.sep != 0)
	}
	if following.kind != word || !following.upper || following.sep != 0 {
		return false
	}
	if lexicon.of(a.fold(a.text[following.start:following.end])).bits == 0 {
		r, _ := utf8.DecodeRune(a.text[a.prev.start:])
		return unicode.IsLower(r) && before.bits&isStop != 0
	}
	return false
}

// honoured finds names of people in scripts without capitals, by what stands behind
// them.
func (a *answered) honoured() {
	for _, h := range lexicon.honorifics {
		for at := 0; ; {
			i := bytes.Index(a.text[at:], []byte(h))
			if i < 0 {
				break
			}
			end := at + i
			at = end + len(h)
			if start := honouredFrom(a.text[:end]); start < end {
				a.add(claim{aspect: ofName, start: start, end: end, script: otherScript, verbatim: true})
			}
		}
	}
}

// honouredFrom is where a name of at most four signs begins that ends a text; its
// end when there is none of at least two.
func honouredFrom(text []byte) int {
	start, n := len(text), 0
	for n < 4 {
		r, size := utf8.DecodeLastRune(text[:start])
		han, hangul := r >= 0x3400 && r <= 0x9FFF, r >= 0xAC00 && r <= 0xD7A3
		if !han && !hangul || n > 0 && strings.ContainsRune("是为由在的和与叫请找给向联系", r) {
			break
		}
		start, n = start-size, n+1
	}
	if n < 2 {
		return len(text)
	}
	return start
}
