package redis

import (
	"fmt"
	"strconv"

	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
)

// field is one counter of a row. Exactly one of count and amount is set.
type field struct {
	name   string
	count  func(*record.Counters) *int64
	amount func(*record.Counters) *money.Pico
}

// fields is the format of a row: an amount called x is stored as whole
// nano-dollars in x and the remaining pico-dollars in xp, each simply added.
var fields = [...]field{
	{name: "req", count: func(c *record.Counters) *int64 { return &c.Requests }},
	{name: "leg", count: func(c *record.Counters) *int64 { return &c.Legs }},
	{name: "esc", count: func(c *record.Counters) *int64 { return &c.Escalated }},
	{name: "in", count: func(c *record.Counters) *int64 { return &c.Input }},
	{name: "out", count: func(c *record.Counters) *int64 { return &c.Output }},
	{name: "cr", count: func(c *record.Counters) *int64 { return &c.CacheRead }},
	{name: "cw5", count: func(c *record.Counters) *int64 { return &c.CacheWrite5m }},
	{name: "cw1", count: func(c *record.Counters) *int64 { return &c.CacheWrite1h }},
	{name: "gr", count: func(c *record.Counters) *int64 { return &c.GuardrailUnits }},
	{name: "cut", count: func(c *record.Counters) *int64 { return &c.TokensCut }},
	{name: "unp", count: func(c *record.Counters) *int64 { return &c.Unpriced }},
	{name: "unk", count: func(c *record.Counters) *int64 { return &c.Unknown }},
	{name: "dra", count: func(c *record.Counters) *int64 { return &c.Drained }},
	{name: "sus", count: func(c *record.Counters) *int64 { return &c.SuspenseTokens }},
	{name: "in$", amount: func(c *record.Counters) *money.Pico { return &c.CostInput }},
	{name: "out$", amount: func(c *record.Counters) *money.Pico { return &c.CostOutput }},
	{name: "cr$", amount: func(c *record.Counters) *money.Pico { return &c.CostCacheRead }},
	{name: "cw$", amount: func(c *record.Counters) *money.Pico { return &c.CostCacheWrite }},
	{name: "gr$", amount: func(c *record.Counters) *money.Pico { return &c.CostGuardrail }},
	{name: "was$", amount: func(c *record.Counters) *money.Pico { return &c.CostWasted }},
	{name: "sus$", amount: func(c *record.Counters) *money.Pico { return &c.Suspense }},
}

const picoPerNano = 1000

// change is what one field of a group gains.
type change struct {
	name  string
	delta int64
}

// changesOf lists the fields that c adds to, under their names in a group's
// hash: the row's place in the group and the field.
func changesOf(place int, c record.Counters) []change {
	var out []change
	add := func(name string, delta int64) {
		if delta != 0 {
			out = append(out, change{strconv.Itoa(place) + name, delta})
		}
	}
	for _, f := range fields {
		if f.count != nil {
			add(f.name, *f.count(&c))
			continue
		}
		amount := int64(*f.amount(&c))
		add(f.name, amount/picoPerNano)
		add(f.name+"p", amount%picoPerNano)
	}
	return out
}

// decodeGroup returns the counters of the rows in a group's hash, by place.
func decodeGroup(hash map[string]string) ([groupRows]record.Counters, error) {
	var rows [groupRows]record.Counters
	for name, text := range hash {
		value, err := strconv.ParseInt(text, 10, 64)
		if err != nil || len(name) < 2 || name[0] < '0' || name[0] >= '0'+groupRows {
			return rows, fmt.Errorf("%w: field %q holds %q", ErrDamaged, name, text)
		}
		one, ok := decodeField(name[1:], value)
		if !ok {
			return rows, fmt.Errorf("%w: field %q holds %q", ErrDamaged, name, text)
		}
		row := &rows[name[0]-'0']
		if *row, ok = row.Plus(one); !ok {
			return rows, fmt.Errorf("%w: field %q overflows its sum", ErrDamaged, name)
		}
	}
	return rows, nil
}

func decodeField(name string, value int64) (c record.Counters, ok bool) {
	for _, f := range fields {
		switch {
		case f.count != nil && name == f.name:
			*f.count(&c) = value
			return c, true
		case f.amount != nil && name == f.name+"p":
			*f.amount(&c) = money.Pico(value)
			return c, true
		case f.amount != nil && name == f.name:
			*f.amount(&c) = money.Pico(value * picoPerNano)
			return c, value <= record.MaxValue && value >= -record.MaxValue
		}
	}
	return c, false
}
