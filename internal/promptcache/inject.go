package promptcache

import (
	"time"

	"github.com/sluice-gateway/sluice/internal/money"
)

// spot is a prefix that a point can be put behind, and where.
type spot struct {
	*prefix
	tail tail
	part int
}

// spotAt is the i-th prefix of a prompt as far as a point may be behind it.
func (s *Store) spotAt(at *Placed, p *Prompt, i int, now time.Time) (x spot, ok bool) {
	e := &at.ends.all[i]
	x.prefix, x.part = s.kept[e.hash], e.part
	if x.prefix == nil || x.near < p.Cache.Minimum || !has(p.Cache.In, e.part) || now.Before(x.dull) {
		return x, false
	}
	x.tail, ok = tailOf(p.Body, e)
	return x, ok && formOf(p.Facts).takes(&x.tail)
}

// warm reports whether the model should have a prefix.
func (x *prefix) warm(now time.Time) bool { return x.until.After(now.Add(margin)) }

// inject finds the longest prefix that a point pays behind, and what of it is kept already.
func (s *Store) inject(at *Placed, p *Prompt, now time.Time) {
	form := formOf(p.Facts)
	for i := at.ends.n - 1; i >= 0; i-- {
		x, ok := s.spotAt(at, p, i, now)
		if !ok {
			continue
		}
		x.chain.settle(now)
		if x.warm(now) {
			if at.why = at.reads(x.prefix); at.why == "" {
				at.Splices = form.splice(at.Splices, &x.tail, ttls[at.life])
			}
			return
		}
		base, first := s.before(at, p, i, now), at.why == whyShort
		if why := at.writes(x.prefix, base.prefix, now); why != "" {
			if first {
				at.why = why
			}
			continue
		}
		at.why = ""
		if base.prefix != nil {
			at.Splices = form.splice(at.Splices, &base.tail, ttls[at.baseLife])
		}
		at.Splices = form.splice(at.Splices, &x.tail, ttls[at.life])
		return
	}
}

// before is the longest prefix before the i-th that the model has. Without one it is that of
// the system prompt or the tools, which prompts have in common: written on the way, it costs
// nothing more.
func (s *Store) before(at *Placed, p *Prompt, i int, now time.Time) (common spot) {
	for i--; i >= 0; i-- {
		x, ok := s.spotAt(at, p, i, now)
		switch {
		case !ok:
		case x.warm(now):
			return x
		case common.prefix == nil && x.part != inMessages:
			common = x
		}
	}
	return common
}

// Why a prompt got no point, of the longest beginning that could have had one.
const (
	whyOwn     = "own"     // the caller has set points
	whyNew     = "new"     // no prompt began so before
	whyShort   = "short"   // what began so before has fewer tokens than the model keeps, or no place for a point
	whySeldom  = "seldom"  // prompts that begin so come too seldom
	whyStopped = "stopped" // it is left alone after a write that nobody read
	whyWriting = "writing" // another prompt is on its way with a point there
	whyOwes    = "owes"    // what writing it cost is not recovered yet
	whyLapsed  = "lapsed"  // the last prompt that began so is longer ago than the lifetime
	whyWeek    = "week"    // a hundredth of what the tenant has spent this week does not cover it
)

// reads decides whether to ask for a prefix that the model should have. Until one read has
// shown that it does, there is one at a time. It returns why not, "" when it does.
func (at *Placed) reads(x *prefix) (why string) {
	c, q := x.chain, at.rates.premium(x.most, x.life)
	switch {
	case c.flying > 0 && c.balance+c.pending+q > 0:
		return whyWriting
	case c.balance > 0 && c.risk == 0:
		return whyOwes // it was forgotten before its time, and is so again perhaps
	case !at.tenant.allows(max(0, c.balance+c.pending+q) - c.exposed()):
		return whyWeek
	}
	at.Warm = true
	at.fly(x, x.life, q, 0)
	return ""
}

// writes decides whether to have a prefix written, behind base, which the model may have. It returns why not, "" when
// it does.
func (at *Placed) writes(x, base *prefix, now time.Time) (why string) {
	c := x.chain
	life, pays := c.gaps.best(&at.rates)
	warm := base != nil && base.warm(now)
	if warm {
		life = min(life, base.life) // a longer lifetime cannot stand behind a shorter one
	}
	q := at.rates.premium(x.most, life)
	switch {
	case !pays:
		return whySeldom
	case now.Before(c.stopped):
		return whyStopped
	case c.flying > 0:
		return whyWriting
	case c.debt > 0, c.balance > 0, c.unread && !warm:
		return whyOwes
	case now.Sub(x.seen) >= ttls[life]:
		return whyLapsed
	case !at.tenant.allows(max(0, c.balance+2*q) - c.exposed()):
		return whyWeek
	}
	if at.base, at.baseLife = base, life; warm {
		at.baseLife = base.life
	}
	at.fly(x, life, q, q)
	return ""
}

// fly notes that a prompt with points is on its way.
func (at *Placed) fly(x *prefix, life int, q, risk money.Pico) {
	at.target, at.life, at.pending, at.TTL = x, life, q, ttls[life]
	at.tenant.change(x.chain, func() {
		x.chain.pending += q
		x.chain.risk = risk
		x.chain.flying++
		x.chain.points++
	})
}
