package budget

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/keys"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
)

// The periods of windows, as the configuration names them. The empty period is
// that of concurrency, which has no time.
const (
	periodNone   = ""
	periodMinute = "minute"
	periodHour   = "hour"
	periodDay    = "day"
	periodMonth  = "month"
)

// bounds returns the window of a period that holds t, in a time zone. Windows of
// one period and zone touch and do not overlap, whatever the zone's clocks do: a
// minute or hour that a change of the clock cuts is two windows, a day has 23,
// 24 or 25 hours. Both are in UTC, so that equal instants compare equal.
func bounds(period string, t time.Time, zone *time.Location) (start, end time.Time) {
	local := t.In(zone)
	year, month, day := local.Date()
	switch period {
	case periodMinute:
		return aligned(local, time.Minute)
	case periodHour:
		return aligned(local, time.Hour)
	case periodDay:
		return midnight(year, month, day, zone), midnight(year, month, day+1, zone)
	case periodMonth:
		return midnight(year, month, 1, zone), midnight(year, month+1, 1, zone)
	}
	return time.Time{}, time.Time{}
}

// aligned cuts the local clock into steps, and these at changes of the clock.
func aligned(local time.Time, step time.Duration) (start, end time.Time) {
	_, offset := local.Zone()
	shift := time.Duration(offset) * time.Second
	start = local.UTC().Add(shift).Truncate(step).Add(-shift)
	end = start.Add(step)
	from, to := local.ZoneBounds()
	if !from.IsZero() && start.Before(from) {
		start = from.UTC()
	}
	if !to.IsZero() && end.After(to) {
		end = to.UTC()
	}
	return start, end
}

// midnight is the first instant of a local day. Where clocks change at midnight
// there may be none (the day starts at 1 o'clock) or two (the first counts);
// time.Date promises neither.
func midnight(year int, month time.Month, day int, zone *time.Location) time.Time {
	naive := time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
	t := time.Date(year, month, day, 0, 0, 0, 0, zone)
	from, to := t.ZoneBounds()
	if t.Hour() != 0 || t.Minute() != 0 {
		if t.Day() == naive.Day() {
			return from.UTC()
		}
		return to.UTC()
	}
	if !from.IsZero() {
		_, offset := from.Add(-1).Zone()
		if first := naive.Add(-time.Duration(offset) * time.Second); first.Before(from) {
			return first
		}
	}
	return t.UTC()
}

// windowOf is the window of a limit at a time.
func (l *limit) windowOf(now time.Time) record.Window {
	start, end := bounds(l.period, now, l.place)
	if l.tile.length > 0 {
		start, end = l.tile.bounds(now)
	}
	return record.Window{Tenant: l.tenant, Unit: l.unit, Period: l.period, Start: start, End: end}
}

// Standing is one budget, and the window that it counts at a time. Amounts are
// nano-dollars.
type Standing struct {
	Window   record.Window
	Key      string // the first in the line of keys whose budget it is, "" for a tenant's
	Zone     *time.Location
	OnExceed string // reject, light_only, notify
	// Limit is how far it goes: what the file says, or less where the file of another
	// gateway does. Hard is where a light_only budget stops light requests too, 0 for
	// nowhere.
	Limit, Hard int64
	// File is what the file of this gateway says, 0 when another gateway's alone has
	// the budget.
	File int64
}

// Standings are all budgets of tenants, and of those keys that have their own, with their
// windows at a time. Nil keys have none.
func (p *Policies) Standings(of *keys.State, now time.Time) []Standing {
	if p == nil {
		return nil
	}
	var all []Standing
	heeds := p.heeded.Load()
	for i := range p.tenants {
		t := &p.tenants[i]
		own := standings(t.ID, t.Budgets, now, func(name string) *time.Location { return p.zones[name] })
		all = append(all, heeds.tighten(t.ID, own, now)...)
	}
	if heeds != nil {
		for _, id := range slices.Sorted(maps.Keys(heeds.rules)) {
			if _, listed := p.byID[id]; !listed { // it is only above tenants of the file
				all = append(all, heeds.tighten(id, nil, now)...)
			}
		}
	}
	p.eachOwn(of, func(name string, k *keys.Key) {
		own := standings(name, k.Own.Budgets, now, zoneOf)
		for j := range own {
			own[j].Key = k.Family
		}
		all = append(all, own...)
	})
	return all
}

// namesOfKeys are the names that windows of keys have, by the keys' ids: one for a line of
// keys that replaced each other. Nil keys have none.
func (p *Policies) namesOfKeys(of *keys.State) map[string]string {
	names := map[string]string{}
	if of == nil {
		return names
	}
	for i := range p.tenants {
		for _, id := range p.tenants[i].Keys {
			if of.Keys[id] != nil {
				names[id] = p.tenants[i].ID // what the configuration says counts
			}
		}
	}
	for id, k := range of.Keys {
		tenant := names[id]
		if _, listed := p.byID[k.Tenant]; tenant == "" && listed {
			tenant = k.Tenant
		} else if tenant == "" && k.Tenant != "" {
			tenant = p.renamed(k.Tenant)
		}
		if names[id] = ""; tenant != "" {
			names[id] = tenant + "//" + k.Family
		}
	}
	return names
}

// eachOwn calls do with every name of windows of keys, and a key that has limits of its own
// in them, in order. Nil keys have none.
func (p *Policies) eachOwn(of *keys.State, do func(name string, k *keys.Key)) {
	names, seen := p.namesOfKeys(of), map[string]bool{}
	for _, id := range slices.Sorted(maps.Keys(names)) {
		if k, name := of.Keys[id], names[id]; name != "" && k.Own != nil && !seen[name] {
			seen[name] = true
			do(name, k)
		}
	}
}

// standings are the budgets of one tenant or key.
func standings(name string, budgets []config.Budget, now time.Time, zoneOf func(string) *time.Location) []Standing {
	all := make([]Standing, len(budgets))
	for i := range budgets {
		b := &budgets[i]
		l := limit{limitKey: limitKey{tenant: name, unit: record.UnitUSD, period: b.Period}, place: zoneOf(b.TimeZone)}
		usd := min(int64(b.USD/money.Nano), record.MaxValue)
		all[i] = Standing{
			Window: l.windowOf(now).UTC(), Zone: l.place, OnExceed: cmp.Or(b.OnExceed, "reject"), Limit: usd, File: usd,
			Hard: int64(b.HardUSD / money.Nano),
		}
	}
	return all
}

// tighten is a tenant's own budgets as far as other gateways allow them, and those that
// only other gateways have.
func (h *heeded) tighten(tenant string, own []Standing, now time.Time) []Standing {
	if h == nil {
		return own
	}
	for i := range h.rules[tenant] {
		r := &h.rules[tenant][i]
		zone := h.zones[r.Zone]
		if zone == nil || r.Unit != record.UnitUSD {
			continue
		}
		l := limit{limitKey: limitKey{tenant: tenant, unit: r.Unit, period: r.Period}, place: zone}
		w, found := l.windowOf(now).UTC(), false
		for k := range own {
			s := &own[k]
			if s.Window != w || s.OnExceed == "notify" {
				continue
			}
			found = true
			s.Limit = min(s.Limit, r.Hard, r.Light)
			if r.Hard != unlimited && s.Hard > 0 {
				s.Hard = min(s.Hard, r.Hard)
			}
		}
		if most := min(r.Hard, r.Light); !found && most != unlimited {
			s := Standing{Window: w, Zone: zone, OnExceed: "reject", Limit: most}
			if r.Light < r.Hard {
				s.OnExceed = "light_only"
				if r.Hard != unlimited {
					s.Hard = r.Hard
				}
			}
			own = append(own, s)
		}
	}
	return own
}

// Bearers are the tenants whose budgets what a tenant spends counts in: itself and those
// above it, by its name and by its name now.
func (p *Policies) Bearers(tenant string) []string {
	names := lineage(tenant)
	if now := p.renamed(tenant); now != tenant {
		for _, id := range lineage(now) {
			if !slices.Contains(names, id) {
				names = append(names, id)
			}
		}
	}
	return names
}
