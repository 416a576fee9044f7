package reconcile

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/meter/record/awake"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Kind is why bill and gateway differ.
type Kind string

// The kinds of differences.
const (
	Past      Kind = "past the gateway"
	HourEdge  Kind = "hour edge"
	Discount  Kind = "discount"
	Price     Kind = "price"
	NoClass   Kind = "missing class"
	Class     Kind = "another class"
	Tier      Kind = "another tier"
	Scope     Kind = "another scope"
	Context   Kind = "another context length"
	Units     Kind = "units"
	Suspense  Kind = "suspense"
	NotYet    Kind = "not billed yet"
	NotOnBill Kind = "not on the bill"
	Batch     Kind = "batch"
	Mantle    Kind = "unprovable"
	Unmapped  Kind = "unmapped"
	Beside    Kind = "no call of a model"
	NoUsage   Kind = "no usage"
)

// Fault reports whether something is wrong, or cannot be compared: credits, taxes and what
// is no call of a model are as they should be.
func (k Kind) Fault() bool { return k != Beside && k != NoUsage }

// Finding is a difference with its reason.
type Finding struct {
	Kind          Kind
	Day           string // "" for what the bill has beside
	Key           Key
	Bill, Gateway int64
	Detail        string
}

// Result is a comparison.
type Result struct {
	Bill          *Bill
	Compared      int // usage types and days
	Billed, Known int64
	Findings      []Finding
}

// Source is where counters are read: a ledger.
type Source interface {
	Rows(ctx context.Context, from, to time.Time, yield func(record.RowKey, record.Counters) error) error
}

// comparison is one run of Compare.
type comparison struct {
	*Bill
	suspense map[string]int64 // tokens, by model and day
	active   map[string]bool  // whether the gateway has anything, by model and day
	keys     []at             // of the cells, in order
	done     map[at]bool
	found    []Finding
}

// Compare compares a bill with a ledger, by usage type and day in UTC. models are the
// names of aliases and application profiles.
func Compare(ctx context.Context, b *Bill, source Source, models map[string]string) (*Result, error) {
	from, err := time.Parse("2006-01", b.Month)
	if err != nil {
		return nil, fmt.Errorf("%w: %q is no month", ErrInput, b.Month)
	}
	c := &comparison{Bill: b, suspense: map[string]int64{}, active: map[string]bool{}, done: map[at]bool{}}
	err = source.Rows(ctx, from, from.AddDate(0, 1, 0), func(key record.RowKey, n record.Counters) error {
		c.row(&key, &n, models)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the ledger: %w", err)
	}
	r := &Result{Bill: b, Compared: len(b.cells)}
	for _, one := range b.cells {
		r.Billed += one.bill
		r.Known += one.gateway
	}
	c.keys = c.sorted()
	for _, pass := range []func(at, *cell){c.pairs, c.single} {
		for _, of := range c.keys {
			if one := b.cells[of]; !c.done[of] {
				pass(of, one)
			}
		}
	}
	for _, o := range b.Others() {
		c.found = append(c.found, Finding{Kind: o.Kind, Detail: fmt.Sprintf("%s; %d lines, %s USD", o.Detail, o.Lines,
			o.usd.FloatString(2))})
	}
	r.Findings = c.found
	return r, nil
}

// row takes in what the gateway counted.
func (c *comparison) row(key *record.RowKey, n *record.Counters, models map[string]string) {
	k := Key{
		Model: wire.BaseModel(key.Model, models), Global: key.Scope == wire.ScopeGlobal,
		Long: key.Context != "", Tier: strings.TrimPrefix(awake.Plain(key.Tier), "default"),
	}
	day := key.Hour.UTC().Format(time.DateOnly)
	c.suspense[k.Model+day] += n.SuspenseTokens
	for _, class := range []struct {
		name string
		n    int64
		usd  money.Pico
	}{
		{"input", n.Input, n.CostInput}, {"output", n.Output, n.CostOutput}, {"cache_read", n.CacheRead, n.CostCacheRead},
		{"cache_write_5m", n.CacheWrite5m, n.CostCacheWrite5m + n.CostCacheWrite},
		{"cache_write_1h", n.CacheWrite1h, n.CostCacheWrite1h}, {"query", n.Queries, n.CostQuery},
		{"image", n.Images, n.CostImage},
	} {
		if class.n == 0 && class.usd == 0 {
			continue
		}
		c.active[k.Model+day] = true
		k.Class = class.name
		one := c.cell(at{k, day})
		one.gateway += class.n
		o := c.owned(c.by.row(key))
		o.gateway, o.tenants[key.Tenant] = o.gateway+class.n, true
		one.gatewayUSD += float64(class.usd) / float64(money.Dollar)
		switch key.Hour.UTC().Hour() {
		case 0:
			one.first += class.n
		case 23:
			one.last += class.n
		}
	}
}

func (c *comparison) sorted() []at {
	all := make([]at, 0, len(c.cells))
	for of := range c.cells {
		all = append(all, of)
	}
	slices.SortFunc(all, func(a, b at) int {
		return cmp.Or(cmp.Compare(a.day, b.day), cmp.Compare(a.Model, b.Model), cmp.Compare(a.Class, b.Class),
			cmp.Compare(a.Tier, b.Tier), cmp.Compare(fmt.Sprint(a.Key), fmt.Sprint(b.Key)))
	})
	return all
}

// near reports whether two counts differ by 0.1 % at most, which is the tolerance.
func near(a, b int64) bool { return abs(a-b)*1000 <= max(abs(a), abs(b)) }

func abs(n int64) int64 { return max(n, -n) }

func (c *comparison) find(kind Kind, of at, one *cell, detail string, args ...any) {
	c.done[of] = true
	c.found = append(c.found, Finding{kind, of.day, of.Key, one.bill, one.gateway, fmt.Sprintf(detail, args...)})
}

// pairs finds differences that another one makes up for.
func (c *comparison) pairs(of at, one *cell) {
	diff := one.bill - one.gateway
	if near(one.bill, one.gateway) {
		return
	}
	if t, err := time.Parse(time.DateOnly, of.day); err == nil {
		next := at{of.Key, t.AddDate(0, 0, 1).Format(time.DateOnly)}
		if other := c.cells[next]; other != nil && !c.done[next] && opposite(diff, other) &&
			abs(diff) <= max(one.last, other.first) {
			c.done[next] = true
			c.find(HourEdge, of, one, "%d tokens are billed on %s", -diff, next.day)
			return
		}
	}
	for _, kind := range []Kind{Class, Tier, Scope, Context} {
		for _, other := range c.keys {
			if other.day == of.day && other != of && !c.done[other] && only(kind, of.Key, other.Key) &&
				opposite(diff, c.cells[other]) {
				c.done[other] = true
				c.find(kind, of, one, "%d tokens are billed as %s", -diff, describe(kind, other.Key))
				return
			}
		}
	}
}

// opposite reports whether a cell differs by as much the other way.
func opposite(diff int64, other *cell) bool {
	back := other.gateway - other.bill
	return back != 0 && (diff > 0) == (back > 0) && near(diff, back)
}

// only reports whether two keys differ in what a kind is about, and in nothing else.
func only(kind Kind, a, b Key) bool {
	same := b
	switch kind {
	case Class:
		same.Class = a.Class
	case Tier:
		same.Tier = a.Tier
	case Scope:
		same.Global = a.Global
	default:
		same.Long = a.Long
	}
	return same == a && a != b
}

func describe(kind Kind, k Key) string {
	switch kind {
	case Class:
		return k.Class
	case Tier:
		return "tier " + cmp.Or(k.Tier, "default")
	case Scope:
		if k.Global {
			return "global"
		}
		return "of a region"
	}
	if k.Long {
		return "long context"
	}
	return "short context"
}

// single finds why a count differs from nothing but itself.
func (c *comparison) single(of at, one *cell) {
	diff, is := one.bill-one.gateway, of.Model+of.day
	switch {
	case near(one.bill, one.gateway):
		c.price(of, one)
	case one.bill > 0 && one.gateway > 0 && factor(one.bill, one.gateway) > 0:
		c.find(Units, of, one, "the counts differ by a factor of %d: the unit of the line is another one",
			factor(one.bill, one.gateway))
	case diff < 0 && one.bill == 0 && of.day > c.last:
		c.find(NotYet, of, one, "the bill ends on %s", c.last)
	case diff < 0:
		c.find(NotOnBill, of, one, "an account or region is not in the file, or AWS did not bill it")
	case diff <= c.suspense[is]:
		c.suspense[is] -= diff
		c.find(Suspense, of, one, "attempts of unknown outcome: see gateway resolve")
	case one.gateway == 0 && c.active[is]:
		c.find(NoClass, of, one, "the gateway counted no %s of the model that day", of.Class)
	default:
		c.find(Past, of, one, "%d tokens did not pass the gateway, or no record has them", diff)
	}
}

// factor is by how much two counts differ when it is what units differ by, else 0.
func factor(a, b int64) int64 {
	for _, f := range []int64{1000, 1_000_000} {
		if small := min(a, b); small <= 1<<62/f && near(small*f, max(a, b)) {
			return f
		}
	}
	return 0
}

// price finds costs that differ although the counts are the same.
func (c *comparison) price(of at, one *cell) {
	if one.gatewayUSD <= 0 || one.billUSD <= 0 {
		return
	}
	switch off := one.billUSD/one.gatewayUSD - 1; {
	case off < -0.001:
		c.find(Discount, of, one, "the bill is %.1f %% below the gateway's price", -100*off)
	case off > 0.001:
		c.find(Price, of, one, "the bill is %.1f %% above the gateway's price", 100*off)
	}
}
