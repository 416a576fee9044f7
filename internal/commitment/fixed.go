package commitment

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/report"
	"github.com/sluice-gateway/sluice/internal/statement"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Bill is what capacity cost in a time, used or not, and whose that is.
type Bill struct {
	*config.Capacity
	From, To   time.Time  // what of the time it was there for and is over; To is exclusive
	Cost, Idle money.Pico // the parts sum to Cost, and what is idle is one of them
	Parts      []report.Fixed
	Served     Tokens
	Windows    int64 // of five minutes in which an imported model was awake
}

// Tokens are what capacity served. What a cache had is input, as AWS says nothing else.
type Tokens struct{ Input, Output int64 }

// Query is what bills are for.
type Query struct {
	From, To, Now time.Time         // UTC; To is exclusive
	Models        map[string]string // what opaque ARNs stand for
}

// Bills are those of all capacity in a time. An imported model has two: of its windows, and of its storage where that
// has a price. They fail with what reading the ledger fails with.
func Bills(ctx context.Context, source report.Source, all []config.Capacity, q Query) ([]*Bill, error) {
	if len(all) == 0 {
		return nil, nil
	}
	all = withStorage(all)
	// the ledger may have no hours of what is older
	days := q.Now.Add(-record.KeepHours).UTC().Truncate(24 * time.Hour)
	uses := make([]usage, len(all))
	for i := range uses {
		uses[i] = usage{days: days, spans: map[time.Time]map[record.RowKey]Tokens{}}
	}
	err := source.Rows(ctx, q.From, q.To, func(k record.RowKey, c record.Counters) error {
		for i := range all {
			switch {
			case !serves(&all[i], &k, q.Models):
			case inWindows(&all[i]):
				uses[i].wake(&k, &c)
			default:
				uses[i].add(&k, &c)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the ledger: %w", err)
	}
	bills := make([]*Bill, len(all))
	for i := range all {
		bills[i] = uses[i].bill(&all[i], &q)
	}
	return bills, nil
}

// Fixed are the parts of all bills, for reports.
func Fixed(bills []*Bill) (all []report.Fixed) {
	for _, b := range bills {
		all = append(all, b.Parts...)
	}
	return all
}

// sharers are the tenants that used the block, and what each pays.
func (b *Bill) sharers() map[string]money.Pico {
	all := map[string]money.Pico{}
	for _, p := range b.Parts {
		if p.Row.Path != idlePath {
			all[p.Row.Tenant] += p.USD
		}
	}
	return all
}

// Costs are the bills as shared costs of statements: what was used, by whom, and what was idle as a cost of its own.
// That goes to the tenant that the configuration names, or is split like what was used. Where that is nothing either,
// no statement has it, and unborne says so.
func Costs(bills []*Bill) (costs []statement.Cost, unborne []string) {
	for _, b := range bills {
		used := b.Cost - b.Idle
		ratios := map[string]*big.Rat{}
		for tenant, usd := range b.sharers() {
			if usd > 0 {
				ratios[tenant] = big.NewRat(int64(usd), int64(used))
			}
		}
		if used > 0 {
			costs = append(costs, statement.Cost{Name: b.Name, USD: used, By: statement.ByRatios, Ratios: ratios})
		}
		if b.IdleTo != "" {
			ratios = map[string]*big.Rat{b.IdleTo: big.NewRat(1, 1)}
		}
		switch {
		case b.Idle == 0:
		case len(ratios) == 0:
			unborne = append(unborne, fmt.Sprintf(
				"capacity %s was not used: no statement has its %s USD; idle_to names who bears it", b.Name, b.Idle))
		default:
			costs = append(costs, statement.Cost{
				Name: b.Name + idleSuffix, USD: b.Idle, By: statement.ByRatios, Ratios: ratios,
			})
		}
	}
	return costs, unborne
}

// sheet is the bill as it is written.
func (b *Bill) sheet() sheet {
	s := sheet{
		title: "Capacity " + b.Name, head: [3]string{"tenant", "paid", "of all"}, key: "tenants",
		names: [3]string{"tenant", "usd", "percent"},
		lines: []line{
			{"capacity", "name", b.Name}, {"kind", "kind", b.Kind}, {"model", "model", b.Models[0]},
			{"from", "from", b.From.Format(time.RFC3339)}, {"to", "to", b.To.Truncate(time.Second).Format(time.RFC3339)},
			{"units", "units", fmt.Sprint(b.Units)}, {"term", "term", b.Term},
			{"bound_to", "cannot be given up before", b.Bound().Format(time.DateOnly)},
			{"cost_usd", "paid, used or not", b.Cost.String()}, {"used_usd", "of that used", (b.Cost - b.Idle).String()},
			{"idle_usd", "of that idle", b.Idle.String()},
			{"used_percent", "used, in percent", percent(b.Cost-b.Idle, b.Cost)},
			{"input_tokens", "input tokens served", fmt.Sprint(b.Served.Input)},
			{"output_tokens", "output tokens served", fmt.Sprint(b.Served.Output)},
		},
	}
	sharers := b.sharers()
	for _, tenant := range slices.Sorted(maps.Keys(sharers)) {
		s.rows = append(s.rows, [3]string{tenant, sharers[tenant].String(), percent(sharers[tenant], b.Cost)})
	}
	s.rows = append(s.rows, [3]string{"idle", b.Idle.String(), percent(b.Idle, b.Cost)})
	if inWindows(b.Capacity) {
		s.lines = append(s.lines, line{"windows", "windows of five minutes", fmt.Sprint(b.Windows)},
			line{"copies", "copies counted in each", fmt.Sprint(b.Copies)})
		s.notes = append(s.notes, windowsNote)
	} else if b.Input == 0 && b.Output == 0 {
		s.notes = append(s.notes,
			"What a unit serves is not known: an hour in which anything was used counts as used whole.")
	}
	return s
}

// percent is a part of an amount, with a decimal.
func percent(part, of money.Pico) string {
	if of == 0 {
		return "0.0"
	}
	return new(big.Rat).Mul(big.NewRat(int64(part), int64(of)), big.NewRat(100, 1)).FloatString(1)
}

// serves reports whether a row of the ledger is of a block.
func serves(c *config.Capacity, k *record.RowKey, models map[string]string) bool {
	if c.Kind != config.CapacityReserved {
		return k.Model == c.ARN
	}
	if k.Tier != c.Kind || !slices.ContainsFunc(c.Tenants, func(of string) bool { return record.Within(k.Tenant, of) }) {
		return false
	}
	base := wire.BaseModel(k.Model, models)
	return slices.ContainsFunc(c.Models, func(m string) bool { return wire.BaseModel(m, models) == base })
}

// usage is what a block served, by the span that is shared out together: an hour, or a day before days.
type usage struct {
	days  time.Time
	spans map[time.Time]map[record.RowKey]Tokens
}

func (u *usage) add(k *record.RowKey, c *record.Counters) {
	t := served(c)
	if t.Input <= 0 && t.Output <= 0 {
		return
	}
	from, _ := u.span(k.Hour.UTC())
	rows := u.rows(from)
	rows[*k] = Tokens{rows[*k].Input + t.Input, rows[*k].Output + t.Output}
}

// rows are those of a span.
func (u *usage) rows(from time.Time) map[record.RowKey]Tokens {
	rows := u.spans[from]
	if rows == nil {
		rows = map[record.RowKey]Tokens{}
		u.spans[from] = rows
	}
	return rows
}

// served is what a row of the ledger says.
func served(c *record.Counters) Tokens {
	return Tokens{c.Input + c.CacheRead + c.CacheWrite5m + c.CacheWrite1h, c.Output}
}

// span is the one that a time is in.
func (u *usage) span(at time.Time) (from, to time.Time) {
	long := time.Hour
	if at.Before(u.days) {
		long = 24 * time.Hour
	}
	from = at.Truncate(long)
	return from, from.Add(long)
}

// bill shares out what a block cost.
func (u *usage) bill(c *config.Capacity, q *Query) *Bill {
	b := &Bill{Capacity: c, From: latest(q.From.UTC(), c.From), To: q.To.UTC()}
	if end := c.To.AddDate(0, 0, 1); !c.To.IsZero() && end.Before(b.To) {
		b.To = end
	}
	if q.Now.Before(b.To) {
		b.To = q.Now.UTC()
	}
	b.To = latest(b.To, b.From)
	if inWindows(c) {
		u.shareWindows(b)
		return b
	}
	for at := b.From; at.Before(b.To); {
		from, to := u.span(at)
		if b.To.Before(to) {
			to = b.To
		}
		b.share(u.spans[from], at, to.Sub(at), paid(c, to)-paid(c, at))
		at = to
	}
	return b
}

// share shares out what a block cost in a span. As much of it is used as of its input, or of its
// output, whichever is more. A row's part is by what it had of both. Where nobody knows what units serve, all is used
// in a span in which anything is.
func (b *Bill) share(rows map[record.RowKey]Tokens, from time.Time, long time.Duration, cost money.Pico) {
	b.Cost += cost
	keys := slices.SortedFunc(maps.Keys(rows), order)
	uses, total, fill := b.weigh(rows, keys, long)
	idle := cost
	if total.Sign() > 0 {
		used := new(big.Rat).Mul(fill, new(big.Rat).SetInt64(int64(cost)))
		whole := new(big.Int).Quo(used.Num(), used.Denom()).Int64()
		for i, part := range statement.Apportion(whole, uses, total) {
			b.Parts = append(b.Parts, report.Fixed{Row: keys[i], USD: money.Pico(part)})
		}
		idle -= money.Pico(whole)
	}
	if idle != 0 {
		b.Idle += idle
		b.Parts = append(b.Parts, report.Fixed{Row: b.idle(from), USD: idle})
	}
}

// weigh says how much each row used, what that sums to, and which part of the block is in use.
func (b *Bill) weigh(rows map[record.RowKey]Tokens, keys []record.RowKey, long time.Duration) (
	uses []*big.Rat, total, fill *big.Rat,
) {
	total, fill = new(big.Rat), new(big.Rat)
	var input, output int64
	known := b.Input > 0 || b.Output > 0
	for _, k := range keys {
		t := rows[k]
		input, output = input+t.Input, output+t.Output
		use := new(big.Rat).SetInt64(t.Input + t.Output)
		if known {
			use = new(big.Rat).Add(b.part(t.Input, b.Input, long), b.part(t.Output, b.Output, long))
		}
		uses = append(uses, use)
		total.Add(total, use)
	}
	b.Served = Tokens{b.Served.Input + input, b.Served.Output + output}
	if !known {
		return uses, total, fill.SetInt64(1)
	}
	for _, part := range []*big.Rat{b.part(input, b.Input, long), b.part(output, b.Output, long)} {
		if fill.Cmp(part) < 0 {
			fill = part
		}
	}
	if one := big.NewRat(1, 1); fill.Cmp(one) > 0 {
		fill = one
	}
	return uses, total, fill
}

// part is which part tokens are of what all units serve in a time, at so many a minute and unit. It is 0 where nobody
// knows that.
func (b *Bill) part(tokens, rate int64, long time.Duration) *big.Rat {
	if rate == 0 || long <= 0 {
		return new(big.Rat)
	}
	n := new(big.Int).Mul(big.NewInt(tokens), big.NewInt(int64(time.Minute)))
	room := new(big.Int).Mul(big.NewInt(rate*b.Units), big.NewInt(int64(long)))
	return new(big.Rat).SetFrac(n, room)
}

// idlePath is the path of what is idle, which no request has, and idleSuffix follows the name in place of a model.
const (
	idlePath   = "idle"
	idleSuffix = " (idle)"
)

// Nobody is the tenant of what is idle where the configuration names none: no tenant can have the name.
const Nobody = "(nobody)"

// idle is the row of what is idle.
func (b *Bill) idle(at time.Time) record.RowKey {
	k := record.RowKey{
		Hour: at.Truncate(time.Hour), Tenant: b.IdleTo, Model: b.Name + idleSuffix, Tier: b.Kind, Path: idlePath,
	}
	if k.Tenant == "" {
		k.Tenant = Nobody
	}
	return k
}

// order is by all that tells rows apart: who gets the last pico-dollar is the same each time.
func order(a, b record.RowKey) int {
	return cmp.Or(
		a.Hour.Compare(b.Hour), strings.Compare(a.Tenant, b.Tenant), strings.Compare(a.Key, b.Key),
		strings.Compare(a.Model, b.Model), strings.Compare(a.Scope, b.Scope), strings.Compare(a.Tier, b.Tier),
		strings.Compare(a.Cascade, b.Cascade), strings.Compare(a.Path, b.Path),
		strings.Compare(a.PriceVersion, b.PriceVersion), strings.Compare(a.Region, b.Region),
		strings.Compare(a.Latency, b.Latency), strings.Compare(a.Context, b.Context), strings.Compare(a.User, b.User),
		strings.Compare(a.Held, b.Held), strings.Compare(a.Corrects, b.Corrects),
	)
}

// paid is what a block cost from its first day until a time. It is rounded down, so that the costs of times that follow
// each other sum to that of all.
func paid(c *config.Capacity, until time.Time) money.Pico {
	if !until.After(c.From) {
		return 0
	}
	if c.Month == 0 {
		return rated(c.Hour, c.Units, until.Sub(c.From), time.Hour)
	}
	var sum money.Pico
	for at := c.From; at.Before(until); {
		begins := time.Date(at.Year(), at.Month(), 1, 0, 0, 0, 0, time.UTC)
		ends := begins.AddDate(0, 1, 0)
		to := ends
		if until.Before(to) {
			to = until
		}
		sum += rated(c.Month, c.Units, to.Sub(at), ends.Sub(begins))
		at = ends
	}
	return sum
}

// rated is what units cost in a time, at a price for each of them and so long.
func rated(price money.Pico, units int64, long, each time.Duration) money.Pico {
	n := new(big.Int).Mul(big.NewInt(int64(price)), big.NewInt(units))
	n.Mul(n, big.NewInt(int64(long)))
	return money.Pico(n.Quo(n, big.NewInt(int64(each))).Int64())
}
