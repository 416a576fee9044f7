// Package ceiling says what a batch job can cost at most, from the records that it is going to be asked.
package ceiling

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/sluice-gateway/sluice/internal/batchjob"
	"github.com/sluice-gateway/sluice/internal/meter/estimate"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Job is what a job's records are held against.
type Job struct {
	Order   batchjob.Order
	Limits  batchjob.Limits
	Dialect func(input []byte) *wire.Dialect // of a record's form; nil where nobody knows the family
	Model   estimate.Model
	Prices  []*record.Price // of the places where it may run, nil for one that is not known
	Cap     wire.Cap        // of the tenant's calls: records above it are refused, as nobody can change a file
	Free    bool            // calls of an unknown family are not bound by the cap
	// Allowed fails for a record that names what the tenant may not.
	Allowed func(input []byte) *wire.Error
}

// Cost is what a job comes to.
type Cost struct {
	Records       int64
	Input, Output int64      // tokens at most
	Most          money.Pico // at most, 0 without a price
	Priced        bool
}

// String is what callers are told.
func (c *Cost) String() string {
	if c.Records == 0 {
		return fmt.Sprintf("not read, held as $%s", c.Most)
	}
	return fmt.Sprintf("%d records, up to $%s", c.Records, c.Most)
}

// Of reads a job's records. It fails as Inputs.Read does, and with a *wire.Error for a record that the tenant may not
// send, or of which nobody can say what it costs.
func Of(ctx context.Context, inputs *batchjob.Inputs, job *Job) (c Cost, err error) {
	job.Cap.Reject, job.Cap.Default = true, 0
	r := &reader{job: job, cost: Cost{Priced: true}}
	r.cost.Records, err = inputs.Read(ctx, job.Order.Input, job.Limits, r.add)
	return r.cost, err
}

// reader is what was read so far.
type reader struct {
	job   *Job
	facts wire.Facts
	limit wire.Limit
	cost  Cost
}

// add takes in one record.
func (r *reader) add(a *batchjob.Asked) error {
	dialect := (*wire.Dialect)(nil)
	if r.job.Order.Op == wire.OpInvoke {
		dialect = r.job.Dialect(a.Input)
	}
	err := r.facts.Read(r.job.Order.Op, dialect, a.Input)
	if err == nil {
		err = r.bound()
	}
	if err == nil && r.facts.MayName {
		err = r.job.Allowed(a.Input)
	}
	if err != nil {
		err.Message = a.Where + ": " + err.Message
		return err
	}
	r.price(dialect, a.Input)
	return nil
}

// bound finds out how much a record may write, and refuses what the cap would change.
func (r *reader) bound() *wire.Error {
	l := &r.limit
	if err := r.facts.Limit(r.job.Cap, l); err != nil {
		return err
	}
	switch {
	case l.CutAt > 0 && !r.job.Free:
		return wire.Errorf(wire.KindAccessDenied, "A limit of %d output tokens applies, and the gateway does not know how"+
			" the model's family spells one.", l.CutAt)
	case l.Changed:
		return wire.Errorf(wire.KindValidation, "A limit of %s output tokens applies, and the gateway changes no file: set"+
			" a maximum of output tokens in the record.", l.Header())
	case !l.Tokens.Known:
		return wire.Errorf(wire.KindValidation, "The model has no known maximum of output tokens: set one in the record.")
	}
	return nil
}

// price adds the most that a record can cost.
func (r *reader) price(dialect *wire.Dialect, input []byte) {
	in, _ := estimate.Bound(&r.facts, r.job.Model)
	out := r.limit.Tokens.N
	if r.limit.Beside > 0 {
		in, out = 2*in, out+r.limit.Beside
	}
	billed := in
	if !dialect.CountsInput() {
		billed = 0
	}
	pieces, most := r.facts.Pieces(dialect, input), money.Pico(0)
	for _, price := range r.job.Prices {
		tokens, priced := price.WorstCase(billed, out)
		other, listed := price.PiecesCost(pieces)
		most, r.cost.Priced = max(most, tokens+other), r.cost.Priced && priced && listed
	}
	c := &r.cost
	c.Input, c.Output = c.Input+in, c.Output+out
	c.Most = money.Pico(min(uint64(c.Most)+uint64(most), math.MaxInt64)) //nolint:gosec // neither is below zero
}

// Refusal is what the caller is told of a job whose records cannot be read, or must not be sent. The cause is for the
// log alone.
func Refusal(place string, err error) *wire.Error {
	var refused *wire.Error
	switch {
	case errors.As(err, &refused):
		return refused
	case errors.Is(err, batchjob.ErrInput), errors.Is(err, batchjob.ErrBounds):
		return &wire.Error{Kind: wire.KindValidation, Message: err.Error()}
	}
	return &wire.Error{Kind: wire.KindValidation, Cause: err, Message: fmt.Sprintf("the gateway cannot read %s, so"+
		" nobody knows what the job can cost, and it was not started", place)}
}

// Unreadable reports whether a job was not looked at to its end for a reason that is not in its records: then a hold
// that the policy names may stand for them.
func Unreadable(err error) bool {
	var refused *wire.Error
	return err != nil && !errors.Is(err, batchjob.ErrInput) && !errors.As(err, &refused)
}
