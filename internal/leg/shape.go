package leg

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/cascade/memory"
	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/guardrail"
	"github.com/sluice-gateway/sluice/internal/heap/pool"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/promptcache"
	"github.com/sluice-gateway/sluice/internal/router"
	"github.com/sluice-gateway/sluice/internal/trouble"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// outgoing is what a leg sends, in memory that the next leg uses again: nothing of
// it is read once the head of the answer is there.
type outgoing struct {
	engine.Request                // of the current attempt
	shaped         engine.Request // what is the same for all of them
	splices        []wire.Splice  // of the caller's body
	body           []byte         // memory of a body that differs from the caller's
	parts          [][]byte       // the same for one above maxCopied, of which nothing is copied
	copied         int64          // bytes that were taken for copies of a large one
	header         wire.Header    // memory of the header
	spelt          wire.Target    // what path spells
	path           string
	placed         *promptcache.Placed // what is known of the prompt's cache, nil for nothing
}

// shape makes the bytes that go to the leg's model: the caller's own, with the
// model in the path, the cap and the like spliced in, and headers from an allow-list.
func (o *outgoing) shape(r *Request, p *Plan, splices []wire.Splice) {
	target, body, hash := p.target(r), p.Body(r), r.BodyHash
	if p.body != nil {
		hash = nil
	}
	o.parts = o.parts[:0]
	switch {
	case len(splices) == 0:
	case len(body) > maxCopied:
		o.parts = wire.AppendParts(o.parts, body, splices)
		body, hash = nil, nil
	default:
		o.body = wire.ApplySplices(o.body[:0], body, splices)
		body, hash = o.body, nil
	}
	if target != o.spelt { // else the last leg in this memory had the same
		o.spelt, o.path = target, target.String()
	}
	o.splices, o.header = splices, appendForwarded(o.header[:0], r.Header, target.Op)
	if p.asksTier() {
		if field, _, ok := wire.AskTier(p.Facts, p.try.tier); ok && field.Name != "" {
			o.header = append(o.header, field)
		}
	}
	o.shaped = engine.Request{
		Upstream: p.Upstream, Role: r.Caller.Tenant.Role(), Model: p.ID(), Op: target.Op,
		Method: r.Method, Target: o.path, Header: o.header, Body: body, BodyHash: hash,
		Account: r.Account,
	}
	if body == nil && len(o.parts) > 0 {
		o.shaped.Parts = o.parts
	}
}

// target is what the leg's request is sent to.
func (p *Plan) target(r *Request) wire.Target {
	target := r.Target
	if r.Modelled() && !target.Op.Starts() {
		target.Model = p.ID()
	}
	target.Base = p.base
	return target
}

// splices are what is put into the body of the leg's request.
func (p *Plan) splices(r *Request) []wire.Splice {
	named := r.Target.Model
	if r.Target.Op.NamesModel() { // which has it in the body alone
		named = p.Facts.BodyModelID
	}
	all := slices.Clip(p.Limit.Splices)
	if r.Modelled() && p.Model != named {
		if s, ok := p.Facts.ModelSplice(p.Model); ok {
			all = append(all, s)
		}
	}
	if p.asksTier() {
		if _, s, ok := wire.AskTier(p.Facts, p.try.tier); ok && s.Text != nil {
			all = append(all, s)
		}
	}
	if p.guards != nil {
		all = append(all, p.guards.Splices...)
	}
	return all
}

// guardNewTurn leaves to the guardrail what the caller said last, where its tenant wants that.
func guardNewTurn(r *Request, p *Plan) {
	if !r.Caller.Tenant.GuardsNewTurn {
		return
	}
	if t := guardrail.Of(p.Facts, p.Body(r)); len(t.Splices) > 0 {
		p.guards = &t
	}
}

// GuardsNewTurn reports whether the guardrail reads the new turn of the conversation alone.
func GuardsNewTurn(p *Plan) bool { return p.guards != nil }

// looked counts what the guardrail made of an answer that came to its end.
func looked(a *Attempt) {
	r := a.request
	if a.End.Outcome != record.Completed || !a.guarded(r) && r.Target.Op != wire.OpApplyGuardrail {
		return
	}
	name, intervened := r.Target.Resource, 0
	if r.Modelled() {
		name = guardrail.Name(a.Facts, r.Header, a.Body(r))
	}
	if a.End.Usage.Intervened {
		intervened = 1
	}
	a.asker.Telemetry.Metrics().Levers().GuardrailCall(guardrail.ID(name), intervened)
}

// appendForwarded appends the caller's header as far as it may reach the upstream
// (docs/security.md). Credentials, hop-by-hop fields and everything unknown stay.
func appendForwarded(out, h wire.Header, op wire.Operation) wire.Header {
	for _, f := range h {
		if forwards(f.Name) || (op.IsMessages() || op == wire.OpCountMessages) && wire.HasPrefixFold(f.Name, "anthropic-") {
			out = append(out, f)
		}
	}
	return out
}

func forwards(name string) bool {
	return strings.EqualFold(name, "content-type") || strings.EqualFold(name, "accept") ||
		strings.EqualFold(name, "x-amzn-trace-id") || wire.HasPrefixFold(name, "x-amzn-bedrock-")
}

// tag puts the attempt's record id, and who pays for it, into the request when
// the configuration of its upstream asks for that.
func (a *Attempt) tag(out *outgoing) {
	r := a.request
	if !tags(r.Snapshot.Config, a.Upstream) {
		return
	}
	header, tagged := tag(a.Facts, a.Body(r), out.Header, a.Start.Tags())
	out.Header = header
	if len(tagged) > 0 {
		out.Body, out.BodyHash = wire.ApplySplices(nil, a.Body(r), append(tagged, out.splices...)), nil
		out.Parts = nil
	}
}

func tags(cfg *config.Config, upstream string) bool {
	if upstream == "" {
		return cfg.Upstream.TagRequests
	}
	return cfg.Upstreams[upstream].TagRequests
}

const (
	// A body up to maxCopied is copied when something is put into it, to memory that
	// stays with that of its leg. A larger one is sent in parts.
	maxCopied = 16 << 10
	// maxKeptBody is how large a copy may be that nobody is asked for memory for.
	maxKeptBody = 64 << 10
)

// shaped is what a leg sends. It goes back with sent. It fails when there is no memory
// for a copy of a large body.
func (k *Asker) shaped(r *Request, p *Plan) (*outgoing, *wire.Error) {
	o, ok := k.outgoing.Get().(*outgoing)
	if !ok {
		o = &outgoing{header: make(wire.Header, 0, 8)}
	}
	splices := p.splices(r)
	if len(r.Body) > maxKeptBody && tags(r.Snapshot.Config, p.Upstream) { // each attempt has a copy
		if o.copied = int64(len(r.Body)) + maxKeptBody; !r.Account.Take(o.copied, pool.Answer) {
			o.copied = 0
			k.sent(o, r.Account)
			return nil, NoRoom()
		}
	}
	o.placed = k.place(r, p)
	if o.pointed() {
		splices = append(slices.Clip(splices), o.placed.Splices...)
	}
	o.shape(r, p, splices)
	return o, nil
}

// pointed reports whether the gateway has put cache points into the body.
func (o *outgoing) pointed() bool { return o.placed != nil && len(o.placed.Splices) > 0 }

// ReasonPoints is the reason of an attempt after one whose points were perhaps why it was refused.
const ReasonPoints = "points_refused"

// pointless is the plan without points of the gateway. What was refused is not billed.
func pointless(p *Plan) *Plan {
	q := *p
	q.try.plain, q.Reason = true, ReasonPoints
	return &q
}

// Pointed reports whether the prompt has cache points, or may get some.
func (r *Request) Pointed() bool { return r.Facts.CachePoints > 0 || r.Caller.Tenant.Injects }

// place looks the prompt of a leg up, and puts points into it where its tenant wants them. Only
// for those, and for cascades and pools that choose by the cache, is anything of a prompt kept.
func (k *Asker) place(r *Request, p *Plan) *promptcache.Placed {
	injects := r.Caller.Tenant.Injects && p.Payer == nil && !p.try.plain
	wants := r.Cascade != "" || p.turn.why != "" // to know what is warm
	if !r.Metered() || !r.Target.Op.Writes() || !injects && (!wants || p.Facts.CachePoints == 0) {
		return nil
	}
	return k.Prompts.Place(p.prompt(r, injects), k.Now())
}

// Points says what the tenant's prompt_cache makes of the prompt, before anything is known of others that begin as it;
// "" where that is off.
func Points(r *Request, p *Plan) string {
	if !r.Caller.Tenant.Injects || !r.Target.Op.Writes() {
		return ""
	}
	return promptcache.Chance(p.prompt(r, true))
}

// prompt is what the cache of the leg's model sees of the request.
func (p *Plan) prompt(r *Request, inject bool) *promptcache.Prompt {
	of := &promptcache.Prompt{Tenant: r.Caller.Tenant.ID, Model: p.ID(), Upstream: p.Upstream, Region: p.SKU.Region,
		Facts: p.Facts, Body: p.Body(r), Price: p.Price, Inject: inject}
	if p.Spec != nil {
		of.Cache = p.Spec.Cache
	}
	return of
}

// Warm reports whether asking the strong model at once costs less than asking the light one
// first, of whose answers some are left behind: by what each model has of this prompt in its
// cache, and of a prompt that is new to the strong one by what legs cost of late.
func (k *Asker) Warm(r *Request, light, strong router.Leg, costs *memory.Costs) bool {
	now := k.Now()
	share, ok := costs.Share(now)
	if !ok {
		return false
	}
	l, errL := NewPlan(r, light, 0)
	s, errS := NewPlan(r, strong, 0)
	if errL != nil || errS != nil {
		return costs.Warm(now)
	}
	dear, known, okS := k.expected(r, s, now)
	cheap, _, okL := k.expected(r, l, now)
	if !known || !okS || !okL {
		return costs.Warm(now)
	}
	return dear < cheap+share*dear
}

// typicalOutput is how many tokens an answer is taken to have before it is known.
const typicalOutput = 500

// expected is about what a leg costs, by what its model has of the prompt, in pico-dollars.
func (k *Asker) expected(r *Request, p *Plan, now time.Time) (cost float64, known, ok bool) {
	rates, ok := p.Price.TokenRates()
	if !ok {
		return 0, false, false
	}
	warm, known := warmest(k, r, p, now)
	warm = min(warm, int64(p.Facts.InputTokens))
	output := min(cmp.Or(p.Limit.Tokens.N, typicalOutput), typicalOutput)
	sum := money.Cost(warm, rates.CacheRead) + money.Cost(int64(p.Facts.InputTokens)-warm, rates.Input) +
		money.Cost(output, rates.Output)
	return float64(sum), known, true
}

// landed tells what is known of prompts how this one went.
func (k *Asker) landed(a *Attempt) {
	if a.placed == nil {
		return
	}
	answer := promptcache.Answer{Usage: &a.End.Usage, Cost: a.Costs.Total()}
	switch {
	case a.End.Outcome == record.Completed:
		answer.Fate = promptcache.Answered
	case met(a) == trouble.Invalid:
		answer.Fate = promptcache.Refused
	case a.End.Outcome == record.Failed:
		answer.Fate = promptcache.Failed
	}
	e := k.Prompts.Ended(a.placed, &answer, a.End.At)
	if use := a.placed.Use(); use != "" {
		k.Telemetry.Metrics().PromptCache(a.request.Caller.Tenant.Root, use, e.Paid, e.Saved, e.Wasted)
	}
}

// AppendChanges adds the fields that tell what of the request was changed for the model.
func (p *Plan) AppendChanges(h wire.Header) wire.Header {
	if p.Limit.Changed {
		h = append(h, wire.Field{Name: "x-sluice-capped", Value: p.Limit.Header()})
	}
	if p.Limit.CutAt > 0 {
		h = append(h, wire.Field{Name: "x-sluice-cut-at", Value: strconv.FormatInt(p.Limit.CutAt, 10)})
	}
	if len(p.Fitted) > 0 {
		h = append(h, wire.Field{Name: "x-sluice-fitted", Value: strings.Join(p.Fitted, ",")})
	}
	if p.try.tier != "" {
		h = append(h, wire.Field{Name: "x-sluice-tier", Value: p.try.header()})
	}
	if p.scopes.before != "" {
		h = append(h, wire.Field{Name: "x-sluice-scope", Value: p.scopes.before + scopeOf(p.Model)})
	}
	if p.turn.why != "" {
		h = append(h, wire.Field{Name: "x-sluice-region", Value: p.turn.header(p.SKU.Region)})
	}
	if p.place.name != "" {
		h = append(h, wire.Field{Name: "x-sluice-capacity", Value: p.place.header()})
	}
	if p.guards != nil {
		h = append(h, wire.Field{Name: "x-sluice-guardrail", Value: "new_turn"})
	}
	if p.job != nil {
		h = append(h, wire.Field{Name: "x-sluice-batch", Value: p.job.String()})
	}
	return h
}

// AppendChanges adds the fields that tell what of the request was changed for an attempt.
func (k *Asker) AppendChanges(h wire.Header, a *Attempt) wire.Header {
	if h = a.AppendChanges(h); a.placed != nil && a.placed.Use() != "" {
		h = append(h, wire.Field{Name: "x-sluice-cache", Value: a.placed.Use()})
	}
	return h
}

// NoRoom is the refusal of a request for which there is no memory.
func NoRoom() *wire.Error {
	return &wire.Error{
		Kind:             wire.KindServiceUnavailable,
		Message:          "The gateway is holding as many request bytes as it may. Try again.",
		RetryAfterMillis: pool.Patience.Milliseconds(),
	}
}

// sent takes the memory back that no upstream reads any more.
func (k *Asker) sent(o *outgoing, a *pool.Account) {
	if o.copied > 0 {
		a.Give(o.copied, pool.Answer)
	}
	clear(o.header[:cap(o.header)])
	clear(o.parts[:cap(o.parts)])
	*o = outgoing{header: o.header, body: o.body, parts: o.parts, spelt: o.spelt, path: o.path}
	k.outgoing.Put(o)
}
