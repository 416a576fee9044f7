package report

import (
	"fmt"
	"math"
	"math/big"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/saving"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Row is one line of a report.
type Row struct {
	By []string // values of Query.By
	// Correction is why the row was added by hand; "" for what was metered.
	Correction string
	Usage
	Costs
	Unit Unit // of a row of one class
	// exact is the cost in pico-dollars, where it is a quantity times a price and no whole
	// number of them; nil elsewhere.
	exact *big.Rat
	// answers are what saved is worked out of, and saved what a cascade saved; nil for nothing.
	answers answers
	saved   *saving.Saving
	// noPrice is whether a row of one class has no price.
	noPrice bool
	// Tenant is what the configuration says of all whom the row is of, as far as it is the
	// same for all.
	Tenant Tenant
	tenant string // whom Tenant is of; "" before the first
}

// Usage is what was used. Tokens are what was reported, never estimates.
type Usage struct {
	Requests, Legs, Escalated     int64
	InputTokens, OutputTokens     int64
	CacheReadTokens               int64
	CacheWrite5mTokens            int64
	CacheWrite1hTokens            int64
	GuardrailUnits                int64
	Queries, Images, Milliseconds int64
	TokensCut                     int64 // by which caps lowered what callers asked for
	CapHits                       int64 // answers that a cap ended
	Unpriced, Unknown, Drained    int64 // legs without a price, of unknown outcome, of callers who left
	SuspenseTokens                int64 // estimates of unknown attempts
}

// CacheWriteTokens are those of all lifetimes.
func (u *Usage) CacheWriteTokens() int64 { return u.CacheWrite5mTokens + u.CacheWrite1hTokens }

// Tokens are those of all classes.
func (u *Usage) Tokens() int64 {
	return u.InputTokens + u.OutputTokens + u.CacheReadTokens + u.CacheWriteTokens()
}

// Costs are amounts of money.
type Costs struct {
	Input, Output, CacheRead   money.Total
	CacheWrite5m, CacheWrite1h money.Total
	// CacheWrite is of records of before version 3, which did not tell the two lifetimes
	// apart.
	CacheWrite                      money.Total
	Guardrail, Query, Image, Second money.Total
	Fixed                           money.Total // paid by the hour or the month, used or not
	// Calls is of single calls, of which nobody kept the classes: below zero where they were taken out.
	Calls    money.Total
	Wasted   money.Total // light answers thrown away; part of the above
	Suspense money.Total // estimates of unknown attempts; in none of the above
	Discount money.Total // how much more the same costs at list price
	// CachePremium is what writing to prompt caches cost above plain input, and CacheSaved what reading from them cost
	// less; parts of the above.
	CachePremium, CacheSaved money.Total
}

// amounts are all of them.
func (c *Costs) amounts() []*money.Total {
	return []*money.Total{
		&c.Input, &c.Output, &c.CacheRead, &c.CacheWrite5m, &c.CacheWrite1h, &c.CacheWrite,
		&c.Guardrail, &c.Query, &c.Image, &c.Second, &c.Fixed, &c.Calls, &c.Wasted, &c.Suspense, &c.Discount,
	}
}

// Cost is what is charged, for every leg: the sum of the classes.
func (c *Costs) Cost() *money.Total {
	var sum money.Total
	for _, class := range [...]*money.Total{
		&c.Input, &c.Output, &c.CacheRead, &c.CacheWrite5m, &c.CacheWrite1h, &c.CacheWrite,
		&c.Guardrail, &c.Query, &c.Image, &c.Second, &c.Fixed, &c.Calls,
	} {
		sum.AddTotal(class)
	}
	return &sum
}

// List is the cost at list price.
func (c *Costs) List() *money.Total {
	list := c.Cost()
	list.AddTotal(&c.Discount)
	return list
}

func (c *Costs) add(d *record.Counters) {
	for _, sum := range [...]struct {
		to *money.Total
		p  money.Pico
	}{
		{&c.Input, d.CostInput}, {&c.Output, d.CostOutput}, {&c.CacheRead, d.CostCacheRead},
		{&c.CacheWrite5m, d.CostCacheWrite5m}, {&c.CacheWrite1h, d.CostCacheWrite1h}, {&c.CacheWrite, d.CostCacheWrite},
		{&c.Guardrail, d.CostGuardrail}, {&c.Query, d.CostQuery}, {&c.Image, d.CostImage}, {&c.Second, d.CostSecond},
		{&c.Wasted, d.CostWasted}, {&c.Suspense, d.Suspense}, {&c.Discount, d.Discount},
	} {
		sum.to.Add(sum.p)
	}
}

// add reports whether the sums are in range.
func (u *Usage) add(d *record.Counters) (ok bool) {
	ok = true
	for _, sum := range [...]struct {
		to *int64
		n  int64
	}{
		{&u.Requests, d.Requests}, {&u.Legs, d.Legs}, {&u.Escalated, d.Escalated},
		{&u.InputTokens, d.Input}, {&u.OutputTokens, d.Output}, {&u.CacheReadTokens, d.CacheRead},
		{&u.CacheWrite5mTokens, d.CacheWrite5m}, {&u.CacheWrite1hTokens, d.CacheWrite1h},
		{&u.GuardrailUnits, d.GuardrailUnits}, {&u.Queries, d.Queries}, {&u.Images, d.Images},
		{&u.Milliseconds, d.Milliseconds}, {&u.TokensCut, d.TokensCut}, {&u.CapHits, d.CapHits}, {&u.Unpriced, d.Unpriced},
		{&u.Unknown, d.Unknown}, {&u.Drained, d.Drained}, {&u.SuspenseTokens, d.SuspenseTokens},
	} {
		ok = record.AddTo(sum.to, sum.n) && ok
	}
	most := math.MaxInt64 - max(u.CacheWrite5mTokens, 0)
	return ok && u.CacheWrite1hTokens <= most
}

// sums are the rows of a report while they are added up.
type sums struct {
	query *Query
	by    []column
	where []where
	rows  map[string]*Row // by their By values
	id    []byte          // of the row that is added to; used again
	cells []string        // the same
	total Row
	bases map[string]string // of models
	// classes are those that rows are parted into, nil when they are not.
	classes []Class
	noPrice bool // of the part that is added to a row
	saving  bool // whether rows have savings
	// part and rest are memory for what a row of the source is parted into.
	part, rest record.Counters
	versions   map[string]versioned
	// hours are the rows that old corrections are of, and whether the source has them still
	// by the hour.
	hours map[record.RowKey]bool
	// session is that of the call that is attributed, "" for none, and left how many calls there was no row for.
	session string
	left    int64
}

// where is a column and the value that it must have.
type where struct {
	column
	want string
}

func newSums(q *Query, by []column) (*sums, error) {
	s := &sums{
		query: q, by: by, rows: map[string]*Row{}, cells: make([]string, len(by)), bases: map[string]string{},
		versions: map[string]versioned{}, hours: map[record.RowKey]bool{},
	}
	for _, a := range q.Corrections {
		if k := hourOf(a.Row); s.old(k.Hour) {
			s.hours[k] = false
		}
	}
	if s.at(classColumn) >= 0 {
		s.classes = Classes()
	}
	if err := s.bySession(); err != nil {
		return nil, err
	}
	s.saving = s.saves()
	s.total = Row{By: make([]string, len(by))}
	for name, want := range q.Where {
		c, err := columnNamed(name)
		if err != nil {
			return nil, err
		}
		s.where = append(s.where, where{c, want})
	}
	return s, nil
}

// baseModel is wire.BaseModel, worked out once for each id.
func (s *sums) baseModel(id string) string {
	base, known := s.bases[id]
	if !known {
		base = wire.BaseModel(id, s.query.Models)
		s.bases[id] = base
	}
	return base
}

func (s *sums) tenant(k *record.RowKey) *Tenant { return s.query.Tenants.Of(k.Tenant) }

// counts reports whether the query is about a row of the source.
func (s *sums) counts(k *record.RowKey) bool {
	if within := s.query.Within; within != "" && !record.Within(k.Tenant, within) {
		return false
	}
	for i := range s.where {
		if s.where[i].value(s, k) != s.where[i].want {
			return false
		}
	}
	return true
}

// add adds a row of the source.
func (s *sums) add(k record.RowKey, c record.Counters) error {
	if c.Late, c.Withheld = 0, 0; c == (record.Counters{}) || !s.counts(&k) {
		return nil // it only says what budgets counted
	}
	if len(s.hours) > 0 && s.old(k.Hour) {
		s.see(hourOf(k))
	}
	if !s.total.add(&c) {
		return outOfRange(&k)
	}
	return s.addTo(tooLate(&k), &k, &c)
}

// tooLate is why a row was added that is of a closed month, "" for one of its own time.
func tooLate(k *record.RowKey) string {
	if k.Corrects == "" {
		return ""
	}
	return "came too late for " + k.Corrects + ", which was closed"
}

// correct moves what a correction added into a row of its own. The source has it among
// what was metered.
func (s *sums) correct(a *record.Adjustment) error {
	k, c, back := a.Row, a.Add, a.Add.Negative()
	if c.Late, c.Withheld = 0, 0; c == (record.Counters{}) || !s.counts(&k) {
		return nil
	}
	back.Late, back.Withheld = 0, 0
	if k = hourOf(k); k.Corrects == "" && s.old(k.Hour) && !s.hours[k] {
		k.Hour = k.Hour.Truncate(day)
	}
	if k.Hour.Before(s.query.From) || !k.Hour.Before(s.query.To) {
		return nil
	}
	if err := s.addTo(tooLate(&k), &k, &back); err != nil {
		return err
	}
	return s.addTo(a.Reason, &k, &c)
}

const day = 24 * time.Hour

// old reports whether rows of a time may be of whole days by now. Hours stay where a month
// is to be closed, and until a journal has a checkpoint.
func (s *sums) old(at time.Time) bool {
	return at.Before(s.query.Now.Add(-record.KeepHours).UTC().Truncate(day))
}

// see notes that the source has a row by the hour.
func (s *sums) see(hour record.RowKey) {
	if _, wanted := s.hours[hour]; wanted {
		s.hours[hour] = true
	}
}

// hourOf is the row of an hour, whatever budgets count it.
func hourOf(k record.RowKey) record.RowKey {
	k.Hour, k.Held = k.Hour.UTC().Truncate(time.Hour), ""
	return k
}

// addTo adds to a row, or its parts to one for each class: of what was metered, or of
// corrections for a reason.
func (s *sums) addTo(reason string, k *record.RowKey, c *record.Counters) error {
	if s.classes == nil {
		return s.addPart(reason, k, c, "")
	}
	return s.split(c, func(class string, part *record.Counters) error { return s.addPart(reason, k, part, class) })
}

func (s *sums) addPart(reason string, k *record.RowKey, c *record.Counters, class string) error {
	for i := range s.by {
		if s.cells[i] = class; s.by[i].name != classColumn {
			s.cells[i] = s.by[i].value(s, k)
		}
	}
	r := s.row(reason, k)
	r.noPrice = r.noPrice || s.noPrice
	if !r.add(c) || s.saving && !r.answer(k, c) {
		return outOfRange(k)
	}
	return nil
}

// addFixed adds what was paid for a row whether it was used or not. It is a class of its own.
func (s *sums) addFixed(f *Fixed) {
	if !s.counts(&f.Row) {
		return
	}
	for i := range s.by {
		if s.cells[i] = fixedClass; s.by[i].name != classColumn {
			s.cells[i] = s.by[i].value(s, &f.Row)
		}
	}
	s.total.Fixed.Add(f.USD)
	s.row("", &f.Row).Fixed.Add(f.USD)
}

func outOfRange(k *record.RowKey) error { return fmt.Errorf("a sum for %q is out of range", k.Tenant) }

// cached adds what prompt caches came to. All in c was charged by one price, so its input says what plain input costs.
func (c *Costs) cached(d *record.Counters) {
	writes := d.CacheWrite5m + d.CacheWrite1h
	if d.Input == 0 || d.CostInput == 0 || writes == 0 && d.CacheRead == 0 {
		return
	}
	plain := func(tokens int64) *big.Rat {
		all := new(big.Rat).Mul(big.NewRat(int64(d.CostInput), 1), big.NewRat(tokens, 1))
		return all.Quo(all, big.NewRat(d.Input, 1))
	}
	wrote := new(big.Rat).SetInt64(int64(d.CostCacheWrite5m + d.CostCacheWrite1h))
	c.CachePremium.AddRat(wrote.Sub(wrote, plain(writes)))
	saved := plain(d.CacheRead)
	c.CacheSaved.AddRat(saved.Sub(saved, new(big.Rat).SetInt64(int64(d.CostCacheRead))))
}

// add reports whether the sums are in range.
func (r *Row) add(c *record.Counters) (ok bool) {
	r.Costs.add(c)
	r.cached(c)
	return r.Usage.add(c)
}

// empty reports whether nothing is left in the row.
func (r *Row) empty() bool {
	some := func(t *money.Total) bool { return t.Sign() != 0 }
	return r.Usage == (Usage{}) && (r.exact == nil || r.exact.Sign() == 0) && !slices.ContainsFunc(r.amounts(), some)
}

// row is the one with the cells.
func (s *sums) row(reason string, k *record.RowKey) *Row {
	s.name(reason)
	r := s.rows[string(s.id)]
	if r == nil {
		r = &Row{By: slices.Clone(s.cells), Correction: reason}
		s.rows[string(s.id)] = r
	}
	r.of(s.query, k.Tenant)
	return r
}

// name makes the id of the row with the cells.
func (s *sums) name(reason string) {
	s.id = s.id[:0]
	for _, cell := range s.cells {
		s.id = append(append(s.id, cell...), 0)
	}
	s.id = append(s.id, reason...)
}

// of takes a tenant among those that the row is of.
func (r *Row) of(q *Query, tenant string) {
	switch r.tenant {
	case tenant:
		return
	case "":
		r.Tenant = *q.Tenants.Of(tenant)
	default:
		r.Tenant = common(&r.Tenant, q.Tenants.Of(tenant))
	}
	r.tenant = tenant
}

// common is what two tenants have in common.
func common(a, b *Tenant) Tenant {
	both := Tenant{Tags: map[string]string{}}
	if a.Name == b.Name {
		both.Name = a.Name
	}
	if a.CostCenter == b.CostCenter {
		both.CostCenter = a.CostCenter
	}
	for name, value := range a.Tags {
		if b.Tags[name] == value {
			both.Tags[name] = value
		}
	}
	return both
}
