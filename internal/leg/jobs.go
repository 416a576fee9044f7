package leg

import (
	"cmp"
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/internal/batchjob"
	"github.com/sluice-gateway/sluice/internal/batchjob/ceiling"
	"github.com/sluice-gateway/sluice/internal/glob"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/jsonscan"
)

// Jobs remembers which tenant started an asynchronous job, and whose stored responses are.
type Jobs interface {
	// Own is remembered for as long as keep.
	Own(ctx context.Context, id, owner string, keep time.Duration) error
	// OwnFirst is Own where nobody has it yet. It returns who has it then.
	OwnFirst(ctx context.Context, id, owner string, keep time.Duration) (string, error)
	// Owner is "" when nobody has it.
	Owner(ctx context.Context, id string) (owner string, err error)
}

// How long owners are remembered: AWS keeps stored responses for 30 days, and lists jobs for far less than that.
const (
	keepResponse = 30 * 24 * time.Hour
	keepJob      = 90 * 24 * time.Hour
)

// CheckJob hides a job, and a stored response, from every tenant but the one that started it. Other operations pass.
func (k *Asker) CheckJob(ctx context.Context, r *Request) *wire.Error {
	id := cmp.Or(r.Facts.Previous, r.Target.Resource)
	switch {
	case r.Target.Op == wire.OpGetAsyncInvoke:
		owner, err := k.ownerOf(ctx, id)
		if err == nil && owner != r.Caller.Tenant.ID {
			err = wire.Errorf(wire.KindResourceNotFound, "there is no job %s of yours", id)
		}
		return err
	case r.Target.Op == wire.OpListBatches: // whose answer is sifted
	case r.Target.Op.OfBegun():
		owner, err := k.ownerOf(ctx, batchjob.OwnerKey+id)
		if err != nil {
			return err
		}
		return keepBatch(r, owner)
	case r.Target.Op.OfStored(), r.Facts.Previous != "":
		owner, err := k.ownerOf(ctx, responseKey+id)
		if err != nil {
			return err
		}
		kept := keeperOf(owner)
		if kept.Tenant != r.Caller.Tenant.ID {
			return wire.Errorf(wire.KindResourceNotFound, "there is no stored response %s of yours", id)
		}
		r.kept = &kept
	}
	return nil
}

func (k *Asker) ownerOf(ctx context.Context, id string) (string, *wire.Error) {
	owner, err := k.Jobs.Owner(ctx, id)
	if err != nil {
		return "", &wire.Error{
			Kind: wire.KindServiceUnavailable, Cause: err, Message: "the ledger cannot be asked who started this",
		}
	}
	return owner, nil
}

// OwnJob remembers who started an asynchronous job, or has a response stored, before they learn its name. A response
// that could not be remembered is served all the same, because it is billed: it cannot be asked for later.
func (k *Asker) OwnJob(ctx context.Context, a *Attempt) *wire.Error {
	r := a.request
	switch op := r.Target.Op; {
	case a.Response.Status >= 300:
	case op == wire.OpStartAsyncInvoke:
		return k.ownJob(ctx, r, a)
	case op == wire.OpCreateBatch:
		return ownBatch(ctx, k.Jobs, a)
	case op == wire.OpListBatches:
		return ownBatches(ctx, k, a)
	case op == wire.OpGetBatch && k.Batches != nil:
		k.Batches.Seen(a.Response.Body)
	case (op == wire.OpResponse || op == wire.OpResponseStream) && r.Caller.Tenant.Stores:
		id := storedIn(op, a)
		if id == "" {
			return nil
		}
		owner := keeper{r.Caller.Tenant.ID, a.Upstream, a.base}.String()
		if err := k.Jobs.Own(ctx, responseKey+id, owner, keepResponse); err != nil {
			k.Log.Warn("a stored response cannot be recorded as its tenant's, who will not find it", "response", id,
				"tenant", r.Caller.Tenant.ID, "err", err)
		}
		keepChain(ctx, k, r, id)
	}
	return nil
}

func (k *Asker) ownJob(ctx context.Context, r *Request, a *Attempt) *wire.Error {
	var job struct{ InvocationArn string }
	err := json.Unmarshal(a.Response.Body, &job)
	if err == nil {
		err = k.Jobs.Own(ctx, job.InvocationArn, r.Caller.Tenant.ID, keepJob)
	}
	if err != nil {
		return &wire.Error{Kind: wire.KindServiceUnavailable, Cause: err,
			Message: "the job was started but cannot be recorded as yours: " + job.InvocationArn}
	}
	return nil
}

// chain puts a request that goes on from a stored response into the session of that, and one whose response is going
// to be stored into a new session.
func chain(ctx context.Context, k *Asker, r *Request) {
	switch op := r.Target.Op; {
	case r.Facts.Previous != "":
		text, err := k.Jobs.Owner(ctx, sessionKey+r.Facts.Previous)
		if err != nil {
			k.Log.Warn("the session of a stored response is not known", "response", r.Facts.Previous, "err", err)
		}
		r.Session.Text = text
	case (op == wire.OpResponse || op == wire.OpResponseStream) && r.Caller.Tenant.Stores:
		r.Session.Text = r.ID
	}
	if r.Session.Text != "" {
		r.Session.From = chained
	}
}

// chained is where the name of a session is from that is a chain of stored responses.
const chained = "previous_response_id"

// keepChain remembers the session of a stored response, for those that go on from it.
func keepChain(ctx context.Context, k *Asker, r *Request, id string) {
	if r.Session.From != chained || r.Session.budget == nil {
		return
	}
	if err := k.Jobs.Own(ctx, sessionKey+id, r.Session.Text, keepResponse); err != nil {
		k.Log.Warn("the session of a stored response cannot be recorded, so what goes on from it counts in no session",
			"response", id, "tenant", r.Caller.Tenant.ID, "err", err)
	}
}

// sessionKey is before the id of a stored response where its session is kept.
const sessionKey = "session/"

// keepBatch hides a batch job from every tenant but the one that started it, and asks where it was started.
func keepBatch(r *Request, of string) *wire.Error {
	owner, ok := batchjob.ParseOwner(of)
	if !ok || owner.Tenant != r.Caller.Tenant.ID {
		return wire.Errorf(wire.KindResourceNotFound, "there is no batch job %s of yours: name it by its ARN",
			r.Target.Resource)
	}
	r.kept = &keeper{Tenant: owner.Tenant, Upstream: owner.Upstream}
	return nil
}

// ownBatches leaves the tenant's own jobs in a list of them.
func ownBatches(ctx context.Context, k *Asker, a *Attempt) *wire.Error {
	sifted, err := batchjob.Sift(a.Response.Body, func(arn string) (bool, error) {
		text, err := k.Jobs.Owner(ctx, batchjob.OwnerKey+arn)
		owner, ok := batchjob.ParseOwner(text)
		return ok && owner.Tenant == a.request.Caller.Tenant.ID, err
	})
	if err != nil {
		return &wire.Error{Kind: wire.KindServiceUnavailable, Cause: err,
			Message: "the list of jobs cannot be read, or the ledger cannot be asked who started them"}
	}
	a.Response.Body = sifted
	return nil
}

// ownBatch remembers who started a batch job, before they learn its name. A request that Bedrock had before, by its
// clientRequestToken, starts none: what was held for it is free again.
func ownBatch(ctx context.Context, jobs Jobs, a *Attempt) *wire.Error {
	var job struct{ JobArn string }
	owner := batchjob.Owner{
		Tenant: a.Start.Tenant, Key: a.Start.Key, Record: a.Start.ID, Model: a.Start.Model, Upstream: a.Upstream,
		Records: a.job.Records,
	}
	err := json.Unmarshal(a.Response.Body, &job)
	first := ""
	if err == nil {
		first, err = jobs.OwnFirst(ctx, batchjob.OwnerKey+job.JobArn, owner.String(), keepJob)
	}
	if err != nil {
		return &wire.Error{Kind: wire.KindServiceUnavailable, Cause: err,
			Message: "the job was started but cannot be recorded as yours: " + job.JobArn}
	}
	if first == owner.String() {
		return nil
	}
	a.End.Usage = wire.Usage{Input: wire.Known(0), Output: wire.Known(0)}
	if before, _ := batchjob.ParseOwner(first); before.Tenant != owner.Tenant {
		return wire.Errorf(wire.KindValidation, "the clientRequestToken was used before: send another one")
	}
	return nil
}

// readJob finds out what a batch job can cost at most: from its records, or, where they cannot be read, as its tenant's
// policy says.
func readJob(r *Request, p *Plan) *wire.Error {
	if r.Target.Op != wire.OpCreateBatch {
		return nil
	}
	terms, inputs := r.Caller.Tenant.Batch, r.Snapshot.Inputs
	p.job = &ceiling.Cost{Most: terms.Hold, Priced: p.Price != nil}
	order, fault := batchjob.ReadOrder(r.Body)
	switch {
	case fault != nil:
		return wire.Errorf(wire.KindValidation, "Malformed request body: %s.", fault)
	case inputs == nil && r.Snapshot.Upstream == nil: // nothing is going to be sent
		return nil
	case !glob.CompileList(terms.Input).Match(order.Input):
		if terms.Hold > 0 {
			return nil
		}
		return wire.Errorf(wire.KindAccessDenied, "%s is not among the places of batch.input, whose records say what"+
			" budgets have to hold", order.Input)
	}
	if p.Price == nil {
		return wire.Errorf(wire.KindAccessDenied, "model %s has no batch price, so nobody knows what the job can cost",
			p.Model)
	}
	cost, err := ceiling.Of(r.Gone, inputs, recordsOf(r, p, order))
	switch {
	case err == nil:
		*p.job = cost
	case !ceiling.Unreadable(err) || terms.Hold == 0:
		return ceiling.Refusal(order.Input, err)
	}
	return nil
}

// recordsOf is what the records of a job are held against.
func recordsOf(r *Request, p *Plan, order batchjob.Order) *ceiling.Job {
	terms, t := r.Caller.Tenant.Batch, r.Caller.Tenant
	j := &ceiling.Job{
		Order: order, Limits: batchjob.Limits{Bytes: terms.MaxBytes, Records: terms.Records},
		Dialect: func(input []byte) *wire.Dialect { return r.Snapshot.Router.Dialect(p.Model, input) },
		Prices:  []*record.Price{p.Price}, Cap: r.outputCap(p.Spec),
		Allowed: func(input []byte) *wire.Error {
			s := r.signedBy(p.Upstream)
			return r.Snapshot.Perimeter.Body(r.Gone, &s, upstreamOf(r, p.Upstream).Region, input)
		},
	}
	if p.Spec != nil {
		j.Model.Context = p.Spec.Context
		if p.Spec.Dialect != nil {
			j.Model.Dialect = p.Spec.Dialect.Name
		}
	}
	if t.Cap != nil {
		j.Free = cmp.Or(t.Cap.UnknownFamily, r.Snapshot.Config.UnknownFamily) == "allow"
	}
	for _, m := range p.Pool.Members {
		j.Prices = append(j.Prices, at(r, p, m.Upstream).Price)
	}
	return j
}

// responseKey is before the id of a stored response where owners are kept.
const responseKey = "response/"

// keeper is whose a stored response is, and the upstream that has it: no other region knows it. Base begins its path
// there, "" as on the runtime host.
type keeper struct{ Tenant, Upstream, Base string }

// String is what keeperOf reads. No tenant's id has a space, and no base has one.
func (k keeper) String() string {
	s := k.Tenant + " " + k.Upstream
	if k.Base != "" {
		s += " " + k.Base
	}
	return s
}

func keeperOf(owner string) keeper {
	k := keeper{}
	k.Tenant, k.Upstream, _ = strings.Cut(owner, " ")
	if at := strings.LastIndex(k.Upstream, " /"); at >= 0 {
		k.Upstream, k.Base = k.Upstream[:at], k.Upstream[at+1:]
	}
	return k
}

// What of a response says whether it is stored, and under which id.
const (
	ofID uint8 = iota + 1
	ofStore
)

var responseTree = jsonscan.NewTree([]jsonscan.Rule{
	{Path: "id", Role: ofID}, {Path: "response.id", Role: ofID},
	{Path: "store", Role: ofStore}, {Path: "response.store", Role: ofStore},
})

// storedIn is the id of the response in an answer, or in the first event of a stream; "" when it is not stored.
func storedIn(op wire.Operation, a *Attempt) (id string) {
	text := a.Response.Body
	if op.Streams() && a.head != nil {
		text = wire.AppendEventData(nil, wire.SplitFrame(a.head).Payload)
	}
	var w jsonscan.Walker
	w.AllowDuplicates = true
	w.Reset(responseTree, text)
	for m := w.Next(); m.Role != 0; m = w.Next() {
		switch {
		case m.Role == ofStore && m.Kind == jsonscan.False:
			return ""
		case m.Role == ofID && m.Kind == jsonscan.String:
			id = string(jsonscan.AppendString(nil, text[m.Start:m.End]))
		}
	}
	return id
}
