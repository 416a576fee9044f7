package ground

import (
	"cmp"
	"math"
)

// Findings are what an answer claims, and how much of it stands in the source. The
// zero value is an answer to a request that supplies nothing.
type Findings struct {
	Supplied bool // the request supplies something to answer from
	Opaque   bool // a part of it cannot be read, so that nothing counts as absent
	// Numbers, Names, Quotes, Links and Citations are how many the answer has, and how
	// many of them stand in the source. Dates, times and telephone numbers are numbers.
	Numbers, Names, Quotes, Links, Citations Share
	// Words are the words of the answer that say something, and those that the source
	// has too.
	Words Share
	// NotFound is whether the answer says that the source does not have what was asked
	// for, and nothing else.
	NotFound bool
	// Answerable is how much of the question stands in one passage of the source, 0 to
	// 1; above Enough the passage has what the question asks for.
	Answerable float64
	Translated bool // answer and source are in different languages
}

// Share is a number of things and how many of them were found.
type Share struct{ Of, Found int }

// Whole reports whether all were found.
func (s Share) Whole() bool { return s.Found == s.Of }

// Order names what the verdicts go by. It is raised when they change.
const Order = "ground-1"

// Enough is from where on a passage answers a question.
const Enough = 0.75

// Verdict is what speaks against an answer.
type Verdict string

// The verdicts. The zero value is an answer that stands on its source, as far as can
// be seen.
const (
	Grounded   Verdict = ""
	Ungrounded Verdict = "ungrounded" // it claims what the source does not have
	Overlooked Verdict = "overlooked" // it says that the source does not have what it has
)

// minWords is how many words an answer needs before it counts against it that none
// of them stands in the source.
const minWords = 6

// Verdict is what speaks most clearly against the answer.
func (f *Findings) Verdict() Verdict {
	switch {
	case !f.Supplied || f.Opaque:
		return Grounded
	case f.NotFound && f.Answerable >= Enough:
		return Overlooked
	case f.NotFound:
		return Grounded
	case !f.Numbers.Whole() || !f.Names.Whole() || !f.Quotes.Whole() || !f.Links.Whole() || !f.Citations.Whole():
		return Ungrounded
	case !f.Translated && f.Words.Of >= minWords && 6*f.Words.Found < f.Words.Of:
		return Ungrounded
	}
	return Grounded
}

// Look looks for what an answer claims in the source. A nil source supplies nothing.
func Look(s *Source, answer string) Findings {
	if s == nil {
		return Findings{}
	}
	f := Findings{Supplied: true, Opaque: s.opaque}
	c := &scan{s: s}
	c.asked.needs = needs(s.question)
	c.a = &answered{}
	c.a.read([]byte(answer), c.asked.needs&(hasName|hasPlace) != 0)
	c.index()
	c.run()
	f.Translated = c.translated()
	f.NotFound = c.a.denies()
	f.Answerable = c.asked.answerable()
	c.count(&f)
	return f
}

// translated reports whether answer and source are in different languages.
func (c *scan) translated() bool {
	own, other := mostSpoken(&c.a.languages), mostSpoken(&c.languages)
	return own >= 0 && other >= 0 && own != other
}

// index notes everything that is looked for.
func (c *scan) index() {
	c.x = newIndex(len(c.a.claims) + len(c.a.words) + maxAsked)
	days := false
	for i := range c.a.claims {
		one := &c.a.claims[i]
		raw := c.a.text[one.start:one.end]
		switch one.aspect {
		case ofNumber:
			c.expect(i, one)
			if one.code != nil {
				c.x.addName(one.code, i)
			}
		case ofName:
			if one.verbatim {
				continue
			}
			one.folded = c.a.fold(raw)
			days = days || lexicon.of(one.folded).day > 0
			c.x.addName(one.folded, i)
			c.x.addUmlaut(raw, i)
		case ofQuote:
			l := lexer{text: raw}
			if t := l.next(); t.kind == word || t.kind == pair {
				c.x.add(c.a.fold(raw[t.start:t.end]), wanted{use: useQuote, strict: true, of: i})
			} else {
				one.found = true // begins with a number, which is looked for as one
			}
		}
	}
	if days {
		c.expectDays()
	}
	for _, t := range c.a.words {
		c.x.add(c.a.fold(c.a.text[t.start:t.end]), wanted{use: useContent, of: -1})
	}
	c.asked.read(c.s.question, c.a, c.x)
}

// expect notes a number, and the words in which the source may have it.
func (c *scan) expect(i int, one *claim) {
	c.numeric = append(c.numeric, i)
	n := &one.num
	mine := measures[n.unit]
	switch {
	case len(c.near) < maxAlways && (one.near || mine.rough) && n.shape == plain && n.values[0] > 0:
		low, high := n.around(n.values[0])
		c.near = append(c.near, span{i, low, high, cmp.Or(mine.factor, 1)})
	case len(c.loose) < maxAlways && one.loose:
		c.loose = append(c.loose, i)
	}
	for u, other := range measures {
		if unit(u) != n.unit && (mine.dimension == noUnit || other.dimension != mine.dimension) {
			continue
		}
		for _, v := range n.values {
			c.expectValue(convert(v, mine, other), i)
		}
	}
	if n.shape == date {
		c.dates = append(c.dates, i)
		c.expectValue(float64(n.y), i)
	}
	if m := n.minutes(); !math.IsNaN(m) { // as 14:35, 14.35 and 14 h
		whole := math.Trunc(m / 60)
		for _, v := range []float64{m, whole, decimals([]group{{value: whole}, {value: m - whole*60, n: 2}})} {
			c.expectValue(v, i)
		}
	}
	if n.shape == plain {
		c.expectWords(one)
	}
}

// expectWords notes the words in which the source may have a number: as it is, and in
// another unit.
func (c *scan) expectWords(one *claim) {
	mine := measures[one.num.unit]
	for u, other := range measures {
		if unit(u) != one.num.unit && (mine.dimension == noUnit || other.dimension != mine.dimension) {
			continue
		}
		v := convert(one.num.values[0], mine, other)
		if v < 2 || v >= 100 || v != math.Trunc(v) {
			continue
		}
		c.expectWord(int(v))
		if v > 20 {
			c.expectWord(int(v) / 10 * 10)
		}
	}
	if one.loose {
		for v := 2; v <= 10; v++ {
			c.expectWord(v)
		}
	}
}

func (c *scan) expectWord(value int) {
	if value >= len(c.inWords) || c.inWords[value] {
		return
	}
	c.inWords[value] = true
	for _, w := range numberWords[value] {
		c.x.add(w, wanted{use: useNumber, strict: true, of: value})
	}
}

// maxAlways bounds how many claims are compared with every number of a source.
const maxAlways = 16

// convert gives a value in another unit of its dimension, as it would be written.
func convert(v float64, from, to measure) float64 {
	if from.factor == to.factor || to.factor == 0 {
		return v
	}
	return math.Round(v*from.factor/to.factor*1e9) / 1e9
}

// numberWords and dayWords are the folded names of numbers and of days.
var (
	numberWords = foldedNames(func(e entry) int { return int(e.value) })
	dayWords    = foldedNames(func(e entry) int { return int(max(e.day, e.short)) })
)

func foldedNames(of func(entry) int) map[int][][]byte {
	names := map[int][][]byte{}
	for w, e := range lexicon.words {
		if v := of(e); v > 0 {
			names[v] = append(names[v], []byte(w))
		}
	}
	return names
}

func (c *scan) expectDays() {
	for day, names := range dayWords {
		for _, w := range names {
			c.x.add(w, wanted{use: useDay, strict: true, of: day})
		}
	}
}

// count adds up what was found.
func (c *scan) count(f *Findings) {
	shares := [aspects]*Share{&f.Numbers, &f.Names, &f.Quotes, &f.Links, &f.Citations}
	for i := range c.a.claims {
		one := &c.a.claims[i]
		if one.aspect == ofName && (!c.seen[one.script] || f.Translated && one.alone) {
			continue // written in another script, or perhaps translated
		}
		if one.aspect == ofCitation && !c.numbered && c.s.pieces == 0 {
			continue
		}
		if one.loose && !one.found && !one.contrary {
			continue
		}
		s := shares[one.aspect]
		s.Of++
		if c.stands(one) {
			s.Found++
		}
	}
	for i := range c.x.words {
		if w := &c.x.words[i]; w.use == useContent && w.of < 0 {
			f.Words.Of++
			if w.found {
				f.Words.Found++
			}
		}
	}
}

// stands reports whether the source has what a claim says.
func (c *scan) stands(one *claim) bool {
	switch one.aspect {
	case ofCitation:
		v := one.num.values[0]
		return v <= 255 && (c.ids[uint8(v)>>6]>>(uint8(v)&63)&1 == 1 || !c.numbered && v <= float64(c.s.pieces))
	case ofNumber:
		return one.found || c.derived(one)
	case ofName:
		if day := lexicon.of(one.folded).day; day > 0 {
			return c.days>>day&1 == 1
		}
		return one.found && (!one.contrary || one.apart) || one.leading && c.rest(one)
	}
	return one.found
}

// rest reports whether a word that begins a sentence is followed by a name of two
// words or more that the source has: then it is likely no part of it.
func (c *scan) rest(one *claim) bool {
	n := 0
	for i := one.next; i != 0; i = c.a.claims[i].next {
		if !c.a.claims[i].found {
			return false
		}
		n++
	}
	return n > 1
}

// derived reports whether a number is the sum, the difference or the product of
// others in a sentence that says so.
func (c *scan) derived(one *claim) bool {
	if one.sentence < 1 || one.sentence > len(c.a.total) || one.num.shape != plain || !c.a.total[one.sentence-1] {
		return false
	}
	var parts []float64
	sum := 0.0
	for _, i := range c.numeric {
		if other := &c.a.claims[i]; other.found && other.num.shape == plain && len(parts) < 16 {
			parts = append(parts, other.num.values[0])
			sum += other.num.values[0]
			if second := other.num.values[1]; !math.IsNaN(second) {
				parts = append(parts, second)
			}
		}
	}
	for _, v := range one.num.values {
		if near(v, sum) {
			return true
		}
		for i, a := range parts {
			for _, b := range parts[i+1:] {
				if near(v, a+b) || near(v, math.Abs(a-b)) || near(v, a*b) || near(v, a*b/100) {
					return true
				}
			}
		}
	}
	return false
}

func near(a, b float64) bool { return math.Abs(a-b) < 0.005 || math.Abs(a-b) < 1e-6*math.Abs(a) }
