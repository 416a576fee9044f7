package value

import (
	"strconv"
	"strings"
)

// decimal is a number as it is written.
type decimal struct {
	sign, whole, fraction string
	grouped, exponent     bool
}

// maxDigits bounds what is read as a number; longer ones are codes.
const maxDigits = 60

// plainNumber reads a bare number. Zeros after the point count where the number may
// be a version: 3.10 is no 3.1, but 18.0 is 18.
func plainNumber(s string) (Value, bool) {
	d, ok := readDecimal(s)
	if !ok {
		return Value{}, false
	}
	v := d.value()
	if zeros := strings.TrimRight(d.fraction, "0"); zeros != "" && zeros != d.fraction && !d.grouped && !d.exponent {
		v.zeros = s
	}
	return v, true
}

// measured reads a number that is no version, because a unit, a sign of a currency
// or the syntax of a literal says so.
func measured(s string) (Value, bool) {
	d, ok := readDecimal(s)
	return d.value(), ok
}

// readDecimal reads a sign, digits with proper groups, a fraction, an exponent.
// 007 is a code, not seven.
func readDecimal(s string) (d decimal, ok bool) {
	if s == "" || len(s) > maxDigits {
		return d, false
	}
	if rest, minus := strings.CutPrefix(s, "-"); minus {
		d.sign, s = "-", rest
	} else if rest, minus := strings.CutPrefix(s, "−"); minus {
		d.sign, s = "-", rest
	}
	body, exponent, scientific := cutExponent(s)
	whole, fraction, _ := strings.Cut(body, ".")
	if d.whole, d.grouped, ok = ungroup(whole); !ok {
		return d, false
	}
	if d.whole+fraction == "" || !allDigits(fraction) || len(d.whole) > 1 && d.whole[0] == '0' {
		return d, false
	}
	d.fraction = fraction
	if d.whole == "" {
		d.whole = "0"
	}
	if scientific {
		d.exponent = true
		d.shift(exponent)
	}
	return d, true
}

// maxExponent bounds the digits that an exponent makes.
const maxExponent = 40

func cutExponent(s string) (body string, exponent int, ok bool) {
	i := strings.IndexAny(s, "eE")
	if i < 1 {
		return s, 0, false
	}
	n, err := strconv.Atoi(strings.TrimPrefix(s[i+1:], "+"))
	if err != nil || n > maxExponent || n < -maxExponent {
		return s, 0, false
	}
	return s[:i], n, true
}

// shift moves the point.
func (d *decimal) shift(by int) {
	if by >= 0 {
		moved := d.fraction + strings.Repeat("0", max(0, by-len(d.fraction)))
		d.whole, d.fraction = d.whole+moved[:by], moved[by:]
	} else {
		moved := strings.Repeat("0", max(0, -by-len(d.whole)+1)) + d.whole
		d.whole, d.fraction = moved[:len(moved)+by], moved[len(moved)+by:]+d.fraction
	}
	d.whole = strings.TrimLeft(d.whole, "0")
	if d.whole == "" {
		d.whole = "0"
	}
}

// value is the number without the zeros after its point.
func (d *decimal) value() Value {
	text := d.whole
	if fraction := strings.TrimRight(d.fraction, "0"); fraction != "" {
		text += "." + fraction
	}
	if text != "0" && text != "" {
		text = d.sign + text
	}
	f, _ := strconv.ParseFloat(text, 64) // out of range is an infinity, which equals no other text
	return Value{text: text, number: f, numeric: true, digits: len(d.fraction)}
}

// result is a number that was computed.
func result(f float64) Value {
	if f == 0 {
		f = 0 // no negative zero
	}
	return Value{text: strconv.FormatFloat(f, 'g', 12, 64), number: f, numeric: true, digits: computed}
}

// groupMarks separate thousands. A plain space does not: it separates numbers too.
var groupMarks = [...]string{`{,}`, ",", "\u00a0", "\u202f", "\u2009"}

// ungroup returns digits without proper marks between thousands.
func ungroup(s string) (digits string, grouped, ok bool) {
	for _, mark := range groupMarks {
		if !strings.Contains(s, mark) {
			continue
		}
		groups := strings.Split(s, mark)
		for i, g := range groups {
			if len(g) != 3 && (i > 0 || g == "" || len(g) > 3) {
				return "", false, false
			}
		}
		s, grouped = strings.Join(groups, ""), true
	}
	return s, grouped, allDigits(s)
}

func allDigits(s string) bool { return strings.Trim(s, "0123456789") == "" }
