// Package journalsum writes journals of drawn calls, whose sums sum.py adds up by itself.
package journalsum

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter"
	"github.com/sluice-gateway/sluice/internal/meter/embedded"
	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// models are four that have a price and one that has none.
func models() []string {
	return []string{
		"amazon.nova-lite-v1:0", "amazon.nova-micro-v1:0", "amazon.nova-pro-v1:0",
		"anthropic.claude-sonnet-4-5-20250929-v1:0", "strange.model-v1:0",
	}
}

// Write writes a journal of so many calls of 200 tenants into a folder, over the days of
// now's month.
func Write(ctx context.Context, dir string, calls int, now time.Time) error {
	cfg, err := config.LoadPrices(nil, os.Getenv)
	if err != nil {
		return err
	}
	prices, problems := record.Compile(cfg)
	if len(problems) > 0 {
		return fmt.Errorf("prices: %v", problems)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	m, err := meter.Open(ctx, meter.Options{
		Disk: journal.Dir(dir), Journal: journal.Options{Fsync: journal.FsyncOS}, Keep: time.Hour,
		Ledger: &embedded.State{}, Now: time.Now,
	})
	if err != nil {
		return err
	}
	err = Draw(calls, now, func(s *record.Start, e *record.End) error {
		if err := m.Begin(s); err != nil {
			return err
		}
		return m.End(s, e, prices, &record.Booked{})
	})
	return errors.Join(err, m.Close(ctx))
}

// Draw yields calls, the same ones each time but for their ids.
func Draw(calls int, now time.Time, yield func(*record.Start, *record.End) error) error {
	draw := drawing{random: rand.New(rand.NewPCG(7, 8)), now: now.UTC(), models: models()}
	for range calls {
		if err := yield(draw.call()); err != nil {
			return err
		}
	}
	return nil
}

// drawing draws calls.
type drawing struct {
	random *rand.Rand
	now    time.Time
	models []string
}

func (d *drawing) call() (*record.Start, *record.End) {
	month := time.Date(d.now.Year(), d.now.Month(), 1, 0, 0, 0, 0, time.UTC)
	root := fmt.Sprintf("t%03d", d.random.IntN(100))
	at := month.Add(time.Duration(d.random.Int64N(int64(d.now.Sub(month)) + 1)))
	id := ulid.MustNew(ulid.Timestamp(at), ulid.DefaultEntropy()).String()
	model := d.models[d.random.IntN(len(d.models))]
	s := &record.Start{
		ID: id, RequestID: id, Root: root, Tenant: root + []string{"", "/team"}[d.random.IntN(2)], Key: "K",
		Op: wire.OpConverse, Model: model, SKU: record.SKU{Model: model, Region: "us-east-1"}, Path: "direct",
		Attempt: 1, EstimatedInput: 1000, MaxOutput: 1000, Hold: 1_000_000_000, At: at,
	}
	e := &record.End{
		ID: id, Outcome: record.Completed, Status: 200, Served: true, At: at, TokensCut: d.random.Int64N(2) * 500,
		CapHit: d.random.IntN(3) == 0,
		Usage:  wire.Usage{Input: wire.Known(d.random.Int64N(5000)), Output: wire.Known(d.random.Int64N(900))},
	}
	switch d.random.IntN(20) {
	case 0:
		e.Outcome, e.Usage = record.Unknown, wire.Usage{}
	case 1:
		e.Outcome, e.Usage, e.Served = record.Failed, wire.Usage{}, false
	case 2:
		e.Usage.CacheRead, e.Usage.CacheWrite5m = wire.Known(d.random.Int64N(9000)), wire.Known(d.random.Int64N(90))
		e.Wasted = true
	}
	return s, e
}
