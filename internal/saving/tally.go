package saving

import (
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// Window is how long a Tally remembers.
const Window = 7 * 24 * time.Hour

// Tally holds the counter rows of this process's cascades over the last Window,
// for metrics and spans, which cannot wait for a ledger. Rows of all tenants and
// keys are one row, so it has a few per cascade and hour. The zero value is
// ready; its methods may be called concurrently.
type Tally struct {
	mu     sync.Mutex // guards the following
	rows   map[string]map[tallyKey]*record.Counters
	wrote  map[string]map[string]*measured // by cascade and model: sums of rows
	oldest int64                           // hours up to it are forgotten
}

// tallyKey identifies a row within a cascade.
type tallyKey struct {
	hour              int64 // in seconds since 1970
	path, model, tier string
}

func (k *tallyKey) row(cascade string) record.RowKey {
	return record.RowKey{Hour: time.Unix(k.hour, 0).UTC(), Cascade: cascade, Path: k.path, Model: k.model, Tier: k.tier}
}

// Add counts what one finished attempt added to a ledger. What belongs to no
// cascade is left out.
func (t *Tally) Add(k *record.RowKey, c *record.Counters) {
	if k.Cascade == "" {
		return
	}
	key := tallyKey{k.Hour.Unix(), k.Path, k.Model, k.Tier}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget(k.Hour.Add(-Window).Unix())
	if t.rows == nil {
		t.rows, t.wrote = map[string]map[tallyKey]*record.Counters{}, map[string]map[string]*measured{}
	}
	rows := t.rows[k.Cascade]
	if rows == nil {
		rows = map[tallyKey]*record.Counters{}
		t.rows[k.Cascade], t.wrote[k.Cascade] = rows, map[string]*measured{}
	}
	row := rows[key]
	if row == nil {
		row = &record.Counters{}
		rows[key] = row
	}
	if sum, fits := row.Plus(*c); fits {
		t.measured(k.Cascade, k.Model).add(k.Path, key.hour, row, &sum)
		*row = sum
	}
}

func (t *Tally) measured(cascade, model string) *measured {
	m := t.wrote[cascade][model]
	if m == nil {
		m = &measured{}
		t.wrote[cascade][model] = m
	}
	return m
}

// forget drops the hours up to one that is newer than what was dropped last.
func (t *Tally) forget(upTo int64) {
	if upTo <= t.oldest {
		return
	}
	t.oldest = upTo
	for name, rows := range t.rows {
		for k := range rows {
			if k.hour <= upTo {
				delete(rows, k)
			}
		}
		for _, m := range t.wrote[name] {
			m.drop(upTo)
		}
		if len(rows) == 0 {
			delete(t.rows, name)
			delete(t.wrote, name)
		}
	}
}

// Savings works out the saving of each cascade over the rows that are left.
func (t *Tally) Savings(baselines []Baseline, prices *record.PriceBook, now time.Time) []Saving {
	all := newBooks(&Query{From: now.Add(-Window), To: now, Baselines: baselines, Prices: prices})
	for _, r := range t.copied() {
		all.add(&r.Key, &r.Add)
	}
	return all.settle()
}

// copied returns all rows, so that nobody waits for what is made of them.
func (t *Tally) copied() []Row {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []Row
	for cascade, rows := range t.rows {
		for k, c := range rows {
			all = append(all, Row{k.row(cascade), *c})
		}
	}
	return all
}

// Row is what one attempt added to the counters.
type Row struct {
	Key record.RowKey
	Add record.Counters
}

// Request works out what one request saved: attempts are its rows, the
// escalation model's length is that of the tally.
func (t *Tally) Request(base Baseline, prices *record.PriceBook, attempts []Row) *Saving {
	b := newBook(base, &Query{Prices: prices})
	for i := range attempts {
		b.charge(&attempts[i].Key, &attempts[i].Add)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if m := t.wrote[base.Cascade][base.Model]; m != nil { // nobody else is measured
		b.measured = m
	}
	b.settle()
	return &b.Saving
}
