package config

import (
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/sluice-gateway/sluice/internal/money"
)

// scalar is the text of a scalar after expansion.
type scalar struct {
	text string
	// isText is whether it was written as text and names no variable, so that
	// it cannot be a number.
	isText bool
}

// form is a kind of scalar: what messages call it, and its JSON Schema.
type form struct {
	wanted string
	schema shape
}

// scalar reads the text of v, which should have a form.
func (d *decoder) scalar(v value, f form) (scalar, bool) {
	if d.shape != nil {
		d.shape.scalar(f)
		return scalar{}, false
	}
	var raw string
	var isText bool
	switch n := v.node.(type) {
	case *ast.StringNode:
		raw, isText = n.Value, placeOf(v.file, n).style != stylePlain
	case *ast.LiteralNode:
		raw, isText = n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		raw = n.GetToken().Value
	default:
		d.fault(v, "must be %s, not %s", f.wanted, kindOf(v.node))
		return scalar{}, false
	}
	expanded, gaps := expand(raw, d.env)
	for _, g := range gaps {
		d.faults = append(d.faults, newFault(placeOf(v.file, v.node).into(g.offset), v.path, g.message))
	}
	return scalar{expanded, isText && !strings.Contains(raw, "${")}, len(gaps) == 0
}

// number reads the text of a number, as it is written.
func (d *decoder) number(v value, f form) (string, bool) {
	s, ok := d.scalar(v, f)
	if ok && s.isText {
		d.fault(v, "must be %s, not text: remove the quotes", f.wanted)
		return "", false
	}
	return s.text, ok
}

// text reads any text, also an empty one. Numbers are taken as they are
// written; true and false need quotes, because they were rarely meant as text.
func text(d *decoder, v value, dst *string) {
	if _, isBool := v.node.(*ast.BoolNode); isBool {
		d.fault(v, "must be text, not %s: put it in quotes", kindOf(v.node))
		return
	}
	if s, ok := d.scalar(v, form{"text", shape{"type": []string{"string", "number"}}}); ok {
		*dst = s.text
	}
}

// name reads text that is not empty.
func name(d *decoder, v value, dst *string) {
	before := len(d.faults)
	text(d, v, dst)
	if *dst == "" && len(d.faults) == before {
		d.fault(v, "must not be empty")
	}
}

// oneOf reads one of the words.
func oneOf[S ~string](words ...S) decode[S] {
	return func(d *decoder, v value, dst *S) {
		quoted := make([]string, len(words))
		for i, w := range words {
			quoted[i] = string(w)
		}
		wanted := form{"one of " + strings.Join(quoted, ", "), shape{"enum": words}}
		s, ok := d.scalar(v, wanted)
		if !ok {
			return
		}
		for _, w := range words {
			if s.text == string(w) {
				*dst = w
				return
			}
		}
		d.fault(v, "must be %s, not %q", wanted.wanted, s.text)
	}
}

// boolean reads true or false.
func boolean(d *decoder, v value, dst *bool) {
	if d.shape != nil {
		d.shape.scalar(form{"", shape{"type": "boolean"}})
		return
	}
	word := strconv.FormatBool(*dst)
	oneOf("true", "false")(d, v, &word)
	*dst = word == "true"
}

// whole reads a whole number from low to high.
func whole[I int | int64](low, high I) decode[I] {
	return func(d *decoder, v value, dst *I) {
		s, ok := d.number(v, form{"a whole number", shape{"type": "integer", "minimum": low, "maximum": high}})
		if !ok {
			return
		}
		n, err := strconv.ParseInt(s, 10, 64)
		switch {
		case err != nil:
			d.fault(v, "must be a whole number, not %q", s)
		case n < int64(low) || n > int64(high):
			d.fault(v, "must be from %d to %d, not %d", low, high, n)
		default:
			*dst = I(n)
		}
	}
}

// maxCount bounds counts of tokens and requests far above any use and far
// below what sums of them can hold.
const maxCount = 1_000_000_000_000

var count = whole[int64](1, maxCount)

// share reads a number from 0 to 1. It is no money, so a float is right.
func share(d *decoder, v value, dst *float64) {
	s, ok := d.number(v, form{"a number from 0 to 1", shape{"type": "number", "minimum": 0, "maximum": 1}})
	if !ok {
		return
	}
	x, err := strconv.ParseFloat(s, 64)
	if err != nil || !(x >= 0 && x <= 1) {
		d.fault(v, "must be a number from 0 to 1, not %q", s)
		return
	}
	*dst = x
}

// period reads a duration of at least low, such as 5ms, 60m or 1h30m.
func period(low time.Duration) decode[time.Duration] {
	const high = 365 * 24 * time.Hour
	return func(d *decoder, v value, dst *time.Duration) {
		s, ok := d.scalar(v, form{"a duration such as 5ms or 60m", shape{"type": "string", "pattern": durationPattern}})
		if !ok {
			return
		}
		t, err := time.ParseDuration(s.text)
		switch {
		case err != nil:
			d.fault(v, "must be a duration such as 5ms or 60m, not %q", s.text)
		case t < low || t > high:
			d.fault(v, "must be from %s to %s, not %s", low, high, s.text)
		default:
			*dst = t
		}
	}
}

// durationPattern is what time.ParseDuration reads, without signs.
const durationPattern = `^([0-9]*\.?[0-9]+(ns|us|µs|ms|s|m|h))+$`

// size reads a number of bytes: 1048576, 64MiB, 1GiB, 25MB.
func size(d *decoder, v value, dst *int64) {
	s, ok := d.scalar(v, form{"a size such as 64MiB", shape{"type": []string{"integer", "string"}, "minimum": 1, "pattern": sizePattern}})
	if !ok {
		return
	}
	digits := strings.TrimRight(s.text, "KMGiB")
	unit, known := sizeUnits[s.text[len(digits):]]
	n, err := strconv.ParseInt(digits, 10, 64)
	if !known || err != nil || n < 1 || n > maxCount/unit {
		d.fault(v, "must be a size such as 1048576, 64MiB or 1GB, not %q", s.text)
		return
	}
	*dst = n * unit
}

const sizePattern = `^[0-9]+([KMG]i?)?B?$`

var sizeUnits = map[string]int64{
	"": 1, "B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30,
}

// dollars reads an amount above zero, exactly.
func dollars(d *decoder, v value, dst *money.Pico) {
	s, ok := d.number(v, form{"an amount in dollars", shape{"type": "number", "exclusiveMinimum": 0}})
	if !ok {
		return
	}
	amount, err := money.ParseDollars(s)
	switch {
	case err != nil:
		d.fault(v, "must be an amount in dollars: %v", err)
	case amount <= 0:
		d.fault(v, "must be more than nothing, not %s", s)
	default:
		*dst = amount
	}
}

// day reads a UTC day, 2026-01-31.
func day(d *decoder, v value, dst *time.Time) {
	s, ok := d.scalar(v, form{wanted: "a day such as 2026-01-31"})
	if !ok {
		return
	}
	t, err := time.Parse(time.DateOnly, s.text)
	if err != nil {
		d.fault(v, "must be a day such as 2026-01-31, not %q", s.text)
		return
	}
	*dst = t
}

// factor reads a decimal number above zero, exactly.
func factor(d *decoder, v value, dst **big.Rat) {
	s, ok := d.number(v, form{wanted: "a factor such as 0.5"})
	if !ok {
		return
	}
	amount, err := money.ParseDollars(s)
	if err != nil || amount <= 0 {
		d.fault(v, "must be a factor such as 0.5, not %q", s)
		return
	}
	*dst = big.NewRat(int64(amount), int64(money.Dollar))
}
