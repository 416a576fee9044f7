package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/config/pools"
	"github.com/sluice-gateway/sluice/internal/glob"
	"github.com/sluice-gateway/sluice/internal/money"
)

func discountSection(d *decoder, v value, c *Discount) {
	var models []string
	d.section(v,
		key("services", &c.Services, list(oneOf(services...))),
		key("models", &models, list(name)),
		key("tiers", &c.Tiers, list(oneOf(discountTiers...))),
		need("percent", &c.PPM, percent),
		need("from", &c.From, day),
		key("to", &c.To, day),
	)
	if models != nil {
		c.Models = glob.CompileList(models)
	}
	if !c.To.IsZero() && c.To.Before(c.From) {
		d.fault(v, "ends before it begins: to must not be before from")
	}
}

var (
	// services are how AWS bills a model: as its own, or as a third party's by its
	// Marketplace.
	services      = []string{"bedrock", "marketplace"}
	discountTiers = append([]string{"default"}, tiers...)
)

// percent reads a percentage above 0 and up to 100, as millionths.
var percent = parsed(form{
	"a percentage such as 12.5", shape{"type": "number", "exclusiveMinimum": 0, "maximum": 100}, true,
}, func(text string) (int64, error) {
	amount, err := money.ParseDollars(text)
	switch {
	case err != nil || amount <= 0:
		return 0, errForm
	case amount > 100*money.Dollar:
		return 0, fmt.Errorf("must be at most 100 percent, not %s", text)
	case amount%(money.Dollar/10_000) != 0:
		return 0, errors.New("must have at most four decimals")
	}
	return int64(amount / (money.Dollar / 10_000)), nil
})

// Commitment is what was promised to be spent within some days, at list price.
type Commitment struct {
	USD  int64     // whole dollars
	From time.Time // the first day, UTC
	To   time.Time // the last day
}

func commitmentSection(d *decoder, v value, c *Commitment) {
	d.section(v,
		need("usd", &c.USD, whole[int64](1, 1_000_000_000_000)),
		need("from", &c.From, day),
		need("to", &c.To, day),
	)
	if !c.To.IsZero() && c.To.Before(c.From) {
		d.fault(v, "ends before it begins: to must not be before from")
	}
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
	Hold  money.Pico // that budgets hold for each job until it is settled
	Roles []string   // globs on the ARNs of roles as which Bedrock may read and write for them
}

func batchSection(d *decoder, v value, b *Batch) {
	d.section(v,
		need("hold_usd", &b.Hold, dollars),
		need("roles", &b.Roles, list(name)),
	)
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

// Applies reports whether the discount is for a model in a tier, at any time. The
// tier is a word of the books, "" for the default one.
func (c *Discount) Applies(model, tier string) bool {
	if tier == "" {
		tier = "default"
	}
	return within(c.Services, serviceOf(model)) && within(c.Tiers, tier) &&
		(c.Models == nil || c.Models.Match(model))
}

// Holds reports whether at is within the discount's days.
func (c *Discount) Holds(at time.Time) bool {
	return !at.Before(c.From) && (c.To.IsZero() || at.Before(c.To.AddDate(0, 0, 1)))
}

// whole reports whether the discount could be read: what is wrong with it was said.
func (c *Discount) whole() bool { return c.PPM > 0 && (c.To.IsZero() || !c.To.Before(c.From)) }

func within(words []string, word string) bool {
	if words == nil {
		return true
	}
	for _, w := range words {
		if w == word {
			return true
		}
	}
	return false
}

// serviceOf is how AWS bills a model: its price list has Amazon's own and open
// models in the offer AmazonBedrock, those of the makers here in
// AmazonBedrockFoundationModels, which are sold by the Marketplace.
func serviceOf(model string) string {
	for _, maker := range []string{"anthropic.", "cohere.", "ai21.", "stability.", "luma.", "twelvelabs.", "writer."} {
		if strings.HasPrefix(model, maker) {
			return "marketplace"
		}
	}
	return "bedrock"
}

// discounts reports two discounts of one model, tier and day: nobody could say
// which of them is charged.
func (v *validator) discounts() {
	models := v.pricedModels()
	for i := range v.c.Discounts {
		for k := range i {
			if model, both := v.bothApply(&v.c.Discounts[i], &v.c.Discounts[k], models); both {
				v.require(false, fmt.Sprintf("discounts[%d]", i), "overlaps with discounts[%d]: both are for %s", k, model)
			}
		}
	}
}

// pricedModels are the ids and patterns that the books name.
func (v *validator) pricedModels() []string {
	var all []string
	seen := map[string]bool{}
	for i := range v.c.Prices {
		for k := range v.c.Prices[i].Prices {
			for _, m := range v.c.Prices[i].Prices[k].Models {
				if !seen[m] {
					seen[m] = true
					all = append(all, m)
				}
			}
		}
	}
	return all
}

func (v *validator) bothApply(a, b *Discount, models []string) (model string, both bool) {
	apart := !a.To.IsZero() && b.From.After(a.To) || !b.To.IsZero() && a.From.After(b.To)
	if apart || !a.whole() || !b.whole() {
		return "", false
	}
	models = slices.Clip(models)
	for _, pattern := range slices.Concat(a.Models, b.Models) {
		models = append(models, pattern.String())
	}
	for _, tier := range discountTiers {
		for _, m := range models {
			if a.Applies(m, tier) && b.Applies(m, tier) {
				return m + " in the tier " + tier, true
			}
		}
	}
	return "", false
}
