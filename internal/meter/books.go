package meter

import (
	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// SeqGap is numbers of a partition that the journal should hold and does not.
type SeqGap struct {
	Writer, Root string
	From, To     uint64
}

// WindowSums is what a journal has posted to one window.
type WindowSums struct{ Posted, Suspense int64 }

// Books is what a journal says in sum. It can be read while a gateway writes.
type Books struct {
	// Heads are the last numbers of each partition.
	Heads map[record.Partition]uint64
	// Rows and Windows are the sums of each partition. Hours that a checkpoint covers
	// may be days.
	Rows    map[record.Partition]map[record.RowKey]record.Counters
	Windows map[record.Partition]map[record.Window]WindowSums
	// Fenced are writers that another process took over: the ledger need not have
	// what they wrote.
	Fenced map[string]bool
	Open   int // STARTs without an END: in flight, or cut off by a crash
	Gaps   []SeqGap
	// Damage is of segments that the checkpoint does not cover.
	Damage []journal.Damage
	// Through is the last segment that the checkpoint covers, 0 without one.
	Through uint64
}

// ReadBooks adds up a journal: its checkpoint and everything behind it.
func ReadBooks(disk journal.Disk) (*Books, error) {
	h := newHistory()
	h.keepSums()
	if err := h.loadCheckpoint(disk); err != nil {
		return nil, err
	}
	if err := h.read(disk, journal.Position{}); err != nil {
		return nil, err
	}
	b := &Books{
		Heads: h.heads, Rows: h.sums, Windows: make(map[record.Partition]map[record.Window]WindowSums),
		Fenced: make(map[string]bool), Open: len(h.open), Gaps: h.gaps, Damage: h.damage, Through: h.through,
	}
	for of, windows := range h.charges {
		b.Windows[of] = windowSums(windows)
	}
	for writer, how := range h.retired {
		b.Fenced[writer] = how == record.Fenced
	}
	return b, nil
}

func windowSums(charges map[chargeKey]int64) map[record.Window]WindowSums {
	all := make(map[record.Window]WindowSums, len(charges))
	for key, amount := range charges {
		sum := all[key.Window]
		if key.suspense {
			sum.Suspense += amount
		} else {
			sum.Posted += amount
		}
		all[key.Window] = sum
	}
	return all
}

// ReadSuspended returns the attempts that a journal ended as unknown, oldest
// first: the newest 20,000 of the last 40 days.
func ReadSuspended(disk journal.Disk) ([]record.Suspended, error) {
	h := newHistory()
	if err := h.loadCheckpoint(disk); err != nil {
		return nil, err
	}
	if err := h.read(disk, journal.Position{}); err != nil {
		return nil, err
	}
	kept := h.suspended[max(0, len(h.suspended)-maxSuspended):]
	all := make([]record.Suspended, 0, len(kept))
	for _, s := range kept {
		one := record.Suspended{Writer: s.writer}
		p, e, err := record.ReadEnd(s.end)
		if err != nil {
			return nil, err
		}
		one.Posting, one.End = *p, e
		if s.start != nil {
			if one.Start, err = record.ReadStart(s.start); err != nil {
				return nil, err
			}
		}
		all = append(all, one)
	}
	return all, nil
}
