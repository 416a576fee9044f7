// Package batches settles batch jobs whose end a caller has seen: it reads their output, beside requests, and enters it
// as `gateway import batch` does.
package batches

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/batchjob"
	"github.com/sluice-gateway/sluice/internal/batchjob/settle"
	"github.com/sluice-gateway/sluice/internal/meter"
	"github.com/sluice-gateway/sluice/internal/meter/audit"
	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/snapshot"
)

// Bounds of what waits, and of what is remembered as settled: the journal knows all of it.
const (
	mostWaiting = 256
	mostSettled = 10_000
)

// How often, and with which pause, the journal of corrections is tried while a command has it.
const (
	tries = 30
	pause = time.Second
)

// lastPost is how long the ledger may take for what was entered; it follows later then.
const lastPost = 10 * time.Second

// Options are what a Settler needs.
type Options struct {
	Snapshots *snapshot.Store
	Owners    settle.Owners
	Ledger    ledger.Ledger // that corrections are posted to
	Crash     meter.Crash
	Log       *slog.Logger
	Now       func() time.Time
}

// Settler settles one job after the other. Make it with Start.
type Settler struct {
	Options
	queue chan batchjob.Ended
	stop  context.CancelFunc
	wg    sync.WaitGroup

	mu   sync.Mutex      // guards the following
	seen map[string]bool // ARNs that wait or were settled
}

// Start starts a Settler, which lasts until Close.
func Start(ctx context.Context, o Options) *Settler {
	s := &Settler{Options: o, queue: make(chan batchjob.Ended, mostWaiting), seen: map[string]bool{}}
	until, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	s.wg.Go(func() { s.run(until) })
	return s
}

// Close ends what is under way. What it has not entered is entered when the job is asked for again, or imported.
func (s *Settler) Close(context.Context) {
	s.stop()
	s.wg.Wait()
}

// Seen takes in an answer of GetModelInvocationJob, and keeps nothing of it. It does not wait.
func (s *Settler) Seen(answer []byte) {
	job, over := batchjob.ReadEnded(answer)
	if !over || !s.note(job.ARN.Text) {
		return
	}
	select {
	case s.queue <- job:
	default:
		s.forget(job.ARN.Text)
	}
}

// note reports whether a job is seen for the first time.
func (s *Settler) note(arn string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen[arn] {
		return false
	}
	if len(s.seen) >= mostSettled {
		clear(s.seen)
	}
	s.seen[arn] = true
	return true
}

// forget lets the next answer try again.
func (s *Settler) forget(arn string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.seen, arn)
}

func (s *Settler) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case job := <-s.queue:
			switch err := s.settle(ctx, &job); {
			case errors.Is(err, settle.ErrElsewhere):
				s.forget(job.ARN.Text) // the record may be on its way to the disk
			case err != nil:
				s.forget(job.ARN.Text)
				s.Log.Error("a batch job has ended and is not settled; its hold stays until it is asked for again, or imported",
					"job", job.ARN.Text, "output", job.Output, "err", err)
			}
		}
	}
}

// settle enters a job, if input of its tenant is read at all: then the gateway may read its output too.
func (s *Settler) settle(ctx context.Context, job *batchjob.Ended) error {
	now := s.Snapshots.Load()
	text, err := s.Owners.Owner(ctx, batchjob.OwnerKey+job.ARN.Text)
	if err != nil {
		return err
	}
	owner, _ := batchjob.ParseOwner(text)
	reads := func(t config.Tenant) bool { return t.ID == owner.Tenant && Reads(t) }
	if now.Inputs == nil || !slices.ContainsFunc(now.Config.Tenants, reads) {
		return nil
	}
	held, err := settle.Held(now.Config.DataDir)
	if err != nil {
		return err
	}
	if open, err := isOpen(now.Config, held, owner.Record); !open {
		return err
	}
	b := &settle.Books{
		Config: now.Config, Owners: s.Owners, Perimeter: now.Perimeter, Routes: now.Router, Prices: now.Prices,
		Policies: now.Budgets, By: audit.Signature{Actor: "gateway", At: s.Now().UTC()},
	}
	e, err := b.Output(ctx, now.Inputs.Objects(), job)
	if err != nil {
		return err
	}
	return s.correct(ctx, now.Config, now.Prices, func(c *audit.Corrections) error {
		added, err := b.Enter(c, &e, held)
		if err == nil && added {
			sum := e.Metered.Sum()
			s.Log.Info("a batch job was settled", "job", job.ARN.Text, "tenant", owner.Tenant, "records", e.Metered.Records,
				"counted", owner.Records, "failed", e.Metered.Failed, "usd", sum.Cost().String())
		}
		return err
	})
}

// isOpen reports whether a job is to be settled here: false without an error where it was before.
func isOpen(cfg *config.Config, held []record.Suspended, id string) (bool, error) {
	made := record.NewCorrections()
	if dir, ever := command.Corrected(cfg); ever {
		var err error
		if made, err = meter.ReadCorrections(dir); err != nil {
			return false, err
		}
	}
	switch {
	case made.Resolved[id] != nil:
		return false, nil
	case !slices.ContainsFunc(held, func(s record.Suspended) bool { return s.End.ID == id }):
		return false, settle.ErrElsewhere
	}
	return true, nil
}

// Reads reports whether the gateway reads what is in S3 of a tenant's jobs.
func Reads(t config.Tenant) bool { return t.Batch != nil && len(t.Batch.Input) > 0 }

// correct opens the journal of corrections for a moment, as commands do.
func (s *Settler) correct(
	ctx context.Context, cfg *config.Config, prices *record.PriceBook, f func(*audit.Corrections) error,
) error {
	o, dir := command.MeterOptions(cfg, s.Ledger), command.CorrectionsDir(cfg)
	o.Disk, o.Crash = dir, s.Crash
	if err := os.MkdirAll(string(dir), 0o700); err != nil {
		return err
	}
	var c *audit.Corrections
	var err error
	for n := range tries {
		if c, err = audit.OpenCorrections(ctx, o, prices); n == tries-1 || !errors.Is(err, journal.ErrLocked) {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
	if err != nil {
		return err
	}
	err = f(c)
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastPost)
	defer cancel()
	return errors.Join(err, c.Close(last))
}
