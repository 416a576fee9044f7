package redis

import (
	"fmt"
	"strconv"

	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
)

// field is one counter of a row, a count or an amount of money.
type field struct {
	name  string
	of    func(*record.Counters) *int64
	money bool
}

// fields is the format of a row: an amount called x is stored as whole
// nano-dollars in x and the remaining pico-dollars in xp, each simply added.
var fields = [...]field{
	{name: "req", of: func(c *record.Counters) *int64 { return &c.Requests }},
	{name: "leg", of: func(c *record.Counters) *int64 { return &c.Legs }},
	{name: "esc", of: func(c *record.Counters) *int64 { return &c.Escalated }},
	{name: "in", of: func(c *record.Counters) *int64 { return &c.Input }},
	{name: "out", of: func(c *record.Counters) *int64 { return &c.Output }},
	{name: "cr", of: func(c *record.Counters) *int64 { return &c.CacheRead }},
	{name: "cw5", of: func(c *record.Counters) *int64 { return &c.CacheWrite5m }},
	{name: "cw1", of: func(c *record.Counters) *int64 { return &c.CacheWrite1h }},
	{name: "gr", of: func(c *record.Counters) *int64 { return &c.GuardrailUnits }},
	{name: "cut", of: func(c *record.Counters) *int64 { return &c.TokensCut }},
	{name: "unp", of: func(c *record.Counters) *int64 { return &c.Unpriced }},
	{name: "unk", of: func(c *record.Counters) *int64 { return &c.Unknown }},
	{name: "dra", of: func(c *record.Counters) *int64 { return &c.Drained }},
	{name: "sus", of: func(c *record.Counters) *int64 { return &c.SuspenseTokens }},
	{name: "in$", of: func(c *record.Counters) *int64 { return (*int64)(&c.CostInput) }, money: true},
	{name: "out$", of: func(c *record.Counters) *int64 { return (*int64)(&c.CostOutput) }, money: true},
	{name: "cr$", of: func(c *record.Counters) *int64 { return (*int64)(&c.CostCacheRead) }, money: true},
	{name: "cw$", of: func(c *record.Counters) *int64 { return (*int64)(&c.CostCacheWrite) }, money: true},
	{name: "gr$", of: func(c *record.Counters) *int64 { return (*int64)(&c.CostGuardrail) }, money: true},
	{name: "was$", of: func(c *record.Counters) *int64 { return (*int64)(&c.CostWasted) }, money: true},
	{name: "sus$", of: func(c *record.Counters) *int64 { return (*int64)(&c.Suspense) }, money: true},
	{name: "qu", of: func(c *record.Counters) *int64 { return &c.Queries }},
	{name: "img", of: func(c *record.Counters) *int64 { return &c.Images }},
	{name: "ms", of: func(c *record.Counters) *int64 { return &c.Milliseconds }},
	{name: "cw5$", of: func(c *record.Counters) *int64 { return (*int64)(&c.CostCacheWrite5m) }, money: true},
	{name: "cw1$", of: func(c *record.Counters) *int64 { return (*int64)(&c.CostCacheWrite1h) }, money: true},
	{name: "qu$", of: func(c *record.Counters) *int64 { return (*int64)(&c.CostQuery) }, money: true},
	{name: "img$", of: func(c *record.Counters) *int64 { return (*int64)(&c.CostImage) }, money: true},
	{name: "ms$", of: func(c *record.Counters) *int64 { return (*int64)(&c.CostSecond) }, money: true},
	{name: "dis$", of: func(c *record.Counters) *int64 { return (*int64)(&c.Discount) }, money: true},
	{name: "late$", of: func(c *record.Counters) *int64 { return (*int64)(&c.Late) }, money: true},
	{name: "cap", of: func(c *record.Counters) *int64 { return &c.CapHits }},
	{name: "wh$", of: func(c *record.Counters) *int64 { return (*int64)(&c.Withheld) }, money: true},
}

// picoPerNano is that of money: fields hold nano-dollars, and what is left of them.
const picoPerNano = int64(money.Nano)

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
		value := *f.of(&c)
		if f.money {
			add(f.name+"p", value%picoPerNano)
			value /= picoPerNano
		}
		add(f.name, value)
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
		case name == f.name && f.money:
			*f.of(&c) = value * picoPerNano
			return c, value <= record.MaxValue && value >= -record.MaxValue
		case name == f.name, name == f.name+"p" && f.money:
			*f.of(&c) = value
			return c, true
		}
	}
	return c, false
}
