package budget

import (
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// account is what this writer holds of one window. The root's lock guards it.
type account struct {
	window record.Window
	gauge  *gauge // the latest that names the window

	// granted and returned are totals, as ledger.Account has them.
	granted, returned int64
	acked             int64        // how much of returned the ledger has confirmed
	free              [lanes]int64 // lent and not held
	held              int64        // by reservations and holds, of which
	debt              int64        // so much is not covered: others spent more than they held

	state  ledger.WindowState // as the ledger had it last
	known  bool               // whether it was ever told
	unsure bool               // a grant's reply was lost: the ledger may have lent more

	lent    int64 // by the last grant ...
	lentAt  time.Time
	taken   int64 // net, since the last tick
	rate    int64 // net, per second
	last    time.Time
	touched bool // used since the ledger told its state
	noticed map[notch]bool
}

// idle is what is lent and not held, in all pools.
func (a *account) idle() int64 { return a.free[Full] + a.free[LightOnly] }

// hold moves n out of a pool into held. The caller has checked the pool.
func (a *account) hold(pool Lane, n int64, now time.Time) {
	a.free[pool] -= n
	a.held += n
	a.taken += n
	a.last, a.touched = now, true
}

// settle ends a hold of n of which spent was charged to the window. What was
// spent above the hold comes out of what is free, as it does in the ledger, and
// beyond that out of what others hold.
func (a *account) settle(pool Lane, n, spent int64) {
	a.held -= n
	a.taken -= n - spent
	a.touched = true
	a.give(pool, n-spent)
	a.debt = min(a.debt, a.held)
}

// charge takes what was spent without a hold.
func (a *account) charge(pool Lane, spent int64) {
	a.touched = true
	a.give(pool, -spent)
	a.debt = min(a.debt, a.held)
}

// give adds n, which may be negative, to what is free; debts are paid first.
func (a *account) give(pool Lane, n int64) {
	if n >= 0 {
		paid := min(n, a.debt)
		a.debt -= paid
		a.free[pool] += n - paid
		return
	}
	for _, p := range [...]Lane{pool, Full, LightOnly} {
		taken := min(-n, a.free[p])
		a.free[p] -= taken
		n += taken
	}
	a.debt -= n
}

// giveBack makes all that is free a return to the ledger.
func (a *account) giveBack() {
	a.returned += a.idle()
	a.free = [lanes]int64{}
}

// remaining is how much of a limit nobody has spent or borrowed, as far as is
// known; never negative.
func (a *account) remaining(limit int64) int64 {
	return max(0, limit-a.state.Posted-a.state.Held-a.state.Suspense)
}

// nearPercent of a limit left is close to it: the ledger is then told and asked
// more often.
const nearPercent = 10

// What a slice is at most: a share of the limit in percent, by unit, and a share
// of what is left. Early refusals of a rate pass within its minute, so rates may
// be cut into larger slices.
var slicePercent = [...]int64{
	record.UnitUSD: 1, record.UnitTokens: 5, record.UnitRequests: 5, record.UnitConcurrent: 5,
}

const (
	// sliceShare is 4 × the number of writers, taken as 4 because nobody knows it.
	sliceShare = 16
	// sliceHolds is how many times the present need is lent ahead before a rate is
	// known; sliceSeconds how far ahead after that.
	sliceHolds   = 8
	sliceSeconds = 2
)

// ahead is how much to borrow beyond the need: some seconds' spending, twice the
// last slice when that was gone at once, shrinking to nothing as the window fills.
func (a *account) ahead(limit, need int64, now time.Time) int64 {
	if !a.known {
		return 0
	}
	want := max(a.rate*sliceSeconds, need*sliceHolds)
	if now.Sub(a.lentAt) < time.Second {
		want = max(want, 2*a.lent)
	}
	return min(want, a.most(limit))
}

// most is the largest slice of a limit; of a limit below a hundred it is nothing.
func (a *account) most(limit int64) int64 {
	return min(limit/100*slicePercent[a.window.Unit], a.remaining(limit)/sliceShare)
}

// trim returns what holds gave back above one and a half times the largest
// slice, and reports whether there was any: calls that hold much and cost little
// would else gather a large one.
func (a *account) trim(limit int64) bool {
	most := a.most(limit)
	excess := a.free[Full] - most
	if !a.known || excess <= most/2 {
		return false
	}
	a.free[Full] -= excess
	a.returned += excess
	return true
}

// measure takes the rate of spending since the last time.
func (a *account) measure(elapsed time.Duration) {
	now := a.taken * 1000 / max(1, elapsed.Milliseconds())
	a.rate = max(0, (a.rate+now)/2)
	a.taken = 0
}

// over reports whether the window has ended.
func (a *account) over(now time.Time) bool {
	return !a.window.End.IsZero() && !now.Before(a.window.End)
}

// done reports whether nothing is left to say about the account.
func (a *account) done() bool {
	return a.held == 0 && a.idle() == 0 && a.acked == a.returned && !a.unsure
}
