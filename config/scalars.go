package config

import (
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/sluice-gateway/sluice/config/similar"
	"github.com/sluice-gateway/sluice/config/variables"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/network"
)

// form is a kind of scalar: what messages call it, and its JSON Schema.
type form struct {
	wanted string
	schema shape
	number bool // must not be in quotes
}

// scalar reads the text of v, which should have a form, after expansion.
func (d *decoder) scalar(v value, f form) (string, bool) {
	if d.shape != nil {
		d.shape.scalar(f)
		return "", false
	}
	var raw string
	var isText bool
	switch n := unsplit(v.node).(type) {
	case *ast.StringNode:
		raw, isText = n.Value, placeOf(v.file, n).style != stylePlain
		if !isText && strings.Contains(raw, ": ") { // the YAML library reads {a: b c: d} so
			d.fault(v, `has ": " inside: a comma is missing, or the value needs quotes`)
			return "", false
		}
	case *ast.LiteralNode:
		raw, isText = n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		raw = n.GetToken().Value
	default:
		d.fault(v, "must be %s, not %s", f.wanted, kindOf(v.node))
		return "", false
	}
	expanded, gaps := variables.Expand(raw, d.env)
	if len(gaps) > 0 && d.reading && d.served > 0 {
		d.unset[v.path] = true
		if strings.HasSuffix(v.path, `"]`) { // of a table whose values are checked together
			d.unset[around(v.path)] = true
		}
		return raw, true
	}
	for _, g := range gaps {
		d.faultAt(placeOf(v.file, v.node).into(g.Offset), v.path, "%s", g.Message)
	}
	if len(gaps) > 0 {
		return "", false
	}
	if f.number && isText && numeric(raw) {
		d.fault(v, "must be %s, not text: remove the quotes", f.wanted)
		return "", false
	}
	if f.number && octal(raw) {
		d.fault(v, "must be %s, not %s: a zero before it makes it octal to some readers of YAML", f.wanted, raw)
		return "", false
	}
	return expanded, true
}

// numeric reports whether a text in quotes would be a number without them.
func numeric(text string) bool {
	_, err := strconv.ParseFloat(text, 64)
	return err == nil
}

// octal reports whether a number begins with a zero and another digit: 010 is 8 in YAML 1.1,
// by which a template may have written a file, and 10 in YAML 1.2.
func octal(number string) bool {
	digits := strings.TrimLeft(number, "+-")
	return len(digits) > 1 && digits[0] == '0' && '0' <= digits[1] && digits[1] <= '9'
}

// serving reads what only a gateway that serves needs, such as secrets.
func serving[T any](f decode[T]) decode[T] {
	return func(d *decoder, v value, dst *T) {
		d.served++
		f(d, v, dst)
		d.served--
	}
}

// errForm is for a text that does not have its form.
var errForm = errors.New("not of this form")

// parsed reads scalars of a form. parse fails with errForm, or with the message.
func parsed[T any](f form, parse func(text string) (T, error)) decode[T] {
	return func(d *decoder, v value, dst *T) {
		text, ok := d.scalar(v, f)
		if !ok {
			return
		}
		x, err := parse(text)
		switch {
		case err == nil:
			*dst = x
		case errors.Is(err, errForm):
			d.fault(v, "must be %s, not %q", f.wanted, text)
		default:
			d.fault(v, "%v", err)
		}
	}
}

var textForm = form{wanted: "text", schema: shape{"type": []string{"string", "number"}}}

// text reads any text, also an empty one. Numbers are taken as they are
// written; true and false need quotes, because they were rarely meant as text.
func text(d *decoder, v value, dst *string) {
	if _, isBool := v.node.(*ast.BoolNode); isBool {
		d.fault(v, "must be text, not %s: put it in quotes", kindOf(v.node))
		return
	}
	if s, ok := d.scalar(v, textForm); ok {
		*dst = s
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

// account reads the number of an AWS account, which may begin with zeros, or "*".
var account = parsed(form{
	wanted: `the 12 digits of an account without spaces or dashes, or "*"`,
	schema: shape{"type": []string{"string", "number"}},
}, func(text string) (string, error) {
	if text != AnyAccount && !IsAccount(text) {
		return "", errForm
	}
	return text, nil
})

// onNetwork reads a network or an address.
var onNetwork = parsed(form{
	wanted: "a network such as 10.0.0.0/8 or 2001:db8::/32, or an address", schema: shape{"type": "string"},
}, func(text string) (netip.Prefix, error) {
	n, err := network.Parse(text)
	if err != nil {
		return n, errForm
	}
	return n, nil
})

// AnyAccount is the word of allowed_accounts that allows every one.
const AnyAccount = "*"

// IsAccount reports whether a text is the number of an AWS account.
func IsAccount(text string) bool {
	return len(text) == 12 && strings.Trim(text, "0123456789") == ""
}

// oneOf reads one of the words.
func oneOf[S ~string](words ...S) decode[S] {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = string(w)
	}
	f := form{wanted: "one of " + strings.Join(quoted, ", "), schema: shape{"enum": words}}
	return parsed(f, func(text string) (S, error) {
		for _, w := range words {
			if text == string(w) {
				return w, nil
			}
		}
		return "", fmt.Errorf("must be %s, not %q%s", f.wanted, text, similar.Hint(text, quoted))
	})
}

// boolean reads true or false.
var boolean = parsed(form{wanted: "one of true, false", schema: shape{"type": "boolean"}},
	func(text string) (bool, error) {
		if text != "true" && text != "false" {
			return false, errForm
		}
		return text == "true", nil
	})

// whole reads a whole number from low to high.
func whole[I int | int64](low, high I) decode[I] {
	schema := shape{"type": "integer", "minimum": low, "maximum": high}
	return parsed(form{"a whole number", schema, true}, func(text string) (I, error) {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return 0, errForm
		}
		if n < int64(low) || n > int64(high) {
			return 0, fmt.Errorf("must be from %d to %d, not %d", low, high, n)
		}
		return I(n), nil
	})
}

// maxCount bounds counts of tokens and requests far above any use and far
// below what sums of them can hold.
const maxCount = 1_000_000_000_000

var count = whole[int64](1, maxCount)

// share reads a number from 0 to 1. It is no money, so a float is right.
var share = parsed(
	form{"a number from 0 to 1", shape{"type": "number", "minimum": 0, "maximum": 1}, true},
	func(text string) (float64, error) {
		x, err := strconv.ParseFloat(text, 64)
		if err != nil || !(x >= 0 && x <= 1) {
			return 0, errForm
		}
		return x, nil
	})

// durationForm has the durations that time.ParseDuration reads, without signs.
var durationForm = form{wanted: "a duration such as 5ms or 60m", schema: shape{
	"type": "string", "pattern": `^([0-9]*\.?[0-9]+(ns|us|µs|ms|s|m|h))+$`,
}}

// period reads a duration of at least low, such as 5ms, 60m or 1h30m.
func period(low time.Duration) decode[time.Duration] {
	const high = 365 * 24 * time.Hour
	return parsed(durationForm, func(text string) (time.Duration, error) {
		t, err := time.ParseDuration(text)
		if err != nil && numeric(text) {
			return 0, fmt.Errorf("must have a unit: %ss, %sm or %sh, say", text, text, text)
		}
		if err != nil {
			return 0, errForm
		}
		if t < low || t > high {
			return 0, fmt.Errorf("must be from %s to %s, not %s", low, high, text)
		}
		return t, nil
	})
}

// size reads a number of bytes: 1048576, 64MiB, 1GiB, 25MB.
var size = parsed(form{wanted: "a size such as 1048576, 64MiB or 1GB", schema: shape{
	"type": []string{"integer", "string"}, "minimum": 1, "pattern": `^[0-9]+([KMG]i?)?B?$`,
}}, func(text string) (int64, error) {
	digits := strings.TrimRight(text, "KMGiB")
	unit, known := sizeUnits[text[len(digits):]]
	n, err := strconv.ParseInt(digits, 10, 64)
	if !known || err != nil || n < 1 || n > maxCount/unit || octal(digits) {
		return 0, errForm
	}
	return n * unit, nil
})

var sizeUnits = map[string]int64{
	"": 1, "B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30,
}

// MaxDollars is the largest amount that a setting can name, in whole dollars: the
// counters of a ledger hold no more.
const MaxDollars = 9_000_000

// dollars reads an amount above zero, exactly.
var dollars = parsed(
	form{"an amount in dollars", shape{"type": "number", "exclusiveMinimum": 0, "maximum": MaxDollars}, true},
	func(text string) (money.Pico, error) {
		amount, err := money.ParseDollars(text)
		tooLarge := errors.Is(err, money.ErrRange) && !strings.HasPrefix(text, "-")
		switch {
		case tooLarge || amount > MaxDollars*money.Dollar:
			return 0, fmt.Errorf("must be at most %d dollars, which is what a ledger counts, not %s", MaxDollars, text)
		case err != nil:
			return 0, fmt.Errorf("must be an amount in dollars: %w", err)
		case amount <= 0:
			return 0, fmt.Errorf("must be more than nothing, not %s", text)
		}
		return amount, nil
	})

// day reads a UTC day, 2026-01-31.
var day = parsed(form{wanted: "a day such as 2026-01-31", schema: shape{
	"type": "string", "pattern": `^[0-9]{4}-[0-9]{2}-[0-9]{2}$`,
}}, func(text string) (time.Time, error) {
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return t, errForm
	}
	return t, nil
})

// instant reads a moment: a UTC day, 2026-01-31, which is its beginning, or a time with its zone.
var instant = parsed(form{wanted: "a day such as 2026-01-31, or a time such as 2026-01-31T18:00:00Z", schema: shape{
	"type": "string", "pattern": `^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}(Z|[+-][0-9]{2}:[0-9]{2}))?$`,
}}, func(text string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC().Truncate(time.Second), nil
		}
	}
	return time.Time{}, errForm
})

// factor reads a decimal number above zero, exactly.
var factor = parsed(form{wanted: "a factor such as 0.5", number: true}, func(text string) (*big.Rat, error) {
	amount, err := money.ParseDollars(text)
	if err != nil || amount <= 0 {
		return nil, errForm
	}
	return big.NewRat(int64(amount), int64(money.Dollar)), nil
})

// rate reads a price, exactly. Zero is free.
var rate = parsed(form{wanted: "a price in dollars", number: true}, func(text string) (*big.Rat, error) {
	amount, err := money.ParseDollars(text)
	if err != nil {
		return nil, fmt.Errorf("must be a price in dollars: %w", err)
	}
	if amount < 0 {
		return nil, errors.New("must not be negative")
	}
	return big.NewRat(int64(amount), 1), nil
})
