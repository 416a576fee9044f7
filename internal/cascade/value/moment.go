package value

import (
	"strconv"
	"strings"
	"time"
)

// months are the names of months in the languages in which dates are compared. A
// name of three letters or more may be cut, as in Oct. or Sept.
var months = func() map[string]int {
	all := map[string]int{}
	for _, names := range []string{
		"january february march april may june july august september october november december",
		"januar februar märz april mai juni juli august september oktober november dezember",
		"janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
		"enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
		"gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
		"janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
		"januari februari maart april mei juni juli augustus september oktober november december",
		"jan feb mar apr may jun jul aug sep oct nov dec",
		"- - - - - - - - sept - - -",
	} {
		for i, name := range strings.Fields(names) {
			all[name] = i + 1
		}
	}
	delete(all, "-")
	return all
}()

// moment reads a date, a time of day, or both, where their form leaves no doubt.
// 10/02/2024 stays a text: it is two days in two countries.
func moment(s string) (Value, bool) {
	if len(s) < 3 || len(s) > 40 || !strings.ContainsAny(s, "0123456789") {
		return Value{}, false
	}
	for _, read := range []func(string) (string, bool){isoDate, clock, writtenDate} {
		if text, ok := read(s); ok {
			return Value{text: text}, true
		}
	}
	return Value{}, false
}

// isoLayouts are the forms that begin with the year, and how they are compared.
var isoLayouts = []struct{ in, out string }{
	{"2006-01-02", time.DateOnly}, {"2006-1-2", time.DateOnly}, {"2006/01/02", time.DateOnly}, {"2006/1/2", time.DateOnly},
	{"2006-01-02T15:04", "2006-01-02T15:04"}, {"2006-01-02 15:04", "2006-01-02T15:04"},
	{"2006-01-02T15:04:05", "2006-01-02T15:04:05"}, {"2006-01-02 15:04:05", "2006-01-02T15:04:05"},
	{"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05-07:00"}, {"2006-01-02 15:04:05Z07:00", "2006-01-02T15:04:05-07:00"},
}

func isoDate(s string) (string, bool) {
	if len(s) < 8 || !allDigits(s[:4]) || s[4] != '-' && s[4] != '/' {
		return "", false
	}
	for _, layout := range isoLayouts {
		if t, err := time.Parse(layout.in, s); err == nil {
			return t.Format(layout.out + fractionOf(s)), true
		}
	}
	return "", false
}

// fractionOf keeps the fraction of a second as it is written, which time.Parse
// takes without asking.
func fractionOf(s string) string {
	_, fraction, found := strings.Cut(s, ".")
	if !found {
		return ""
	}
	return "." + fraction
}

// clock reads a time of day.
func clock(s string) (string, bool) {
	lower := strings.ToLower(strings.ReplaceAll(s, " ", ""))
	for _, half := range [...]string{"am", "a.m.", "a.m", "pm", "p.m.", "p.m"} {
		rest, found := strings.CutSuffix(lower, half)
		if !found {
			continue
		}
		return halfDay(rest, half[0] == 'p')
	}
	if t, err := time.Parse("15:04", s); err == nil {
		return t.Format("15:04"), true
	}
	return "", false
}

// halfDay reads the hours of the clock with twelve: 12 AM is midnight.
func halfDay(s string, afternoon bool) (string, bool) {
	hour, rest, minutes := strings.Cut(s, ":")
	n, err := strconv.Atoi(hour)
	if err != nil || n < 1 || n > 12 || len(hour) > 2 {
		return "", false
	}
	n %= 12
	if afternoon {
		n += 12
	}
	if !minutes {
		rest = "00"
	}
	t, err := time.Parse("15:04", strconv.Itoa(n)+":"+rest)
	if err != nil {
		return "", false
	}
	return t.Format("15:04"), true
}

// between are words in a date that carry no meaning.
var between = map[string]bool{"of": true, "the": true, "de": true, "del": true, "den": true, "le": true, "el": true}

// writtenDate reads a date with the name of its month: a day, a year, or both.
func writtenDate(s string) (string, bool) {
	var day, year, month int
	for word := range strings.FieldsFuncSeq(strings.ToLower(s), func(r rune) bool { return r == ' ' || r == ',' }) {
		switch n, isDay := dayOf(word); {
		case between[word]:
		case months[strings.TrimSuffix(word, ".")] > 0 && month == 0:
			month = months[strings.TrimSuffix(word, ".")]
		case isDay && day == 0:
			day = n
		case len(word) == 4 && allDigits(word) && word[0] != '0' && year == 0:
			year, _ = strconv.Atoi(word)
		default:
			return "", false
		}
	}
	if month == 0 || day == 0 && year == 0 {
		return "", false
	}
	layout, real := time.DateOnly, year
	switch {
	case year == 0:
		layout, real = "--01-02", 2000 // which has a 29 February
	case day == 0:
		layout, day = "2006-01", 1
	}
	return time.Date(real, time.Month(month), day, 0, 0, 0, 0, time.UTC).Format(layout), day <= daysIn(real, month)
}

func daysIn(year, month int) int {
	return time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// dayOf reads the day of a month: 2, 2nd, 2., 1er, 1º.
func dayOf(word string) (int, bool) {
	for _, end := range [...]string{"st", "nd", "rd", "th", ".", "er", "º", "°"} {
		if rest, ok := strings.CutSuffix(word, end); ok {
			word = rest
			break
		}
	}
	if word == "" || len(word) > 2 || !allDigits(word) {
		return 0, false
	}
	n, err := strconv.Atoi(word)
	return n, err == nil && n >= 1 && n <= 31
}

// phone reads a number with the code of its country, of which marks between digits
// are no part. Without that code it is a text, because it could be anything.
func phone(s string) (Value, bool) {
	if len(s) < 8 || len(s) > 24 || s[0] != '+' || strings.Trim(s[1:], "0123456789 -.()") != "" {
		return Value{}, false
	}
	digits := strings.NewReplacer(" ", "", "-", "", ".", "", "(", "", ")", "").Replace(s)
	return Value{text: digits}, len(digits) >= 9 && len(digits) <= 16
}
