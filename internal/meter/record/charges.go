package record

import (
	"strings"
	"time"
)

// periods are the codes of windows' periods in records; noPeriod says that the
// name follows. Numbers are part of the format.
var periods = [...]string{"", "minute", "hour", "day", "month"}

const noPeriod = 7

// charges of one record. Tenant is the record's own: the windows' tenants are
// mostly it and those above it.
func (c *coder) charges(tenant string, all *[]Charge) {
	n := uint64(len(*all))
	c.uint(&n)
	if c.reading {
		*all = nil
		if n > uint64(len(c.b)) {
			c.bad, c.b = true, nil
			return
		}
		if n > 0 {
			*all = c.seen.room(int(n))
		}
	}
	for i := range *all {
		c.charge(tenant, &(*all)[i])
	}
}

func (c *coder) charge(tenant string, ch *Charge) {
	c.windowHead(&ch.Window, &ch.Suspense)
	c.above(tenant, &ch.Window.Tenant)
	c.windowTime(&ch.Window)
	c.int(&ch.Amount)
}

// windowHead is one number: suspense in bit 0, the period in bits 1 to 3, the
// unit above.
func (c *coder) windowHead(w *Window, suspense *bool) {
	code := uint64(noPeriod)
	for i, name := range periods {
		if w.Period == name {
			code = uint64(i)
		}
	}
	head := uint64(w.Unit)<<4 | code<<1 | uint64(flag(*suspense))
	c.uint(&head)
	w.Unit, *suspense, code = Unit(head>>4), head&1 != 0, head>>1&7
	switch {
	case code == noPeriod:
		c.str(&w.Period)
	case code >= uint64(len(periods)):
		c.bad = true
	default:
		w.Period = periods[code]
	}
}

// above writes a tenant as how many elements of path it has, or as 0 and its
// name when it is not on the path.
func (c *coder) above(path string, tenant *string) {
	depth := depthOn(path, *tenant)
	c.uint(&depth)
	if depth == 0 {
		c.str(tenant)
		return
	}
	if !c.reading {
		return
	}
	end := 0
	for range depth {
		if end > len(path) {
			c.bad = true
			return
		}
		if next := strings.IndexByte(path[end:], '/'); next >= 0 {
			end += next + 1
		} else {
			end = len(path) + 1
		}
	}
	*tenant = path[:end-1]
}

// depthOn is how many elements of path tenant is, 0 when it is not its start.
func depthOn(path, tenant string) uint64 {
	rest, ok := strings.CutPrefix(path, tenant)
	if tenant == "" || !ok || rest != "" && rest[0] != '/' {
		return 0
	}
	return uint64(strings.Count(tenant, "/")) + 1
}

// windowTime is the start in seconds since 1970, 0 for a window without times,
// and the length in seconds. Windows begin and end with whole seconds.
func (c *coder) windowTime(w *Window) {
	var start, length int64
	if !w.Start.IsZero() {
		start = w.Start.Unix()
		length = w.End.Unix() - start
	}
	c.int(&start)
	if start != 0 {
		c.int(&length)
	}
	if !c.reading {
		return
	}
	w.Start, w.End = time.Time{}, time.Time{}
	if start != 0 {
		w.Start, w.End = time.Unix(start, 0).UTC(), time.Unix(start+length, 0).UTC()
	}
}
