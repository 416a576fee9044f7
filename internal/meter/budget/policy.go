package budget

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// unlimited is the limit of a gauge that only counts.
const unlimited = math.MaxInt64

// picoPerNano converts money to the unit of windows.
const picoPerNano = 1000

// Policies are the budgets and limits of all tenants, compiled. They do not
// change after Compile.
type Policies struct {
	byTenant map[string]*Policy
	hooks    map[string]Hook // by tenant; those above one are not in it
}

// Policy is what one tenant is held to: its own budgets and limits and those of
// the tenants above it.
type Policy struct {
	tenant, root string
	loss         Loss
	strict       bool
	gauges       []gauge
}

// Loss is what happens to a request that needs the ledger while it is away.
type Loss uint8

// The ways to take a loss of the ledger. The zero value is the default.
const (
	LeaseOnly Loss = iota // served as far as slices held before last
	Allow                 // served, counted and not limited
	Deny                  // refused, also when a slice is held
)

var losses = map[string]Loss{"lease_only": LeaseOnly, "allow": Allow, "deny": Deny}

// Hook is where notices about a budget go. The zero value is nowhere.
type Hook struct{ URL, Secret string }

// gauge is one window of one tenant with all that its limits say.
type gauge struct {
	gaugeKey
	hard  int64 // no reservation goes above it
	light int64 // above it only light ones; unlimited: no such limit
	// alerts are the budgets whose thresholds are watched.
	alerts []int64
	place  *time.Location // of the zone
}

// gaugeKey tells gauges apart. Two budgets of a tenant with the same key share
// one window and one account.
type gaugeKey struct {
	tenant string
	unit   record.Unit
	period string
	zone   string
}

// Compile reads the budgets and limits of all tenants. It fails on time zones
// that are not known, which validation has found before.
func Compile(tenants []config.Tenant) (*Policies, error) {
	c := compiler{zones: map[string]*time.Location{}, own: map[string][]gauge{}}
	for i := range tenants {
		if err := c.add(&tenants[i]); err != nil {
			return nil, err
		}
	}
	p := &Policies{byTenant: make(map[string]*Policy, len(tenants)), hooks: hooksOf(tenants)}
	for i := range tenants {
		t := &tenants[i]
		policy := &Policy{tenant: t.ID, root: record.RootOf(t.ID), loss: losses[t.OnLedgerLoss]}
		for _, id := range lineage(t.ID) {
			policy.gauges = append(policy.gauges, c.own[id]...)
		}
		for i := range policy.gauges {
			g := &policy.gauges[i]
			policy.strict = policy.strict || g.unit == record.UnitUSD && min(g.hard, g.light) != unlimited
		}
		if len(policy.gauges) > 0 {
			p.byTenant[t.ID] = policy
		}
	}
	return p, nil
}

// For returns what a tenant is held to, nil for nothing.
func (p *Policies) For(tenant string) *Policy {
	if p == nil {
		return nil
	}
	return p.byTenant[tenant]
}

// Roots are the root tenants with a budget or limit at or below them, in order.
func (p *Policies) Roots() []string {
	var roots []string
	for _, policy := range p.byTenant {
		roots = append(roots, policy.root)
	}
	slices.Sort(roots)
	return slices.Compact(roots)
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
	for i := range policy.gauges {
		if g := &policy.gauges[i]; g.unit == record.UnitUSD {
			windows = append(windows, g.windowOf(at))
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

type compiler struct {
	zones map[string]*time.Location
	own   map[string][]gauge // by tenant
}

func (c *compiler) add(t *config.Tenant) error {
	for i := range t.Budgets {
		b := &t.Budgets[i]
		zone, err := c.zone(b.TimeZone)
		if err != nil {
			return err
		}
		g := c.gauge(gaugeKey{t.ID, record.UnitUSD, b.Period, zone.String()}, zone)
		limit := min(int64(b.USD)/picoPerNano, record.MaxValue)
		g.alerts = append(g.alerts, limit)
		switch b.OnExceed {
		case "light_only":
			g.light = min(g.light, limit)
			if b.HardUSD > 0 {
				g.hard = min(g.hard, int64(b.HardUSD)/picoPerNano, record.MaxValue)
			}
		case "notify":
		default:
			g.hard = min(g.hard, limit)
		}
	}
	for _, l := range [...]struct {
		unit   record.Unit
		period string
		limit  int64
	}{
		{record.UnitRequests, periodMinute, t.Limits.RequestsPerMinute},
		{record.UnitTokens, periodMinute, t.Limits.TokensPerMinute},
		{record.UnitConcurrent, periodNone, t.Limits.ConcurrentRequests},
	} {
		if l.limit > 0 {
			c.gauge(gaugeKey{t.ID, l.unit, l.period, time.UTC.String()}, time.UTC).hard = min(l.limit, record.MaxValue)
		}
	}
	return nil
}

// gauge returns the gauge of a key, a new one when there is none yet.
func (c *compiler) gauge(key gaugeKey, zone *time.Location) *gauge {
	own := c.own[key.tenant]
	i := slices.IndexFunc(own, func(g gauge) bool { return g.gaugeKey == key })
	if i < 0 {
		i = len(own)
		own = append(own, gauge{gaugeKey: key, hard: unlimited, light: unlimited, place: zone})
		c.own[key.tenant] = own
	}
	return &own[i]
}

func (c *compiler) zone(name string) (*time.Location, error) {
	if z := c.zones[name]; z != nil {
		return z, nil
	}
	z, err := time.LoadLocation(name)
	if err == nil {
		c.zones[name] = z
	}
	return z, err
}

// Lane is which of a budget's two limits a request counts against.
type Lane uint8

// The lanes. A light_only budget stops full requests at usd and light ones at
// hard_usd; every other budget and limit stops both at the same.
const (
	Full Lane = iota
	LightOnly
	lanes
)

// limit is how far a lane may go.
func (g *gauge) limit(lane Lane) int64 {
	if lane == LightOnly {
		return g.hard
	}
	return min(g.hard, g.light)
}

// pool is which part of an account a lane takes from: what was lent above the
// light limit must not serve full requests.
func (g *gauge) pool(lane Lane) Lane {
	if g.light == unlimited {
		return Full
	}
	return lane
}
