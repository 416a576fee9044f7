package answer

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// value is a final answer in its canonical form.
type value struct {
	text     string  // canonical text, also of a number
	number   float64 // when decimals ≥ 0 and numeric
	numeric  bool
	decimals int  // digits after the point as written, for rounding; exact: -1
	exact    bool // compared byte for byte: a quoted string, a document
}

// same reports whether two values mean the same.
func (v value) same(w value) bool {
	if v.text == w.text {
		return true
	}
	if v.numeric && w.numeric {
		return sameNumber(v, w)
	}
	if v.exact && w.exact {
		return false
	}
	a, b := strings.Join(strings.Fields(v.text), " "), strings.Join(strings.Fields(w.text), " ")
	if a == b {
		return true
	}
	return !v.exact && !w.exact && strings.EqualFold(a, b) && plainCase(a) && plainCase(b)
}

// plainCase reports a word or phrase whose case is a matter of style: none of
// its letters but the first is a capital, or all are. In usAr case has a meaning.
func plainCase(s string) bool {
	_, size := utf8.DecodeRuneInString(s)
	return s[size:] == strings.ToLower(s[size:]) || s == strings.ToUpper(s)
}

// sameNumber compares by value. When one side was rounded to two digits or
// more, the other is rounded to as many: 3.33 is 10/3, but 3 is not.
func sameNumber(v, w value) bool {
	if math.Abs(v.number-w.number) <= 1e-9*max(1, math.Abs(v.number), math.Abs(w.number)) {
		return true
	}
	d := v.decimals
	if d < 0 || w.decimals >= 0 && w.decimals < d {
		d = w.decimals
	}
	if d < 2 {
		return false
	}
	scale := math.Pow10(d)
	return math.Round(v.number*scale) == math.Round(w.number*scale)
}

// normal brings a final answer to its canonical form: number, Python or JSON
// literal, mathematics, choice letter, otherwise text.
func normal(raw string) value {
	s := undress(raw)
	if n, ok := plainNumber(s); ok {
		return n
	}
	if lit, quoted, ok := literal(s); ok {
		if !quoted {
			return value{text: lit}
		}
		// A quoted number means the digits in it: models quote at random.
		if n, ok := plainNumber(lit); ok {
			return n
		}
		return value{text: lit, exact: true}
	}
	if letter, ok := choice(s); ok {
		return value{text: letter}
	}
	if n, ok := quantity(s); ok {
		return n
	}
	return expression(s)
}

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
			inner, ok := strings.CutPrefix(s, w[0])
			if !ok || !strings.HasSuffix(inner, w[1]) {
				continue
			}
			inner = strings.TrimSuffix(inner, w[1])
			if strings.Contains(inner, w[0]) || w[1] == "}" && strings.Count(inner, "{") != strings.Count(inner, "}") {
				continue
			}
			s, again = strings.TrimSpace(inner), true
		}
		if t := strings.TrimRight(s, "."); t != s && t != "" && !strings.HasSuffix(t, ".") {
			s, again = strings.TrimSpace(t), true
		}
	}
	return s
}

// plainNumber reads a number: sign, currency, thousands commas, percent sign.
func plainNumber(s string) (value, bool) {
	body, sign := s, 1.0
	if rest, ok := strings.CutPrefix(body, "-"); ok {
		body, sign = rest, -1
	} else if rest, ok := strings.CutPrefix(body, "−"); ok {
		body, sign = rest, -1
	}
	for _, mark := range []string{`\$`, "$", "€", "£"} {
		body = strings.TrimPrefix(body, mark)
	}
	for _, mark := range []string{`\%`, "%", "°", "$"} {
		body = strings.TrimSuffix(body, mark)
	}
	body = strings.ReplaceAll(strings.TrimSpace(body), `{,}`, ",")
	digits, decimals, ok := ungroup(body)
	if !ok {
		return value{}, false
	}
	f, err := strconv.ParseFloat(digits, 64)
	if err != nil {
		return value{}, false
	}
	return numberValue(sign*f, decimals), true
}

func numberValue(f float64, decimals int) value {
	if f == 0 {
		f = 0 // no negative zero
	}
	return value{text: strconv.FormatFloat(f, 'g', 12, 64), number: f, numeric: true, decimals: decimals}
}

// ungroup checks that s is digits with proper thousands commas and at most one
// point, and returns it without commas. 007 is a code, not seven.
func ungroup(s string) (digits string, decimals int, ok bool) {
	whole, fraction, _ := strings.Cut(s, ".")
	if strings.Contains(whole, ",") {
		groups := strings.Split(whole, ",")
		for i, g := range groups {
			if len(g) != 3 && (i > 0 || g == "" || len(g) > 3) {
				return "", 0, false
			}
		}
		whole = strings.Join(groups, "")
	}
	if whole+fraction == "" || !allDigits(whole) || !allDigits(fraction) || len(whole)+len(fraction) > 40 {
		return "", 0, false
	}
	if len(whole) > 1 && whole[0] == '0' {
		return "", 0, false
	}
	return whole + "." + fraction + "0", len(fraction), true
}

func allDigits(s string) bool { return strings.Trim(s, "0123456789") == "" }

// choice reads a choice letter: B, (B), B., "B) text", "option B".
func choice(s string) (string, bool) {
	for _, lead := range []string{"option ", "Option ", "choice ", "Choice "} {
		s = strings.TrimPrefix(s, lead)
	}
	open := strings.HasPrefix(s, "(")
	s = strings.TrimPrefix(s, "(")
	if s == "" || s[0] < 'A' || s[0] > 'Z' {
		return "", false
	}
	rest := s[1:]
	switch {
	case rest == "" || rest == ")":
		return s[:1], true
	case open && rest[0] == ')':
		return s[:1], true
	case !open && len(rest) > 1 && strings.IndexByte(".):", rest[0]) >= 0 && rest[1] == ' ':
		return s[:1], true
	}
	return "", false
}

// notUnits are words after a number that change its value or its meaning.
var notUnits = map[string]bool{
	"am": true, "pm": true, "a.m": true, "p.m": true, "and": true, "or": true, "to": true, "half": true, "dozen": true,
	"hundred": true, "thousand": true, "million": true, "billion": true, "trillion": true, "over": true, "of": true,
}

// quantity reads a number with a unit after a space: 18 dollars, 12 cm^2.
func quantity(s string) (value, bool) {
	s = strings.ReplaceAll(s, `\ `, " ")
	s = strings.Replace(s, `\text{`, " ", 1)
	number, unit, found := strings.Cut(s, " ")
	if !found || len(unit) > 32 {
		return value{}, false
	}
	unit = strings.Trim(unit, " }.")
	words := strings.Fields(unit)
	if len(words) == 0 || len(words) > 3 {
		return value{}, false
	}
	for _, word := range words {
		if notUnits[asciiLower(word)] || !unitWord(word) {
			return value{}, false
		}
	}
	return plainNumber(strings.TrimSpace(number))
}

// letter reports a letter of ASCII, or anything beyond it.
func letter(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= utf8.RuneSelf }

func unitWord(word string) bool {
	word = strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(word, "^2"), "^3"), ".")
	other := func(r rune) bool { return !letter(r) && r != '/' && r != '%' }
	return word != "" && !strings.ContainsFunc(word, other)
}
