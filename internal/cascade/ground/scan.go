package ground

import (
	"bytes"
	"math"
	"slices"
	"unicode/utf8"
)

// scan looks for claims in a source.
type scan struct {
	s     *Source
	a     *answered
	x     *index
	asked asked

	values  [valueSlots]uint16 // by the hash of a value: the first of the claims that have it, from 1
	having  []having
	dates   []int    // claims that are dates
	near    []span   // of the claims that are rounded
	loose   []int    // claims that another number of the same noun contradicts
	numeric []int    // all claims that are numbers
	inWords [91]bool // values of which the words are looked for
	days    uint8    // days of the week that the source has

	seen      [scripts]bool
	languages [maxLanguages]int
	sampled   int
	ids       [4]uint64 // numbers that documents have
	numbered  bool
	quoted    bool // in supplied text

	prev    token
	text    []byte // of the region
	folded  [64]byte
	room    [64]byte
	lastDay int
	sub     lexer // reads ahead
}

// before is the word before, folded; it is valid until the next call.
func (c *scan) before() []byte {
	if c.prev.kind != word || c.prev.end-c.prev.start > len(c.room)/2 {
		return nil
	}
	return appendFolded(c.room[:0], c.text[c.prev.start:c.prev.end])
}

// having is a claim that has a value.
type having struct {
	claim int
	next  uint16
}

const valueSlots = 1 << 11

// expectValue notes that a claim has a value.
func (c *scan) expectValue(v float64, claim int) {
	if math.IsNaN(v) || len(c.having) >= math.MaxUint16-1 {
		return
	}
	slot := slotOf(v)
	c.having = append(c.having, having{claim, c.values[slot]})
	c.values[slot] = uint16(len(c.having))
}

// run scans all regions.
func (c *scan) run() {
	for _, r := range c.s.regions {
		c.quoted = r.supplied
		c.prev, c.lastDay = token{}, 0
		c.asked.current, c.asked.previous = passage{}, passage{}
		c.text = c.s.text[r.start:r.end]
		l := lexer{text: c.text}
		for t := l.next(); t.kind != atEnd; t = l.next() {
			c.token(&l, &t)
		}
		c.asked.close(c.quoted)
	}
	for i := range c.a.claims {
		if one := &c.a.claims[i]; one.aspect == ofLink || one.verbatim {
			one.found = bytes.Contains(c.s.text, c.a.original[one.start:one.end])
		}
	}
}

func (c *scan) token(l *lexer, t *token) {
	if t.sep&(sepStop|sepLine) != 0 {
		c.asked.close(c.quoted)
	}
	switch t.kind {
	case number:
		c.number(l, t)
	default:
		c.word(l, t)
	}
	c.prev = *t
}

// number compares a number of the source with those of the answer.
func (c *scan) number(l *lexer, t *token) {
	n := &l.num
	switch {
	case n.unit >= firstCurrency:
		c.asked.current.has |= hasMoney
	case n.shape == clock, n.shape == date, n.unit >= seconds && n.unit <= years:
		c.asked.current.has |= hasTime
	case n.shape == plain && n.digits == 4 && n.values[0] >= 1000 && n.values[0] < 2100:
		c.asked.current.has |= hasTime
	}
	c.identifies(l, t)
	c.code(l, t)
	c.value(n, l.pos, l)
}

// code finds a name with digits that the source writes with a hyphen: X-200 for X200.
func (c *scan) code(l *lexer, t *token) {
	hyphen := t.sep == sepHyphen|sepOther && c.prev.kind == word && c.prev.end+1 == t.start
	if !hyphen || t.end-c.prev.start > len(c.folded) {
		return
	}
	folded := append(append(c.folded[:0], c.before()...), l.text[t.start:t.end]...)
	for i := c.x.heads[prefixHash(folded)%slots]; i != 0; i = uint16(c.x.words[i].next) {
		if one := &c.x.words[i]; one.use == useName && one.same(folded) {
			c.a.claims[one.of].found = true
		}
	}
}

// value compares a number that ends at pos with all that could be it.
func (c *scan) value(n *num, pos int, l *lexer) {
	c.asked.current.has |= hasNumber
	for _, v := range n.values {
		c.compareAll(v, n)
	}
	if n.shape == date {
		c.compareAll(float64(n.y), n)
		c.compareAll(float64(n.d), n)
		for _, i := range c.dates {
			c.compare(&c.a.claims[i], n)
		}
		return
	}
	c.compareNear(n)
	if n.shape != plain || n.values[0] > 20 {
		return
	}
	for _, i := range c.loose {
		one := &c.a.claims[i]
		if one.found || one.contrary || len(one.noun) == 0 || n.values[0] == one.num.values[0] {
			continue
		}
		f := l.peek(pos)
		w := wanted{folded: one.noun}
		one.contrary = f.text != nil && w.same(f.text)
	}
}

// compareAll compares a number with the claims that have one of its values.
func (c *scan) compareAll(v float64, n *num) {
	for i := c.values[slotOf(v)]; i != 0; i = c.having[i-1].next {
		c.compare(&c.a.claims[c.having[i-1].claim], n)
	}
}

func (c *scan) compare(one *claim, n *num) {
	one.found = one.found || one.num.agrees(n)
}

// span is where a value may lie that a claim gives in round figures, in the base of
// its dimension.
type span struct {
	claim     int
	low, high float64
	factor    float64 // of the claim's unit
}

// compareNear compares a number with the claims that are rounded.
func (c *scan) compareNear(n *num) {
	factor := measures[n.unit].factor
	for i := 0; i < len(c.near); i++ {
		at := &c.near[i]
		by := factor
		if by == 0 {
			by = at.factor
		}
		a, b := n.values[0]*by, n.values[1]*by
		if !(a >= at.low && a <= at.high) && !(b >= at.low && b <= at.high) {
			continue
		}
		one := &c.a.claims[at.claim]
		mine, other := measures[one.num.unit], measures[n.unit]
		known := one.num.unit != noUnit && n.unit != noUnit && one.num.unit != n.unit
		if n.shape != plain || known && (mine.dimension == noUnit || mine.dimension != other.dimension) {
			continue
		}
		one.found = true
		c.near[i] = c.near[len(c.near)-1]
		c.near = c.near[:len(c.near)-1]
		i--
	}
}

func slotOf(v float64) int {
	return int(math.Float64bits(v) * 0x9E3779B97F4A7C15 >> (64 - 11))
}

// identifies notes the numbers that documents are cited by.
func (c *scan) identifies(l *lexer, t *token) {
	if l.num.shape != plain || l.num.values[0] > 255 || l.num.values[0] != math.Trunc(l.num.values[0]) {
		return
	}
	before := byte(' ')
	if t.start > 0 {
		before = l.text[t.start-1]
	}
	line := c.prev.kind == atEnd || t.sep&sepLine != 0
	named := c.prev.kind == word && c.prev.end+3 >= t.start && c.numbering()
	if before == '[' && line || named {
		v := uint8(l.num.values[0])
		c.ids[v>>6] |= 1 << (v & 63)
		c.numbered = true
	}
}

// attributes are the names under which tags have the number of a document.
var attributes = []string{"index", "id", "n", "result", "chunk"}

// numbering reports whether the word before is one behind which documents have
// their number: Document 2, id="2".
func (c *scan) numbering() bool {
	if !citing.has(c.prev.pre) {
		return false
	}
	before := c.before()
	return slices.Contains(attributes, string(before)) || lexicon.of(before).bits&isCiting != 0
}

// word compares a word of the source with those that are looked for.
func (c *scan) word(l *lexer, t *token) {
	w := l.text[t.start:t.end]
	r := rune(w[0])
	if r >= 0x80 {
		r, _ = utf8.DecodeRune(w)
	}
	c.seen[scriptOf(r)] = true
	if t.upper && c.quoted && c.asked.needs&(hasName|hasPlace) != 0 {
		c.capitals(t)
	}
	head := c.x.heads[t.pre%slots]
	sample := c.sampled < maxSampled && c.quoted && t.kind == word
	if t.end-t.start > len(c.folded)/2 || !sample && !c.open(head) {
		return
	}
	folded := appendFolded(c.folded[:0], w)
	if sample {
		c.sampled++
		count(&c.languages, lexicon.of(folded).lang)
	}
	for i := head; i != 0; i = uint16(c.x.words[i].next) {
		if one := &c.x.words[i]; (!one.found || one.use != useContent) && one.same(folded) {
			c.hit(l, t, one)
		}
	}
}

// maxSampled is how many words tell the language of a source.
const maxSampled = 400

// open reports whether a word could be one that is looked for and not found yet.
func (c *scan) open(head uint16) bool {
	for i := head; i != 0; i = uint16(c.x.words[i].next) {
		if one := &c.x.words[i]; !one.found || one.use != useContent {
			return true
		}
	}
	return false
}

// capitals notes that a sentence has what could be the name of a person or a place.
func (c *scan) capitals(t *token) {
	if c.prev.kind != word || t.sep&(sepStop|sepLine) != 0 {
		return
	}
	c.asked.current.has |= hasPlace
	if c.asked.current.has&hasName != 0 {
		return
	}
	before := c.before()
	if c.prev.upper && t.sep&sepOther == 0 || lexicon.of(before).bits&isTitle != 0 || string(before) == "by" {
		c.asked.current.has |= hasName
	}
}

func (c *scan) hit(l *lexer, t *token, one *wanted) {
	switch one.use {
	case useName:
		c.name(l, &c.a.claims[one.of])
	case useQuote:
		if claim := &c.a.claims[one.of]; !claim.found && c.continues(l, t, claim) {
			claim.found = true
		}
	case useNumber:
		c.numberWord(l, float64(one.of))
	case useContent:
		one.found = one.found || c.quoted
	case useAsked:
		if c.quoted {
			c.asked.current.mask |= 1 << one.of
			c.asked.counts[one.of]++
		}
	case useDay:
		short := l.pos < len(l.text) && (l.text[l.pos] == '.' || l.text[l.pos] == '-')
		if lexicon.of(one.folded).day > 0 || t.upper || c.lastDay > 0 || short {
			c.day(t, one.of)
		}
	}
}

// name finds a name. Of one with several words each has to be found, and not only
// beside others.
func (c *scan) name(l *lexer, one *claim) {
	one.found = true
	if one.next == 0 || !one.apart && one.contrary {
		return
	}
	c.sub.text, c.sub.pos, c.sub.prev = l.text, l.pos, 0
	following := c.sub.next()
	var room [64]byte
	if following.kind == word && following.end-following.start <= len(room) {
		w := wanted{folded: c.a.claims[one.next].folded, strict: true}
		folded := appendFolded(room[:0], l.text[following.start:following.end])
		other := following.upper && following.sep == 0 && !w.same(folded)
		if other {
			w.folded = undotted(w.folded)
			other = !w.same(undotted(folded))
		}
		if other {
			one.contrary = true // another name follows here
			return
		}
		one.apart = true // once it is not followed by another name
	}
}

// continues reports whether a quotation stands in the source from a token on.
func (c *scan) continues(l *lexer, t *token, one *claim) bool {
	own := lexer{text: c.a.text[one.start:one.end]}
	there := &c.sub
	there.text, there.pos, there.prev = l.text, l.pos, 0
	own.next()
	if t.kind == pair {
		there.prev, _ = utf8.DecodeLastRune(l.text[:t.end])
	}
	for a := own.next(); a.kind != atEnd; a = own.next() {
		b := there.next()
		if a.kind != b.kind || a.pre != b.pre {
			return false
		}
		if a.kind == number {
			if !own.num.agrees(&there.num) {
				return false
			}
			continue
		}
		var one, other [64]byte
		if a.end-a.start > 64 || b.end-b.start > 64 || !bytes.Equal(
			appendFolded(one[:0], own.text[a.start:a.end]), appendFolded(other[:0], there.text[b.start:b.end])) {
			return false
		}
	}
	return true
}

// numberWord compares a number in words, with what stands behind it.
func (c *scan) numberWord(l *lexer, value float64) {
	n := num{values: [2]float64{value, none}, digits: 1}
	pos := l.pos
	f := l.peek(pos)
	e := lexicon.of(f.text)
	if value >= 20 && e.value > 0 && e.value < 10 {
		n.values[0] += float64(e.value)
		pos = f.end
		f = l.peek(pos)
		e = lexicon.of(f.text)
	}
	if e.scale > 0 {
		n.values[0] *= e.scale
		pos = f.end
		f = l.peek(pos)
		e = lexicon.of(f.text)
	}
	n.unit = e.unit
	c.value(&n, pos, l)
}

// day notes a day of the week, and those of a span: Monday to Friday.
func (c *scan) day(t *token, day int) {
	c.days |= 1 << day
	if c.lastDay > 0 && (t.sep&sepHyphen != 0 || spans(c.before())) {
		for d := c.lastDay; d != day; d = d%7 + 1 {
			c.days |= 1 << d
		}
	}
	c.lastDay = day
}

func spans(w []byte) bool {
	switch string(w) {
	case "to", "through", "bis", "a", "al", "au", "tot", "do", "по", "till", "ate":
		return true
	}
	return false
}
