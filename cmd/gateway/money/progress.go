package money

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/report"
)

// progress says on a terminal how far the reading of a ledger is that takes long.
type progress struct {
	report.Source
	out io.Writer
	now func() time.Time
}

const (
	patient   = time.Second // how long nothing is said
	sayEvery  = 500 * time.Millisecond
	lookEvery = 1 << 12 // rows between two looks at the clock
)

// Rows implements report.Source.
func (p *progress) Rows(
	ctx context.Context, from, to time.Time, yield func(record.RowKey, record.Counters) error,
) error {
	began, n := p.now(), 0
	next := began.Add(patient)
	err := p.Source.Rows(ctx, from, to, func(k record.RowKey, c record.Counters) error {
		if n++; n%lookEvery == 0 {
			if now := p.now(); !now.Before(next) {
				fmt.Fprintf(p.out, "\rreading the ledger: %d rows in %.1f s", n, now.Sub(began).Seconds())
				next = now.Add(sayEvery)
			}
		}
		return yield(k, c)
	})
	if next != began.Add(patient) {
		fmt.Fprint(p.out, "\r\x1b[K") // the line is gone when the report begins
	}
	return err
}
