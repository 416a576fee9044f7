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
	h.suspended = slices.DeleteFunc(h.suspended, func(s record.SuspendedEntry) bool {
		p, _, err := record.ReadPosting(s.End)
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
	var err error
	add := func(e record.Entry) {
		if err == nil {
			err = c.Add(record.Encode(e))
		}
	}
	for _, payload := range h.open {
		err = errors.Join(err, c.Add(record.KindStart, payload))
	}
	for writer, how := range h.retired {
		add(&record.Retirement{Writer: writer, How: how})
	}
	for i := range h.suspended {
		add(&h.suspended[i])
	}
	for of, seq := range h.heads {
		add(&record.Head{Partition: of, Seq: seq})
	}
	for of, windows := range h.windows {
		for w, sums := range windows {
			if sums.Posted != 0 {
				add(&record.WindowTotal{Partition: of, Sum: record.Charge{Window: w, Amount: sums.Posted}})
			}
			if sums.Suspense != 0 {
				add(&record.WindowTotal{Partition: of, Sum: record.Charge{Window: w, Amount: sums.Suspense, Suspense: true}})
			}
		}
	}
	for of, rows := range h.sums {
		for row, sum := range rows {
			add(&record.RowTotal{Partition: of, Row: row, Add: sum})
		}
	}
	return err
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
