// Package value says when two short answers are the same value.
//
// It is blind only to differences that cannot hurt: forms of one number, of one
// date, of one unit, Unicode's normal forms, spaces between words, the order of
// members. Everything else counts: each digit of an integer, units and currencies,
// versions, code, names. docs/equivalences.md has the whole table, and a test
// makes pairs from it. What is not in the table is different, which costs an
// escalation, where the other mistake would cost an answer.
//
// All functions are pure.
package value

import (
	"math"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// Value is an answer in its canonical form. The zero value is the empty text.
type Value struct {
	text    string  // canonical, also of a number
	unit    string  // canonical, "" without one
	known   bool    // it is in the table of units or of currencies
	label   string  // the variable that it is assigned to, "" for none
	number  float64 // where numeric
	numeric bool
	digits  int    // after the point as written; computed: -1
	zeros   string // the number as written, where zeros end its fraction: it may be a version
	ratio   string // two integers with a slash, as written: 1/2 may be a day or a share
	read    bool   // it has a form of its own: a number, a date, a literal, a choice
	offered bool   // it is a choice that the request offers
	quoted  bool   // the text stood in quotes of its own
	spaced  string // a text without quotes, with the spaces around it
}

// computed marks a number that was worked out: a fraction, a root.
const computed = -1

// Of brings an answer to its canonical form: a number, with its unit if it has one,
// a date or a time, a Python or JSON literal, mathematics, a choice of those that
// were offered, otherwise the text.
func Of(raw string, offered Choices) Value {
	raw = norm.NFC.String(raw)
	s := undress(raw)
	for _, read := range []func(string) (Value, bool){plainNumber, moment, quantity, literalValue, phone, offered.pick} {
		if v, ok := read(s); ok {
			v.read = true
			return v
		}
	}
	v := expression(s)
	v.spaced = raw
	return v
}

// Text returns the canonical form, for logs, tests and scores.
func (v Value) Text() string {
	if v.unit == "" {
		return v.text
	}
	return v.text + " " + v.unit
}

// Number returns the number, and whether it is one.
func (v Value) Number() (float64, bool) { return v.number, v.numeric }

// IsText reports whether nothing but its letters says what a value means.
func (v Value) IsText() bool { return !v.read && !v.numeric }

// Offered reports whether a value is a choice that the request offers.
func (v Value) Offered() bool { return v.offered }

// Same reports whether two values mean the same. A known unit that only one of them
// names is no difference: the question has it.
func (v Value) Same(w Value) bool {
	switch {
	case v.unit != w.unit && !v.mayLack(w) && !w.mayLack(v), v.label != w.label && v.label != "" && w.label != "":
		return false
	case v.ratio != w.ratio && v.ratio != "" && w.ratio != "":
		return false
	case v.numeric && w.numeric:
		return sameNumber(v, w)
	case v.quoted != w.quoted:
		return v.text == w.text || v.quotes(w) || w.quotes(v)
	}
	return v.text == w.text || saysYesOrNo(v.text) && strings.EqualFold(v.text, w.text)
}

// quotes reports whether v is in quotes what w is without. Spaces at the ends of a
// text without quotes cannot be seen, so they do not count.
func (v Value) quotes(w Value) bool {
	trimmed := strings.TrimSpace(v.text)
	return v.quoted && w.IsText() && (v.text == w.spaced || trimmed == w.text && trimmed != "")
}

// mayLack reports whether w has a unit that v need not have.
func (v Value) mayLack(w Value) bool { return v.unit == "" && w.known }

// tolerance is how far apart, relatively, two ways of computing one number come out.
const tolerance = 1e-13

// sameNumber compares numbers that are written by their digits. Of bare ones zeros
// at the end count too, because they may be versions. A computed number without
// end, such as 10/3, is the same as a written one of two decimals or more to which
// it rounds.
func sameNumber(v, w Value) bool {
	if v.digits != computed && w.digits != computed {
		return v.text == w.text && (v.zeros == w.zeros || v.unit != "" || w.unit != "")
	}
	if math.Abs(v.number-w.number) <= tolerance*max(math.Abs(v.number), math.Abs(w.number)) {
		return true
	}
	if v.digits == computed {
		v, w = w, v
	}
	if v.digits < 2 || ends(w.number) {
		return false
	}
	scale := math.Pow10(v.digits)
	return math.Round(v.number*scale) == math.Round(w.number*scale)
}

// ends reports whether a number has few decimals, so that it can be written.
func ends(f float64) bool {
	scaled := f * 1e6
	return math.Abs(scaled-math.Round(scaled)) <= tolerance*math.Abs(scaled)
}

// yesNo are words whose case does not matter. Elsewhere it may: May and may, US and
// us, an identifier.
var yesNo = map[string]bool{
	"yes": true, "no": true, "true": true, "false": true, "oui": true, "non": true, "sí": true, "si": true, "ja": true,
	"nein": true, "nee": true, "sim": true, "não": true, "sì": true, "tak": true, "nie": true, "да": true, "нет": true,
	"evet": true, "hayır": true, "ya": true, "tidak": true, "có": true, "không": true, "nej": true, "ano": true,
}

func saysYesOrNo(s string) bool { return len(s) <= 12 && yesNo[strings.ToLower(s)] }

// wrappers are pairs around an answer that carry no meaning.
var wrappers = [][2]string{
	{"**", "**"}, {"`", "`"}, {"$$", "$$"}, {"$", "$"}, {`\(`, `\)`}, {`\[`, `\]`}, {`\boxed{`, "}"}, {`\text{`, "}"},
	{`\textbf{`, "}"}, {`\mathrm{`, "}"}, {"<answer>", "</answer>"},
}

// undress removes spaces, markup and a full stop, layer by layer.
func undress(s string) string {
	s = strings.TrimSpace(s)
	for again := true; again; {
		again = false
		for _, w := range wrappers {
			if inner, ok := unwrap(s, w[0], w[1]); ok {
				s, again = strings.TrimSpace(inner), true
			}
		}
		if t, ok := strings.CutSuffix(s, "."); ok && endsSentence(t) {
			s, again = t, true
		}
	}
	return s
}

func unwrap(s, open, shut string) (string, bool) {
	inner, ok := strings.CutPrefix(s, open)
	if !ok || !strings.HasSuffix(inner, shut) {
		return "", false
	}
	inner = strings.TrimSuffix(inner, shut)
	braced := shut == "}" && strings.Count(inner, "{") != strings.Count(inner, "}")
	return inner, !strings.Contains(inner, open) && !braced
}

// endsSentence reports whether a full stop after s ends a sentence. In code it may
// be a part of a path: cp a .
func endsSentence(s string) bool {
	if s == "" {
		return false
	}
	switch s[len(s)-1] {
	case '$', '}', ')', '"', '\'', '`':
		return true
	case '*':
		return strings.HasSuffix(s, "**")
	case '.', ' ', '/':
		return false
	}
	return plain(s)
}

// plain reports words and numbers: none of the signs that code consists of.
func plain(s string) bool { return !strings.ContainsAny(s, "`\"|&<>{}[]()=;\\#~*@^_$/+\n\r") }

// words is a text as it is compared: in plain words one space is as good as more.
func words(s string) string {
	if plain(s) && (strings.Contains(s, "  ") || strings.Contains(s, "\t")) {
		return strings.Join(strings.Fields(s), " ")
	}
	return s
}
