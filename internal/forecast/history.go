package forecast

import (
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
)

// Lookback is how much history a forecast may rest on: four weeks, so that each weekday
// counts as often, and less than ledgers keep hours.
const Lookback = 28 * 24 * time.Hour

// hours is how many hours a History has, the one that is not over too.
const hours = int(Lookback/time.Hour) + 1

// History is what budgets spent by the hour. Floats do here: nothing is posted of them.
type History struct {
	from    time.Time // the first hour
	now     time.Time
	spent   map[string]*series // by the tenant of a budget's window
	bearers func(tenant string) []string
	family  map[string]string // the line of keys with a budget that a key is of
}

// everybody is all tenants together, as no tenant is named.
const everybody = ""

// series are dollars by hour; the last hour is not over.
type series [hours]float64

// NewHistory returns the history of these budgets, as of now, to which rows are added.
// bearers are the tenants whose budgets a tenant's spending counts in. family names the
// line of keys with budgets of their own that a key is of.
func NewHistory(
	windows []record.Window, bearers func(string) []string, family map[string]string, now time.Time,
) *History {
	h := &History{
		from: now.UTC().Truncate(time.Hour).Add(-Lookback), now: now.UTC(),
		spent: make(map[string]*series, len(windows)), bearers: bearers, family: family,
	}
	h.spent[everybody] = nil // made when there is something to count
	for i := range windows {
		h.spent[windows[i].Tenant] = nil
	}
	return h
}

// Range is which rows the history is made of.
func (h *History) Range() (from, to time.Time) { return h.from, h.from.Add(Lookback + time.Hour) }

// Add adds a row. Ones outside of the range are left out.
func (h *History) Add(key record.RowKey, c record.Counters) error {
	at := int(key.Hour.Sub(h.from) / time.Hour)
	total := c.Cost()
	if key.Hour.Before(h.from) || at >= hours || total.Sign() == 0 {
		return nil
	}
	usd, _ := total.Rat().Float64()
	usd /= float64(money.Dollar)
	h.count(everybody, at, usd)
	for _, tenant := range h.bearers(key.Tenant) {
		h.count(tenant, at, usd)
	}
	if family := h.family[key.Key]; family != "" {
		h.count(key.Tenant+"//"+family, at, usd)
	}
	return nil
}

func (h *History) count(window string, at int, usd float64) {
	s, counted := h.spent[window]
	if !counted {
		return
	}
	if s == nil {
		s = new(series)
		h.spent[window] = s
	}
	s[at] += usd
}

// of is the series of a window's tenant, nil for nothing spent.
func (h *History) of(window string) *series { return h.spent[window] }

// advance makes the history one of a later time: hours that have become too old fall out,
// and those from stale on are to be read again. It reports false when too much time has
// passed, or the clock went back: then all is to be read.
func (h *History) advance(now time.Time) (stale time.Time, ok bool) {
	from := now.UTC().Truncate(time.Hour).Add(-Lookback)
	passed := int(from.Sub(h.from) / time.Hour)
	if passed < 0 || passed > hours/2 {
		return stale, false
	}
	// What is posted late is of the last hours mostly; the rest of it is seen when all is read.
	first := hours - 3 - passed
	for _, s := range h.spent {
		if s != nil {
			copy(s[:], s[passed:])
			clear(s[first:])
		}
	}
	h.from, h.now = from, now.UTC()
	return from.Add(time.Duration(first) * time.Hour), true
}
