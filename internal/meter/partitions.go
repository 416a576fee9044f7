package meter

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// partitions are all that a journal has. Reports ask them while the shipper
// works on them.
type partitions struct {
	writer string // this process; the others are past, and only read
	now    func() time.Time
	fenced atomic.Bool // another process posts as this writer: nothing is posted

	mu         sync.Mutex // guards the following
	all        map[record.Partition]*partition
	roots      map[string][]*partition // all, by root
	retired    map[string]record.Ending
	ledgerErr  error
	losses     int64 // times the ledger had forgotten something
	asked      int64 // how many of them the past partitions were asked about for
	progressed time.Time
}

func newPartitions(writer string, now func() time.Time, h *history) *partitions {
	ps := &partitions{
		writer: writer, now: now, all: make(map[record.Partition]*partition), roots: make(map[string][]*partition),
		retired: h.retired, progressed: now(),
	}
	for of, head := range h.heads {
		p := &partition{Partition: of, head: head}
		if h.retired[of.Writer] == record.Fenced {
			p.state, p.why = stopped, ledger.ErrFenced
		}
		ps.add(p)
	}
	return ps
}

func (ps *partitions) add(p *partition) {
	ps.all[p.Partition] = p
	ps.roots[p.Root] = append(ps.roots[p.Root], p)
}

// read notes that a number was read. A partition that was not known has begun
// just now.
func (ps *partitions) read(of record.Partition, seq uint64) (*partition, state) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	p := ps.all[of]
	if p == nil {
		p = &partition{Partition: of, state: following}
		ps.add(p)
	}
	p.head = max(p.head, seq)
	return p, p.state
}

// where returns the partitions that are wanted, but none that stopped.
func (ps *partitions) where(want func(*partition) bool) []*partition {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	var wanted []*partition
	for _, p := range ps.all {
		if p.state != stopped && want(p) {
			wanted = append(wanted, p)
		}
	}
	return wanted
}

// every reports whether all partitions are so, but for those that stopped.
func (ps *partitions) every(is func(*partition) bool) bool {
	return len(ps.where(func(p *partition) bool { return !is(p) })) == 0
}

// readAgain returns the partitions that are read again, each with its moves, and
// the first place to read from.
func (ps *partitions) readAgain() (active map[*partition]int, from journal.Position) {
	active = make(map[*partition]int)
	for _, p := range ps.where((*partition).again) {
		if len(active) == 0 || p.from.Before(from) {
			from = p.from
		}
		active[p] = p.moves
	}
	return active, from
}

// readTo notes how far partitions were read again, and takes those out of active
// of which another place was decided meanwhile.
func (ps *partitions) readTo(active map[*partition]int, to journal.Position) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for p, moves := range active {
		if p.moves != moves || p.state == stopped {
			delete(active, p)
			continue
		}
		p.from = to
	}
}

// on makes an event happen.
func (ps *partitions) on(p *partition, e event) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	p.state = p.state.after(e)
}

// move makes an event happen that decides from where the partition is read.
func (ps *partitions) move(p *partition, e event, from journal.Position) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	p.state, p.from = p.state.after(e), from
	p.moves++
}

// stop makes a partition be posted no more.
func (ps *partitions) stop(p *partition, why error) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	p.state, p.why = p.state.after(halt), why
}

// answer takes in a watermark that the ledger was asked for, and returns the
// head. A number of this writer that the journal never gave out stops it.
func (ps *partitions) answer(p *partition, applied uint64) (head uint64) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	p.applied = applied
	p.lost = p.lost || applied < p.head && ps.retired[p.Writer] == record.Settled
	if applied > p.head && p.Writer == ps.writer {
		p.state, p.why = p.state.after(halt), errForeign
	}
	return p.head
}

// advance notes that the ledger has applied more.
func (ps *partitions) advance(p *partition, applied uint64) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	p.applied, ps.progressed = applied, ps.now()
}

// lose notes that the ledger has forgotten something of a partition.
func (ps *partitions) lose(p *partition) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.losses++
	p.lost = true
}

// doubtPast makes the ledger be asked about the past again when it has lost
// something since the last time.
func (ps *partitions) doubtPast() {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.losses == ps.asked {
		return
	}
	ps.asked = ps.losses
	for _, p := range ps.all {
		if p.Writer != ps.writer {
			p.state = p.state.after(doubt)
		}
	}
}

func (ps *partitions) noteLedger(err error) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.ledgerErr = err
}

// applied returns the ledger's watermark of a partition as far as known.
func (ps *partitions) applied(of record.Partition) uint64 {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if p := ps.all[of]; p != nil {
		return p.applied
	}
	return 0
}

// left is how many records can still be posted.
func (ps *partitions) left() (n uint64) {
	ps.where(func(p *partition) bool {
		if !ps.fenced.Load() && p.waits() {
			n += p.head - p.applied
		}
		return false
	})
	return n
}

// allPosted reports whether the ledger has every number of every writer that was
// not fenced; a partition that stopped counts too.
func (ps *partitions) allPosted() bool {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for _, p := range ps.all {
		if p.waits() && ps.retired[p.Writer] != record.Fenced {
			return false
		}
	}
	return true
}

// allAsked reports whether the ledger was asked about every partition since the
// last loss.
func (ps *partitions) allAsked() bool {
	asked := ps.every(func(p *partition) bool { return p.state != unasked })
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return asked && ps.losses == ps.asked
}

// pastPosted reports whether the ledger has all records of writers before this
// process. Partitions that stopped are not waited for.
func (ps *partitions) pastPosted() bool {
	return ps.every(func(p *partition) bool { return p.Writer == ps.writer || p.state != unasked && !p.waits() })
}

func (ps *partitions) ended(writer string) record.Ending {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return ps.retired[writer]
}

func (ps *partitions) settled(writer string) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.retired[writer] = record.Settled
}

func (ps *partitions) headsOf(writer string) map[string]uint64 {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	heads := make(map[string]uint64)
	for of, p := range ps.all {
		if of.Writer == writer {
			heads[of.Root] = p.head
		}
	}
	return heads
}

// needed is the first segment that must stay when a checkpoint covers those up
// to through: a partition may have to be read from it.
func (ps *partitions) needed(through uint64, floor func(record.Partition, uint64) (uint64, bool)) uint64 {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	first := through + 1
	for _, p := range ps.all {
		if ps.retired[p.Writer] == record.Fenced || !p.waits() && p.state != unasked {
			continue
		}
		segment, ok := floor(p.Partition, p.applied)
		if !ok || p.state == unasked || p.state == restoring || p.state == stopped {
			return 0
		}
		first = min(first, segment)
	}
	return first
}

// past returns how far the ledger is with the past of a root; recent reports
// whether the segments name a writer.
func (ps *partitions) past(root string, recent func(writer string) bool) Past {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	past := Past{Known: true, Posted: true}
	for _, p := range ps.roots[root] {
		if p.state == stopped {
			continue
		}
		past.Lost = past.Lost || p.lost
		if p.Writer != ps.writer {
			past.Known = past.Known && (p.state != unasked || !recent(p.Writer))
			past.Posted = past.Posted && p.state != unasked && !p.waits()
		}
	}
	return past
}

// status fills in what is known here. heads are the numbers given out so far.
func (ps *partitions) status(heads map[string]uint64) Status {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	s := Status{LedgerErr: ps.ledgerErr, Fenced: ps.fenced.Load(), Regressions: ps.losses, Stopped: map[string]error{}}
	for of, p := range ps.all {
		if p.state == stopped && (of.Writer == ps.writer || p.waits()) {
			s.Stopped[of.Root] = p.why
		}
		head := p.head
		if of.Writer == ps.writer {
			head = max(head, heads[of.Root])
		}
		if head > p.applied && ps.retired[of.Writer] != record.Fenced {
			s.Backlog += head - p.applied
		}
	}
	for root, head := range heads {
		if ps.all[record.Partition{Writer: ps.writer, Root: root}] == nil {
			s.Backlog += head
		}
	}
	if s.Backlog > 0 {
		s.Since = ps.now().Sub(ps.progressed)
	}
	return s
}
