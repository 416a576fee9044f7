package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/config/pools"
	"github.com/sluice-gateway/sluice/internal/glob"
	"github.com/sluice-gateway/sluice/internal/money"
)

// The kinds of capacity. Each is the tier of what it serves, in records and price books.
const (
	CapacityProvisioned = "provisioned" // model units of provisioned throughput
	CapacityReserved    = "reserved"    // tokens a minute of the service tier reserved
	CapacityEndpoint    = "endpoint"    // instances of an endpoint of the Bedrock Marketplace
	CapacityImported    = "imported"    // copies of an imported model, paid while they are awake
)

// CapacityKinds are all of them.
func CapacityKinds() [4]string {
	return [...]string{CapacityProvisioned, CapacityReserved, CapacityEndpoint, CapacityImported}
}

// Capacity is what is paid by the hour or the month, whether it is used or not, or in windows of five minutes.
type Capacity struct {
	Name, Kind string
	ARN        string   // "" for reserved
	Models     []string // ids whose calls it serves; the first is what the ARN is for
	Tenants    []string // who may use it, with those below; nil for everybody
	Units      int64    // model units or instances, or units of one copy of an imported model
	Copies     int64    // of an imported model that are awake at once, 1 for others
	// Input and Output are tokens a minute that one unit serves, 0 where nobody knows.
	Input, Output int64
	Hour          money.Pico // for a unit and hour, 0 for reserved
	Month         money.Pico // for a unit and month, of reserved, and for what an imported model takes in storage
	Minute        money.Pico // for a unit and minute in which a copy is awake, of imported alone
	SpillTo       string     // the model that answers when an imported one is not loaded in time, "" for none
	Gather        *Gather    // which calls wait for others while an imported model sleeps, nil for none
	Term          string
	From          time.Time     // the first day, UTC
	To            time.Time     // the last day, zero without an end
	FirstByte     time.Duration // without one by then a call is spilled, 0 for never
	IdleTo        string        // the tenant that bears what is idle, "" for nobody
}

// capacityTerms are for how long each kind is bought, in months.
var capacityTerms = map[string]map[string]int{
	CapacityProvisioned: {"none": 0, "1-month": 1, "6-months": 6},
	CapacityReserved:    {"1-month": 1, "3-months": 3},
	CapacityEndpoint:    {"none": 0},
	CapacityImported:    {"none": 0},
}

// Bound is the day before which it cannot be given up, From without a term.
func (c *Capacity) Bound() time.Time { return c.From.AddDate(0, capacityTerms[c.Kind][c.Term], 0) }

func capacitySection(d *decoder, v value, c *Capacity) {
	kinds := CapacityKinds()
	*c = Capacity{Units: 1, Copies: 1, Term: "none"}
	d.section(v,
		need("name", &c.Name, name),
		need("kind", &c.Kind, oneOf(kinds[:]...)),
		key("arn", &c.ARN, name),
		need("models", &c.Models, list(name)),
		key("tenants", &c.Tenants, list(name)),
		key("units", &c.Units, whole[int64](1, 100_000)),
		key("input_tokens_per_minute", &c.Input, count),
		key("output_tokens_per_minute", &c.Output, count),
		key("usd_per_hour", &c.Hour, dollars),
		key("usd_per_month", &c.Month, dollars),
		key("usd_per_minute", &c.Minute, dollars),
		key("copies", &c.Copies, whole[int64](1, 1000)),
		key("spill_to", &c.SpillTo, name),
		key("gather", &c.Gather, optional(gatherSection)),
		key("term", &c.Term, oneOf("none", "1-month", "3-months", "6-months")),
		need("from", &c.From, day),
		key("to", &c.To, day),
		key("first_byte", &c.FirstByte, period(time.Millisecond)),
		key("idle_to", &c.IdleTo, name),
	)
}

// Gather is which calls of an imported model can wait while it sleeps, and for how long, so that they share a window.
type Gather struct {
	Tenants []string // with those below; nil for everybody
	Wait    time.Duration
}

func gatherSection(d *decoder, v value, g *Gather) {
	d.section(v, key("tenants", &g.Tenants, list(name)), need("wait", &g.Wait, period(time.Second)))
}

// TierDefault is the service tier of a request that asks for none.
const TierDefault = "default"

// Tier is which service tier is asked for where the caller asks for none and the model has it: first Try, flex or
// default. A call that is throttled there, or has no first byte within FirstByte, is sent once more on Then, default or
// priority.
type Tier struct {
	Try, Then string
	FirstByte time.Duration // default 20s
}

// Batch is under which terms a tenant starts batch jobs.
type Batch struct {
	// Input are globs on the places in S3 whose records are read before a job is started, none for nowhere.
	Input    []string
	MaxBytes int64      // of a job's input that are read
	Records  int64      // that a job's input may have
	Hold     money.Pico // that budgets hold for a job whose input cannot be read, 0: it is refused
	Roles    []string   // globs on the ARNs of roles as which Bedrock may read and write for them
}

func batchSection(d *decoder, v value, b *Batch) {
	*b = Batch{MaxBytes: 1 << 30, Records: 50_000}
	before := len(d.faults)
	d.section(v,
		key("input", &b.Input, list(name)),
		key("max_bytes", &b.MaxBytes, size),
		key("max_records", &b.Records, whole[int64](1, 1_000_000)),
		key("hold_usd", &b.Hold, dollars),
		need("roles", &b.Roles, list(name)),
	)
	if len(d.faults) == before && len(b.Input) == 0 && b.Hold == 0 {
		d.fault(v, "needs input, whose records say what to hold for a job, or hold_usd")
	}
}

// LegTiers are those of a cascade's legs, in place of the caller's; nil for that.
type LegTiers struct{ Light, Partner, Escalation *Tier }

func tierSection(d *decoder, v value, t *Tier) {
	*t = Tier{Try: TierDefault, Then: TierDefault, FirstByte: 20 * time.Second}
	d.section(v,
		need("try", &t.Try, oneOf("flex", TierDefault)),
		key("first_byte", &t.FirstByte, period(time.Millisecond)),
		key("then", &t.Then, oneOf(TierDefault, "priority")),
	)
}

// quotaSection reads what an account may use of models in a minute.
func quotaSection(d *decoder, v value, q *pools.Quota) {
	*q = pools.Quota{Wait: 10 * time.Second, Waiting: 100}
	before := len(d.faults)
	d.section(v,
		need("models", &q.Patterns, list(name)),
		key("tokens_per_minute", &q.TokensPerMinute, count),
		key("requests_per_minute", &q.RequestsPerMinute, count),
		key("burndown", &q.Burndown, whole[int64](1, 1000)),
		key("wait", &q.Wait, period(0)),
		key("waiting", &q.Waiting, whole(0, 100_000)),
	)
	q.Models = glob.CompileList(q.Patterns)
	if len(d.faults) == before && q.TokensPerMinute == 0 && q.RequestsPerMinute == 0 {
		d.fault(v, "needs tokens_per_minute or requests_per_minute")
	}
}

func legTiers(d *decoder, v value, t *LegTiers) {
	d.section(v,
		key("light", &t.Light, optional(tierSection)),
		key("partner", &t.Partner, optional(tierSection)),
		key("escalation", &t.Escalation, optional(tierSection)),
	)
}

// Budget is money per window.
type Budget struct {
	Period   string // minute, hour, day, month
	USD      money.Pico
	OnExceed string     // reject (default), light_only, notify
	HardUSD  money.Pico // 0: none; where light_only stops too
	TimeZone string     // IANA name, default UTC
}

// Limits are rates. Zero is no limit.
type Limits struct {
	RequestsPerMinute  int64
	TokensPerMinute    int64
	ConcurrentRequests int64
}

// SessionBudget is what each session of a tenant may spend within any span of Within: see package session for what a
// session is.
type SessionBudget struct {
	USD      money.Pico
	OnExceed string        // reject (default), light_only
	HardUSD  money.Pico    // where light_only stops too
	Within   time.Duration // default 24h
	Missing  string        // what becomes of requests without a session: allow (default), reject
	Loop     Loop
}

// Loop is what tells that a session goes round in circles, and what becomes of it then. Zero watches nothing.
type Loop struct {
	Repeats      int64      // calls of one tool with the same arguments, among the last 16
	USDPerMinute money.Pico // spent
	Growth       int64      // how many times its first context a session may come to
	Then         string     // light_only (default), reject, notify
}

func sessionBudgetSection(d *decoder, v value, b *SessionBudget) {
	*b = SessionBudget{
		OnExceed: "reject", Within: 24 * time.Hour, Missing: "allow", Loop: Loop{Then: "light_only"},
	}
	before := len(d.faults)
	d.section(v,
		need("usd", &b.USD, dollars),
		key("on_exceed", &b.OnExceed, oneOf("reject", "light_only")),
		key("hard_usd", &b.HardUSD, dollars),
		key("within", &b.Within, period(time.Minute)),
		key("missing", &b.Missing, oneOf("allow", "reject")),
		key("loop", &b.Loop, loopSection),
	)
	switch light := b.OnExceed == "light_only"; {
	case d.shape != nil, len(d.faults) > before:
	case light && b.HardUSD == 0:
		d.fault(v, "needs hard_usd with on_exceed: light_only, where light requests stop too")
	case !light && b.HardUSD != 0:
		d.fault(v, "hard_usd has an effect with on_exceed: light_only only")
	case light && b.HardUSD < b.USD:
		d.fault(v, "hard_usd must not be below usd")
	case b.Within > 31*24*time.Hour:
		d.fault(v, "within must not be above 744h")
	}
}

func loopSection(d *decoder, v value, l *Loop) {
	l.Then = "light_only"
	d.section(v,
		key("repeats", &l.Repeats, whole[int64](2, 16)),
		key("usd_per_minute", &l.USDPerMinute, dollars),
		key("growth", &l.Growth, whole[int64](2, 1_000_000)),
		key("then", &l.Then, oneOf("light_only", "reject", "notify")),
	)
}

// arnParts are what is checked of an ARN of capacity: its service and kind.
var arnParts = regexp.MustCompile(`^arn:[a-z-]+:([a-z]+):[a-z0-9-]+:[0-9]{12}:([a-z-]+)/.+$`)

// capacityARNs are the service and kind of the ARNs of each kind of capacity.
var capacityARNs = map[string][2]string{
	CapacityProvisioned: {"bedrock", "provisioned-model"},
	CapacityEndpoint:    {"sagemaker", "endpoint"},
	CapacityImported:    {"bedrock", "imported-model"},
}

// capacity checks what was bought. The ARNs are known like those of model_map.
func (v *validator) capacity() {
	names, arns := map[string]int{}, map[string]int{}
	for i := range v.c.Capacity {
		c := &v.c.Capacity[i]
		at := func(below string) string { return fmt.Sprintf("capacity[%d].%s", i, below) }
		if first, twice := names[c.Name]; twice {
			v.twice(at("name"), "capacity", c.Name, fmt.Sprintf("capacity[%d].name", first))
		}
		names[c.Name] = i
		v.require(!strings.HasSuffix(c.Name, " storage") && !strings.HasSuffix(c.Name, " (idle)"), at("name"),
			`must not end in " storage" or " (idle)": lines of bills do`)
		v.require(len(c.Models) > 0 || v.unread[at("models")], at("models"), "must name a model at least")
		if first, twice := arns[c.ARN]; twice && c.ARN != "" {
			v.twice(at("arn"), "capacity of", c.ARN, fmt.Sprintf("capacity[%d].arn", first))
		}
		arns[c.ARN] = i
		capacityPrice(v, c, fmt.Sprintf("capacity[%d]", i))
		capacityImported(v, c, at)
		capacityTerm(v, c, at)
		capacityARN(v, c, at("arn"))
		for k, id := range append(slices.Clip(c.Tenants), c.IdleTo) {
			path := at(fmt.Sprintf("tenants[%d]", k))
			if k == len(c.Tenants) {
				path = at("idle_to")
			}
			v.require(id == "" || knowsTenant(v, id), path, "there is no tenant %q, and none below it", id)
		}
	}
}

// knowsTenant reports whether there is a tenant, or one below it.
func knowsTenant(v *validator, id string) bool {
	return slices.ContainsFunc(v.c.Tenants, func(t Tenant) bool {
		return t.ID == id || strings.HasPrefix(t.ID, id+"/") || strings.HasPrefix(id, t.ID+"/")
	})
}

// capacityPrice checks that each kind has what it is paid by, and a sum that a ledger counts.
func capacityPrice(v *validator, c *Capacity, at string) {
	reserved := c.Kind == CapacityReserved
	const unread = ".usd_per_"
	has := func(amount money.Pico, of string) bool { return amount > 0 || v.unread[at+unread+of] }
	switch {
	case c.Kind == "":
	case c.Kind == CapacityImported:
		v.require(has(c.Minute, "minute") && c.Hour == 0, at,
			"is paid by the minute: imported needs usd_per_minute, and no usd_per_hour; usd_per_month is for storage")
	case reserved:
		v.require(has(c.Month, "month") && c.Hour == 0, at,
			"is paid by the month: reserved needs usd_per_month, and no usd_per_hour")
		v.require(len(c.Tenants) > 0 || v.unread[at+".tenants"], at, "needs the key %q: who is entitled to it", "tenants")
	default:
		v.require(has(c.Hour, "hour") && c.Month == 0, at,
			"is paid by the hour: %s needs usd_per_hour, and no usd_per_month", c.Kind)
	}
	const hours = 24 * 31
	most := money.Pico(MaxDollars) * money.Dollar / money.Pico(max(c.Units, 1))
	v.require(c.Hour <= most/hours && c.Month <= most && c.Minute <= most/hours/60/money.Pico(max(c.Copies, 1)), at,
		"costs more in a month than a ledger counts, %d dollars", MaxDollars)
}

// capacityImported checks what imported models have and other kinds do not, and the other way round.
func capacityImported(v *validator, c *Capacity, at func(string) string) {
	if c.Kind == CapacityImported {
		v.require(c.Input == 0, at("input_tokens_per_minute"), "is not for imported: a window is used whole or not at all")
		v.require(c.Output == 0, at("output_tokens_per_minute"), "is not for imported: a window is used whole or not at all")
		v.require(c.FirstByte == 0, at("first_byte"),
			"is not for imported: spill_to serves when cold_start of the upstream's retry has passed")
		v.require(c.SpillTo != c.ARN || c.SpillTo == "", at("spill_to"), "must be another model than the imported one")
		if g := c.Gather; g != nil {
			v.require(g.Wait < v.c.Timeouts.Request, at("gather.wait"),
				"must be less than timeouts.request, %s, so that time is left to answer", v.c.Timeouts.Request)
			for k, id := range g.Tenants {
				v.require(knowsTenant(v, id), at(fmt.Sprintf("gather.tenants[%d]", k)),
					"there is no tenant %q, and none below it", id)
			}
		}
		return
	}
	v.require(c.Minute == 0, at("usd_per_minute"), "is for imported alone")
	v.require(c.Copies <= 1, at("copies"), "is for imported alone")
	v.require(c.Gather == nil, at("gather"), "is for imported alone")
	v.require(c.SpillTo == "", at("spill_to"), "is for imported alone: others spill to their model on demand")
}

// capacityTerm checks that there is such a term, and that it is kept.
func capacityTerm(v *validator, c *Capacity, at func(string) string) {
	terms, known := capacityTerms[c.Kind]
	if _, ok := terms[c.Term]; !ok && known {
		v.require(false, at("term"), "%s is bought for %s, not for %q", c.Kind,
			strings.Join(slices.Sorted(maps.Keys(terms)), ", "), c.Term)
		return
	}
	if c.From.IsZero() || c.To.IsZero() {
		return
	}
	v.require(!c.To.Before(c.From), at("to"), "ends before it begins: to must not be before from")
	v.require(!c.To.AddDate(0, 0, 1).Before(c.Bound()), at("to"),
		"is before the term of %s ends, on %s: AWS bills it until then", c.Term,
		c.Bound().AddDate(0, 0, -1).Format(time.DateOnly))
}

// capacityARN checks that it is one of the kind, and notes which model it is for.
func capacityARN(v *validator, c *Capacity, path string) {
	want, needs := capacityARNs[c.Kind]
	if !needs {
		v.require(c.ARN == "" || c.Kind == "", path, "reserved has no ARN: its calls are those of the model")
		return
	}
	if m := arnParts.FindStringSubmatch(c.ARN); m == nil || m[1] != want[0] || m[2] != want[1] {
		v.require(v.unread[path], path, "must be an ARN such as arn:aws:%s:us-east-1:123456789012:%s/NAME, not %q",
			want[0], want[1], c.ARN)
		return
	}
	if len(c.Models) == 0 {
		return
	}
	before, mapped := v.c.Behind[c.ARN]
	v.require(!mapped || before == c.Models[0], path, "model_map has it for %s", before)
	v.behind(c.ARN, c.Models[0])
}
