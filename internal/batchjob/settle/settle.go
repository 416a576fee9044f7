// Package settle enters what batch jobs used into the books, each job once, and releases what budgets held for it.
//
// A job that a gateway started is settled where that gateway keeps its records, and nowhere else: there are the hold
// and the journal that knows whether the job was entered. What died between the two is entered once by the next try.
package settle

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/batchjob"
	"github.com/sluice-gateway/sluice/internal/meter"
	"github.com/sluice-gateway/sluice/internal/meter/audit"
	"github.com/sluice-gateway/sluice/internal/meter/budget"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/perimeter"
	"github.com/sluice-gateway/sluice/internal/router"
)

// ErrElsewhere is of a job that a gateway of another data directory has started.
var ErrElsewhere = errors.New("a gateway of another data directory has started it")

// Owners say who started a job. Both ledgers keep them.
type Owners interface {
	Owner(ctx context.Context, id string) (owner string, err error)
}

// Books are what jobs are priced and entered by.
type Books struct {
	Config    *config.Config
	Owners    Owners
	Perimeter *perimeter.Perimeter
	Routes    *router.Router
	Prices    *record.PriceBook
	Policies  *budget.Policies
	By        audit.Signature
}

// Payer is who pays for a job, and for which model, where no gateway started it.
type Payer struct{ Tenant, Key, Model string }

// Entry is a job that was read and is to be entered.
type Entry struct {
	Job     *batchjob.Job // nil where the job left nothing
	Summary *batchjob.Summary
	Owner   batchjob.Owner // zero where no gateway started it
	Metered *batchjob.Metered
	Orders  []audit.Order
}

// Read meters a job, and orders what enters it. A zero time is when the job says that it ended. payer is asked for a
// job that no gateway started. It fails with batchjob.ErrInput, or as the ledger and the job's files do.
func (b *Books) Read(
	ctx context.Context, j *batchjob.Job, s *batchjob.Summary, at time.Time, payer func() (Payer, error),
) (e Entry, err error) {
	e = Entry{Job: j, Summary: s}
	text, err := b.Owners.Owner(ctx, batchjob.OwnerKey+s.ARN.Text)
	if err != nil {
		return e, err
	}
	e.Owner, _ = batchjob.ParseOwner(text)
	terms, err := b.terms(&e, at, payer)
	if err != nil {
		return e, fmt.Errorf("%s: %w: %w", j.Dir, batchjob.ErrInput, err)
	}
	if e.Metered, err = j.Meter(terms); err != nil {
		return e, err
	}
	for _, row := range e.Metered.Rows {
		o := audit.Order{
			ID: s.ARN.Text, RefersTo: s.ARN.Text, Reason: "batch job", Row: row.Key, Add: row.Add, Of: terms.At, By: b.By,
		}
		if row.Key.Context != "" {
			o.ID += "/" + row.Key.Context
		}
		if err := o.Check(); err != nil {
			return e, fmt.Errorf("%s: %w: %w", j.Dir, batchjob.ErrInput, err)
		}
		e.Orders = append(e.Orders, o)
	}
	return e, nil
}

// terms are who pays for a job, and by which price.
func (b *Books) terms(e *Entry, at time.Time, payer func() (Payer, error)) (*batchjob.Terms, error) {
	arn := &e.Summary.ARN
	if stranger := b.Perimeter.Stranger(arn.Text); b.Config.AllowedAccounts != nil && stranger != "" {
		return nil, fmt.Errorf("the job is of account %s, which allowed_accounts does not have", stranger)
	}
	who, err := Payer{e.Owner.Tenant, e.Owner.Key, e.Owner.Model}, error(nil)
	if e.Owner.Tenant == "" {
		who, err = payer()
	}
	if err != nil {
		return nil, err
	}
	priced := b.Routes.Priced(who.Model)
	if priced.Foundation == "" {
		return nil, fmt.Errorf("nobody knows the model of %s: a line in model_map helps", who.Model)
	}
	at = cmp.Or(at, e.Summary.Ended, e.Job.Written).UTC()
	if now := b.By.At; at.After(now.Add(5*time.Minute)) || at.Before(now.Add(-record.KeepDays)) {
		return nil, fmt.Errorf("it ended at %s, which is yet to come, or longer ago than ledgers keep; --at says when",
			at.Format(time.RFC3339))
	}
	sku := record.SKUOf(priced.Foundation, priced.Scope, batchjob.Tier, "")
	sku.Region = arn.Region
	return &batchjob.Terms{
		Tenant: who.Tenant, Key: who.Key, Model: who.Model, SKU: sku, At: at, Prices: b.Prices,
	}, nil
}

// Enter makes the orders of a job that were not made before, and then releases what budgets hold for it. added is false
// where it was entered before. It fails with ErrElsewhere where held, the attempts of unknown outcome of this data
// directory, do not have the job, and with audit.ErrOtherContents.
func (b *Books) Enter(c *audit.Corrections, e *Entry, held []record.Suspended) (added bool, err error) {
	if e.Owner.Record != "" && !c.Knows(held, e.Owner.Record) {
		return false, fmt.Errorf("%s: %w", e.Summary.ARN.Text, ErrElsewhere)
	}
	for n := range e.Orders {
		made, err := c.EnterOnce(&e.Orders[n], b.Policies.Budgets)
		if err != nil {
			return added, err
		}
		added = added || made
	}
	if e.Owner.Record == "" {
		return added, nil
	}
	_, err = c.Release(held, e.Owner.Record, e.Summary.ARN.Text, b.By)
	return added, err
}

// Held are the attempts of unknown outcome that a data directory has.
func Held(dataDir string) (all []record.Suspended, err error) {
	sources, err := audit.SourcesIn(dataDir)
	if err != nil {
		return nil, err
	}
	for _, s := range sources {
		if s.Corrections {
			continue
		}
		found, err := meter.ReadSuspended(s.Disk)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// Output reads what a job left in S3, and meters it. Where a job that may be empty left nothing, there is nothing to
// enter. It fails like batchjob.FindIn and Books.Read.
func (b *Books) Output(ctx context.Context, of batchjob.Objects, j *batchjob.Ended) (Entry, error) {
	found, err := batchjob.FindIn(ctx, of, j.Output)
	switch {
	case errors.Is(err, batchjob.ErrNoJob) && j.Empty:
		e := Entry{Summary: &j.Summary}
		text, err := b.Owners.Owner(ctx, batchjob.OwnerKey+j.ARN.Text)
		e.Owner, _ = batchjob.ParseOwner(text)
		return e, err
	case err != nil:
		return Entry{}, err
	case len(found.Jobs) != 1:
		return Entry{}, fmt.Errorf("%s: %w: it has the manifests of %d jobs", j.Output, batchjob.ErrInput, len(found.Jobs))
	}
	if err := j.ARN.Check(found.Jobs[0]); err != nil {
		return Entry{}, err
	}
	return b.Read(ctx, found.Jobs[0], &j.Summary, time.Time{}, nobody)
}

// nobody pays for a job that no gateway started.
func nobody() (Payer, error) { return Payer{}, errors.New("no gateway started it") }
