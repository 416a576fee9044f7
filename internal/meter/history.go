package meter

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/journal"
)

// history is what a journal says up to some place: how far each lane is, which
// attempts are open, and, when sums is not nil, every lane's rows. It is a pure
// function of the records, so two processes that read the same agree.
type history struct {
	heads   map[lane]uint64
	open    map[string][]byte // id → START payload
	retired map[string]ending // writers that post no more
	sums    map[lane]map[RowKey]Counters
	charges map[lane]map[chargeKey]int64
	// suspended are the newest attempts that ended as unknown, oldest first.
	suspended []suspended
	// through is the last segment that the checkpoint covers.
	through uint64
	// estate is who wrote last, when that was the estate of a dead process and
	// nothing was begun since: there may be more to write of it.
	estate journal.Identity
	// opener is who began the open attempts: each process ends those of the one
	// before when it opens the journal.
	opener string
	damage []journal.Damage
	lost   int64 // numbers that were filled up for damaged records
	gaps   []SeqGap
	// each, when not nil, is called with every posting, once.
	each func(lane, *Posting) error
}

// ending is how a writer came to post no more.
type ending uint8

const (
	_ ending = iota // it still posts
	// fenced: another process posts under the same id. What the ledger does not
	// have of it stays in the journal.
	fenced
	// left: everything was posted and given back. A ledger that loses it later
	// gets it again.
	left
)

// chargeKey is one of the two sums of a window.
type chargeKey struct {
	Window
	suspense bool
}

// suspended is an attempt of unknown outcome as its records say it.
type suspended struct {
	writer     string
	start, end []byte // start is nil when it was damaged
}

// maxSuspended bounds the attempts that are kept for resolving, of about 600
// bytes each.
const maxSuspended = 20_000

func newHistory() *history {
	return &history{heads: map[lane]uint64{}, open: map[string][]byte{}, retired: map[string]ending{}}
}

// keepSums makes the history add up rows and windows.
func (h *history) keepSums() {
	h.sums, h.charges = map[lane]map[RowKey]Counters{}, map[lane]map[chargeKey]int64{}
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
	h.through, h.opener = through, r.Writer()
	for r.Next() {
		if (r.Kind() == kindTotal || r.Kind() == kindCharges) && h.sums == nil && h.each == nil {
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
	case kindSuspended:
		s, err := readSuspended(payload)
		h.suspend(s)
		return err
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
	case kindCharges:
		var l lane
		var ch Charge
		c.lane(&l)
		c.charge(l.root, &ch)
		if c.bad {
			return errRecord
		}
		return h.add(l, chargeOnly(l.root, ch))
	}
	return c.err()
}

// chargeOnly is a posting that adds to a window and to no row. Its row says
// when and whose the window is, because a posting has one.
func chargeOnly(root string, ch Charge) *Posting {
	row := RowKey{Hour: ch.Window.Start.UTC().Truncate(time.Hour), Tenant: ch.Window.Tenant}
	if ch.Window.Start.IsZero() {
		row.Hour = time.Unix(0, 0).UTC()
	}
	return &Posting{Root: root, Row: row, Charges: []Charge{ch}}
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
		if r.Kind() == kindStart {
			h.opener = r.Writer()
		}
		h.estate = journal.Identity{}
		if journal.IsEstate(r.Writer()) {
			h.estate = journal.Identity{Writer: r.Writer(), Epoch: r.Epoch()}
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
	if kind < kindResolve && p.Add.Unknown > 0 && p.Seq > h.heads[lane{writer, p.Root}] {
		h.suspend(suspended{writer, h.open[id], bytes.Clone(payload)})
	}
	delete(h.open, id)
	if p.Root == "" {
		return nil
	}
	return h.post(lane{writer, p.Root}, &p)
}

func (h *history) suspend(s suspended) {
	if len(s.start)+len(s.end) > journal.MaxRecord/2 {
		s.start = nil // both must fit one record of a checkpoint
	}
	h.suspended = append(h.suspended, s)
	if len(h.suspended) > 2*maxSuspended {
		h.suspended = append([]suspended(nil), h.suspended[maxSuspended:]...)
	}
}

// post takes a posting in once, and fills up the numbers that are missing
// before it.
func (h *history) post(l lane, p *Posting) error {
	head := h.heads[l]
	if p.Seq > head+1 {
		h.gaps = append(h.gaps, SeqGap{l.writer, l.root, head + 1, p.Seq - 1})
	}
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
	if err := h.charge(l, p.Charges); err != nil || p.Add == (Counters{}) {
		return err
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

func (h *history) charge(l lane, charges []Charge) error {
	windows := h.charges[l]
	if windows == nil && len(charges) > 0 {
		windows = make(map[chargeKey]int64)
		h.charges[l] = windows
	}
	for _, ch := range charges {
		sum := windows[chargeKey{ch.Window, ch.Suspense}]
		if !addTo(&sum, ch.Amount) {
			return fmt.Errorf("%w: charges overflow", errRecord)
		}
		windows[chargeKey{ch.Window, ch.Suspense}] = sum
	}
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

// retire takes in a RETIRE record. Those of version 1 are all of fenced writers.
func (h *history) retire(payload []byte) error {
	c, writer, how := reader(payload), "", uint8(fenced)
	c.version()
	c.str(&writer)
	if c.v >= 2 {
		c.byte(&how)
	}
	if c.bad {
		return errRecord
	}
	h.retired[writer] = ending(how)
	return nil
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
	h.suspended = slices.DeleteFunc(h.suspended, func(s suspended) bool {
		p, _, err := readPosting(s.end)
		return err != nil || p.Row.Hour.Before(hours)
	})
	for _, windows := range h.charges {
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
		return KeepHours
	}
	return KeepDays
}

// writeCheckpoint makes the checkpoint that covers the segments up to through
// out of the one before and the segments between.
func writeCheckpoint(log *journal.Journal, through uint64, now time.Time) (map[lane]uint64, error) {
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
		if err := c.Add(kindStart, payload); err != nil {
			return err
		}
	}
	for writer, how := range h.retired {
		if err := c.Add(kindRetire, retireRecord(writer, how)); err != nil {
			return err
		}
	}
	for _, s := range h.suspended {
		if err := c.Add(kindSuspended, s.record()); err != nil {
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
	for l, windows := range h.charges {
		for key, sum := range windows {
			var w coder
			w.lane(&l)
			w.charge(l.root, &Charge{Window: key.Window, Amount: sum, Suspense: key.suspense})
			if err := c.Add(kindCharges, w.b); err != nil {
				return err
			}
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

func retireRecord(writer string, how ending) []byte {
	var w coder
	w.version()
	w.str(&writer)
	w.byte((*uint8)(&how))
	return w.b
}

func (s *suspended) record() []byte {
	var w coder
	w.version()
	start, end := string(s.start), string(s.end)
	w.str(&s.writer)
	w.str(&start)
	w.str(&end)
	return w.b
}

func readSuspended(payload []byte) (suspended, error) {
	var s suspended
	var start, end string
	c := reader(payload)
	c.version()
	c.str(&s.writer)
	c.str(&start)
	c.str(&end)
	s.end = []byte(end)
	if start != "" {
		s.start = []byte(start)
	}
	return s, c.err()
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
