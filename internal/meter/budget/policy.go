package budget

import (
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/keys"
	"github.com/sluice-gateway/sluice/internal/meter/peers"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
)

// unlimited is how far a limit goes that only counts.
const unlimited = math.MaxInt64

// Policies are the budgets and limits of all tenants. There may be very many
// tenants, so what limits one is compiled on its first use. They are safe for
// concurrent use.
type Policies struct {
	tenants  []config.Tenant
	byID     map[string]int32         // positions in tenants
	compiled []atomic.Pointer[Policy] // as tenants
	heeded   atomic.Pointer[heeded]   // nil: nothing
	zones    map[string]*time.Location
	hooks    map[string]Hook   // by tenant; those above one are not in it
	renames  map[string]string // what tenants are called now, by what they were called

	keyed   sync.Map // *keys.Own → *Policy: what limits keys with limits of their own
	keyedMu sync.Mutex
	keyeds  int // entries of keyed, perhaps of keys that have changed since; guarded by keyedMu
}

// Policy is what limits one tenant: its own budgets and limits and those of
// the tenants above it.
type Policy struct {
	tenant, root string
	loss         Loss
	tells        string // config.Tenant.BudgetHeaders
	strict       bool
	limits       []limit
	zoned        bool    // some of the limits are of one period in different zones
	heeds        *heeded // what it was compiled with
}

// heeded is what other gateways' files demand of tenants here: see peers.
type heeded struct {
	rules map[string][]peers.Rule
	zones map[string]*time.Location
}

// Loss is what happens to a request that needs the ledger while it is away.
type Loss uint8

// The ways to take a loss of the ledger. The zero value is the default.
const (
	LeaseOnly Loss = iota // served as far as leases from before last
	Allow                 // served, counted and not limited
	Deny                  // refused, also when a lease would cover it
)

var losses = map[string]Loss{"lease_only": LeaseOnly, "allow": Allow, "deny": Deny}

// Hook is where notices about a budget go. The zero value is nowhere.
type Hook struct{ URL, Secret string }

// limit is one window of one tenant and how far it goes.
type limit struct {
	limitKey
	hard  int64 // no reservation goes above it
	light int64 // above it only light ones; unlimited: no such limit
	// alerts are the budgets whose thresholds are watched.
	alerts []int64
	place  *time.Location // of the zone
	tile   tile           // in place of the period, for sessions
}

// limitKey tells limits apart. Two budgets of a tenant with the same key are one
// limit; with different zones they may still have the same window: see Policy.at.
type limitKey struct {
	tenant string
	unit   record.Unit
	period string
	zone   string
}

// Compile reads the budgets and limits of all tenants, which must not change any
// more. It fails on time zones that are not known, which validation has found before.
func Compile(tenants []config.Tenant) (*Policies, error) {
	p := &Policies{
		tenants: tenants, byID: make(map[string]int32, len(tenants)),
		compiled: make([]atomic.Pointer[Policy], len(tenants)),
		zones:    map[string]*time.Location{}, hooks: hooksOf(tenants),
		renames: renamesOf(tenants),
	}
	for i := range tenants {
		t := &tenants[i]
		p.byID[t.ID] = int32(i)
		for j := range t.Budgets {
			if err := p.addZone(t.Budgets[j].TimeZone); err != nil {
				return nil, err
			}
		}
	}
	return p, nil
}

func (p *Policies) addZone(name string) error {
	if p.zones[name] != nil {
		return nil
	}
	z, err := time.LoadLocation(name)
	if err == nil {
		p.zones[name] = z
	}
	return err
}

// For returns what limits a tenant, nil for nothing.
func (p *Policies) For(tenant string) *Policy {
	if p == nil {
		return nil
	}
	i, ok := p.byID[tenant]
	if !ok {
		return nil
	}
	policy, heeds := p.compiled[i].Load(), p.heeded.Load()
	if policy == nil || policy.heeds != heeds {
		policy = p.compile(&p.tenants[i], heeds)
		p.compiled[i].Store(policy)
	}
	if len(policy.limits) == 0 {
		return nil
	}
	return policy
}

// maxKeyed is how many policies of keys are kept.
const maxKeyed = 10_000

// ForKey returns what limits a key of a tenant, nil for nothing: what limits the tenant,
// and what limits the key itself, whose windows are of a tenant that no configuration can
// name. own is nil for a key without limits of its own.
func (p *Policies) ForKey(tenant string, own *keys.Own) *Policy {
	if own == nil || p == nil {
		return p.For(tenant)
	}
	i, ok := p.byID[tenant]
	if !ok {
		return nil
	}
	heeds := p.heeded.Load()
	if known, ok := p.keyed.Load(own); ok {
		if policy, _ := known.(*Policy); policy.heeds == heeds && policy.tenant == tenant {
			return policy
		}
	}
	policy := p.compile(&p.tenants[i], heeds)
	policy.limits = slices.Concat(limitsOf(tenant+"//"+own.Name, own.Budgets, own.Limits, zoneOf), policy.limits)
	policy.finish()
	p.keyedMu.Lock()
	defer p.keyedMu.Unlock()
	if p.keyeds++; p.keyeds > maxKeyed {
		p.keyed.Clear()
		p.keyeds = 1
	}
	p.keyed.Store(own, policy)
	return policy
}

// zoneOf is a time zone that was checked when the budget was set, UTC on a machine that
// does not know it.
func zoneOf(name string) *time.Location {
	if zone, err := time.LoadLocation(name); err == nil {
		return zone
	}
	return time.UTC
}

// compile makes the policy of a tenant, without limits when it has none.
func (p *Policies) compile(t *config.Tenant, heeds *heeded) *Policy {
	policy := &Policy{
		tenant: t.ID, root: record.RootOf(t.ID), loss: losses[t.OnLedgerLoss], tells: t.BudgetHeaders, heeds: heeds,
	}
	for _, id := range lineage(t.ID) {
		var own limits
		if i, ok := p.byID[id]; ok {
			own = p.limitsOf(&p.tenants[i])
		}
		policy.limits = append(policy.limits, own.heed(id, heeds)...)
	}
	policy.finish()
	return policy
}

// finish finds out what follows from the limits together.
func (p *Policy) finish() {
	for i := range p.limits {
		l := &p.limits[i]
		p.strict = p.strict || l.unit == record.UnitUSD && l.of(Normal) != unlimited
		p.zoned = p.zoned || slices.ContainsFunc(p.limits[:i], l.differsInZone)
	}
}

// at returns the limits at a time. Those of different zones whose windows are the
// same then (hours in UTC and Berlin, days in UTC and London in winter) are merged
// into one, so that a call is counted once and the lowest limit holds.
func (p *Policy) at(now time.Time) []limit {
	if !p.zoned {
		return p.limits
	}
	var (
		merged  []limit
		windows []record.Window // of merged
	)
	for i := range p.limits {
		l := &p.limits[i]
		w := l.windowOf(now)
		if k := slices.Index(windows, w); k >= 0 {
			merged[k].tighten(l.hard, l.light)
			merged[k].alerts = slices.Concat(merged[k].alerts, l.alerts)
			continue
		}
		merged, windows = append(merged, *l), append(windows, w)
	}
	return merged
}

// heed adds what other gateways demand of a tenant to its own limits.
func (l limits) heed(tenant string, heeds *heeded) limits {
	if heeds == nil {
		return l
	}
	for i := range heeds.rules[tenant] {
		r := &heeds.rules[tenant][i]
		if zone := heeds.zones[r.Zone]; zone != nil {
			l.of(limitKey{tenant, r.Unit, r.Period, r.Zone}, zone).tighten(r.Hard, r.Light)
		}
	}
	return l
}

// Heed implements peers.Limits. Requests that are under way keep what they hold.
func (p *Policies) Heed(rules map[string][]peers.Rule) (failed error) {
	if len(rules) == 0 {
		p.heeded.Store(nil)
		return nil
	}
	h := &heeded{rules, map[string]*time.Location{}}
	for _, all := range rules {
		for i := range all {
			name := all[i].Zone
			if _, known := h.zones[name]; known {
				continue
			}
			zone, err := time.LoadLocation(name)
			h.zones[name], failed = zone, errors.Join(failed, err)
		}
	}
	p.heeded.Store(h)
	return failed
}

// Rules implements peers.Limits.
func (p *Policies) Rules() peers.File {
	return func(yield func(string, []peers.Rule) bool) {
		for i := range p.tenants {
			var rules []peers.Rule
			for _, l := range p.limitsOf(&p.tenants[i]) {
				rules = append(rules, peers.Rule{Unit: l.unit, Period: l.period, Zone: l.zone, Hard: l.hard, Light: l.light})
			}
			if !yield(p.tenants[i].ID, rules) {
				return
			}
		}
	}
}

// Roots are the root tenants with a budget or limit at or below them, also one of sessions, in order.
func (p *Policies) Roots() []string {
	var roots []string
	for i := range p.tenants {
		t := &p.tenants[i]
		if len(t.Budgets) > 0 || t.Session != nil || t.Limits != (config.Limits{}) {
			if root := record.RootOf(t.ID); len(roots) == 0 || roots[len(roots)-1] != root {
				roots = append(roots, root)
			}
		}
	}
	slices.Sort(roots)
	return slices.Compact(roots)
}

func renamesOf(tenants []config.Tenant) map[string]string {
	renames := make(map[string]string)
	for i := range tenants {
		if t := &tenants[i]; t.RenamedFrom != "" {
			renames[t.RenamedFrom] = t.ID
		}
	}
	return renames
}

func hooksOf(tenants []config.Tenant) map[string]Hook {
	hooks := make(map[string]Hook)
	for i := range tenants {
		if t := &tenants[i]; t.Webhook != "" {
			hooks[t.ID] = Hook{t.Webhook, t.WebhookSecret}
		}
	}
	return hooks
}

// Hook is where notices about a tenant's budgets go: its own webhook, or the
// nearest one above it.
func (p *Policies) Hook(tenant string) Hook {
	for _, id := range lineage(tenant) {
		if h, has := p.hooks[id]; has {
			return h
		}
	}
	return Hook{}
}

// Budgets are the windows of all budgets that a tenant's spending at a time
// counts against: its own and those of the tenants above it.
func (p *Policies) Budgets(tenant string, at time.Time) []record.Window {
	policy := p.For(tenant)
	if policy == nil {
		return nil
	}
	var windows []record.Window
	for _, l := range policy.at(at) {
		if l.unit == record.UnitUSD {
			windows = append(windows, l.windowOf(at))
		}
	}
	return windows
}

// Strict reports whether a budget on the path refuses requests, so that a
// request whose worst case is not known cannot be served.
func (p *Policy) Strict() bool { return p != nil && p.strict }

// lineage is a tenant's path and all above it, nearest first.
func lineage(id string) []string {
	var line []string
	for id != "" {
		line = append(line, id)
		id = id[:max(0, strings.LastIndexByte(id, '/'))]
	}
	return line
}

// limitsOf are the limits of a tenant's own.
func (p *Policies) limitsOf(t *config.Tenant) []limit {
	return limitsOf(t.ID, t.Budgets, t.Limits, func(name string) *time.Location { return p.zones[name] })
}

// limitsOf are the limits that budgets and rates come to, in windows of this name.
func limitsOf(
	name string, budgets []config.Budget, rates config.Limits, zoneOf func(string) *time.Location,
) []limit {
	var own limits
	for i := range budgets {
		b := &budgets[i]
		zone := zoneOf(b.TimeZone)
		l := own.of(limitKey{name, record.UnitUSD, b.Period, zone.String()}, zone)
		usd := min(int64(b.USD/money.Nano), record.MaxValue)
		l.alerts = append(l.alerts, usd)
		switch b.OnExceed {
		case "light_only":
			l.light = min(l.light, usd)
			if b.HardUSD > 0 {
				l.hard = min(l.hard, int64(b.HardUSD/money.Nano), record.MaxValue)
			}
		case "notify":
		default:
			l.hard = min(l.hard, usd)
		}
	}
	for _, rate := range [...]struct {
		unit   record.Unit
		period string
		most   int64
	}{
		{record.UnitRequests, periodMinute, rates.RequestsPerMinute},
		{record.UnitTokens, periodMinute, rates.TokensPerMinute},
		{record.UnitConcurrent, periodNone, rates.ConcurrentRequests},
	} {
		if rate.most > 0 {
			l := own.of(limitKey{name, rate.unit, rate.period, time.UTC.String()}, time.UTC)
			l.hard = min(rate.most, record.MaxValue)
		}
	}
	return own
}

type limits []limit

// of returns the limit of a key, a new one when there is none yet.
func (l *limits) of(key limitKey, zone *time.Location) *limit {
	i := slices.IndexFunc(*l, func(l limit) bool { return l.limitKey == key })
	if i < 0 {
		i = len(*l)
		*l = append(*l, limit{limitKey: key, hard: unlimited, light: unlimited, place: zone})
	}
	return &(*l)[i]
}

// Class is which of a budget's two limits a request counts against.
type Class uint8

// The classes. A light_only budget stops normal requests at usd and light ones at
// hard_usd; every other budget and limit stops both at the same.
const (
	Normal Class = iota
	LightOnly
	classes
)

// usd is how far a budget goes, before light_only or a notice.
func (l *limit) usd() int64 {
	usd := l.of(Normal)
	for _, alert := range l.alerts {
		usd = min(usd, alert)
	}
	return usd
}

// owns reports whether a window's tenant is the policy's, or a key of it.
func (p *Policy) owns(tenant string) bool {
	return tenant == p.tenant || strings.HasPrefix(tenant, p.tenant+"//")
}

// of is how far a class may go.
func (l *limit) of(class Class) int64 {
	if class == LightOnly {
		return l.hard
	}
	return min(l.hard, l.light)
}

// tighten lowers the limit to what another one of the same window allows.
func (l *limit) tighten(hard, light int64) { l.hard, l.light = min(l.hard, hard), min(l.light, light) }

// differsInZone reports whether only the zones of two limits differ.
func (l *limit) differsInZone(o limit) bool {
	o.zone = l.zone
	return l.limitKey == o.limitKey
}

// pool is which part of an account a class takes from: what was leased above the
// light limit must not serve normal requests.
func (l *limit) pool(class Class) Class {
	if l.light == unlimited {
		return Normal
	}
	return class
}
