// Package report turns the ledger's counters into the rows that people read:
// who used how much of which model, and what it cost. It reads rows and adds
// them up; it estimates nothing and leaves nothing out.
package report

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
)

// Source is where counters are read: a ledger.
type Source interface {
	// Rows yields every row of an hour at or after from and before to,
	// in any order, and stops at the first error of yield.
	Rows(ctx context.Context, from, to time.Time, yield func(record.RowKey, record.Counters) error) error
}

// Query says what to report.
type Query struct {
	From, To time.Time // UTC; To is exclusive
	// By are the columns to group by: see Columns. None gives one row in all.
	By []string
}

// DefaultBy is how rows are grouped when nothing was asked for.
var DefaultBy = []string{"tenant", "model"}

// Row is one line of a report. Tokens are what was reported, never estimates.
type Row struct {
	By                                []string // values of Query.By
	Requests, Legs, Escalated         int64
	InputTokens, OutputTokens         int64
	CacheReadTokens, CacheWriteTokens int64
	Cost                              money.Total // of every leg
	Unpriced, Unknown                 int64       // legs without a price, attempts of unknown outcome
	from, to                          time.Time
}

// Warning is why the rows are not the whole truth.
type Warning string

// column is one thing to group by.
type column struct {
	name  string
	value func(record.RowKey) string
}

var columns = []column{
	{"tenant", func(k record.RowKey) string { return k.Tenant }},
	{"root", func(k record.RowKey) string { root, _, _ := strings.Cut(k.Tenant, "/"); return root }},
	{"key", func(k record.RowKey) string { return k.Key }},
	{"model", func(k record.RowKey) string { return k.Model }},
	{"cascade", func(k record.RowKey) string { return k.Cascade }},
	{"path", func(k record.RowKey) string { return k.Path }},
	{"scope", func(k record.RowKey) string { return k.Scope }},
	{"tier", func(k record.RowKey) string { return k.Tier }},
	{"user", func(k record.RowKey) string { return k.User }},
	{"price_version", func(k record.RowKey) string { return k.PriceVersion }},
	{"day", func(k record.RowKey) string { return k.Hour.UTC().Format(time.DateOnly) }},
	{"hour", func(k record.RowKey) string { return k.Hour.UTC().Format("2006-01-02T15:00:00Z") }},
	{"month", func(k record.RowKey) string { return k.Hour.UTC().Format("2006-01") }},
}

// Columns are the names that Query.By takes.
func Columns() []string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.name
	}
	return names
}

// ErrQuery is wrapped by errors about what was asked for.
var ErrQuery = errors.New("the report cannot be made")

// Range reads --from and --to: dates (2006-01-02) or RFC 3339 times, in UTC. An
// empty from is the start of now's month, an empty to the end of from's month or
// of now's, whichever is later. It fails with ErrQuery, also for a bound that rows
// cannot tell: they are whole hours, and days once they are old.
func Range(from, to string, now time.Time) (Query, error) {
	month := func(t time.Time) time.Time { return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC) }
	q := Query{From: month(now.UTC())}
	var err error
	if from != "" {
		if q.From, err = ParseTime(from); err != nil {
			return Query{}, fmt.Errorf("%w: from: %w", ErrQuery, err)
		}
	}
	latest := now.UTC()
	if q.From.After(latest) {
		latest = q.From
	}
	q.To = month(latest).AddDate(0, 1, 0)
	if to != "" {
		if q.To, err = ParseTime(to); err != nil {
			return Query{}, fmt.Errorf("%w: to: %w", ErrQuery, err)
		}
	}
	for _, err := range [...]error{exact("from", q.From, now), exact("to", q.To, now)} {
		if err != nil {
			return Query{}, err
		}
	}
	if !q.From.Before(q.To) {
		return Query{}, fmt.Errorf("%w: from %s is not before to %s", ErrQuery, stamp(q.From), stamp(q.To))
	}
	return q, nil
}

// exact refuses a bound inside a row, and names the nearest that are none. Nothing is
// behind now, so that any time from then on is exact.
func exact(name string, t, now time.Time) error {
	const day = 24 * time.Hour
	step, rows := time.Hour, "hours"
	if t.Before(now.Add(-record.KeepHours).UTC().Truncate(day)) {
		step, rows = day, "days where they are so old"
	}
	before := t.Truncate(step)
	if t.Equal(before) || !t.Before(now) {
		return nil
	}
	return fmt.Errorf("%w: %s %s: counters are of whole %s, in UTC; the nearest bounds that are exact are %s and %s",
		ErrQuery, name, t.Format(time.RFC3339Nano), rows, before.Format(time.RFC3339), before.Add(step).Format(time.RFC3339))
}

// ParseTime reads a date (2006-01-02) or an RFC 3339 time, in UTC.
func ParseTime(s string) (time.Time, error) {
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		return t, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is neither a date (2026-11-23) nor a time (2026-11-23T17:00:00Z)", s)
	}
	return t.UTC(), nil
}

// Build reads the source and adds its rows up. The rows are in the order of
// their By columns. It fails with ErrQuery or what the source fails with.
func Build(ctx context.Context, source Source, q Query) ([]Row, []Warning, error) {
	by, err := resolve(q.By)
	if err != nil {
		return nil, nil, err
	}
	t := totals{query: q, by: by, rows: make(map[string]*Row)}
	if err := source.Rows(ctx, q.From, q.To, t.add); err != nil {
		return nil, nil, fmt.Errorf("reading the ledger: %w", err)
	}
	rows := make([]Row, 0, len(t.rows))
	for _, r := range t.rows {
		rows = append(rows, *r)
	}
	slices.SortFunc(rows, func(a, b Row) int { return slices.Compare(a.By, b.By) })
	return rows, t.warnings(), nil
}

func resolve(names []string) ([]column, error) {
	by := make([]column, 0, len(names))
	for i, name := range names {
		at := slices.IndexFunc(columns, func(c column) bool { return c.name == name })
		if at < 0 {
			return nil, fmt.Errorf("%w: there is no column %q to group by; there are %s",
				ErrQuery, name, strings.Join(Columns(), ", "))
		}
		if slices.Contains(names[:i], name) {
			return nil, fmt.Errorf("%w: column %q is named twice", ErrQuery, name)
		}
		by = append(by, columns[at])
	}
	return by, nil
}

// totals are the rows while they are added up.
type totals struct {
	query          Query
	by             []column
	rows           map[string]*Row // by their By values
	unpriced       int64
	unknown        int64
	suspense       money.Total
	suspenseTokens int64
}

func (t *totals) add(k record.RowKey, c record.Counters) error {
	if c.Late = 0; c == (record.Counters{}) {
		return nil // it only says what a budget counted of other rows
	}
	values := make([]string, len(t.by))
	for i, col := range t.by {
		values[i] = col.value(k)
	}
	id := strings.Join(values, "\x00")
	r := t.rows[id]
	if r == nil {
		r = &Row{By: values, from: t.query.From, to: t.query.To}
		t.rows[id] = r
	}
	r.Cost.AddTotal(c.Cost())
	t.suspense.Add(c.Suspense)
	for _, sum := range []struct {
		to *int64
		n  int64
	}{
		{&r.Requests, c.Requests},
		{&r.Legs, c.Legs},
		{&r.Escalated, c.Escalated},
		{&r.InputTokens, c.Input},
		{&r.OutputTokens, c.Output},
		{&r.CacheReadTokens, c.CacheRead},
		{&r.CacheWriteTokens, c.CacheWrite5m},
		{&r.CacheWriteTokens, c.CacheWrite1h},
		{&r.Unpriced, c.Unpriced},
		{&r.Unknown, c.Unknown},
		{&t.unpriced, c.Unpriced},
		{&t.unknown, c.Unknown},
		{&t.suspenseTokens, c.SuspenseTokens},
	} {
		if sum.n > 0 && *sum.to > math.MaxInt64-sum.n {
			return fmt.Errorf("a sum for %q is out of range", k.Tenant)
		}
		*sum.to += sum.n
	}
	return nil
}

func (t *totals) warnings() []Warning {
	var out []Warning
	if t.unpriced != 0 {
		out = append(out, Warning(fmt.Sprintf("%d legs were served by models without a price: "+
			"the cost is too low; see column unpriced", t.unpriced)))
	}
	if t.unknown != 0 {
		out = append(out, Warning(fmt.Sprintf("%d attempts ended without known usage and may have been billed: "+
			"up to %d tokens and %s USD are in suspense, in no row",
			t.unknown, t.suspenseTokens, t.suspense.String())))
	}
	return out
}

// stamp writes a bound of the range: a date where it is one.
func stamp(t time.Time) string {
	if t.Equal(t.Truncate(24 * time.Hour)) {
		return t.UTC().Format(time.DateOnly)
	}
	return t.UTC().Format(time.RFC3339)
}
