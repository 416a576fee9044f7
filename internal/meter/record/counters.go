package record

import (
	"time"

	"github.com/sluice-gateway/sluice/internal/money"
)

// MaxValue bounds what a ledger stores in one counter of one row: counts, and
// money in nano-dollars. It is below 2^53, so that a script whose numbers are
// doubles still compares exactly; it is 9 million dollars per row.
const MaxValue = 9_000_000_000_000_000

// How long a ledger keeps counters, measured from the row's own day, so that a
// replay does not make them live longer. Rows by the hour become rows by the
// day, at hour 0, after KeepHours. Both are whole days.
const (
	KeepHours = 40 * 24 * time.Hour
	KeepDays  = 400 * 24 * time.Hour
)

// RowKey is the counter row that a posting adds to: everything reports group by.
type RowKey struct {
	Hour         time.Time // UTC hour of the END
	Tenant       string
	Key          string
	Model        string // id sent upstream
	Scope, Tier  string
	Cascade      string
	Path         string
	PriceVersion string
	Region       string // AWS region of the upstream
	Latency      string // "" standard, "optimized"
	Context      string // "" or "long"
	User         string // whom it is attributed to, "" for none
}

// Counters is one row's additive values. Amounts in Redis are two fields, whole
// nano-dollars and the remaining pico-dollars, each simply added.
type Counters struct {
	Requests, Legs, Escalated                            int64
	Input, Output, CacheRead, CacheWrite5m, CacheWrite1h int64
	GuardrailUnits                                       int64
	TokensCut                                            int64
	Unpriced, Unknown, Drained                           int64
	SuspenseTokens                                       int64 // estimates of unknown attempts
	Queries, Images, Milliseconds                        int64 // search units, images made, length of video or sound
	CostInput, CostOutput, CostCacheRead                 money.Pico
	// CostCacheWrite is from records of before version 3, which did not tell the two
	// lifetimes apart.
	CostCacheWrite, CostCacheWrite5m, CostCacheWrite1h money.Pico
	CostGuardrail, CostQuery, CostImage, CostSecond    money.Pico
	CostWasted                                         money.Pico // light answers thrown away; part of the above
	Suspense                                           money.Pico // estimates of unknown attempts; in none of the above
	// Discount is how much more the same would cost at list price: list price is
	// cost and Discount. It is 0 where nothing is discounted, and before version 3.
	Discount money.Pico
}

// CostClasses are the classes that the cost of a row is the sum of.
func (c *Counters) CostClasses() [10]money.Pico {
	return [...]money.Pico{
		c.CostInput, c.CostOutput, c.CostCacheRead, c.CostCacheWrite, c.CostCacheWrite5m, c.CostCacheWrite1h,
		c.CostGuardrail, c.CostQuery, c.CostImage, c.CostSecond,
	}
}

// Plus returns the sum of c and d, and false when a value overflows.
func (c Counters) Plus(d Counters) (Counters, bool) {
	ok := true
	sums := c.values()
	for i, v := range d.values() {
		ok = AddTo(sums[i], *v) && ok
	}
	return c, ok
}

// Storable reports whether every value fits a ledger's counter: see MaxValue.
func (c Counters) Storable() bool {
	for i, v := range c.values() {
		n := *v
		if isMoney(i) {
			n /= 1000
		}
		if n < -MaxValue || n > MaxValue {
			return false
		}
	}
	return true
}

// The places of money among the counters: those of versions 1 and 2 and, behind
// the newer counts, those of version 3.
const oldMoney, newCounts, newMoney = 14, 21, 24

func isMoney(i int) bool { return i >= oldMoney && i < newCounts || i >= newMoney }

// values are the counters in the order of their bits in a record. New ones come
// at the end.
func (c *Counters) values() [30]*int64 {
	pico := func(p *money.Pico) *int64 { return (*int64)(p) }
	return [...]*int64{
		&c.Requests, &c.Legs, &c.Escalated,
		&c.Input, &c.Output, &c.CacheRead, &c.CacheWrite5m, &c.CacheWrite1h,
		&c.GuardrailUnits, &c.TokensCut, &c.Unpriced, &c.Unknown, &c.Drained,
		&c.SuspenseTokens,
		pico(&c.CostInput), pico(&c.CostOutput), pico(&c.CostCacheRead), pico(&c.CostCacheWrite),
		pico(&c.CostGuardrail), pico(&c.CostWasted), pico(&c.Suspense),
		&c.Queries, &c.Images, &c.Milliseconds,
		pico(&c.CostCacheWrite5m), pico(&c.CostCacheWrite1h),
		pico(&c.CostQuery), pico(&c.CostImage), pico(&c.CostSecond), pico(&c.Discount),
	}
}

// AddTo adds n and reports whether the sum did not overflow.
func AddTo[T ~int64](to *T, n T) bool {
	sum := *to + n
	fits := n == 0 || (sum > *to) == (n > 0)
	*to = sum
	return fits
}
