package budget

import (
	"time"

	"github.com/sluice-gateway/sluice/internal/keys"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
)

// Session is what limits one session of a tenant.
type Session struct {
	// Name tells its windows from those of the tenant's other sessions.
	Name string
	// Most is how much it may spend, and All how much with light requests: Most, or more.
	Most, All money.Pico
	Within    time.Duration // in any span of this length
}

// tile is windows of one length, side by side. The zero value is none.
type tile struct{ length, shift time.Duration }

// bounds are those of the window that holds t.
func (s tile) bounds(t time.Time) (start, end time.Time) {
	start = t.Add(-s.shift).Truncate(s.length).Add(s.shift).UTC()
	return start, start.Add(s.length)
}

// ForSession returns what limits a session of a key of a tenant: what limits the key, and what limits the session. It
// is nil for a tenant that there is not.
//
// A session has no beginning that all gateways know. So it has two rows of windows, each twice as long as Within and
// shifted by it: whatever span of Within one looks at is whole in a window of either.
func (p *Policies) ForSession(tenant string, own *keys.Own, s *Session) *Policy {
	base := p.ForKey(tenant, own)
	if base == nil && p != nil {
		i, ok := p.byID[tenant]
		if !ok {
			return nil
		}
		base = p.compile(&p.tenants[i], p.heeded.Load())
	}
	if base == nil {
		return nil
	}
	policy := *base
	policy.strict = true
	policy.limits = make([]limit, 2, 2+len(base.limits))
	for i, zone := range [...]string{"even", "odd"} {
		l := limit{
			limitKey: limitKey{tenant + sessionMark + s.Name, record.UnitUSD, record.PeriodSession, zone},
			hard:     nanos(s.All), light: unlimited, place: time.UTC,
			tile: tile{2 * s.Within, time.Duration(i) * s.Within},
		}
		if s.Most < s.All {
			l.light = nanos(s.Most)
		}
		policy.limits[i] = l
	}
	policy.limits = append(policy.limits, base.limits...)
	return &policy
}

// sessionMark is between a tenant and a session in the names of windows.
const sessionMark = "//~"

func nanos(usd money.Pico) int64 { return min(int64(usd/money.Nano), record.MaxValue) }

// ofSession reports whether the limit is a session's.
func (l *limit) ofSession() bool { return l.period == record.PeriodSession }

// parked are accounts of sessions that nobody has used for a while and that are done with: of each, by its window, no
// more than its totals. A session's windows last long, and there may be very many. The root's lock guards them.
type parked map[record.Window]totals

type totals struct{ granted, returned int64 }

// parkAfter is how long an account of a session is kept whole after its last use.
const parkAfter = time.Minute

// park keeps the totals of an account that needs no more, and reports whether it did.
func (p parked) park(a *account, now time.Time) bool {
	if a.window.Period != record.PeriodSession || now.Sub(a.used) < parkAfter || a.needsRenewal() {
		return false
	}
	if a.granted > 0 {
		p[a.window] = totals{a.granted, a.returned}
	}
	return true
}

// take makes the account of a window, of what was parked of it or a new one.
func (p parked) take(w record.Window, now time.Time) *account {
	was := p[w]
	delete(p, w)
	return was.account(w, now)
}

func (t totals) account(w record.Window, now time.Time) *account {
	return &account{window: w, used: now, granted: t.granted, returned: t.returned, confirmed: t.returned}
}

// all are accounts as they were when they were parked.
func (p parked) all(now time.Time) []*account {
	accounts := make([]*account, 0, len(p))
	for w, was := range p {
		accounts = append(accounts, was.account(w, now))
	}
	return accounts
}

// sweep forgets the windows that are over.
func (p parked) sweep(now time.Time) {
	for w := range p {
		if !now.Before(w.End) {
			delete(p, w)
		}
	}
}
