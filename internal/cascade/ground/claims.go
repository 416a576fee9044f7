package ground

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// aspect is what kind of thing an answer claims.
type aspect uint8

const (
	ofNumber aspect = iota
	ofName
	ofQuote
	ofLink
	ofCitation
	aspects
)

// claim is one thing in an answer that the source has to have.
type claim struct {
	aspect     aspect
	start, end int // in the answer
	num        num
	script     script
	found      bool
	contrary   bool   // the source has another number of the same noun
	loose      bool   // only a contrary number counts against it
	near       bool   // the source may have it rounded
	alone      bool   // a name of one word
	verbatim   bool   // its bytes are looked for
	noun       []byte // the word behind a number, folded
	sentence   int    // of the answer
	next       int    // claim of the name that follows at once, 0 for none
	code       []byte // of a number behind a word and a hyphen: both as one word
	folded     []byte // of a name
	apart      bool
	leading    bool // of a name that begins a sentence, so that it may be another word
}

// script is what a name is written in.
type script uint8

const (
	latin script = iota
	cyrillic
	greek
	otherScript
	scripts
)

func scriptOf(r rune) script {
	switch {
	case r < 0x370:
		return latin
	case r < 0x400:
		return greek
	case r < 0x530:
		return cyrillic
	}
	return otherScript
}

const (
	maxAnswer = 32 << 10 // bytes of an answer that are looked at
	maxClaims = 256
)

// answered is what was read of an answer.
type answered struct {
	original  []byte
	text      []byte // with blanks for links
	claims    []claim
	words     []token // without those that say nothing
	languages [maxLanguages]int
	german    bool
	bare      bool // a few words, no sentence
	sentence  int
	total     []bool // sentences that give a sum or a difference
	lines     int
	tokens    int
	asksName  bool

	num     num // of the token that is looked at
	prev    token
	prevTok []byte // folded, in room
	room    [64]byte
	arena   []byte // folded words
	lineEnd int    // of a heading or a label: what is before it names nothing
	fenced  bool
	quotes  []region
}

// read finds the claims of an answer. asksName is whether the question asks for a
// person or a place.
func (a *answered) read(text []byte, asksName bool) {
	a.text, a.asksName = text[:min(len(text), maxAnswer)], asksName
	a.original = a.text
	a.arena = make([]byte, 0, 2*len(a.text)+512)
	a.sentence, a.total = 1, []bool{false}
	a.links()
	a.spans()
	a.honoured()
	a.measure()
	l := lexer{text: a.text}
	t := l.next()
	for t.kind != atEnd {
		a.num = l.num
		following := l.next()
		a.token(&t, &following)
		a.prev = t
		t = following
	}
}

// measure counts stop words, by which the language shows, and how long the answer is.
func (a *answered) measure() {
	l := lexer{text: a.text}
	var room [32]byte
	names := true // all words begin with a capital
	for t := l.next(); t.kind != atEnd && a.tokens < 400; t = l.next() {
		a.tokens++
		names = names && (t.kind != word || t.upper)
		if t.kind == word && t.end-t.start < len(room) {
			count(&a.languages, lexicon.of(appendFolded(room[:0], a.text[t.start:t.end])).lang)
		}
	}
	a.lines = bytes.Count(bytes.TrimSpace(a.text), []byte("\n")) + 1
	a.bare = a.tokens <= 4 && a.lines == 1 && names
	a.german = mostSpoken(&a.languages) == german
}

// count counts a stop word for its languages.
func count(counts *[maxLanguages]int, languages uint16) {
	for i := 0; languages > 0; i, languages = i+1, languages>>1 {
		counts[i] += int(languages & 1)
	}
}

// german is the number of the language in lexicon.txt.
const german = 1

// mostSpoken is the language of which most stop words were found, -1 when too few.
func mostSpoken(counts *[maxLanguages]int) int {
	best := -1
	for i, n := range counts {
		if n >= 2 && (best < 0 || n > counts[best]) {
			best = i
		}
	}
	return best
}

func (a *answered) add(c claim) *claim {
	if len(a.claims) == maxClaims {
		return &claim{}
	}
	c.sentence = a.sentence
	a.claims = append(a.claims, c)
	return &a.claims[len(a.claims)-1]
}

// links finds addresses, and blanks them out in what is read later.
func (a *answered) links() {
	var blank []byte
	for i := 0; i < len(a.text); {
		n := bytes.IndexAny(a.text[i:], "@:w")
		if n < 0 {
			break
		}
		at := i + n
		start, end := a.around(at)
		one := a.text[start:end]
		if !address(one) {
			i = at + 1
			continue
		}
		a.add(claim{aspect: ofLink, start: start, end: end})
		if blank == nil {
			blank = append([]byte(nil), a.text...)
		}
		for k := start; k < end; k++ {
			blank[k] = ' '
		}
		i = max(end, at+1)
	}
	if blank != nil {
		a.text = blank
	}
}

// address reports whether a text is one of the web or of mail.
func address(text []byte) bool {
	for _, scheme := range [...]string{"http://", "https://", "www."} {
		if bytes.HasPrefix(text, []byte(scheme)) {
			return true
		}
	}
	name, domain, mail := bytes.Cut(text, []byte("@"))
	return mail && len(name) > 0 && bytes.IndexByte(domain, '.') > 0
}

// around is the place of the address that contains position at.
func (a *answered) around(at int) (start, end int) {
	const ends = " \t\r\n<>()[]{}\"'|*`,;，。、）（」「"
	start, end = at, at
	for start > 0 && strings.IndexByte(ends, a.text[start-1]) < 0 && a.text[start-1] < 0x80 {
		start--
	}
	for end < len(a.text) && strings.IndexByte(ends, a.text[end]) < 0 && a.text[end] < 0x80 {
		end++
	}
	for end > start && strings.IndexByte(".:!?/", a.text[end-1]) >= 0 {
		end--
	}
	return start, end
}

// marks of quotations that have a begin and an end.
var quoteMarks = [...][2]string{{"“", "”"}, {"„", "“"}, {"«", "»"}, {"「", "」"}, {"『", "』"}, {"\"", "\""}}

// minQuoted is how many words a quotation has at least; fewer are a name or irony.
const minQuoted = 3

// spans finds quotations. What is in them is looked for as a whole.
func (a *answered) spans() {
	for _, marks := range quoteMarks {
		for at := 0; ; {
			i := bytes.Index(a.text[at:], []byte(marks[0]))
			if i < 0 {
				break
			}
			start := at + i + len(marks[0])
			n := bytes.Index(a.text[start:], []byte(marks[1]))
			if n < 0 || n > 2000 || bytes.IndexByte(a.text[start:start+n], '\n') >= 0 {
				at = start
				continue
			}
			a.quote(start, start+n)
			at = start + n + len(marks[1])
		}
	}
}

// quote adds a quotation, in the parts between its ellipses.
func (a *answered) quote(start, end int) {
	for start < end {
		stop := end
		for _, gap := range []string{"...", "…", "[…]", "[...]"} {
			if i := bytes.Index(a.text[start:stop], []byte(gap)); i >= 0 {
				stop = start + i
			}
		}
		l, n := lexer{text: a.text[start:stop]}, 0
		for t := l.next(); t.kind != atEnd; t = l.next() {
			n++
		}
		if n >= minQuoted {
			a.add(claim{aspect: ofQuote, start: start, end: stop})
			a.quotes = append(a.quotes, region{start: start, end: stop})
		}
		start = stop
		for start < end && strings.IndexByte(".[]", a.text[start]) >= 0 {
			start++
		}
		if strings.HasPrefix(string(a.text[start:end]), "…") {
			start += len("…")
		}
		if start == stop {
			start++
		}
	}
}

func (a *answered) quoted(t *token) bool {
	for _, q := range a.quotes {
		if t.start >= q.start && t.end <= q.end {
			return true
		}
	}
	return false
}

// token looks at one token of the answer, and the one after it.
func (a *answered) token(t, following *token) {
	if t.sep&(sepStop|sepLine) != 0 {
		a.sentence++
		a.total = append(a.total, false)
	}
	if t.sep&sepLine != 0 || a.prev.kind == atEnd {
		a.line(t)
	}
	if bytes.Count(a.gap(t), []byte("```"))%2 == 1 {
		a.fenced = !a.fenced
	}
	if a.fenced || a.quoted(t) {
		return
	}
	if t.sep&sepEquals != 0 {
		a.markTotal()
	}
	switch t.kind {
	case number:
		a.number(t, following)
	case pair:
		a.words = append(a.words, *t)
	default:
		a.word(t, following)
	}
}

func (a *answered) markTotal() { a.total[a.sentence-1] = true }

// gap is what stands between a token and the one before it.
func (a *answered) gap(t *token) []byte { return a.text[min(a.prev.end, t.start):t.start] }

// line finds out whether the line that a token begins is a heading, or begins with
// a label.
func (a *answered) line(t *token) {
	end := len(a.text)
	if i := bytes.IndexByte(a.text[t.start:], '\n'); i >= 0 {
		end = t.start + i
	}
	line := a.text[t.start:end]
	a.lineEnd = 0
	if t.sep&sepHeading != 0 && bytes.IndexByte(a.gap(t), '#') >= 0 {
		a.lineEnd = end
		return
	}
	if i := bytes.IndexAny(line, ":："); i > 0 && i < 48 && i < len(line)-1 || i == len(line)-1 {
		a.lineEnd = t.start + i
		return
	}
	if i := bytes.Index(line, []byte(" - ")); i > 0 && i < 40 && t.sep&sepHyphen != 0 {
		a.lineEnd = t.start + i
		return
	}
	if a.lines > 1 && len(line) < 60 && bytes.HasSuffix(bytes.TrimSpace(line), []byte("**")) && t.sep&sepHeading != 0 {
		a.lineEnd = end
	}
}

// number adds a claim for a number, unless it numbers a line or cites a source.
func (a *answered) number(t, following *token) {
	before, after := byte(0), byte(0)
	if t.start > 0 {
		before = a.text[t.start-1]
	}
	if t.end < len(a.text) {
		after = a.text[t.end]
	}
	first := a.prev.kind == atEnd || t.sep&sepLine != 0
	switch {
	case first && (after == '.' || after == ')') && a.num.digits <= 2 && a.lines > 1:
		return // 1. of a list
	case a.cites(t, before, after):
		a.add(claim{aspect: ofCitation, start: t.start, end: t.end, num: a.num})
		return
	case before == '^':
		return
	}
	c := claim{aspect: ofNumber, start: t.start, end: t.end, num: a.num, near: a.num.scaled || a.rounds()}
	if a.num.shape == plain && a.num.unit == noUnit && a.num.values[0] <= 12 && a.num.digits <= 2 && !a.bare {
		c.loose = true
	}
	if t.sep == sepHyphen|sepOther && a.prev.kind == word && a.prev.end+1 == t.start && a.prev.upper {
		c.code = append(a.fold(a.text[a.prev.start:a.prev.end]), a.text[t.start:t.end]...)
	}
	if following.kind == word && following.sep&sepOther == 0 {
		c.noun = a.fold(a.text[following.start:following.end])
	}
	a.add(c)
}

// cites reports whether a number cites a source: [2], 【3, Document 4.
func (a *answered) cites(t *token, before, after byte) bool {
	if a.num.shape != plain || a.num.digits > 3 || a.num.unit != noUnit && a.num.unit != seconds {
		return false
	}
	if before == '[' && (after == ']' || after == ',' || after == ';') {
		return true
	}
	if r, _ := utf8.DecodeLastRune(a.text[:t.start]); r == '【' {
		return true
	}
	if after == ']' && a.prev.kind == number && t.sep == sepOther {
		last := len(a.claims) - 1
		return last >= 0 && a.claims[last].aspect == ofCitation && a.claims[last].end == a.prev.end
	}
	near := t.sep&^(sepQuote|sepOther) == 0 && a.prev.end+2 >= t.start
	return near && a.prev.kind == word && lexicon.of(a.prevTok).bits&isCiting != 0
}

// rounds reports whether the word before says that a number is rounded.
func (a *answered) rounds() bool {
	return a.prev.kind == word && lexicon.of(a.prevTok).bits&isAbout != 0
}

// word adds claims for a word: a number, a day of the week, a name.
func (a *answered) word(t, following *token) {
	var room [64]byte
	if t.end-t.start > len(room)/2 {
		a.prevTok = nil
		return // no word
	}
	w := appendFolded(room[:0], a.text[t.start:t.end])
	e := lexicon.of(w)
	begins := a.begins(t)
	defer func() { a.prevTok = append(a.room[:0], w...) }()
	if e.bits&isTotal != 0 {
		a.markTotal()
	}
	switch {
	case e.value > 0:
		a.numberWord(t, following, e)
	case e.day > 0 && len(w) > 3:
		a.add(claim{aspect: ofName, start: t.start, end: t.end, alone: true})
	case a.names(t, following, e, begins):
		a.name(t, begins)
	}
	if e.bits&isStop == 0 && e.unit == noUnit && utf8.RuneCount(w) > 3 {
		a.words = append(a.words, *t)
	}
}

// begins reports whether a token begins a sentence, or something like one.
func (a *answered) begins(t *token) bool {
	if a.prev.kind == atEnd || t.sep&(sepStop|sepLine|sepQuote|sepHeading) != 0 {
		return true
	}
	return a.prev.kind == number && a.prev.sep&sepLine != 0 && t.sep&sepOther != 0
}

// numberWord adds a claim for a number in words.
func (a *answered) numberWord(t, following *token, e entry) {
	n := num{values: [2]float64{float64(e.value), none}, digits: 1}
	c := claim{aspect: ofNumber, start: t.start, end: t.end, num: n, loose: true}
	if following.kind == word && (following.sep&sepOther == 0 || following.sep == sepHyphen|sepOther) {
		c.noun = a.fold(a.text[following.start:following.end])
		next := lexicon.of(c.noun)
		if next.unit != noUnit {
			c.num.unit, c.loose = next.unit, false
		}
		if next.value > 0 || next.scale > 0 || e.bits&isStop != 0 && next.unit == noUnit {
			return // compound, or a word of another kind
		}
	} else if following.kind != pair && e.bits != 0 {
		return
	}
	if a.prev.kind == word && lexicon.of(a.prevTok).value > 0 && t.sep&sepStop == 0 {
		c.num.values[0] += float64(lexicon.of(a.prevTok).value)
	}
	a.add(c)
}
