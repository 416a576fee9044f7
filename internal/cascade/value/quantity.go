package value

import (
	_ "embed" // the table of units
	"strings"
	"unicode/utf8"
)

// signs are the signs and codes of currencies that may come before a number, the
// longer ones first, and the unit that each means. A dollar is not a US dollar, and
// a pound sterling is written £: the word is a weight too.
var signs = []struct{ sign, unit string }{
	{"US$", "USD"}, {"A$", "AUD"}, {"AU$", "AUD"}, {"C$", "CAD"}, {"CA$", "CAD"}, {"NZ$", "NZD"}, {"HK$", "HKD"},
	{"S$", "SGD"}, {"R$", "BRL"}, {"MX$", "MXN"}, {"NT$", "TWD"},
	{"$", "dollar"}, {"€", "EUR"}, {"£", "£"}, {"¥", "¥"}, {"₹", "INR"}, {"₩", "KRW"}, {"₽", "RUB"}, {"₺", "TRY"},
	{"₪", "ILS"}, {"₫", "VND"}, {"₴", "UAH"}, {"฿", "THB"}, {"₱", "PHP"}, {"₦", "NGN"}, {"CHF ", "CHF"}, {"USD ", "USD"},
	{"EUR ", "EUR"}, {"GBP ", "GBP"}, {"JPY ", "JPY"}, {"CNY ", "CNY"}, {"INR ", "INR"}, {"CAD ", "CAD"}, {"AUD ", "AUD"},
	{"SEK ", "SEK"}, {"NOK ", "NOK"}, {"DKK ", "DKK"}, {"PLN ", "PLN"}, {"CZK ", "CZK"}, {"BRL ", "BRL"}, {"MXN ", "MXN"},
}

//go:embed units.txt
var unitTable string

// units has the spelling that stands for each spelling of a unit.
var units = func() map[string]string {
	all := map[string]string{}
	for row := range strings.Lines(unitTable) {
		spellings := strings.Split(strings.TrimSuffix(row, "\n"), "|")
		for _, s := range spellings {
			all[s] = spellings[0]
		}
	}
	return all
}()

// notUnits are words after a number that change its value or its meaning.
var notUnits = map[string]bool{
	"am": true, "pm": true, "a.m": true, "p.m": true, "and": true, "or": true, "to": true, "half": true, "dozen": true,
	"hundred": true, "thousand": true, "million": true, "billion": true, "trillion": true, "over": true, "of": true,
	"not": true, "minus": true, "plus": true, "times": true, "y": true, "und": true, "et": true, "k": true,
}

// latexUnits are LaTeX's ways to write what belongs to a quantity.
var latexUnits = strings.NewReplacer(
	`^{\circ}`, "°", `^\circ`, "°", `\circ`, "°", `\%`, "%", `\$`, "$", `\ `, " ", `\,`, " ", `\;`, " ", `~`, " ",
	`\!`, "", `{,}`, ",", "^{2}", "^2", "^{3}", "^3", "²", "^2", "³", "^3")

// quantity reads a number with a unit, a currency or a sign of percent: 18 dollars,
// $18, 5km, 12 cm^2, 90^\circ.
func quantity(s string) (Value, bool) {
	if strings.ContainsAny(s, `\~²³{`) {
		s = untext(latexUnits.Replace(s))
	}
	s, minus := strings.CutPrefix(strings.ReplaceAll(s, "−", "-"), "-")
	s, currency := cutSign(s)
	number, unit := cutNumber(s)
	if number == "" || currency == "" && unit == "" {
		return Value{}, false
	}
	if minus {
		number = "-" + number
	}
	v, ok := measured(number)
	if !ok {
		return Value{}, false
	}
	if unit, v.known, ok = unitOf(unit); !ok {
		return Value{}, false
	}
	v.known = v.known || unit == ""
	v.unit = strings.TrimSpace(currency + " " + unit)
	if v.text == "0" && v.digits == 0 {
		v.number = 0
	}
	return v, true
}

// untext takes LaTeX's \text{ cm} for its contents.
func untext(s string) string {
	for _, command := range [...]string{`\text{`, `\mathrm{`, `\textrm{`, `\mbox{`} {
		before, rest, found := strings.Cut(s, command)
		if !found {
			continue
		}
		if inside, after, closed := strings.Cut(rest, "}"); closed {
			return before + " " + strings.TrimSpace(inside) + after
		}
	}
	return s
}

func cutSign(s string) (rest, unit string) {
	for _, c := range signs {
		if rest, found := strings.CutPrefix(s, c.sign); found {
			return strings.TrimLeft(rest, " "), c.unit
		}
	}
	return s, ""
}

// cutNumber divides a number from what follows it.
func cutNumber(s string) (number, unit string) {
	end := 0
	for end < len(s) {
		r, size := utf8.DecodeRuneInString(s[end:])
		if !strings.ContainsRune("0123456789.,-\u00a0\u202f\u2009", r) || r == '-' && end > 0 {
			break
		}
		end += size
	}
	number = strings.TrimRight(s[:end], "\u00a0\u202f\u2009")
	return number, strings.TrimSpace(s[end:])
}

// mostUnit bounds the words after a number that can be its unit.
const (
	mostUnit      = 32
	mostUnitWords = 3
)

// unitOf is the spelling of a unit that stands for all of its spellings, and
// whether it is a known one. Other words are what is counted; other symbols of up to
// three letters may multiply, as in 5M.
func unitOf(s string) (unit string, known, ok bool) {
	s = strings.TrimSpace(s)
	if s == "" || units[s] != "" {
		return units[s], s != "", true
	}
	all := strings.Fields(s)
	multiplies := len(all) == 1 && len(s) <= symbol && !strings.ContainsAny(s, "/^")
	if len(s) > mostUnit || len(all) > mostUnitWords || multiplies {
		return "", false, false
	}
	for i, word := range all {
		if notUnits[strings.ToLower(word)] || !unitWord(word) {
			return "", false, false
		}
		all[i] = singular(word)
	}
	return strings.Join(all, " "), false, true
}

// symbol is up to how many letters a word is a symbol.
const symbol = 3

// singular is a known unit, or a word without the s of the plural. Words of three
// letters or less are symbols: ms are not meters.
func singular(word string) string {
	if known := units[word]; known != "" {
		return known
	}
	if len(word) > symbol {
		return strings.TrimSuffix(word, "s")
	}
	return word
}

// letter reports a letter of ASCII, or anything beyond it.
func letter(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= utf8.RuneSelf }

func unitWord(word string) bool {
	word = strings.TrimSuffix(strings.TrimSuffix(word, "^2"), "^3")
	other := func(r rune) bool { return !letter(r) && r != '/' && r != '%' || r == 'π' || r == '√' || r == '∞' }
	return word != "" && !strings.ContainsFunc(word, other)
}
