package ground

import (
	"math"
	"unicode/utf8"
)

// shape is what a number in a text is.
type shape uint8

const (
	plain shape = iota
	clock       // a time of day, in minutes
	date        // day and month, perhaps with a year
	phone       // a telephone number: the last seven digits
	exact       // a version, or digits with zeros before them: every sign counts
)

// num is a number as it can be read. A text that can be read in two ways has two
// values: 1.200 is a thousand and two hundred, or one and a fifth.
type num struct {
	shape  shape
	values [2]float64 // the second is NaN when there is one reading
	digits int        // that are written
	unit   unit
	scaled bool // million, k: likely rounded
	// y, m and d are of a date; the year is 0 when there is none. Where day and
	// month could be swapped, swap is true.
	y, m, d int
	swap    bool
}

var none = math.NaN()

// digitOf is the value of a decimal digit in the scripts that have their own.
func digitOf(r rune) (int, bool) {
	for _, zero := range [...]rune{'0', 0x660, 0x6F0, 0x966, 0x9E6, 0xFF10} {
		if r >= zero && r <= zero+9 {
			return int(r - zero), true
		}
	}
	return 0, false
}

// group is a run of digits.
type group struct {
	value float64
	n     int  // digits
	sep   rune // before it
	end   int  // in the text
}

const maxGroups = 8

// number reads digits and what belongs to them: separators, a unit, a date.
func (l *lexer) number(sep uint8) token {
	t := token{kind: number, start: l.pos, sep: sep}
	var room [maxGroups]group
	g := l.groups(room[:0])
	signed := t.start > 0 && l.text[t.start-1] == '+'
	used := 0
	l.num, used = read(g, signed)
	l.pos = g[used-1].end
	l.suffix(&l.num)
	t.end = l.pos
	if l.num.unit == noUnit {
		l.num.unit = l.currencyBefore(t.start)
	}
	l.prev, l.last = 0, t
	return t
}

// groups reads digits and the single signs between them, as far as a number of any
// shape could reach.
func (l *lexer) groups(g []group) []group {
	sep := rune(0)
	for len(g) < maxGroups {
		value, n := l.digits()
		if n == 0 {
			break
		}
		g = append(g, group{value, n, sep, l.pos})
		if l.pos == len(l.text) {
			return g
		}
		r, size := rune(l.text[l.pos]), 1
		if r >= 0x80 {
			r, size = utf8.DecodeRune(l.text[l.pos:])
		}
		switch r {
		case '.', ',', '\'', '’', ' ', 0xA0, 0x202F, 0x2009, ':', '-', '/', '٬', '٫', '‑':
		default:
			return g
		}
		after := rune(' ')
		if at := l.pos + size; at < len(l.text) {
			if after = rune(l.text[at]); after >= 0x80 {
				after, _ = utf8.DecodeRune(l.text[at:])
			}
		}
		if _, digit := digitOf(after); !digit {
			return g
		}
		sep = r
		if r == 0xA0 || r == 0x202F || r == 0x2009 {
			sep = ' '
		}
		l.pos += size
	}
	return g
}

func (l *lexer) digits() (value float64, n int) {
	for l.pos < len(l.text) {
		b := l.text[l.pos]
		if classes[b] == cDigit {
			value, n = value*10+float64(b-'0'), n+1
			l.pos++
			continue
		}
		if b < 0x80 {
			break
		}
		r, size := utf8.DecodeRune(l.text[l.pos:])
		d, ok := digitOf(r)
		if !ok {
			break
		}
		value, n = value*10+float64(d), n+1
		l.pos += size
	}
	return value, n
}

// read says what the first groups are, and how many of them. signed is whether a
// plus stands before them.
func read(g []group, signed bool) (num, int) {
	if n, used := readDate(g); used > 0 {
		return n, used
	}
	if n, used := readPhone(g, signed); used > 0 {
		return n, used
	}
	if len(g) > 1 && g[1].sep == ':' {
		if g[1].n == 2 && g[0].value <= 24 && g[1].value < 60 {
			return num{shape: clock, values: [2]float64{g[0].value*60 + g[1].value, none}, digits: 4}, 2
		}
		return single(g), 1
	}
	return readPlain(g)
}

func single(g []group) num {
	n := num{values: [2]float64{g[0].value, none}, digits: g[0].n}
	return n
}

func readDate(g []group) (num, int) {
	if len(g) < 3 || g[1].sep != g[2].sep || g[1].sep != '-' && g[1].sep != '/' && g[1].sep != '.' {
		return num{}, 0
	}
	y, m, d := int(g[0].value), int(g[1].value), int(g[2].value)
	n := num{shape: date, values: [2]float64{none, none}, digits: 8}
	switch {
	case g[0].n == 4 && g[1].n <= 2 && g[2].n <= 2 && m >= 1 && m <= 12 && d >= 1 && d <= 31:
		n.y, n.m, n.d = y, m, d
		return n, 3
	case g[0].n > 2 || g[1].n > 2 || g[2].n != 2 && g[2].n != 4:
		return n, 0
	}
	if g[2].n == 2 {
		if g[1].sep == '.' && g[0].n == 1 && g[1].n == 1 {
			return n, 0 // a version
		}
		d += 2000
	}
	n.y, n.m, n.d = d, m, y // day first
	switch {
	case n.d > 31 || n.d < 1 || n.m < 1 || n.m > 31 || n.m > 12 && n.d > 12:
		return n, 0
	case n.m > 12:
		n.m, n.d = n.d, n.m
	case g[1].sep != '.':
		n.swap = n.d <= 12
	}
	return n, 3
}

// readPhone joins groups that are a telephone number: at least seven digits that
// begin with a plus or a zero, or are written 555-123-4567.
func readPhone(g []group, signed bool) (num, int) {
	leading := g[0].n > 1 && g[0].value < math.Pow10(g[0].n-1)
	if !signed && !leading && (len(g) == 1 || g[1].sep != '-' && g[1].sep != '‑') {
		return num{}, 0
	}
	digits, used, value := 0, 0, 0.0
	dashes := true
	for _, part := range g {
		if part.sep == ',' || part.sep == ':' || part.sep == '\'' || part.sep == '’' {
			break
		}
		if used > 0 && part.sep != '-' && part.sep != '‑' {
			dashes = false
		}
		digits, used = digits+part.n, used+1
		value = value*math.Pow10(part.n) + part.value
	}
	dashed := used > 1 && dashes && digits >= 7 && g[used-1].n == 4
	if digits < 7 || !signed && !leading && !dashed || used == 1 && !signed && !leading {
		return num{}, 0
	}
	return num{shape: phone, values: [2]float64{math.Mod(value, 1e7), none}, digits: digits}, used
}

// readPlain reads thousands and decimals in the ways of all locales.
func readPlain(g []group) (num, int) {
	used := 1
	for used < len(g) && joins(g, used) {
		used++
	}
	g = g[:used]
	digits := 0
	for _, part := range g {
		digits += part.n
	}
	n := num{values: [2]float64{g[0].value, none}, digits: digits}
	if used == 1 {
		if g[0].n > 1 && g[0].value < math.Pow10(g[0].n-1) {
			n.shape = exact
		}
		return n, used
	}
	last := g[used-1]
	decimal := decimals(g)
	switch {
	case used > 2 && !thousands(g[:used-1]) || used > 2 && last.sep == g[1].sep && !thousands(g):
		n.shape = exact
		n.values[0] = join(g, false)
	case used > 2 && last.sep == g[1].sep, last.sep == ' ' || last.sep == '\'' || last.sep == '’' || last.sep == '٬':
		n.values[0] = join(g, false)
	case last.n == 3 && used == 2 && g[0].n <= 3 && g[0].value > 0 && last.sep != '٫':
		n.values = [2]float64{join(g, false), decimal}
	default:
		n.values[0] = decimal
	}
	return n, used
}

// joins reports whether group i can belong to the number before it.
func joins(g []group, i int) bool {
	switch g[i].sep {
	case '.', ',', '٬', '٫':
		return true
	case ' ', '\'', '’':
		return g[i].n == 3 && g[0].n <= 3 && g[0].value > 0 && (i == 1 || g[i-1].sep == g[i].sep)
	}
	return false
}

// thousands reports whether all groups but the first have three digits, or two in
// the Indian way, behind one kind of separator.
func thousands(g []group) bool {
	for i, part := range g[1:] {
		lastOne := i == len(g)-2
		if part.sep != g[1].sep || part.n != 3 && (part.n != 2 || lastOne) {
			return false
		}
	}
	return g[0].n <= 3
}

// join is the groups as one whole number, without the last when short.
func join(g []group, short bool) float64 {
	value := 0.0
	if short {
		g = g[:len(g)-1]
	}
	for _, part := range g {
		value = value*math.Pow10(part.n) + part.value
	}
	return value
}

// decimals is the groups with the last one behind the point.
func decimals(g []group) float64 {
	last := g[len(g)-1]
	return join(g, true) + last.value/math.Pow10(last.n)
}
