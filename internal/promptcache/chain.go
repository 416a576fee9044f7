package promptcache

import (
	"time"

	"github.com/sluice-gateway/sluice/internal/money"
)

const (
	// A prefix is left alone after a write that nobody read: for so many of its lifetimes,
	// and twice as many after each such write after the other, up to a week.
	window = 2
	week   = 7 * 24 * time.Hour
	// pause is for how long a prefix is left alone whose points did nothing.
	pause = 24 * time.Hour
	// fade is how much of the gaps before is left with each gap.
	fade = 0.95
)

// rates are what a token costs in each class, in pico-dollars per million.
type rates struct {
	input, read money.Price
	write       [lifetimes]money.Price
	can         [lifetimes]bool // the model has the lifetime, and the book its price
}

// The lifetimes that a point can ask for.
const (
	fiveMinutes = iota
	anHour
	lifetimes
)

var ttls = [lifetimes]time.Duration{fiveMinutes: 5 * time.Minute, anHour: time.Hour}

// premium is what writing costs above plain input.
func (r *rates) premium(tokens int64, life int) money.Pico {
	return money.Cost(tokens, r.write[life]) - money.Cost(tokens, r.input)
}

// spared is what reading costs less than plain input.
func (r *rates) spared(tokens int64) money.Pico {
	return money.Cost(tokens, r.input) - money.Cost(tokens, r.read)
}

// gaps is how often what begins with a prefix came within each lifetime of the one before,
// newer gaps counting more.
type gaps struct{ within, all [lifetimes]float64 }

func (g *gaps) add(gap time.Duration) {
	for life, ttl := range ttls {
		g.within[life] *= fade
		g.all[life] = g.all[life]*fade + 1
		if gap < ttl {
			g.within[life]++
		}
	}
}

// best is the lifetime that makes the prefix cheapest, and false when none makes it cheaper
// than plain input. Of traffic that finds a share p of its prompts cached, a prompt costs
// p·read + (1-p)·write; half a hit and half a miss are counted in for what is not known.
func (g *gaps) best(r *rates) (life int, ok bool) {
	least := float64(r.input)
	for l := range ttls {
		if !r.can[l] {
			continue
		}
		p := (g.within[l] + 0.5) / (g.all[l] + 1)
		if cost := p*float64(r.read) + (1-p)*float64(r.write[l]); cost < least {
			least, life, ok = cost, l, true
		}
	}
	return life, ok
}

// chain is what is known of a prefix, and of the longer ones that a conversation makes of it.
type chain struct {
	tenant *tenant
	id     uint64 // the hash of the first prefix
	model  string
	part   int
	last   time.Time // when the last prompt began with it
	gaps   gaps

	// What was paid above plain input and what reading spared, since the week began or
	// since the last write that nobody read was given up. unread is whether nobody has read
	// what was written last, kept until when that can be, life its lifetime, and once what it cost.
	week    int64
	balance money.Pico
	debt    money.Pico // the same since it was last none
	unread  bool
	kept    time.Time
	life    time.Duration
	once    money.Pico
	// pending is what prompts under way may add to balance, risk what one read may that
	// should find what was written, when the model has forgotten it before its time.
	pending, risk money.Pico
	flying        int

	misses  int       // writes in a row that nobody read
	stopped time.Time // until when nothing is written

	paid, saved, wasted money.Pico // since the start
	points, hits        int64
}

// exposed is what of the chain may never be recovered.
func (c *chain) exposed() money.Pico { return max(0, c.balance+c.pending+c.risk) }

// settle brings a chain to a time: a write that nobody read in time is given up, and the
// prefix left alone for a while. What was owed when a week ended is that week's.
func (c *chain) settle(now time.Time) {
	c.tenant.roll(now)
	c.tenant.change(c, func() {
		if n := weekOf(now); n != c.week {
			c.week, c.balance = n, 0
		}
		if c.unread && now.After(c.kept) {
			c.unread, c.risk = false, 0
			c.wasted, c.tenant.wasted = c.wasted+c.once, c.tenant.wasted+c.once
			c.misses++
			c.stopped = now.Add(min(window*c.life<<min(c.misses-1, 12), week))
		}
		over := !now.Before(c.stopped) && !now.Before(c.kept.Add((window-1)*c.life))
		if over && !c.unread && c.flying == 0 {
			c.tenant.lost += max(0, c.balance)
			c.balance, c.debt = min(0, c.balance), 0
		}
	})
}

// weekOf is the number of a week, which begins on Monday, UTC.
func weekOf(t time.Time) int64 { return (t.Unix()/86400 + 3) / 7 }

// tenant is what a tenant has spent, and what it may lose.
type tenant struct {
	id    string
	week  int64
	spent money.Pico // this week
	// exposed is what its chains may never recover, lost what they never will, this week.
	exposed, lost money.Pico
	// paid, saved and wasted are since the start.
	paid, saved, wasted money.Pico
	differing           []Differing
}

// share is which part of what a tenant spends in a week its points may cost in vain: 1 %.
const share = 100

// roll begins a new week.
func (t *tenant) roll(now time.Time) {
	if n := weekOf(now); n != t.week {
		t.week, t.spent, t.lost = n, 0, 0
	}
}

// allows reports whether so much more may be lost.
func (t *tenant) allows(more money.Pico) bool {
	return more <= 0 || t.exposed+t.lost+more <= t.spent/share
}

// change does something to a chain and keeps the sum of what is exposed.
func (t *tenant) change(c *chain, do func()) {
	before := c.exposed()
	do()
	t.exposed += c.exposed() - before
}
