package views

import (
	"context"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// dated is a ledger that knows when its days change, and counts how many of them are read.
type dated struct {
	source
	versions map[time.Time]uint64
	read     int
}

func (d *dated) Version(day time.Time) uint64 { return d.versions[day] }

func (d *dated) Rows(ctx context.Context, from, to time.Time, yield func(record.RowKey, record.Counters) error) error {
	d.read += int(to.Sub(from) / aDay)
	return d.source.Rows(ctx, from, to, yield)
}

// TestReadsWhatChanged: days are read again once they are old, and of a ledger that knows it only
// those that have changed. What is shown is as of when that was asked.
func TestReadsWhatChanged(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	today := now.Truncate(aDay)
	from, to := today.AddDate(0, 0, -9), today.AddDate(0, 0, 1)
	ledger := &dated{versions: map[time.Time]uint64{}}
	c := cache{source: ledger, now: func() time.Time { return now }}
	for _, step := range []struct {
		later   time.Duration
		changed []time.Time
		read    int
	}{
		{0, nil, 10}, {fresh / 2, []time.Time{today}, 0}, {fresh, nil, 1}, {fresh, nil, 0},
		{fresh, []time.Time{today, from.AddDate(0, 0, 8)}, 2}, {2 * kept, nil, 10},
	} {
		now = now.Add(step.later)
		for _, day := range step.changed {
			ledger.versions[day]++
		}
		ledger.read = 0
		_, asOf, err := c.rows(t.Context(), from, to)
		if err != nil || ledger.read != step.read {
			t.Errorf("after %s: %d days read, want %d: %v", step.later, ledger.read, step.read, err)
		}
		if age := now.Sub(asOf); age > fresh {
			t.Errorf("after %s: as of %s ago", step.later, age)
		}
	}
}
