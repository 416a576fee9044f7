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
	CostInput, CostOutput, CostCacheRead, CostCacheWrite money.Pico
	CostGuardrail, CostWasted, Suspense                  money.Pico
}

// Plus returns the sum of c and d, and false when a value overflows.
func (c Counters) Plus(d Counters) (Counters, bool) {
	ok := true
	for i, n := range d.counts() {
		ok = AddTo(c.counts()[i], *n) && ok
	}
	for i, p := range d.amounts() {
		ok = AddTo(c.amounts()[i], *p) && ok
	}
	return c, ok
}

// Storable reports whether every value fits a ledger's counter: see MaxValue.
func (c Counters) Storable() bool {
	for _, n := range c.counts() {
		if *n < -MaxValue || *n > MaxValue {
			return false
		}
	}
	for _, p := range c.amounts() {
		if nano := *p / 1000; nano < -MaxValue || nano > MaxValue {
			return false
		}
	}
	return true
}

func (c *Counters) counts() [14]*int64 {
	return [...]*int64{
		&c.Requests, &c.Legs, &c.Escalated,
		&c.Input, &c.Output, &c.CacheRead, &c.CacheWrite5m, &c.CacheWrite1h,
		&c.GuardrailUnits, &c.TokensCut, &c.Unpriced, &c.Unknown, &c.Drained,
		&c.SuspenseTokens,
	}
}

func (c *Counters) amounts() [7]*money.Pico {
	return [...]*money.Pico{
		&c.CostInput, &c.CostOutput, &c.CostCacheRead, &c.CostCacheWrite,
		&c.CostGuardrail, &c.CostWasted, &c.Suspense,
	}
}

// AddTo adds n and reports whether the sum did not overflow.
func AddTo[T ~int64](to *T, n T) bool {
	sum := *to + n
	fits := n == 0 || (sum > *to) == (n > 0)
	*to = sum
	return fits
}
