package meter

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/journal"
)

// history is what a journal says up to some place: how far each lane is, which
// attempts are open, and, when sums is not nil, every lane's rows. It is a pure
// function of the records, so two processes that read the same agree.
type history struct {
	heads   map[lane]uint64
	open    map[string][]byte // id → START payload
	retired map[string]bool   // writers that post no more
	sums    map[lane]map[RowKey]Counters
	// through is the last segment that the checkpoint covers.
	through uint64
	damage  []journal.Damage
	lost    int64 // numbers that were filled up for damaged records
	// each, when not nil, is called with every posting, once.
	each func(lane, *Posting) error
}

func newHistory() *history {
	return &history{heads: map[lane]uint64{}, open: map[string][]byte{}, retired: map[string]bool{}}
}

// loadCheckpoint reads the newest checkpoint, if there is one.
func (h *history) loadCheckpoint(disk journal.Disk) error {
	r, through, err := journal.OpenCheckpoint(disk)
	if errors.Is(err, journal.ErrNoCheckpoint) {
		return nil
	}
	if err != nil {
		return err
	}
	defer r.Close()
	h.through = through
	for r.Next() {
		if r.Kind() == kindTotal && h.sums == nil && h.each == nil {
			break // the sums come last
		}
		if err := h.checkpointRecord(r.Kind(), r.Payload()); err != nil {
			return fmt.Errorf("checkpoint %d: %w", through, err)
		}
	}
	return r.Err()
}

func (h *history) checkpointRecord(kind byte, payload []byte) error {
	c := reader(payload)
	switch kind {
	case kindStart:
		return h.start(payload)
	case kindRetire:
		return h.retire(payload)
	case kindCheckpoint:
		var l lane
		var seq uint64
		c.lane(&l)
		c.uint(&seq)
		h.heads[l] = seq
	case kindTotal:
		var l lane
		var p Posting
		c.lane(&l)
		c.row(&p.Row)
		c.counters(&p.Add)
		if c.bad {
			return errRecord
		}
		p.Root = l.root
		return h.add(l, &p)
	}
	return c.err()
}

// read takes in the records from the checkpoint to the given place; the zero
// place means to the end.
func (h *history) read(disk journal.Disk, to journal.Position) error {
	r := journal.NewReader(disk, journal.Position{Segment: h.through + 1})
	if h.through == 0 {
		r = journal.NewReader(disk, journal.Position{})
	}
	defer r.Close()
	r.Limit(to)
	for r.Next() {
		if err := h.record(r.Writer(), r.Kind(), r.Payload()); err != nil {
			return fmt.Errorf("journal record at %s: %w", r.At(), err)
		}
	}
	h.damage = append(h.damage, r.Damage()...)
	return r.Err()
}

func (h *history) record(writer string, kind byte, payload []byte) error {
	switch {
	case kind == kindStart:
		return h.start(payload)
	case kind == kindRetire:
		return h.retire(payload)
	case kind == kindRelease:
		c, id := reader(payload), ""
		c.version()
		c.str(&id)
		delete(h.open, id)
		return c.err()
	case !posts(kind):
		return nil // a newer program's
	}
	p, id, err := readPosting(payload)
	if err != nil {
		return err
	}
	delete(h.open, id)
	if p.Root == "" {
		return nil
	}
	return h.post(lane{writer, p.Root}, &p)
}

// post takes a posting in once, and fills up the numbers that are missing
// before it.
func (h *history) post(l lane, p *Posting) error {
	head := h.heads[l]
	for seq := head + 1; seq < p.Seq; seq++ {
		h.lost++
		gap := lost(l.root, seq, p.Row.Hour)
		if err := h.add(l, &gap); err != nil {
			return err
		}
	}
	if p.Seq <= head {
		return nil // a copy, made when a segment could not be synced
	}
	h.heads[l] = p.Seq
	return h.add(l, p)
}

func (h *history) add(l lane, p *Posting) error {
	if h.each != nil {
		return h.each(l, p)
	}
	if h.sums == nil {
		return nil
	}
	rows := h.sums[l]
	if rows == nil {
		rows = make(map[RowKey]Counters)
		h.sums[l] = rows
	}
	sum, ok := rows[p.Row].Plus(p.Add)
	if !ok {
		return fmt.Errorf("%w: sums overflow", errRecord)
	}
	rows[p.Row] = sum
	return nil
}

func (h *history) start(payload []byte) error {
	c, id := reader(payload), ""
	c.version()
	c.str(&id)
	if c.bad {
		return errRecord
	}
	h.open[id] = bytes.Clone(payload)
	return nil
}

func (h *history) retire(payload []byte) error {
	c, writer := reader(payload), ""
	c.version()
	c.str(&writer)
	h.retired[writer] = true
	return c.err()
}

// fold turns rows of hours that are older than KeepHours into days and leaves
// out those older than KeepDays, as the ledgers do.
func (h *history) fold(now time.Time) error {
	hours, days := now.Add(-KeepHours).UTC().Truncate(24*time.Hour), now.Add(-KeepDays).UTC().Truncate(24*time.Hour)
	for l, rows := range h.sums {
		h.sums[l] = make(map[RowKey]Counters, len(rows))
		for key, sum := range rows {
			day := key.Hour.Truncate(24 * time.Hour)
			if day.Before(days) {
				continue
			}
			if day.Before(hours) {
				key.Hour = day
			}
			if err := h.add(l, &Posting{Row: key, Add: sum}); err != nil {
				return err
			}
		}
	}
	return nil
}

// writeCheckpoint makes the checkpoint that covers the segments up to through
// out of the one before and the segments between.
func writeCheckpoint(log *journal.Journal, through uint64, now time.Time) (map[lane]uint64, error) {
	h := newHistory()
	h.sums = map[lane]map[RowKey]Counters{}
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
		if err := c.Add(kindStart, payload); err != nil {
			return err
		}
	}
	for writer := range h.retired {
		if err := c.Add(kindRetire, retireRecord(writer)); err != nil {
			return err
		}
	}
	for l, seq := range h.heads {
		var w coder
		w.lane(&l)
		w.uint(&seq)
		if err := c.Add(kindCheckpoint, w.b); err != nil {
			return err
		}
	}
	for l, rows := range h.sums {
		for key, sum := range rows {
			var w coder
			w.lane(&l)
			w.row(&key)
			w.counters(&sum)
			if err := c.Add(kindTotal, w.b); err != nil {
				return err
			}
		}
	}
	return nil
}

// totals returns the rows of the lanes asked for out of the newest checkpoint,
// and how far its lanes are. Both must be of one file: a newer one may have been
// written since the pump last looked.
func totals(disk journal.Disk, wanted map[lane]bool) (rows map[lane][]Posting, heads map[lane]uint64, err error) {
	h := newHistory()
	found := make(map[lane][]Posting)
	h.each = func(l lane, p *Posting) error {
		if wanted[l] {
			found[l] = append(found[l], *p)
		}
		return nil
	}
	err = h.loadCheckpoint(disk)
	return found, h.heads, err
}

func retireRecord(writer string) []byte {
	var w coder
	w.version()
	w.str(&writer)
	return w.b
}

// Replay yields what the journal in the directory says, each posting once; a
// checkpoint yields its sums, without numbers, for the postings that it stands
// for. It can be read while a gateway writes it. Damage is returned, and its
// numbers are yielded as unknown attempts.
func Replay(disk journal.Disk, yield func(Posting) error) ([]journal.Damage, error) {
	h := newHistory()
	h.each = func(_ lane, p *Posting) error { return yield(*p) }
	if err := h.loadCheckpoint(disk); err != nil {
		return nil, err
	}
	err := h.read(disk, journal.Position{})
	return h.damage, err
}
