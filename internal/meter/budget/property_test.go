package budget

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
)

// open is one request of the property test.
type open struct {
	limiter *Limiter
	writer  string
	res     *Reservation
	hold    *Hold
	cost    Amounts
}

// world is several gateways, one ledger, and the requests under way.
type world struct {
	leaser   *modelLeaser
	limiters map[string]*Limiter
	policy   *Policies
	open     []*open
}

var writers = []string{"a", "b", "c"}

// TestNeverOverTheLimit lets several gateways spend at random, with lost
// replies, an absent ledger, idle times and window changes, and checks that no
// window ever goes above its limit, that no claim that fits is refused, and that
// nothing is held in the end.
func TestNeverOverTheLimit(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		synctest.Test(t, func(t *testing.T) { history(t, rt) })
	})
}

func history(t *testing.T, rt *rapid.T) {
	w := &world{leaser: newModelLeaser(time.Now), limiters: map[string]*Limiter{}}
	small := monthly("acme", money.Pico(rapid.Int64Range(1, 3000).Draw(rt, "limit"))*money.Nano, "reject")
	w.policy = compile(t, small, config.Tenant{
		ID: "acme/app", OnLedgerLoss: "lease_only",
		Budgets: []config.Budget{
			{Period: "hour", USD: 700 * money.Nano, OnExceed: "light_only", HardUSD: 900 * money.Nano},
		},
		Limits: config.Limits{TokensPerMinute: 500, ConcurrentRequests: 4},
	})
	for _, name := range writers {
		w.limiters[name] = newLimiter(t, w.leaser, name)
	}
	rt.Repeat(map[string]func(*rapid.T){
		"reserve": w.reserve, "settle": w.settle, "release": w.release, "unknown": w.unknown,
		"wait": w.wait, "fault": w.fault,
		"": func(rt *rapid.T) {
			w.leaser.mu.Lock()
			defer w.leaser.mu.Unlock()
			if w.leaser.broken != nil {
				rt.Fatal(w.leaser.broken)
			}
		},
	})
	w.leaser.mu.Lock()
	w.leaser.before, w.leaser.after = nil, nil
	w.leaser.mu.Unlock()
	for _, o := range w.open {
		o.hold.Release()
		o.res.Release()
	}
	time.Sleep(5 * time.Second)
	for _, d := range w.limiters {
		if err := d.Close(context.Background()); err != nil {
			rt.Error(err)
		}
	}
	for win := range w.leaser.windows {
		if s := w.leaser.state(win); s.Held != 0 {
			rt.Errorf("%+v is held of %v", s, win)
		}
	}
	if w.leaser.broken != nil {
		rt.Error(w.leaser.broken)
	}
}

func (w *world) reserve(rt *rapid.T) {
	name := rapid.SampledFrom(writers).Draw(rt, "writer")
	class := rapid.SampledFrom([]Class{Normal, LightOnly}).Draw(rt, "class")
	most := Amounts{rapid.Int64Range(1, 400).Draw(rt, "usd"), rapid.Int64Range(1, 100).Draw(rt, "tokens"), 1, 1}
	claim := &Claim{Policy: w.policy.For("acme/app"), Class: class, Cost: most}
	d := w.limiters[name]
	fits := w.fits(d, claim)
	res, refusal := d.Reserve(context.Background(), claim, time.Now())
	if refusal != nil {
		if fits && refusal.Reason == UsedUp {
			rt.Fatalf("%s was refused what fits: %+v", name, refusal)
		}
		return
	}
	w.open = append(w.open, &open{d, name, res, res.Attempt(claim.Cost), most})
}

// fits is whether the ledger's remainder and the limiter's own lease cover a claim.
func (w *world) fits(d *Limiter, c *Claim) bool {
	r := d.root("acme")
	for i := range c.Policy.limits {
		g := &c.Policy.limits[i]
		win := g.windowOf(time.Now())
		s := w.leaser.state(win)
		left := g.of(c.Class) - s.Posted - s.Held - s.Suspense
		r.mu.Lock()
		if a := r.accounts.byWindow[win]; a != nil {
			left += a.free[g.pool(c.Class)]
		}
		r.mu.Unlock()
		if left < c.Cost[g.unit] {
			return false
		}
	}
	return true
}

func (w *world) pick(rt *rapid.T) *open {
	if len(w.open) == 0 {
		rt.Skip("nothing is open")
	}
	i := rapid.IntRange(0, len(w.open)-1).Draw(rt, "request")
	o := w.open[i]
	w.open = append(w.open[:i], w.open[i+1:]...)
	return o
}

func (w *world) settle(rt *rapid.T) {
	o := w.pick(rt)
	spent := o.cost
	spent[record.UnitUSD] = rapid.Int64Range(0, o.cost[record.UnitUSD]).Draw(rt, "spent")
	spent[record.UnitTokens] = rapid.Int64Range(0, o.cost[record.UnitTokens]).Draw(rt, "used")
	w.leaser.post(o.writer, charged(o.hold, spent))
	o.hold.Settle(spent)
	o.hold.Release() // changes nothing
	o.res.Release()
}

func (w *world) release(rt *rapid.T) {
	o := w.pick(rt)
	if rapid.Bool().Draw(rt, "reservation first") {
		o.res.Release()
	}
	o.hold.Release()
	o.res.Release()
}

func (w *world) unknown(rt *rapid.T) {
	o := w.pick(rt)
	charges := o.hold.Charges()
	for i := range charges {
		charges[i].Suspense = true
	}
	w.leaser.post(o.writer, charges)
	o.hold.Unknown()
	o.res.Release()
}

func (w *world) wait(rt *rapid.T) {
	time.Sleep(time.Duration(rapid.SampledFrom([]int{1, 50, 150, 1100, 3000, 70_000}).Draw(rt, "ms")) * time.Millisecond)
	synctest.Wait()
}

// fault takes the ledger away, loses its next replies, or brings it back.
func (w *world) fault(rt *rapid.T) {
	kind := rapid.SampledFrom([]string{"back", "back", "away", "lost"}).Draw(rt, "fault")
	w.leaser.mu.Lock()
	defer w.leaser.mu.Unlock()
	w.leaser.before, w.leaser.after = nil, nil
	fail := func() error { return errAway }
	switch kind {
	case "away":
		w.leaser.before = fail
	case "lost":
		w.leaser.after = fail
	}
}
