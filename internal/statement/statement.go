package statement

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
)

// Source is where counters are read: a ledger.
type Source interface {
	Rows(ctx context.Context, from, to time.Time, yield func(record.RowKey, record.Counters) error) error
}

// Statement is what a root tenant is billed for a month. Amounts are decimal texts in
// dollars, exact to the pico-dollar.
type Statement struct {
	Format   string    `json:"format"`
	Root     string    `json:"root"`
	Month    string    `json:"month"`
	Zone     string    `json:"time_zone"`
	From     time.Time `json:"from"`
	To       time.Time `json:"to"` // exclusive
	Currency string    `json:"currency"`
	ClosedAt time.Time `json:"closed_at"`
	ClosedBy string    `json:"closed_by"`
	// UpTo are, by writer, the numbers of its records that are in.
	UpTo map[string]uint64 `json:"records_up_to"`
	// Accepted is what was open and was closed all the same, and Reason why.
	Accepted []string `json:"accepted,omitempty"`
	Reason   string   `json:"accepted_because,omitempty"`
	// Previous is the SHA-256 of the month's before, "" for the first.
	Previous string  `json:"previous_sha256,omitempty"`
	Totals   Amounts `json:"totals"`
	// Tenants are the sums of each tenant, its part of shared costs with them.
	Tenants []Tenant `json:"tenants"`
	Lines   []Line   `json:"lines"`
	Shared  []Shared `json:"shared,omitempty"`
}

// format names the layout of a statement's file.
const format = "sluice-statement-1"

// Amounts are what was metered and what it cost.
type Amounts struct {
	MeteredUSD     string `json:"metered_usd"`
	CorrectionsUSD string `json:"corrections_usd"` // of closed months; part of metered_usd
	SharedUSD      string `json:"shared_usd"`
	TotalUSD       string `json:"total_usd"`
	DiscountUSD    string `json:"discount_usd"` // what list price is above it
	SuspenseUSD    string `json:"suspense_usd"` // of unknown calls; in no sum
	UnpricedLegs   int64  `json:"unpriced_legs"`
	UnknownLegs    int64  `json:"unknown_legs"`
}

// Tenant is the sum of one tenant.
type Tenant struct {
	Tenant     string `json:"tenant"`
	MeteredUSD string `json:"metered_usd"`
	SharedUSD  string `json:"shared_usd"`
	TotalUSD   string `json:"total_usd"`
}

// Line is one sum of a statement: all of a month that is alike. Values are the
// columns of usage that are not zero, under their names in reports.
type Line struct {
	// Corrects is the closed month that this came too late for, "" for none.
	Corrects string            `json:"corrects,omitempty"`
	Of       map[string]string `json:"of"`
	USD      string            `json:"usd"`
	Values   map[string]string `json:"values"`
}

// sum is a line while it is added up.
type sum struct {
	key record.RowKey
	all record.Counters
}

// Sums are the counters of one root in a period.
type Sums struct {
	period Period
	root   string
	rows   []sum // sorted
}

// Month is one of a root tenant.
type Month struct {
	Root   string
	Period Period
}

// Read adds up the rows of months, each of another root, and returns them in their order.
// All are read in one go: ledgers give the rows of all roots. It fails with ErrInput when
// the hours around a bound were folded into a day: a part of that day is of another month.
func Read(ctx context.Context, source Source, months []Month, now time.Time) ([]*Sums, error) {
	var from, to time.Time
	rows := make(map[string]map[record.RowKey]record.Counters, len(months))
	periods := make(map[string]Period, len(months))
	for i := range months {
		root, p := months[i].Root, months[i].Period
		for _, bound := range [...]time.Time{p.From, p.To} {
			if err := whole24(ctx, source, root, bound, now); err != nil {
				return nil, fmt.Errorf("root %s: %w", root, err)
			}
		}
		if i == 0 || p.From.Before(from) {
			from = p.From
		}
		if p.To.After(to) {
			to = p.To
		}
		rows[root], periods[root] = map[record.RowKey]record.Counters{}, p
	}
	err := source.Rows(ctx, from, to, func(key record.RowKey, c record.Counters) error {
		root := record.RootOf(key.Tenant)
		if p, wanted := periods[root]; !wanted || key.Hour.Before(p.From) || !key.Hour.Before(p.To) {
			return nil
		}
		return add(rows[root], key, c)
	})
	if err != nil {
		return nil, fmt.Errorf("reading the ledger: %w", err)
	}
	all := make([]*Sums, len(months))
	for i := range months {
		all[i] = sumsOf(&months[i], rows[months[i].Root])
	}
	return all, nil
}

// add adds a row of the ledger to the sum of all that are like it but for the hour.
func add(rows map[record.RowKey]record.Counters, key record.RowKey, c record.Counters) error {
	c.Late, key.Hour, key.Held = 0, time.Time{}, ""
	have, fits := rows[key].Plus(c)
	if !fits {
		return fmt.Errorf("a sum of tenant %s is out of range", key.Tenant)
	}
	rows[key] = have
	return nil
}

func sumsOf(m *Month, rows map[record.RowKey]record.Counters) *Sums {
	s := &Sums{period: m.Period, root: m.Root}
	for key, c := range rows {
		if c != (record.Counters{}) {
			s.rows = append(s.rows, sum{key, c})
		}
	}
	slices.SortFunc(s.rows, func(a, b sum) int { return slices.Compare(sortKey(&a.key), sortKey(&b.key)) })
	return s
}

// whole24 fails with ErrInput when all rows of the day around a bound are of its first
// hour, as those of a day that was folded are.
func whole24(ctx context.Context, source Source, root string, bound, now time.Time) error {
	day := bound.Truncate(24 * time.Hour)
	if day.Equal(bound) || now.Sub(day) < record.KeepHours {
		return nil
	}
	rows, hours := 0, 0
	err := source.Rows(ctx, day, day.Add(24*time.Hour), func(key record.RowKey, _ record.Counters) error {
		if record.RootOf(key.Tenant) == root {
			rows++
			hours += key.Hour.Hour()
		}
		return nil
	})
	if err == nil && rows > 0 && hours == 0 {
		return fmt.Errorf("%w: the hours of %s are one day by now, and the month begins within it at %s; "+
			"with billing_time_zone they are kept until their month is closed", ErrInput, day.Format(time.DateOnly),
			bound.Format(time.RFC3339))
	}
	return err
}

func sortKey(k *record.RowKey) []string {
	return []string{
		k.Tenant, k.Corrects, k.Model, k.Key, k.User, k.Cascade, k.Path, k.Scope, k.Tier, k.Region, k.Latency, k.Context,
		k.PriceVersion,
	}
}

// Root is whose sums they are.
func (s *Sums) Root() string { return s.root }

// Open names what is not settled: attempts of unknown outcome, where more than the
// tolerance is in suspense, and legs without a price.
func (s *Sums) Open(tolerance money.Pico) (open []string) {
	var suspense money.Total
	var unknown, unpriced int64
	var models []string
	for i := range s.rows {
		c := &s.rows[i].all
		suspense.Add(c.Suspense)
		unknown += c.Unknown
		unpriced += c.Unpriced
		if m := s.rows[i].key.Model; c.Unpriced != 0 && !slices.Contains(models, m) {
			models = append(models, m)
		}
	}
	if p, fits := suspense.Pico(); !fits || p > tolerance || unknown > 0 && tolerance == 0 {
		open = append(open, fmt.Sprintf("%d attempts ended without known usage: %s USD are in suspense; "+
			"see gateway resolve", unknown, suspense.String()))
	}
	if unpriced != 0 {
		open = append(open, fmt.Sprintf("%d legs have no price, of %s; see gateway prices rerate", unpriced,
			strings.Join(models, ", ")))
	}
	return open
}

// Statement makes the statement of the sums. head has what is not of them.
func (s *Sums) Statement(head Statement, shared []Shared) *Statement {
	st := head
	st.Format, st.Root, st.Month, st.Zone, st.Currency = format, s.root, s.period.Month, s.period.Zone, "USD"
	st.From, st.To, st.Shared = s.period.From, s.period.To, shared
	var metered, corrections, discount, suspense money.Total
	tenants := map[string]*[2]money.Total{}
	of := func(name string) *[2]money.Total {
		if tenants[name] == nil {
			tenants[name] = &[2]money.Total{}
		}
		return tenants[name]
	}
	for i := range s.rows {
		key, c := &s.rows[i].key, &s.rows[i].all
		st.Lines = append(st.Lines, lineOf(key, c))
		metered.AddTotal(c.Cost())
		of(key.Tenant)[0].AddTotal(c.Cost())
		discount.Add(c.Discount)
		suspense.Add(c.Suspense)
		if key.Corrects != "" {
			corrections.AddTotal(c.Cost())
		}
		st.Totals.UnpricedLegs += c.Unpriced
		st.Totals.UnknownLegs += c.Unknown
	}
	var split money.Total
	for _, one := range shared {
		for _, part := range one.Parts {
			of(part.Tenant)[1].Add(part.usd)
			split.Add(part.usd)
		}
	}
	for name, sums := range tenants {
		st.Tenants = append(st.Tenants, Tenant{
			Tenant: name, MeteredUSD: sums[0].String(), SharedUSD: sums[1].String(), TotalUSD: total(&sums[0], &sums[1]),
		})
	}
	slices.SortFunc(st.Tenants, func(a, b Tenant) int { return cmp.Compare(a.Tenant, b.Tenant) })
	st.Totals.MeteredUSD, st.Totals.CorrectionsUSD = metered.String(), corrections.String()
	st.Totals.DiscountUSD, st.Totals.SuspenseUSD = discount.String(), suspense.String()
	st.Totals.SharedUSD, st.Totals.TotalUSD = split.String(), total(&metered, &split)
	return &st
}

func total(a, b *money.Total) string {
	var sum money.Total
	sum.AddTotal(a)
	sum.AddTotal(b)
	return sum.String()
}

func lineOf(key *record.RowKey, c *record.Counters) Line {
	l := Line{Corrects: key.Corrects, USD: c.Cost().String(), Of: map[string]string{}, Values: map[string]string{}}
	for name, part := range key.Parts() {
		if part != "" {
			l.Of[name] = part
		}
	}
	l.Of["tenant"], l.Of["model"] = key.Tenant, key.Model
	for _, v := range c.Values() {
		if v.N != 0 {
			l.Values[v.Column] = v.Text
		}
	}
	return l
}

// JSON is the statement's file.
func (st *Statement) JSON() ([]byte, error) {
	text, err := json.MarshalIndent(st, "", " ")
	return append(text, '\n'), err
}
