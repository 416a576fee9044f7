package meter

import (
	"errors"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// fold turns rows of hours that are older than KeepHours into days and leaves
// out those older than KeepDays, as the ledgers do.
func (h *history) fold(now time.Time) error {
	hours := now.Add(-record.KeepHours).UTC().Truncate(24 * time.Hour)
	days := now.Add(-record.KeepDays).UTC().Truncate(24 * time.Hour)
	for l, rows := range h.sums {
		h.sums[l] = make(map[record.RowKey]record.Counters, len(rows))
		for key, sum := range rows {
			day := key.Hour.Truncate(24 * time.Hour)
			if day.Before(days) {
				continue
			}
			if day.Before(hours) {
				key.Hour = day
			}
			if err := h.add(l, &record.Posting{Row: key, Add: sum}); err != nil {
				return err
			}
		}
	}
	h.suspended = slices.DeleteFunc(h.suspended, func(s suspended) bool {
		p, _, err := record.ReadPosting(s.end)
		return err != nil || p.Row.Hour.Before(hours)
	})
	for _, windows := range h.windows {
		for key := range windows {
			if !key.End.IsZero() && now.After(key.End.Add(keepWindow(key.Period))) {
				delete(windows, key)
			}
		}
	}
	return nil
}

// keepWindow is how long after its end the sums of a window stay: a late
// record may still charge it, and a rebuilt ledger needs it.
func keepWindow(period string) time.Duration {
	switch period {
	case "minute":
		return 2 * time.Hour
	case "hour":
		return record.KeepHours
	}
	return record.KeepDays
}

// writeCheckpoint makes the checkpoint that covers the segments up to through
// out of the one before and the segments between.
func writeCheckpoint(log *journal.Journal, through uint64, now time.Time) (map[record.Partition]uint64, error) {
	h := newHistory()
	h.keepSums()
	if err := h.loadCheckpoint(log.Disk()); err != nil {
		return nil, err
	}
	if err := h.read(log.Disk(), journal.Position{Segment: through + 1}); err != nil {
		return nil, err
	}
	if err := h.fold(now); err != nil {
		return nil, err
	}
	c, err := log.CreateCheckpoint(through)
	if err != nil {
		return nil, err
	}
	if err := h.write(c); err != nil {
		return nil, errors.Join(err, c.Abort())
	}
	return h.heads, c.Commit()
}

func (h *history) write(c *journal.Checkpoint) error {
	for _, payload := range h.open {
		if err := c.Add(record.KindStart, payload); err != nil {
			return err
		}
	}
	for writer, how := range h.retired {
		if err := c.Add(record.KindRetire, record.AppendRetire(nil, writer, how)); err != nil {
			return err
		}
	}
	for _, s := range h.suspended {
		if err := c.Add(record.KindSuspended, record.AppendSuspended(nil, s.writer, s.start, s.end)); err != nil {
			return err
		}
	}
	for l, seq := range h.heads {
		if err := c.Add(record.KindCheckpoint, record.AppendHead(nil, l, seq)); err != nil {
			return err
		}
	}
	for of, windows := range h.windows {
		for w, sums := range windows {
			for _, sum := range []record.Charge{{Window: w, Amount: sums.Posted}, {Window: w, Amount: sums.Suspense, Suspense: true}} {
				if sum.Amount == 0 {
					continue
				}
				if err := c.Add(record.KindCharges, record.AppendCharges(nil, of, sum)); err != nil {
					return err
				}
			}
		}
	}
	for l, rows := range h.sums {
		for key, sum := range rows {
			if err := c.Add(record.KindTotal, record.AppendTotal(nil, l, key, sum)); err != nil {
				return err
			}
		}
	}
	return nil
}

// totals returns the rows of the partitions asked for out of the newest checkpoint,
// and how far its partitions are. Both must be of one file: a newer one may have been
// written since the shipper last looked.
func totals(disk journal.Disk, wanted map[record.Partition]bool) (
	rows map[record.Partition][]record.Posting, heads map[record.Partition]uint64, err error,
) {
	h := newHistory()
	found := make(map[record.Partition][]record.Posting)
	h.each = func(l record.Partition, p *record.Posting) error {
		if wanted[l] {
			found[l] = append(found[l], *p)
		}
		return nil
	}
	err = h.loadCheckpoint(disk)
	return found, h.heads, err
}
