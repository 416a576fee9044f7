package answer

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"
)

// equivalences is the table.
var equivalences = join(numbers, quantities, names, moments, code, documents_, sentences)

func join(all ...[]equivalence) (rows []equivalence) {
	for _, part := range all {
		rows = append(rows, part...)
	}
	return rows
}

type rng = rand.Rand

func pick[T any](r *rng, of ...T) T { return of[r.IntN(len(of))] }

// digits is a number of n digits that does not begin with 0.
func digits(r *rng, n int) string {
	b := []byte{byte('1' + r.IntN(9))}
	for range n - 1 {
		b = append(b, byte('0'+r.IntN(10)))
	}
	return string(b)
}

func grouped(s, mark string) string {
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + mark + s[i:]
	}
	return s
}

// other replaces one digit, not the first.
func other(r *rng, s string) string {
	b := []byte(s)
	i := len(b) - 1 - r.IntN(min(len(b), 4)-1)
	b[i] = '0' + (b[i]-'0'+byte(1+r.IntN(9)))%10
	return string(b)
}

func word(r *rng) string {
	return pick(r, "alder", "birch", "cedar", "dogwood", "elm", "fir", "ginkgo", "hazel", "juniper", "larch",
		"maple", "oak")
}

var numbers = []equivalence{
	{"Integers", "marks between thousands", "Two forms of one number.", true, func(r *rng) (string, string) {
		n := digits(r, 4+r.IntN(24))
		return n, grouped(n, pick(r, ",", "\u00a0", "\u202f"))
	}, final},
	{"Integers", "the sign for minus", "Typography.", true, func(r *rng) (string, string) {
		n := digits(r, 1+r.IntN(12))
		return "-" + n, "−" + n
	}, final},
	{"Integers", "a fraction of zeros", "The same number.", true, func(r *rng) (string, string) {
		n := digits(r, 1+r.IntN(12))
		return n, n + pick(r, ".0", ".00")
	}, final},
	{"Integers", "one digit", "Account numbers, amounts, identifiers.", false, func(r *rng) (string, string) {
		n := digits(r, 2+r.IntN(30))
		return n, other(r, n)
	}, final},
	{"Integers", "one digit, with marks on one side", "As above.", false, func(r *rng) (string, string) {
		n := digits(r, 5+r.IntN(20))
		return grouped(n, ","), other(r, n)
	}, final},
	{"Integers", "the sign", "Debit and credit.", false, func(r *rng) (string, string) {
		n := digits(r, 1+r.IntN(12))
		return n, "-" + n
	}, final},
	{"Integers", "zeros in front", "007 is a code, not seven.", false, func(r *rng) (string, string) {
		n := digits(r, 1+r.IntN(9))
		return n, strings.Repeat("0", 1+r.IntN(3)) + n
	}, final},
	{"Integers", "marks that are not between thousands", "No number of any locale, or a list.", false,
		func(r *rng) (string, string) {
			n := digits(r, 2)
			return n + "000", pick(r, n[:1]+","+n[1:]+"000", n+"0,00", n+",000,")
		}, final},

	{"Decimals", "a fraction instead", "The same number, exactly.", true, func(r *rng) (string, string) {
		n := 2*r.IntN(400) + 1
		return fmt.Sprintf("%d/8", n), strings.TrimRight(fmt.Sprintf("%.3f", float64(n)/8), "0")
	}, final},
	{"Decimals", "the rounding of a number without end", "Nobody can write 10/3.", true, func(r *rng) (string, string) {
		n := 3*r.IntN(500) + 1
		return fmt.Sprintf(`\frac{%d}{3}`, n), fmt.Sprintf("%.*f", 2+r.IntN(3), float64(n)/3)
	}, final},
	{"Decimals", "a power of ten", "Two forms of one number.", true, func(r *rng) (string, string) {
		n := digits(r, 1+r.IntN(3))
		return n + "e3", n + "000"
	}, final},
	{"Decimals", "two fractions, written with a slash", "1/2 and 2/4 are two days.", false,
		func(r *rng) (string, string) {
			n := 2 + r.IntN(4)
			return "1/2", fmt.Sprintf("%d/%d", n, 2*n)
		}, final},
	{"Decimals", "how far two written ones are rounded", "A price is exact; who rounds has lost something.", false,
		func(r *rng) (string, string) {
			n := digits(r, 2) + "." + digits(r, 2)
			return n, n + pick(r, "1", "4", "7")
		}, final},
	{"Decimals", "the decimal mark", "1,5 is fifteen tenths in one country, and a list in another.", false,
		func(r *rng) (string, string) {
			a, b := digits(r, 1+r.IntN(3)), digits(r, 1+r.IntN(2))
			return a + "." + b + "1", a + "," + b + "1"
		}, final},
	{"Decimals", "one digit", "Another number.", false, func(r *rng) (string, string) {
		a, b := digits(r, 1+r.IntN(6)), digits(r, 2+r.IntN(8))
		return a + "." + b + "1", a + "." + other(r, b) + "1"
	}, final},
	{"Decimals", "the point", "A factor of ten.", false, func(r *rng) (string, string) {
		a, b := digits(r, 2), digits(r, 3)
		return a + "." + b, a + b[:1] + "." + b[1:]
	}, final},
	{"Percentages", "the word for the sign", "Two forms of one unit.", true, func(r *rng) (string, string) {
		n := digits(r, 1+r.IntN(2))
		return n + "%", n + pick(r, " percent", " %", " per cent", `\%`)
	}, final},
	{"Percentages", "the share as a decimal", "20 % and 0.2: nobody knows whether 0.2 % was meant.", false,
		func(r *rng) (string, string) {
			n := digits(r, 2)
			return n + "%", "0." + n
		}, final},
	{"Percentages", "the figure", "Another share.", false, func(r *rng) (string, string) {
		n := digits(r, 3)
		return n + "%", other(r, n) + pick(r, "%", " percent")
	}, final},
	{"Percentages", "percent or points", "A rise of 2 % from 50 % is no rise of 2 points.", false,
		func(r *rng) (string, string) {
			n := digits(r, 1+r.IntN(2))
			return n + " percent", n + " percentage points"
		}, final},
	{"Versions", "zeros at the end", "Version 3.10 came nine versions after 3.1.", false,
		func(r *rng) (string, string) {
			n := digits(r, 1) + "." + digits(r, 1+r.IntN(2))
			return n, n + "0"
		}, final},
	{"Versions", "a part", "Another version.", false, func(r *rng) (string, string) {
		n := fmt.Sprintf("%d.%d", r.IntN(20), r.IntN(20))
		return n + "." + digits(r, 2), n + "." + digits(r, 3)
	}, final},
	{"Versions", "a part more", "1.2 is a range where 1.2.0 is one release.", false, func(r *rng) (string, string) {
		n := fmt.Sprintf("v%d.%d", r.IntN(20), r.IntN(20))
		return n, n + "." + digits(r, 1)
	}, final},
	{"Versions", "what marks a release before", "1.0.0-rc1 is not 1.0.0.", false, func(r *rng) (string, string) {
		n := fmt.Sprintf("%d.%d.%d", r.IntN(9), r.IntN(9), r.IntN(9))
		return n, n + pick(r, "-rc1", "b1", "-beta", "+build7")
	}, final},
}

// units are spellings of one unit.
var units = [][]string{
	{"km", "kilometers", "kilometres", "kilometer"}, {"kg", "kilograms", "kilogram"}, {"h", "hours", "hrs"},
	{"min", "minutes", "mins"}, {"m^2", "square meters", "m²"}, {"°C", "degrees Celsius"}, {"lb", "pounds", "lbs"},
	{"mph", "miles per hour"}, {"MB", "megabytes"}, {"ml", "mL", "milliliters"}, {"s", "seconds"}, {"apples", "apple"},
}

var quantities = []equivalence{
	{"Quantities", "the spelling of the unit", "km and kilometers: in value/units.txt.", true,
		func(r *rng) (string, string) {
			n, u := digits(r, 1+r.IntN(4)), pick(r, units...)
			i := r.IntN(len(u))
			return n + " " + u[i], n + " " + u[(i+1)%len(u)]
		}, final},
	{"Quantities", "the space before a symbol", "Typography.", true, func(r *rng) (string, string) {
		n, u := digits(r, 1+r.IntN(4)), pick(r, "km", "kg", "cm", "MB", "ms", "°C", "%")
		return n + u, n + " " + u
	}, final},
	{"Quantities", "whether a known unit is written", "The question has it, and a unit that contradicts differs.", true,
		func(r *rng) (string, string) {
			n, u := digits(r, 1+r.IntN(4)), pick(r, units[:len(units)-1]...)
			return n, n + " " + u[0]
		}, final},
	{"Quantities", "whether other words are written", "300 and 300 BC; 5 and 5 below zero.", false,
		func(r *rng) (string, string) {
			n := digits(r, 1+r.IntN(4))
			return n, n + " " + pick(r, "BC", "below zero", "M", "K", "apples", "or more", "dozen")
		}, final},
	{"Quantities", "zeros at the end", "A quantity is no version.", true, func(r *rng) (string, string) {
		n := digits(r, 1+r.IntN(3)) + "." + digits(r, 1)
		return n + " kg", n + "0 kg"
	}, final},
	{"Quantities", "the unit", "Miles are no kilometers.", false, func(r *rng) (string, string) {
		n, i := digits(r, 1+r.IntN(4)), r.IntN(len(units))
		return n + " " + pick(r, units[i]...), n + " " + pick(r, units[(i+1+r.IntN(len(units)-1))%len(units)]...)
	}, final},
	{"Quantities", "the unit, converted",
		"Nothing is converted: 5 km and 5000 m are compared by somebody better.", false,
		func(r *rng) (string, string) {
			n := digits(r, 1+r.IntN(3))
			return n + " km", n + "000 m"
		}, final},
	{"Quantities", "the case of a symbol", "mW and MW: a factor of a billion.", false, func(r *rng) (string, string) {
		n := digits(r, 1+r.IntN(4))
		u := pick(r, "mW", "Mb", "Pa", "mm", "kb")
		return n + " " + u, n + " " + pick(r, strings.ToUpper(u), swapCase(u))
	}, final},
	{"Quantities", "the figure", "Another quantity.", false, func(r *rng) (string, string) {
		n := digits(r, 2+r.IntN(6))
		return n + " km", other(r, n) + pick(r, " km", "km", " kilometers")
	}, final},
	{"Quantities", "what is counted", "12 apples are no 12 pears.", false, func(r *rng) (string, string) {
		n := digits(r, 2)
		return n + " apples", n + " " + pick(r, "pears", "red apples", "cents")
	}, final},
	{"Quantities", "a word that multiplies", "5 million, 5 dozen.", false, func(r *rng) (string, string) {
		n := digits(r, 1)
		return n, n + " " + pick(r, "million", "dozen", "thousand", "billion", "k")
	}, final},
	{"Quantities", "degrees of which scale", "30 °C is warm, 30 °F is frost.", false, func(r *rng) (string, string) {
		n := digits(r, 2)
		return n + pick(r, "°C", " °C", " degrees Celsius"), n + pick(r, "°F", " degrees Fahrenheit")
	}, final},

	{"Currencies", "sign, code or word", "Each belongs to one currency.", true, func(r *rng) (string, string) {
		n := digits(r, 1+r.IntN(4))
		forms := pick(r, []string{"€" + n, n + " €", n + " EUR", "EUR " + n, n + " euros"},
			[]string{"$" + n, n + " dollars", `\$` + n}, []string{"US$" + n, n + " USD", "USD " + n, n + " US dollars"})
		i := r.IntN(len(forms))
		return forms[i], forms[(i+1)%len(forms)]
	}, final},
	{"Currencies", "cents that are zero", "The same amount.", true, func(r *rng) (string, string) {
		n, c := digits(r, 1+r.IntN(4)), pick(r, "$", "€", "£")
		return c + n, c + n + ".00"
	}, final},
	{"Currencies", "the currency", "€100 is not $100.", false, func(r *rng) (string, string) {
		n := digits(r, 1+r.IntN(5))
		c := []string{"€", "$", "£", "¥", "₹", "CHF ", "A$", "US$", "R$"}
		i := r.IntN(len(c))
		return c[i] + n, c[(i+1+r.IntN(len(c)-1))%len(c)] + n
	}, final},
	{"Currencies", "which dollar", "$ is also Canadian.", false, func(r *rng) (string, string) {
		n := digits(r, 1+r.IntN(5))
		return "$" + n, pick(r, "US$", "CA$", "A$", "HK$") + n
	}, final},
	{"Currencies", "pounds of what", "£5 is money, 5 pounds may be a weight.", false, func(r *rng) (string, string) {
		n := digits(r, 1+r.IntN(3))
		return "£" + n, n + " pounds"
	}, final},
	{"Currencies", "the amount", "One cent is a difference.", false, func(r *rng) (string, string) {
		n := digits(r, 2+r.IntN(5))
		return "$" + n + ".50", "$" + pick(r, other(r, n)+".50", n+".51", n+".05")
	}, final},
}

func swapCase(s string) string {
	return strings.Map(func(r rune) rune {
		if up := strings.ToUpper(string(r)); up != string(r) {
			return []rune(up)[0]
		}
		return []rune(strings.ToLower(string(r)))[0]
	}, s)
}

func anyDay(r *rng) time.Time {
	return time.Date(1900+r.IntN(200), 1, 1+r.IntN(365), 0, 0, 0, 0, time.UTC)
}

func written(r *rng, d time.Time) string {
	return d.Format(pick(r, "January 2, 2006", "2 January 2006", "Jan 2, 2006", "2 Jan 2006", "Jan. 2, 2006",
		"January 2 2006",
		"2. January 2006", "2 January, 2006"))
}

var moments = []equivalence{
	{"Dates", "the form, where it leaves no doubt", "The month has a name, or the year comes first.", true,
		func(r *rng) (string, string) {
			d := anyDay(r)
			return d.Format(pick(r, "2006-01-02", "2006/01/02")), written(r, d)
		}, final},
	{"Dates", "the language of the month", "Seven languages have names that do not contradict.", true,
		func(r *rng) (string, string) {
			d := time.Date(1900+r.IntN(200), 10, 1+r.IntN(31), 0, 0, 0, 0, time.UTC)
			month := pick(r, "Oktober", "octobre", "octubre", "ottobre", "outubro")
			return d.Format("2006-01-02"), fmt.Sprintf("%d%s %s %d", d.Day(), pick(r, "", "."), month, d.Year())
		}, final},
	{"Dates", "the day", "Another day.", false, func(r *rng) (string, string) {
		d := anyDay(r)
		return d.Format("2006-01-02"), written(r, d.AddDate(0, 0, 1+r.IntN(40)))
	}, final},
	{"Dates", "month and day, in figures", "10/02/2024 is two days in two countries.", false,
		func(r *rng) (string, string) {
			d := time.Date(1900+r.IntN(200), time.Month(1+r.IntN(12)), 1+r.IntN(12), 0, 0, 0, 0, time.UTC)
			return d.Format("01/02/2006"), d.Format(pick(r, "2006-01-02", "January 2, 2006", "02.01.2006"))
		}, final},
	{"Dates", "the year", "Another year, or none.", false, func(r *rng) (string, string) {
		d := anyDay(r)
		return d.Format("January 2, 2006"), pick(r, d.Format("January 2"), d.AddDate(1, 0, 0).Format("January 2, 2006"))
	}, final},
	{"Times", "a clock of twelve or of 24 hours", "One time of day.", true, func(r *rng) (string, string) {
		d := time.Date(2000, 1, 1, r.IntN(24), r.IntN(60), 0, 0, time.UTC)
		return d.Format("15:04"), d.Format(pick(r, "3:04 PM", "3:04 pm", "3:04PM"))
	}, final},
	{"Times", "Z for the offset zero", "RFC 3339 has both.", true, func(r *rng) (string, string) {
		d := anyDay(r).Add(time.Duration(r.IntN(86400)) * time.Second).Format("2006-01-02T15:04:05")
		return d + "Z", d + "+00:00"
	}, final},
	{"Times", "morning or afternoon", "Twelve hours.", false, func(r *rng) (string, string) {
		n := 1 + r.IntN(12)
		return fmt.Sprintf("%d AM", n), fmt.Sprintf("%d PM", n)
	}, final},
	{"Times", "the minutes", "Another time.", false, func(r *rng) (string, string) {
		d := time.Date(2000, 1, 1, r.IntN(24), r.IntN(60), 0, 0, time.UTC)
		return d.Format("15:04"), d.Add(time.Duration(1+r.IntN(700)) * time.Minute).Format(pick(r, "15:04", "3:04 PM"))
	}, final},
	{"Times", "the offset", "Another instant, or another place.", false, func(r *rng) (string, string) {
		d := anyDay(r).Format("2006-01-02T15:04:05")
		return d + "Z", d + pick(r, "+01:00", "-05:00", "")
	}, final},
	{"Phone numbers", "marks between digits, behind the code of a country", "They are for the eye.", true,
		func(r *rng) (string, string) {
			a, b, c := digits(r, 3), digits(r, 3), digits(r, 4)
			return "+1" + a + b + c, "+1" + pick(r, " "+a+" "+b+" "+c, "-"+a+"-"+b+"-"+c, " ("+a+") "+b+"-"+c)
		}, final},
	{"Phone numbers", "one digit", "Another subscriber.", false, func(r *rng) (string, string) {
		n := digits(r, 10)
		return pick(r, "", "+1") + n, pick(r, "", "+1") + other(r, n)
	}, final},
	{"Phone numbers", "the code of the country", "Another country.", false, func(r *rng) (string, string) {
		n := digits(r, 10)
		return "+1 " + n, pick(r, "+44 ", "+49 ", "") + n
	}, final},
}

var names = []equivalence{
	{"Names", "Unicode's composed and decomposed letters", "The same characters in two encodings.", true,
		func(r *rng) (string, string) {
			s := pick(r, "Café Müller", "José Núñez", "Zürich", "Łódź", "Ångström", "Đà Nẵng", "한국어", "が")
			return norm.NFC.String(s), norm.NFD.String(s)
		}, final},
	{"Names", "how many spaces", "In plain words one space is as good as more.", true, func(r *rng) (string, string) {
		a, b := word(r), word(r)
		return a + " " + b, a + strings.Repeat(" ", 2+r.IntN(3)) + b
	}, final},
	{"Names", "the name behind an initial", "J. K. Rowling is no J. R. R. Tolkien.", false,
		func(r *rng) (string, string) {
			i := string(rune('A' + r.IntN(26)))
			return i + ". " + pick(r, "K. Rowling", "Lennon", "S. Bach"), i + ". " + pick(r, "R. R. Tolkien", "Smith",
				"S. Mill")
		}, final},
	{"Names", "the name behind a title or an abbreviation", "A full stop does not end a name.", false,
		func(r *rng) (string, string) {
			t := pick(r, "Dr.", "St.", "Mt.", "U.S.", "Prof.", "No.", "Fr.")
			return t + " " + pick(r, "Smith", "Louis", "Everest"), t + " " + pick(r, "Jones", "Paul", "Fuji")
		}, final},
	{"Names", "an accent", "Peña and pena are two words.", false, func(r *rng) (string, string) {
		s := pick(r, "Peña", "résumé", "Müller", "Łódź", "año")
		return s, strings.Map(func(c rune) rune {
			if plain, ok := map[rune]rune{'ñ': 'n', 'é': 'e', 'ü': 'u', 'Ł': 'L', 'ó': 'o', 'ź': 'z'}[c]; ok {
				return plain
			}
			return c
		}, s)
	}, final},
	{"Names", "case", "May and may, US and us, an identifier.", false, func(r *rng) (string, string) {
		s := word(r)
		return s, pick(r, strings.ToUpper(s), strings.ToUpper(s[:1])+s[1:])
	}, final},
	{"Names", "a letter that looks alike", "Cyrillic а is how names are forged.", false, func(r *rng) (string, string) {
		s := "a" + word(r)
		return s, "а" + s[1:]
	}, final},
	{"Choices", "how a letter that was offered is written", "Programs read the letter.", true,
		func(r *rng) (string, string) {
			l, w := pick(r, "A", "B", "C", "D"), word(r)
			return l, pick(r, "("+l+")", l+". "+w, l+") "+w, "("+l+") "+w, l+": "+w)
		}, choice},
	{"Choices", "the letter", "Another choice.", false, func(r *rng) (string, string) {
		i, w := r.IntN(4), word(r)
		return string("ABCD"[i]), string("ABCD"[(i+1+r.IntN(3))%4]) + pick(r, "", ". "+w, ") "+w)
	}, choice},
	{"Choices", "what follows a letter that nobody offered", "It is the first of a name, or of a list.", false,
		func(r *rng) (string, string) {
			l := pick(r, "A", "B", "C", "D")
			return l + ". " + word(r), pick(r, l, l+". "+word(r)+"s")
		}, final},
	{"Choices", "a part of an answer of parts", "A) 3 B) 4 answers two questions.", false,
		func(r *rng) (string, string) {
			return "A) " + digits(r, 1) + " B) " + digits(r, 2), "A) " + digits(r, 1) + " B) " + digits(r, 3)
		}, choice},
}
