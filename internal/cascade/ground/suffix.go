package ground

import (
	"bytes"
	"math"
	"unicode/utf8"
)

// follower is the word behind a number.
type follower struct {
	room     [32]byte
	text     []byte // folded, in room; nil when there is none
	end      int
	attached bool // nothing stands between
}

// peek reads the word at pos, behind at most a space, a full stop and a hyphen. The
// follower belongs to the lexer: the next call changes it.
func (l *lexer) peek(pos int) *follower {
	f := &l.ahead
	f.text, f.attached = nil, true
	for range 3 {
		if pos >= len(l.text) {
			return f
		}
		r, size := rune(l.text[pos]), 1
		if r >= 0x80 {
			r, size = utf8.DecodeRune(l.text[pos:])
		}
		if r != ' ' && r != 0xA0 && r != 0x202F && r != 0x2009 && r != '-' && r != '.' && r != '‑' {
			break
		}
		f.attached = false
		pos += size
	}
	end := pos
	for end < len(l.text) {
		r, size := rune(l.text[end]), 1
		if r >= 0x80 {
			r, size = utf8.DecodeRune(l.text[end:])
			if unspaced(r) || !lettered(r) {
				break
			}
		} else if c := classes[r]; c != cLetter && c != cUpper {
			break
		}
		end += size
	}
	if n := end - pos; n > 0 && n <= len(f.room) {
		f.text, f.end = appendFolded(f.room[:0], l.text[pos:end]), end
	}
	return f
}

// suffix reads what stands behind a number and changes its meaning.
func (l *lexer) suffix(n *num) {
	if n.shape != plain && n.shape != clock {
		return
	}
	if l.pos == len(l.text) || l.text[l.pos] == ',' || l.text[l.pos] == '\n' { // the columns of a table
		return
	}
	f, e := l.scale(n)
	if l.ideogram(n) {
		return
	}
	if n.unit = l.sign(l.pos); n.unit != noUnit || f.text == nil {
		return
	}
	if dotted(f, l.text) { // 5 p.m.
		e.bits, f.end = isHalf, f.end+2
	}
	switch {
	case e.bits&isHalf != 0 && n.values[0] <= 24*60: // am, pm
		l.halfDay(n, f)
	case e.bits&isClock != 0 && n.shape == plain && n.values[0] <= 24 && n.digits <= 2:
		l.hour(n, f)
	case e.month > 0 && n.shape == plain && n.digits <= 2 && n.values[0] >= 1 && n.values[0] <= 31:
		l.dayOf(n, int(e.month), f.end)
	case e.bits&isOf != 0 && n.shape == plain && n.digits <= 2:
		l.ofMonth(n, f.end)
	case e.bits&isOrdinal != 0 && f.attached:
		l.pos = f.end
		l.ofMonth(n, l.pos)
	default:
		n.unit = e.unit
	}
}

// dotted reports whether a follower is the begin of a.m. or p.m.
func dotted(f *follower, text []byte) bool {
	if len(f.text) != 1 || f.text[0] != 'a' && f.text[0] != 'p' {
		return false
	}
	rest := text[f.end:]
	return len(rest) > 1 && rest[0] == '.' && rest[1]|0x20 == 'm'
}

// scale reads million, k and the like. It returns the word behind them.
func (l *lexer) scale(n *num) (*follower, entry) {
	for {
		if by, size := scaleSign(l.text[l.pos:]); by > 0 && n.shape == plain {
			l.times(n, by, l.pos+size)
			continue
		}
		f := l.peek(l.pos)
		if f.text == nil || !numeric.has(prefixHash(f.text)) {
			return f, entry{}
		}
		e := lexicon.of(f.text)
		short := len(f.text) == 1 && (!f.attached || l.text[f.end-1] == 'm') // 5 m are metres, 5M are millions
		if e.scale == 0 || n.shape != plain || short {
			return f, e
		}
		l.times(n, e.scale, f.end)
	}
}

func (l *lexer) times(n *num, by float64, end int) {
	for i := range n.values { // 1.2 million is whole, whatever floats say
		n.values[i] = math.Round(n.values[i]*by*1e6) / 1e6
	}
	n.scaled = true
	l.pos = end
}

// scaleSign is the factor that an ideogram or a Hangul syllable stands for.
func scaleSign(text []byte) (float64, int) {
	if len(text) == 0 || text[0] < 0x80 {
		return 0, 0
	}
	r, size := utf8.DecodeRune(text)
	switch r {
	case '万', '萬', '만':
		return 1e4, size
	case '亿', '億', '억':
		return 1e8, size
	case '千', '천':
		return 1e3, size
	case '百', '백':
		return 1e2, size
	}
	return 0, 0
}

// ideogram reads the units of Chinese, Japanese and Korean, and their dates.
func (l *lexer) ideogram(n *num) bool {
	if l.pos == len(l.text) || l.text[l.pos] < 0x80 {
		return false
	}
	r, size := utf8.DecodeRune(l.text[l.pos:])
	whole := n.shape == plain && n.digits <= 4
	switch {
	case (r == '年' || r == '년') && whole && n.digits == 4:
		*n = num{shape: date, values: [2]float64{n.values[0], none}, digits: 8, y: int(n.values[0])}
		l.pos += size
		l.part('月', '월', &n.m)
		if n.m > 0 {
			l.part('日', '일', &n.d)
		}
		return true
	case (r == '月' || r == '월') && whole && n.values[0] >= 1 && n.values[0] <= 12:
		*n = num{shape: date, values: [2]float64{n.values[0], none}, digits: 8, m: int(n.values[0])}
		l.pos += size
		l.part('日', '일', &n.d)
		return true
	case r == '時' || r == '点' || r == '时' || r == '시':
		if after, _ := utf8.DecodeRune(l.text[l.pos+size:]); after == '间' || after == '間' || after == '간' {
			n.unit = hours
			return true
		}
		if whole && n.values[0] <= 24 {
			*n = num{shape: clock, values: [2]float64{n.values[0] * 60, none}, digits: 4}
			l.pos += size
			minutes := 0
			l.part('分', '분', &minutes)
			n.values[0] += float64(minutes)
			return true
		}
	}
	if u := signUnits[r]; u != noUnit && r >= 0x3000 {
		n.unit = u
		return true
	}
	return false
}

// part reads digits that end with one of two signs, and leaves others.
func (l *lexer) part(one, other rune, into *int) {
	at := l.pos
	for l.pos < len(l.text) && l.text[l.pos] == ' ' {
		l.pos++
	}
	value, n := l.digits()
	r, size := utf8.DecodeRune(l.text[l.pos:])
	if n == 0 || n > 2 || r != one && r != other {
		l.pos = at
		return
	}
	*into = int(value)
	l.pos += size
}

// sign is the unit of a sign such as % at pos, behind at most one space.
func (l *lexer) sign(pos int) unit {
	for range 2 {
		if pos >= len(l.text) {
			break
		}
		r, size := rune(l.text[pos]), 1
		if c := classes[l.text[pos]]; c == cLetter || c == cUpper || c == cDigit {
			break
		}
		if r >= 0x80 {
			r, size = utf8.DecodeRune(l.text[pos:])
		}
		if r == ' ' || r == 0xA0 || r == 0x202F {
			pos += size
			continue
		}
		return signUnits[r]
	}
	return noUnit
}

// currencyBefore is the currency before a number, as sign or as code.
func (l *lexer) currencyBefore(start int) unit {
	before := l.text[:start]
	if start == 0 || before[start-1] == ',' || before[start-1] == '\n' {
		return noUnit
	}
	for range 2 {
		r, size := utf8.DecodeLastRune(before)
		if u := signUnits[r]; u >= firstCurrency {
			if bytes.HasSuffix(before, []byte("R$")) {
				return reais
			}
			return u
		}
		if r != ' ' && r != 0xA0 && r != 0x202F && r != '.' {
			break
		}
		before = before[:len(before)-size]
	}
	if n := len(before); n >= 3 && (classes[before[n-1]] == cUpper || classes[before[n-1]] == cLetter) &&
		(n == 3 || before[n-4] == ' ' || classes[before[n-4]] == cLine || classes[before[n-4]] == cOther) {
		var room [8]byte
		code := appendFolded(room[:0], before[n-3:])
		if !numeric.has(prefixHash(code)) {
			return noUnit
		}
		if u := lexicon.of(code).unit; u >= firstCurrency {
			return u
		}
	}
	return noUnit
}

// halfDay makes a clock time of a number before am or pm.
func (l *lexer) halfDay(n *num, f *follower) {
	minutes := n.values[0]
	if n.shape == plain {
		if minutes > 12 {
			return
		}
		whole := math.Trunc(minutes) // 2.30 pm
		minutes = whole*60 + math.Round((minutes-whole)*100)
	}
	afternoon := f.text[0] == 'p'
	switch {
	case afternoon && minutes < 12*60:
		minutes += 12 * 60
	case !afternoon && minutes >= 12*60:
		minutes -= 12 * 60
	}
	*n = num{shape: clock, values: [2]float64{minutes, none}, digits: 4}
	l.pos = f.end
}

// hour makes a clock time of 14 Uhr and of 14h30.
func (l *lexer) hour(n *num, f *follower) {
	if f.text[0] == 'h' && !f.attached {
		n.unit = hours
		return
	}
	end := f.end
	sub := lexer{text: l.text, pos: end}
	minutes, digits := sub.digits()
	if f.text[0] == 'h' && digits != 2 {
		n.unit = hours
		return
	}
	*n = num{shape: clock, values: [2]float64{n.values[0] * 60, none}, digits: 4}
	if digits == 2 && minutes < 60 {
		n.values[0] += minutes
		end = sub.pos
	}
	l.pos = end
}

// ofMonth reads a month behind 5th of, 5 de.
func (l *lexer) ofMonth(n *num, pos int) {
	if n.shape != plain || n.values[0] < 1 || n.values[0] > 31 {
		return
	}
	f := l.peek(pos)
	e := lexicon.of(f.text)
	if e.bits&isOf != 0 {
		f = l.peek(f.end)
		e = lexicon.of(f.text)
	}
	if e.month > 0 {
		l.dayOf(n, int(e.month), f.end)
	}
}

// dayOf makes a date of a day and a month, and of the year behind them.
func (l *lexer) dayOf(n *num, month, end int) {
	*n = num{shape: date, values: [2]float64{none, none}, digits: 8, d: int(n.values[0]), m: month}
	l.pos = end
	l.year(n)
}

// year reads a year of four digits behind a month or a day.
func (l *lexer) year(n *num) {
	at := l.pos
	for at < len(l.text) && (l.text[at] == ' ' || l.text[at] == ',' || l.text[at] == '.') {
		at++
	}
	if rest := l.text[at:]; len(rest) > 3 && (rest[0] == 'd' || rest[0] == 'D') && rest[2] == ' ' { // de 2024
		at += 3
	}
	sub := lexer{text: l.text, pos: at}
	if value, digits := sub.digits(); digits == 4 && value >= 1000 {
		n.y = int(value)
		l.pos = sub.pos
	}
}

// monthDay reads the number behind the name of a month: March 5, March 2024.
func (l *lexer) monthDay(t *token) bool {
	var room [16]byte
	if t.end-t.start > len(room) {
		return false
	}
	name := appendFolded(room[:0], l.text[t.start:t.end])
	e := lexicon.of(name)
	if e.month == 0 {
		return false
	}
	doubtful := e.bits&isCommon != 0
	at := l.pos
	for at < len(l.text) && (l.text[at] == ' ' || l.text[at] == '.') {
		at++
	}
	sub := lexer{text: l.text, pos: at}
	value, digits := sub.digits()
	n := num{shape: date, values: [2]float64{none, none}, digits: 8, m: int(e.month)}
	switch {
	case doubtful && !t.upper, digits == 0 && (doubtful || len(name) < 4), digits == 3, digits > 4:
		return false
	case digits == 0:
	case digits == 4:
		n.y, l.pos = int(value), sub.pos
	case value >= 1 && value <= 31:
		n.d, l.pos = int(value), sub.pos
		f := l.peek(l.pos)
		if f.attached && lexicon.of(f.text).bits&isOrdinal != 0 {
			l.pos = f.end
		}
		l.year(&n)
	}
	t.kind, l.num, t.end = number, n, l.pos
	return true
}
