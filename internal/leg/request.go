package leg

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/internal/heap/pool"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/router"
	"github.com/sluice-gateway/sluice/internal/snapshot"
	"github.com/sluice-gateway/sluice/internal/telemetry"
	"github.com/sluice-gateway/sluice/internal/tenant"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Request is what all legs of one request have in common. Nothing of it changes
// while a leg is asked.
type Request struct {
	ID       string // ULID, of the caller's request
	Snapshot *snapshot.Snapshot
	Caller   *tenant.Identity
	Method   string
	Header   wire.Header
	Target   wire.Target
	Body     []byte
	Further  [][]byte           // bodies of further calls, where the model takes the request in parts; Body is the first
	BodyHash *[sha256.Size]byte // of Body; nil when nobody needed it yet
	Facts    wire.Facts
	read     Read // what Facts are read from
	Received time.Time
	Cascade  string          // its name in records, "" for none
	Gone     context.Context //nolint:containedctx // ends when the caller has left
	Span     *telemetry.RequestSpan
	Host     Host
	Account  *pool.Account // what it holds in memory; nil counts nothing
	kept     *keeper       // of the stored response that it is about, nil for none
	// Session is which of the caller's it is a call of.
	Session Session

	room room
}

// Read is what facts are read from: a body, as the model has it for an operation.
type Read struct {
	Op    wire.Operation
	Model string
	Body  []byte
}

// same reports whether two are one: the same bytes, not only equal ones.
func (a *Read) same(b *Read) bool {
	return a.Op == b.Op && a.Model == b.Model && len(a.Body) == len(b.Body) && len(a.Body) > 0 && &a.Body[0] == &b.Body[0]
}

// Host is who asks the legs of a request.
type Host interface {
	// Go runs f in a goroutine that keeps the request open until f returns.
	Go(f func())
	// Ended is called with each attempt whose END is in the books, perhaps
	// concurrently.
	Ended(a *Attempt)
}

// Attempts are all that were made so far, until Recycle. They may be looked at once all
// have ended.
func (r *Request) Attempts() []*Attempt { return r.room.attempts }

// ReadFacts reads the facts of the body. It fails when the gateway or the tenant
// does not allow the operation, and when the body is malformed.
func (r *Request) ReadFacts() *wire.Error {
	if err := r.permit(); err != nil {
		return err
	}
	if err := r.FactsOf(&Read{r.Target.Op, r.Target.Model, r.Body}); err != nil {
		return err
	}
	r.Facts.ReadHeader(r.Header)
	if r.Target.Op.Starts() {
		r.Target.Model = r.Facts.BodyModelID
		if !wire.ValidID(r.Target.Model) { // nor may it be absent: a policy has to see it
			return wire.Errorf(wire.KindValidation, "The provided model identifier is invalid.")
		}
	}
	r.forbidCap(&r.Facts)
	return ofAgents(r)
}

// FactsOf reads the facts of what the request is going to be, unless they are known. It fails when the body is
// malformed.
func (r *Request) FactsOf(of *Read) *wire.Error {
	if r.read.same(of) {
		return nil
	}
	r.read = Read{}
	var dialect *wire.Dialect
	if of.Op.IsInvoke() {
		dialect = r.Snapshot.Router.Dialect(of.Model, of.Body)
	}
	if err := r.Facts.Read(of.Op, dialect, of.Body); err != nil {
		return err
	}
	r.read = *of
	return nil
}

// forbidCap notes that a managed prompt takes no cap: its settings cannot be given
// with the request (AWS).
func (r *Request) forbidCap(f *wire.Facts) {
	f.NoMaxTokens = f.NoMaxTokens || wire.ParseModelID(r.Target.Model).Kind == wire.ModelPrompt
}

// factsFor are the facts of a plan's body as its model reads it, whatever the body looks
// like.
func (r *Request) factsFor(p *Plan) (*wire.Facts, *wire.Error) {
	if p.body == nil && (!r.Target.Op.IsInvoke() || r.Facts.Dialect == p.Dialect) {
		return &r.Facts, nil
	}
	f := &wire.Facts{}
	if err := f.Read(r.Target.Op, p.Dialect, p.Body(r)); err != nil {
		return nil, err
	}
	f.ReadHeader(r.Header)
	r.forbidCap(f)
	return f, nil
}

// ofAgents finds the model that a request to knowledge bases names in its body, if any.
func ofAgents(r *Request) *wire.Error {
	op := r.Target.Op
	if !op.OnAgents() {
		return nil
	}
	r.Target.Model = r.Facts.BodyModelID
	named := op != wire.OpInvokeAgent && op != wire.OpRetrieve // a retrieval need not rank
	switch {
	case r.Target.Model == "" && named:
		return wire.Errorf(wire.KindValidation, "The request names no model: %s needs a modelArn.", op.APIName())
	case r.Target.Model != "" && !wire.ValidID(r.Target.Model):
		return wire.Errorf(wire.KindValidation, "The provided model identifier is invalid.")
	}
	return nil
}

// permit refuses operations that the gateway or the tenant does not allow.
func (r *Request) permit() *wire.Error {
	switch r.Target.Op {
	case wire.OpInvokeBidirectional:
		return wire.Errorf(wire.KindValidation, "InvokeModelWithBidirectionalStream is not supported by this gateway")
	case wire.OpListAsyncInvokes:
		return wire.Errorf(wire.KindAccessDenied, "ListAsyncInvokes is not allowed: it would show the jobs of every tenant")
	}
	if !r.Caller.Tenant.AllowsOperation(r.Target.Op) {
		return wire.Errorf(wire.KindAccessDenied, "operation %s is not allowed to this key", r.Target.Op)
	}
	return nil
}

// RouterInput is what the router plans by, the same for all plans of the request.
func (r *Request) RouterInput() *router.Input {
	in := &r.room.input
	*in = router.Input{}
	in.Facts, in.Body, in.Asked, in.Header = &r.Facts, r.Body, r.Target.Model, r.Header
	in.Tenant, in.Root, in.Key = r.Caller.Tenant.ID, r.Caller.Tenant.Root, r.Caller.KeyID
	in.Policy, in.Now = r.Caller.Tenant, r.Received
	in.Bounds = r.bounds()
	if t := r.Caller.Tenant.Cap; t != nil {
		in.MaxOutput = t.Max
	}
	return in
}

// bounds are where the request may go, whoever pays for a leg: it is the caller's text.
func (r *Request) bounds() router.Bounds {
	t := r.Caller.Tenant
	return router.Bounds{Residency: t.Residency, Upstream: t.Upstream, Require: t.Require}
}

// Counted is what the answer of an attempt counts; of a request in parts, what all of its answers do.
func (r *Request) Counted(a *Attempt) (input, output wire.Count) {
	if len(r.Further) == 0 {
		return a.End.Usage.Input, a.End.Usage.Output
	}
	input, output = wire.Known(0), wire.Known(0)
	for _, a := range r.Attempts() {
		if u := &a.End.Usage; a.End.Served {
			input = wire.Count{N: input.N + u.Input.N, Known: input.Known && u.Input.Known}
			output = wire.Count{N: output.N + u.Output.N, Known: output.Known && u.Output.Known}
		}
	}
	return input, output
}

// Modelled reports whether the operation runs a model that policy, prices and
// cascades know.
func (r *Request) Modelled() bool {
	op := r.Target.Op
	return op.Writes() || op.Counts() || op.Starts()
}

// Metered reports whether the operation is billed. CountTokens is free of
// charge (AWS Bedrock user guide, "Monitor your token usage by counting
// tokens"), and looking after a job or a stored response is too.
func (r *Request) Metered() bool {
	op := r.Target.Op
	return !op.Counts() && op != wire.OpGetAsyncInvoke && !op.OfStored() && !op.OfBegun()
}

// maxPrompt bounds the text that scores and judges look at.
const maxPrompt = 256 << 10

// Prompt is the text of the request, "" when it is too long to be looked at.
func (r *Request) Prompt() string {
	if r.Facts.TextBytes > maxPrompt {
		return ""
	}
	return string(r.Facts.AppendText(nil, r.Body))
}

// Kind names the kind of a request, for scores: its cascade, its tenant and its
// system prompt.
func (r *Request) Kind() string {
	return fmt.Sprintf("%s %s %016x", r.Cascade, r.Caller.Tenant.ID, r.Facts.SystemHash)
}

// user is whom the request is booked for beside its tenant, "" for nobody: the first
// of the places that the configuration names which has one.
func (r *Request) user(f *wire.Facts) string {
	from := r.Snapshot.Config.Users
	if from == nil {
		return ""
	}
	name := ""
	if from.Header != "" {
		name = r.Header.Get(from.Header)
	}
	if name == "" && from.Metadata != "" {
		name = cmp.Or(f.MetadataValue(r.Body, from.Metadata), r.headerMetadata(from.Metadata))
	}
	if name == "" && from.Body && f.UserSpan.Present() {
		name = f.User(r.Body)
	}
	if from.Hash || !plain(name) {
		return hashed(r.Caller.Tenant.Root, name)
	}
	return name
}

// headerMetadata is the value of a key in InvokeModel's request metadata.
func (r *Request) headerMetadata(key string) string {
	text := r.Header.Get(metadataHeader)
	if text == "" {
		return ""
	}
	var all map[string]string
	if json.Unmarshal([]byte(text), &all) != nil {
		return ""
	}
	return all[key]
}

// longestUser is how long a name may be that is in a row as it is.
const longestUser = 64

// plain reports whether a name may be in rows and reports as it is. The one of what is
// folded there is nobody's.
func plain(name string) bool {
	if name == record.Other {
		return false
	}
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return len(name) <= longestUser
}

// hashed is a name that cannot be read, the same for the same name of a root tenant;
// "" stays.
func hashed(root, name string) string {
	if name == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(root + "\x00" + name))
	return hex.EncodeToString(sum[:8])
}

// room is memory for what almost every request needs, kept with its state so that
// the steps allocate none of it.
type room struct {
	input router.Input
	plans [2]Plan // those of NewPlans
	list  [3]*Plan

	mu       sync.Mutex // guards the following: legs are asked side by side
	attempts []*Attempt // all that were made
	first    [2]*Attempt
}

// plan is memory for the n-th of the plans that NewPlans makes.
func (m *room) plan(n int) *Plan {
	if n < len(m.plans) {
		return &m.plans[n]
	}
	return new(Plan)
}

// attempt begins an attempt, in memory that is the request's until Recycle.
func (k *Asker) attempt(r *Request, p *Plan) *Attempt {
	a, ok := k.attempts.Get().(*Attempt)
	if !ok {
		a = new(Attempt)
	}
	a.Plan, a.asker, a.request = p, k, r
	m := &r.room
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.attempts == nil {
		m.attempts = m.first[:0]
	}
	m.attempts = append(m.attempts, a)
	return a
}

// Recycle gives the memory of a request's plans and attempts to other requests.
// Nobody may look at any of them afterwards.
func (k *Asker) Recycle(r *Request) {
	for _, a := range r.room.attempts {
		*a = Attempt{spare: spare{charges: a.charges[:0]}}
		if k.Ended != nil {
			k.Ended(a)
			continue
		}
		k.attempts.Put(a)
	}
	*r = Request{}
}
