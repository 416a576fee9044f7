package record

import (
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter/record/awake"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Posting is what one journal entry adds to the counters of one root tenant.
// It is derived from a record when its END is journalled, so replays add the
// same. Seq numbers are contiguous from 1 per writer and root.
type Posting struct {
	Seq  uint64
	Root string
	Row  RowKey
	Add  Counters
	// Charges go to budgets and limits. Each takes its amount out of what the
	// writer holds of the window, in the same step.
	Charges []Charge
	// Holder is Batch.Holder. Only the records of recovery writers have it, and
	// only the shipper reads it.
	Holder string
}

// Charge is what one attempt holds of, or posts to, one window, in the unit of
// the window.
type Charge struct {
	Window Window
	Amount int64
	// Suspense is whether Amount goes to the window's suspense, because the
	// attempt's outcome is unknown, and not to what is posted.
	Suspense bool
}

// Derive returns what a finished attempt adds to the counters: a pure function
// of its record and the prices. The posting has no number yet; its root is
// empty when it adds nothing.
//
// The price is that of the END's time and of the tier that served. A class of
// tokens without a price makes the attempt unpriced; what the other classes
// cost is posted all the same, so an unpriced row's cost is a lower bound.
func Derive(s *Start, e *End, prices *PriceBook) (Posting, Costs) {
	var b Booked
	b.Derive(s, e, prices)
	return b.Posting, b.Costs
}

// Booked is what an END adds to the books, and what its attempt cost.
type Booked struct {
	Posting Posting
	Costs   Costs
}

// Derive puts into b what the function Derive returns, and allocates less.
func (b *Booked) Derive(s *Start, e *End, prices *PriceBook) {
	*b = Booked{}
	if s.Op.Counts() {
		b.countTokens(s, e)
		return
	}
	sku := s.SKU
	if e.Usage.ServiceTier != "" && !sku.ofOwn() {
		sku.Tier = tierName(e.Usage.ServiceTier)
	}
	if e.Usage.Latency != "" {
		sku.Latency = latencyName(e.Usage.Latency)
	}
	sku = s.answered(sku, e.Usage.InvokedModel)
	price, long := prices.Find(sku, e.At).forUsage(&e.Usage)
	if long {
		sku.Context = longContext
	}
	p, costs := &b.Posting, &b.Costs
	p.Root = s.Root
	p.Row.of(s, &sku, e.At)
	if price != nil {
		p.Row.PriceVersion = price.Version
	}
	add := &p.Add
	add.Legs, add.Requests, add.Escalated = 1, flag(e.Served), flag(e.Escalated)
	add.Drained, add.TokensCut, add.CapHits = flag(e.Drained), e.TokensCut, flag(e.CapHit)
	if e.Outcome == Failed {
		p.Charges = chargesOf(s, Failed, spent{})
		return
	}
	used, how := reported(e), e.Outcome
	var guardrail *Price
	if e.GuardrailUnknown || used.GuardrailUnits != (wire.Usage{}).GuardrailUnits {
		guardrail = prices.Find(SKU{Model: GuardrailModel}, e.At)
	}
	priced := costs.of(used, price, guardrail)
	addUsage(add, used)
	addCosts(add, costs)
	if how == Unknown || !believable(s.Op, &e.Usage) {
		how = Unknown
		priced = suspend(s, used, price, costs.Total(), add) && priced
	} else if e.GuardrailUnknown {
		priced = costs.open(s, used, guardrail, add) && priced
	}
	add.Unpriced = flag(!priced)
	if e.Wasted {
		add.CostWasted = costs.Total()
	}
	costs.Unpriced = !priced
	p.Charges = chargesOf(s, how, spent{costs.Total(), costs.Open, tokensOf(used), !priced})
	if how == Completed && !priced {
		add.Withheld = withheld(p.Charges, costs.Open)
	}
}

// withheld is what charges move to the suspense of budgets, each of which holds the
// same, beside what may still be found out to be owed.
func withheld(charges []Charge, open money.Pico) (most money.Pico) {
	for _, c := range charges {
		if c.Suspense && c.Window.Unit == UnitUSD {
			most = max(most, money.Pico(c.Amount-open.NanosUp())*money.Nano)
		}
	}
	return most
}

// reported is what can be booked of an END's usage: all that is known, also when
// the other half is not; nothing when a number is impossible.
func reported(e *End) *wire.Usage {
	if !possible(&e.Usage) {
		return &wire.Usage{}
	}
	return &e.Usage
}

// Billed is what an END's charges say, for whoever keeps the holds: how the
// attempt counts, and when it counts as completed what it took of budgets (in
// nano-dollars, rounded up) and of token limits. costs are those of the END.
func (e *End) Billed(op wire.Operation, costs Costs) (how Outcome, nanoUSD, tokens int64) {
	switch {
	case e.Outcome == Failed:
		return Failed, 0, 0
	case e.Outcome == Unknown || !believable(op, &e.Usage):
		return Unknown, 0, 0
	}
	return Completed, costs.Total().NanosUp() + costs.Open.NanosUp(), tokensOf(&e.Usage)
}

// countTokens is free and counted in no row. Only limits may have held it.
func (b *Booked) countTokens(s *Start, e *End) {
	p := &b.Posting
	if p.Charges = chargesOf(s, e.Outcome, spent{}); len(p.Charges) > 0 {
		p.Root = s.Root
		p.Row.of(s, &s.SKU, e.At)
	}
}

// spent is what a completed attempt takes from budgets and limits.
type spent struct {
	cost     money.Pico
	open     money.Pico // in suspense beside cost
	tokens   int64
	unpriced bool // cost is a lower bound
}

// of returns what a window of the unit is charged.
func (s spent) of(u Unit) int64 {
	switch u {
	case UnitUSD:
		return s.cost.NanosUp()
	case UnitTokens:
		return s.tokens
	}
	return 0
}

// chargesOf is what becomes of the holds of an attempt: the truth for a
// completed one, zero for a failed one. For an unknown one what is known is
// posted, and the rest of the hold is suspense; so are the dollars of one that used
// something without a price, because what has no price is not free.
// A request is counted by the attempt that holds one, however that ends: it was
// made. Concurrency is only held.
func chargesOf(s *Start, how Outcome, used spent) []Charge {
	var charges []Charge
	for _, held := range s.Charges {
		if held.Window.Unit == UnitConcurrent {
			continue
		}
		if charges == nil {
			charges = make([]Charge, 0, len(s.Charges))
		}
		c := Charge{Window: held.Window}
		switch {
		case held.Window.Unit == UnitRequests:
			c.Amount = held.Amount
		case how == Unknown || used.unpriced && held.Window.Unit == UnitUSD && how == Completed:
			known := used.of(c.Window.Unit)
			if known > 0 {
				charges = append(charges, Charge{Window: c.Window, Amount: known})
			}
			c.Amount, c.Suspense = max(0, held.Amount-known), true
		case how == Failed:
		default:
			c.Amount = used.of(c.Window.Unit)
			if used.open > 0 && held.Window.Unit == UnitUSD {
				charges = append(charges, Charge{Window: c.Window, Amount: used.open.NanosUp(), Suspense: true})
			}
		}
		charges = append(charges, c)
	}
	return charges
}

// tokensOf is what token limits count: every class alike.
func tokensOf(u *wire.Usage) int64 {
	return u.Input.N + u.Output.N + u.CacheRead.N + u.CacheWrite5m.N + u.CacheWrite1h.N
}

// answered is what a call is priced as when the answer names the model behind a
// prompt router. Records of before version 3 did not say which geography a profile
// is of; the model's id does.
func (s *Start) answered(sku SKU, invoked string) SKU {
	if id := wire.ParseModelID(invoked); id.Foundation != "" {
		sku.Model, sku.Scope = id.Foundation, id.Scope
	}
	if sku.Scope == "geo" {
		if id := wire.ParseModelID(s.Model); id.Foundation == sku.Model {
			sku.Scope = id.Scope
		}
	}
	return sku
}

// ofOwn reports whether the call went to capacity that has no service tiers.
func (s *SKU) ofOwn() bool {
	return s.Tier == config.CapacityProvisioned || s.Tier == config.CapacityEndpoint || s.Tier == config.CapacityImported
}

// of makes k the key of the row of an attempt.
func (k *RowKey) of(s *Start, sku *SKU, at time.Time) {
	*k = RowKey{
		Hour: at.UTC().Truncate(time.Hour), Tenant: s.Tenant, Key: s.Key, Model: s.Model,
		Scope: sku.Scope, Tier: short(sku.Tier), Cascade: s.Cascade, Path: s.Path,
		Region: sku.Region, Latency: short(sku.Latency), Context: sku.Context, User: short(s.User),
	}
	if sku.Tier == config.CapacityImported {
		k.Tier = awake.Tier(sku.Tier, s.At, at)
	}
}

// short cuts a text that comes from outside to what a row's key may hold of it,
// so that nobody makes long keys in a ledger.
func short(s string) string {
	const longest = 64
	return s[:min(len(s), longest)]
}

// suspend books the estimate of what an attempt used that nobody knows: all of
// it, or the half that was not reported. It reports whether that has a price.
func suspend(s *Start, used *wire.Usage, price *Price, cost money.Pico, add *Counters) (priced bool) {
	input, output := s.EstimatedInput, max(0, s.MaxOutput-used.Output.N) // output may be a running count
	if used.Input.Known {
		input = 0
	}
	add.Unknown = 1
	add.SuspenseTokens = clamp(input) + clamp(output)
	add.Suspense, priced = price.WorstCase(input, output)
	other := used.Input.Known == used.Output.Known // nothing is known, or what is unknown is no half
	if s.Hold > 0 && (other || !priced) {
		add.Suspense, priced = max(0, s.Hold-cost), true // it had a price when it left
	}
	return priced
}

// TextUnit is how many characters of text a guardrail bills as one unit (Amazon
// Bedrock pricing, "Guardrails").
const TextUnit = 1000

// tokenChars is about how many characters a token has.
const tokenChars = 4

// open books what a guardrail of which nobody reported the units can have cost for
// a text of so many tokens, and no more than was held. It reports whether that has
// a price.
func (c *Costs) open(s *Start, used *wire.Usage, guardrail *Price, add *Counters) (priced bool) {
	in, out := tokensOf(used)-used.Output.N, used.Output.N
	c.Open, priced = guardrail.GuardrailWorstCase(in*tokenChars/TextUnit+1+out*tokenChars/TextUnit+1, 0)
	if s.Hold > 0 {
		c.Open = min(c.Open, max(0, s.Hold-c.Total()))
	}
	add.Unknown, add.Suspense = 1, c.Open
	return priced
}

// believable reports whether a usage can be posted as all that there is: both
// token counts known, unless the operation has no tokens, and every number
// possible.
func believable(op wire.Operation, u *wire.Usage) bool {
	if !u.Complete() && op != wire.OpApplyGuardrail && op != wire.OpInvokeGuardrailChecks && op != wire.OpGetAsyncInvoke {
		return false
	}
	return possible(u)
}

// possible reports whether every number of a usage is in range.
func possible(u *wire.Usage) bool {
	for _, n := range [...]wire.Count{
		u.Input, u.Output, u.CacheRead, u.CacheWrite5m, u.CacheWrite1h, u.Queries, u.Images, u.Milliseconds,
	} {
		if n.N < 0 || n.N > maxCount {
			return false
		}
	}
	for _, units := range u.GuardrailUnits {
		if units < 0 || units > maxUnits {
			return false
		}
	}
	return true
}

func addCosts(add *Counters, c *Costs) {
	add.CostInput, add.CostOutput, add.CostCacheRead = c.Input, c.Output, c.CacheRead
	add.CostCacheWrite5m, add.CostCacheWrite1h = c.CacheWrite5m, c.CacheWrite1h
	add.CostGuardrail, add.CostQuery, add.CostImage, add.CostSecond = c.Guardrail, c.Query, c.Image, c.Second
	add.Discount = c.Discount
}

func addUsage(add *Counters, u *wire.Usage) {
	add.Input, add.Output = u.Input.N, u.Output.N
	add.CacheRead, add.CacheWrite5m, add.CacheWrite1h = u.CacheRead.N, u.CacheWrite5m.N, u.CacheWrite1h.N
	add.Queries, add.Images, add.Milliseconds = u.Queries.N, u.Images.N, u.Milliseconds.N
	for _, units := range u.GuardrailUnits {
		add.GuardrailUnits += units
	}
}

// of prices a usage class by class, and reports whether every class that
// was used has a price. Either price may be nil.
func (c *Costs) of(u *wire.Usage, model, guardrail *Price) bool {
	all := ratesOf(model).cost(u, ratesOf(guardrail), c)
	if model.discounted() || guardrail.discounted() {
		var list Costs
		ratesOf(model.listed()).cost(u, ratesOf(guardrail.listed()), &list)
		c.Discount = list.Total() - c.Total()
	}
	return all
}

// ratesOf are the rates of a price, none of which is listed when it is nil.
func ratesOf(p *Price) *rates {
	if p == nil {
		return &rates{}
	}
	return &p.rates
}

// discounted reports whether what is charged is not the list price.
func (p *Price) discounted() bool { return p != nil && p.list != nil }

// listed is the list price of what is charged.
func (p *Price) listed() *Price {
	if p.discounted() {
		return p.list
	}
	return p
}

// cost prices a usage class by class, its guardrails by their own rates, and reports
// whether every class that was used has a price.
func (r *rates) cost(u *wire.Usage, guardrail *rates, c *Costs) bool {
	*c = Costs{}
	all := true
	for _, class := range [...]struct {
		to   *money.Pico
		rate rate
		n    int64
	}{
		{&c.Input, r.input, u.Input.N},
		{&c.Output, r.output, u.Output.N},
		{&c.CacheRead, r.cacheRead, u.CacheRead.N},
		{&c.CacheWrite5m, r.cacheWrite5m, u.CacheWrite5m.N},
		{&c.CacheWrite1h, r.cacheWrite1h, u.CacheWrite1h.N},
		{&c.Query, r.query, u.Queries.N},
		{&c.Image, r.image, u.Images.N},
		{&c.Second, r.millisecond, u.Milliseconds.N},
	} {
		cost, priced := class.rate.cost(class.n)
		*class.to += cost
		all = all && priced
	}
	for i, n := range u.GuardrailUnits {
		cost, priced := guardrail.guardrail[i].cost(n)
		c.Guardrail += cost
		all = all && priced
	}
	return all
}

// Lost replaces a number that the journal should hold and that a damaged disk
// took away: one unknown attempt of the root, nothing else being known.
func Lost(root string, seq uint64, hour time.Time) Posting {
	return Posting{Seq: seq, Root: root, Row: RowKey{Hour: hour, Tenant: root, Held: heldNone}, Add: Counters{Unknown: 1}}
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// RootOf returns the first element of a tenant path.
func RootOf(tenant string) string {
	root, _, _ := strings.Cut(tenant, "/")
	return root
}

// Within reports whether a tenant is another one, or below it. A name of a window, which
// may be of a key, is within its tenant.
func Within(tenant, other string) bool {
	rest, ok := strings.CutPrefix(tenant, other)
	return ok && (rest == "" || rest[0] == '/')
}
