package budget

import (
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// account is what this writer holds of one window. The root's lock guards it.
type account struct {
	window record.Window
	limit  *limit // the newest that names the window; nil: none was met yet

	// granted and returned are totals, as ledger.Account has them.
	granted, returned int64
	confirmed         int64          // how much of returned the ledger has confirmed
	free              [classes]int64 // leased and not held
	held              int64          // by reservations and holds, of which
	debt              int64          // so much is not covered: others spent more than they held

	state  ledger.WindowState // as the ledger had it last
	known  bool               // whether the ledger has reported a state
	unsure bool               // a grant's reply was lost: the ledger may have granted more

	leased   int64 // by the last grant ...
	leasedAt time.Time
	taken    int64 // net, since the last measurement
	rate     int64 // net, per second
	used     time.Time
	recalled time.Time // when idle leases of others were last recalled for it
	touched  bool      // used since the ledger was last asked for its state
	posting  uint64    // what was spent by then is in this writer's records up to this number; 0: it is posted
	noticed  map[notch]bool
}

// idle is what is leased and not held, in all pools.
func (a *account) idle() int64 { return a.free[Normal] + a.free[LightOnly] }

// hold moves n out of a pool into held. The caller has checked the pool.
func (a *account) hold(pool Class, n int64, now time.Time) {
	a.free[pool] -= n
	a.held += n
	a.taken += n
	a.used, a.touched = now, true
}

// settle ends a hold of n of which spent was charged to the window. What was
// spent above the hold comes out of what is free, as it does in the ledger, and
// beyond that out of what others hold. A hold of 0 charges what nothing held.
func (a *account) settle(pool Class, n, spent int64) {
	a.held -= n
	a.taken -= n - spent
	a.touched = true
	a.give(pool, n-spent)
	a.debt = min(a.debt, a.held)
}

// give adds n, which may be negative, to what is free; debts are paid first.
func (a *account) give(pool Class, n int64) {
	if n >= 0 {
		paid := min(n, a.debt)
		a.debt -= paid
		a.free[pool] += n - paid
		return
	}
	for _, p := range [...]Class{pool, Normal, LightOnly} {
		taken := min(-n, a.free[p])
		a.free[p] -= taken
		n += taken
	}
	a.debt -= n
}

// giveBack makes all that is free a return to the ledger.
func (a *account) giveBack() {
	a.returned += a.idle()
	a.free = [classes]int64{}
}

// totals are what the ledger is asked to compare its own account with.
func (a *account) totals() ledger.Account {
	return ledger.Account{Window: a.window, Granted: a.granted, Returned: a.returned}
}

// saw takes the window's state from a reply.
func (a *account) saw(state ledger.WindowState) { a.state, a.known = state, true }

// posted notes that the state has the writer's records up to a number.
func (a *account) posted(watermark uint64) {
	if a.posting <= watermark {
		a.posting = 0
	}
}

// remaining is how much of a limit is neither spent nor leased, as far as is known;
// never negative.
func (a *account) remaining(limit int64) int64 {
	return max(0, limit-a.state.Posted-a.state.Held-a.state.Suspense)
}

// left is how much of a limit is neither spent nor held by open requests: what lies idle here
// can be used. It is never negative.
func (a *account) left(limit int64) int64 {
	return max(0, limit-a.state.Posted-a.state.Held-a.state.Suspense+a.idle())
}

// nearPercent of a limit left is close to it: the leases are then renewed more
// often.
const nearPercent = 10

// What a lease is at most: a share of the limit in percent, by unit, and a share
// of what is left. Early refusals of a rate pass within its minute, so rates may
// be cut into larger leases.
var leasePercent = [...]int64{
	record.UnitUSD: 1, record.UnitTokens: 5, record.UnitRequests: 5, record.UnitConcurrent: 5,
}

const (
	// leaseShare is 4 × the number of writers, taken as 4, which is not known.
	leaseShare = 16
	// leaseHolds is how many times the present need is leased ahead before a rate
	// is known; leaseSeconds how far ahead after that.
	leaseHolds   = 8
	leaseSeconds = 2
)

// ahead is how much to lease beyond the need: some seconds' spending, twice the
// last lease when that was gone at once, shrinking to nothing as the window fills.
func (a *account) ahead(limit, need int64, now time.Time) int64 {
	if !a.known {
		return 0
	}
	want := max(a.rate*leaseSeconds, need*leaseHolds)
	if now.Sub(a.leasedAt) < time.Second {
		want = max(want, 2*a.leased)
	}
	return min(want, a.largest(limit))
}

// largest is the largest lease of a limit; of a limit below a hundred it is 0.
func (a *account) largest(limit int64) int64 {
	return min(limit/100*leasePercent[a.window.Unit], a.remaining(limit)/leaseShare)
}

// trim returns what holds gave back above one and a half times the largest
// lease, and reports whether there was any: calls that hold much and cost little
// would otherwise gather a large one.
func (a *account) trim(limit int64) bool {
	largest := a.largest(limit)
	excess := a.free[Normal] - largest
	if !a.known || excess <= largest/2 {
		return false
	}
	a.free[Normal] -= excess
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

// done reports whether nothing of the account is left to report.
func (a *account) done() bool {
	return a.held == 0 && a.idle() == 0 && a.confirmed == a.returned && !a.unsure
}

// has reports whether anything is leased, as far as is known.
func (a *account) has() bool { return a.held != 0 || a.idle() != 0 || a.unsure }

// needsRenewal reports whether a renewal should name the account. The state of one whose
// records wait to be posted has yet to come, though nothing of it is leased any more.
func (a *account) needsRenewal() bool { return a.touched || a.posting != 0 || !a.done() }

// tend returns what is idle of a window that is over or was not used for a while,
// and of others what is too much. It reports whether the ledger should get
// it soon.
func (a *account) tend(now time.Time, idleFor time.Duration) (urgent bool) {
	if a.idle() > 0 && (a.over(now) || now.Sub(a.used) >= idleFor) {
		a.giveBack()
		urgent = true
	}
	if a.limit == nil || a.idle()+a.held == 0 {
		return urgent
	}
	most := a.limit.of(Normal)
	if most == unlimited {
		return urgent
	}
	return a.trim(most) || urgent || a.remaining(most) < most/100*nearPercent
}
