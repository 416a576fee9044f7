package record

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
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
	// Held is which budgets count what is in the row: see HeldBy. It is "" in rows of
	// records of before version 4, of which that is not known. Reports do not tell it.
	Held string
	// Corrects is the closed month, as 2026-11, that what is in the row came too late
	// for; "" in rows of their own time. Only ledgers write it.
	Corrects string
}

// OfDay is the row of the whole day, of all users, price versions, budgets and closed months, that a
// row is a part of.
func (k *RowKey) OfDay() RowKey {
	day := *k
	day.Hour = k.Hour.UTC().Truncate(24 * time.Hour)
	day.User, day.Held, day.PriceVersion, day.Corrects = "", "", "", ""
	return day
}

// Counters is one row's additive values. Amounts in Redis are two fields, whole
// nano-dollars and the remaining pico-dollars, each simply added.
type Counters struct {
	Requests, Legs, Escalated                            int64
	Input, Output, CacheRead, CacheWrite5m, CacheWrite1h int64
	GuardrailUnits                                       int64
	TokensCut                                            int64
	CapHits                                              int64 // answers that the output cap ended
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
	// Late is what a budget counted later than it was spent, of the spending of other
	// rows: see CountLate. It is part of no cost.
	Late money.Pico
	// Withheld is what budgets keep in suspense of the holds of answers that used
	// something without a price, beside what they cost. It is part of no cost.
	Withheld money.Pico
}

// CostClasses are the classes that the cost of a row is the sum of.
func (c *Counters) CostClasses() [10]money.Pico {
	return [...]money.Pico{
		c.CostInput, c.CostOutput, c.CostCacheRead, c.CostCacheWrite, c.CostCacheWrite5m, c.CostCacheWrite1h,
		c.CostGuardrail, c.CostQuery, c.CostImage, c.CostSecond,
	}
}

// Cost is the sum of the cost's classes.
func (c *Counters) Cost() *money.Total {
	var sum money.Total
	for _, class := range c.CostClasses() {
		sum.Add(class)
	}
	return &sum
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
// the newer counts, those of versions 3 and 4.
const oldMoney, newCounts, newMoney, newestCounts = 14, 21, 24, 32

func isMoney(i int) bool { return i >= oldMoney && i < newCounts || i >= newMoney && i < newestCounts }

// values are the counters in the order of their bits in a record. New ones come
// at the end.
func (c *Counters) values() [33]*int64 {
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
		pico(&c.CostQuery), pico(&c.CostImage), pico(&c.CostSecond), pico(&c.Discount), pico(&c.Late),
		pico(&c.Withheld),
		&c.CapHits,
	}
}

// AddTo adds n and reports whether the sum did not overflow.
func AddTo[T ~int64](to *T, n T) bool {
	sum := *to + n
	fits := n == 0 || (sum > *to) == (n > 0)
	*to = sum
	return fits
}

// column is one thing that a row holds, under the name that commands know it by:
// a part of its key, or one of its counters.
type column struct {
	name string
	key  func(*RowKey) *string  // nil for a counter
	of   func(*Counters) *int64 // nil for a part of the key
	unit func(string) (int64, error)
	show func(int64) string
}

func part(name string, key func(*RowKey) *string) column { return column{name: name, key: key} }

func count(name string, of func(*Counters) *int64) column {
	return column{name: name, of: of, unit: parseCount, show: showCount}
}

func dollars(name string, of func(*Counters) *money.Pico) column {
	return column{name: name, unit: parsePico, show: showPico, of: func(c *Counters) *int64 { return (*int64)(of(c)) }}
}

// columns are all that a row holds but its hour, and what only the gateway writes:
// Held, Corrects, Late and Withheld. TestColumnsCoverRows fails when another is missing.
var columns = [...]column{
	part("tenant", func(k *RowKey) *string { return &k.Tenant }),
	part("key", func(k *RowKey) *string { return &k.Key }),
	part("model", func(k *RowKey) *string { return &k.Model }),
	part("scope", func(k *RowKey) *string { return &k.Scope }),
	part("tier", func(k *RowKey) *string { return &k.Tier }),
	part("cascade", func(k *RowKey) *string { return &k.Cascade }),
	part("path", func(k *RowKey) *string { return &k.Path }),
	part("price_version", func(k *RowKey) *string { return &k.PriceVersion }),
	part("region", func(k *RowKey) *string { return &k.Region }),
	part("latency", func(k *RowKey) *string { return &k.Latency }),
	part("context", func(k *RowKey) *string { return &k.Context }),
	part("user", func(k *RowKey) *string { return &k.User }),
	count("requests", func(c *Counters) *int64 { return &c.Requests }),
	count("legs", func(c *Counters) *int64 { return &c.Legs }),
	count("escalated", func(c *Counters) *int64 { return &c.Escalated }),
	count("input_tokens", func(c *Counters) *int64 { return &c.Input }),
	count("output_tokens", func(c *Counters) *int64 { return &c.Output }),
	count("cache_read_tokens", func(c *Counters) *int64 { return &c.CacheRead }),
	count("cache_write_5m_tokens", func(c *Counters) *int64 { return &c.CacheWrite5m }),
	count("cache_write_1h_tokens", func(c *Counters) *int64 { return &c.CacheWrite1h }),
	count("guardrail_units", func(c *Counters) *int64 { return &c.GuardrailUnits }),
	count("queries", func(c *Counters) *int64 { return &c.Queries }),
	count("images", func(c *Counters) *int64 { return &c.Images }),
	count("milliseconds", func(c *Counters) *int64 { return &c.Milliseconds }),
	count("tokens_cut", func(c *Counters) *int64 { return &c.TokensCut }),
	count("cap_hits", func(c *Counters) *int64 { return &c.CapHits }),
	count("unpriced", func(c *Counters) *int64 { return &c.Unpriced }),
	count("unknown", func(c *Counters) *int64 { return &c.Unknown }),
	count("drained", func(c *Counters) *int64 { return &c.Drained }),
	count("suspense_tokens", func(c *Counters) *int64 { return &c.SuspenseTokens }),
	dollars("input_usd", func(c *Counters) *money.Pico { return &c.CostInput }),
	dollars("output_usd", func(c *Counters) *money.Pico { return &c.CostOutput }),
	dollars("cache_read_usd", func(c *Counters) *money.Pico { return &c.CostCacheRead }),
	dollars("cache_write_usd", func(c *Counters) *money.Pico { return &c.CostCacheWrite }),
	dollars("cache_write_5m_usd", func(c *Counters) *money.Pico { return &c.CostCacheWrite5m }),
	dollars("cache_write_1h_usd", func(c *Counters) *money.Pico { return &c.CostCacheWrite1h }),
	dollars("guardrail_usd", func(c *Counters) *money.Pico { return &c.CostGuardrail }),
	dollars("query_usd", func(c *Counters) *money.Pico { return &c.CostQuery }),
	dollars("image_usd", func(c *Counters) *money.Pico { return &c.CostImage }),
	dollars("second_usd", func(c *Counters) *money.Pico { return &c.CostSecond }),
	dollars("wasted_usd", func(c *Counters) *money.Pico { return &c.CostWasted }),
	dollars("suspense_usd", func(c *Counters) *money.Pico { return &c.Suspense }),
	dollars("discount_usd", func(c *Counters) *money.Pico { return &c.Discount }),
}

func parseCount(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a whole number, or out of range", s)
	}
	return n, nil
}

func showCount(n int64) string { return strconv.FormatInt(n, 10) }

func parsePico(s string) (int64, error) {
	p, err := money.ParseDollars(s)
	return int64(p), err
}

func showPico(n int64) string { return money.Pico(n).String() }

// Columns are the names of all that a row holds but its hour.
func Columns() []string {
	names := make([]string, len(columns))
	for i := range columns {
		names[i] = columns[i].name
	}
	return names
}

// SetColumn sets what COLUMN=VALUE says, in a row or in what is added to it. It
// fails when there is no such column or the value is not of its kind.
func SetColumn(key *RowKey, add *Counters, setting string) error {
	name, value, found := strings.Cut(setting, "=")
	i := slices.IndexFunc(columns[:], func(c column) bool { return c.name == name })
	if !found || i < 0 {
		return fmt.Errorf("%q is not COLUMN=VALUE of one of %s", setting, strings.Join(Columns(), ", "))
	}
	c := &columns[i]
	if c.key != nil {
		*c.key(key) = value
		return nil
	}
	n, err := c.unit(value)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	*c.of(add) = n
	return nil
}

// Parts are what a row is about, all but its hour, by the names of Columns; empty ones
// are left out.
func (k *RowKey) Parts() map[string]string {
	parts := map[string]string{}
	for i := range columns {
		if key := columns[i].key; key != nil && *key(k) != "" {
			parts[columns[i].name] = *key(k)
		}
	}
	return parts
}

// Value is one counter of a row that is not zero.
type Value struct {
	Column, Text string
	N            int64 // a count, or pico-dollars
	Money        bool
}

// Values are the counters that are not zero, in the order of Columns.
func (c *Counters) Values() []Value {
	var all []Value
	for i := range columns {
		of := columns[i].of
		if of == nil || *of(c) == 0 {
			continue
		}
		n := *of(c)
		all = append(all, Value{columns[i].name, columns[i].show(n), n, strings.HasSuffix(columns[i].name, "_usd")})
	}
	return all
}
