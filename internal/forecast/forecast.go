// Package forecast says how each budget stands: what is spent and held, how fast it
// goes, what it will come to at the end of its period, and when it runs out. Amounts of
// now are the ledger's and exact; amounts of later are estimates, with an interval.
package forecast

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/budget"
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
)

// Confidence is how often the truth should be within an interval.
const Confidence = 0.8

// State is one budget in the period that AsOf is in.
type State struct {
	Tenant string
	// Key is the first in the line of keys whose budget it is, "" for a tenant's.
	Key        string
	Period     string // minute, hour, day, month
	TimeZone   string // whose calendar the period follows
	OnExceed   string // reject, light_only, notify
	Start, End time.Time
	AsOf       time.Time

	// Limit is how far the budget goes: by this file, or by another gateway's when that
	// allows less. Hard is where a light_only budget stops everything, 0 for nowhere.
	Limit, Hard money.Pico
	// Spent is what is settled. Suspense is what attempts of unknown outcome may have
	// cost. Held is what open requests and leases of all gateways may still take.
	Spent, Suspense, Held money.Pico
	// HeldKnown is whether Held could be read: a command beside an embedded ledger cannot.
	HeldKnown bool
	// Left is Limit less all of these, below zero when they are more.
	Left money.Pico

	// BurnPerHour is the mean of the last 24 hours, or of those since the first spending.
	BurnPerHour money.Pico
	Forecast    Range // of Spent at End
	// RunsOut is when spending, with what is in suspense, reaches Limit; AsOf when it
	// has. It is zero for not in this period.
	RunsOut, RunsOutEarliest, RunsOutLatest time.Time
	History                                 time.Duration // that the forecast is made of

	Notes []string // what is to be known about the figures, in words
	// stricter is whether the last of Notes names a budget above that ends sooner.
	stricter bool
}

// Range is a forecast with its interval.
type Range struct {
	Low, Mid, High money.Pico
	// Known is whether there was history enough for Mid, and Bounded for Low and High.
	Known, Bounded bool
}

// UsedShare is the part of the limit that is spent or in suspense, 0 for a limit of 0
// that nothing is spent of.
func (s *State) UsedShare() float64 {
	used := float64(s.Spent) + float64(s.Suspense)
	if s.Limit == 0 {
		if used > 0 {
			return 1
		}
		return 0
	}
	return used / float64(s.Limit)
}

// Exhausted reports whether nothing is left of what may be spent.
func (s *State) Exhausted() bool { return !s.RunsOut.IsZero() && !s.RunsOut.After(s.AsOf) }

// Book is what the states are made of.
type Book struct {
	Standings []budget.Standing
	// Windows are what the ledger has of windows; one that it has nothing of is at zero.
	Windows map[record.Window]ledger.WindowState
	// Arrears are what windows lack and a gateway will count, in nano-dollars.
	Arrears map[record.Window]int64
	// HeldKnown is State.HeldKnown.
	HeldKnown bool
	History   *History // nil: burn rate and forecast are not known
}

// States makes the states of all budgets as of now: those first that run out first.
func (b *Book) States(now time.Time) []State {
	all := make([]State, len(b.Standings))
	for i := range b.Standings {
		all[i] = b.state(&b.Standings[i], now.UTC())
	}
	return ranked(all)
}

// ranked notes which of them end sooner than others below, and sorts them: those first that
// run out first. The notes that there were stay as they are, for whoever shares them.
func ranked(all []State) []State {
	nameStricter(all)
	slices.SortStableFunc(all, func(a, b State) int { return order(&a, &b) })
	return all
}

// order sorts by time to exhaustion, then by how near that may be, then by what is used.
func order(a, b *State) int {
	return cmp.Or(
		sooner(a.RunsOut, b.RunsOut), sooner(a.RunsOutEarliest, b.RunsOutEarliest),
		cmp.Compare(b.UsedShare(), a.UsedShare()), strings.Compare(a.Tenant, b.Tenant),
		strings.Compare(a.Key, b.Key), a.End.Compare(b.End), cmp.Compare(a.Limit, b.Limit),
	)
}

// sooner compares times of which zero is never.
func sooner(a, b time.Time) int {
	switch {
	case a.IsZero() && b.IsZero():
		return 0
	case a.IsZero():
		return 1
	case b.IsZero():
		return -1
	}
	return a.Compare(b)
}

func (b *Book) state(of *budget.Standing, now time.Time) State {
	w, has, late := of.Window, b.Windows[of.Window], b.Arrears[of.Window]
	tenant, _, _ := strings.Cut(w.Tenant, "//")
	s := State{
		Tenant: tenant, Key: of.Key, Period: w.Period, TimeZone: of.Zone.String(), OnExceed: of.OnExceed,
		Start: w.Start, End: w.End, AsOf: now, HeldKnown: b.HeldKnown,
		Limit: pico(of.Limit), Hard: pico(of.Hard),
		Spent: pico(has.Posted + late), Suspense: pico(has.Suspense), Held: pico(has.Held),
	}
	s.Left = pico(of.Limit - has.Posted - late - has.Suspense - has.Held)
	s.note(of, late)
	b.predict(&s, w.Tenant, of.Zone)
	return s
}

// note says what is to be known of the figures.
func (s *State) note(of *budget.Standing, late int64) {
	switch {
	case of.File == 0:
		s.Notes = append(s.Notes, "only the file of another gateway has this budget")
	case of.Limit < of.File:
		s.Notes = append(s.Notes, "another gateway's file allows less than the "+usd(pico(of.File))+" of this one")
	}
	if late != 0 {
		s.Notes = append(s.Notes, "spent includes "+usd(pico(late))+
			" of before this budget, which a gateway counts seconds after its start or reload")
	}
	if s.Spent < 0 {
		s.Notes = append(s.Notes, "corrections of earlier spending are more than what this period spent")
	}
	if !s.HeldKnown {
		s.Notes = append(s.Notes, "what open requests hold is known to the gateway alone")
	}
}

// nameStricter notes which budget on the way up ends sooner than one's own.
func nameStricter(all []State) {
	first := map[string]*State{} // by tenant: what runs out first
	for i := range all {
		s := &all[i]
		if s.Key == "" && s.OnExceed != "notify" && !s.RunsOut.IsZero() {
			if f := first[s.Tenant]; f == nil || s.RunsOut.Before(f.RunsOut) {
				first[s.Tenant] = s
			}
		}
	}
	for i := range all {
		s := &all[i]
		var above *State
		for id := s.Tenant; id != ""; id = id[:max(0, strings.LastIndexByte(id, '/'))] {
			f := first[id]
			if f == nil || id == s.Tenant && s.Key == "" || sooner(f.RunsOut, s.RunsOut) >= 0 {
				continue
			}
			if above == nil || f.RunsOut.Before(above.RunsOut) {
				above = f
			}
		}
		if above != nil {
			s.Notes = append(slices.Clip(s.Notes), "the "+above.Period+" of "+above.Tenant+" runs out sooner")
			s.stricter = true
		}
	}
}

// forget takes away what nameStricter has noted; whoever shares the notes keeps it.
func (s *State) forget() {
	if s.stricter {
		s.Notes, s.stricter = s.Notes[:len(s.Notes)-1], false
	}
}

// pico is nano-dollars as an amount, the nearest there is.
func pico(nanos int64) money.Pico {
	const most = int64(1<<63-1) / int64(money.Nano)
	return money.Pico(min(max(nanos, -most), most)) * money.Nano
}

// usd is an amount for people.
func usd(p money.Pico) string {
	var t money.Total
	t.Add(p)
	return "$" + t.Rounded()
}
