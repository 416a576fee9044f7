package meter

import (
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

import "github.com/sluice-gateway/sluice/internal/meter/journal"

// Predecessors returns them, once the ledger has all that this journal has of
// them and of the attempts that they left open; posted is false until then.
func (m *Meter) Predecessors() (all []ledger.Predecessor, posted bool) {
	if !m.pump.pastPosted() {
		return nil, false
	}
	for _, o := range m.pump.origins {
		// Before a writer was one process it had several epochs; the last one counts.
		older := o.Epoch < m.pump.epochOf(o.Writer)
		if o.Writer == m.pump.writer || older || journal.IsEstate(o.Writer) || m.pump.ended(o.Writer) != 0 {
			continue
		}
		all = append(all, ledger.Predecessor{
			Identity: o.Identity, Heads: m.pump.headsOf(o.Writer), Here: o.Place == m.log.Place(),
		})
	}
	return all, true
}

// Settled journals that nothing is left of a writer: its records are posted and
// what it had borrowed is given back.
func (m *Meter) Settled(writer string) error {
	_, err := m.log.Append(record.KindRetire, record.AppendRetire(nil, writer, record.Settled), journal.Reserved)
	if err == nil {
		m.pump.settled(writer)
	}
	return err
}

// pastPosted reports whether the ledger has all records of writers before this
// process. Lanes that stopped are not waited for.
func (p *pump) pastPosted() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l, t := range p.lanes {
		if l.Writer != p.writer && t.stopped == nil && (!t.placed || t.head > t.applied) {
			return false
		}
	}
	return true
}

func (p *pump) ended(writer string) record.Ending {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.retired[writer]
}

func (p *pump) settled(writer string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.retired[writer] = record.Settled
}

func (p *pump) headsOf(writer string) map[string]uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	heads := make(map[string]uint64)
	for l, t := range p.lanes {
		if l.Writer == writer {
			heads[l.Root] = t.head
		}
	}
	return heads
}

// Past is how far a ledger is with what earlier processes journalled for a root.
type Past struct {
	Known  bool // the ledger was asked for what the segments still have
	Posted bool // it has all
	// Lost is whether it lacked what it once had confirmed.
	Lost bool
}

// Past returns how far the ledger is with the past of a root. Before that is
// known, it may be a ledger that has lost all, and what it says is left of a
// budget says nothing.
func (m *Meter) Past(root string) Past {
	p := m.pump
	p.mu.Lock()
	defer p.mu.Unlock()
	past := Past{Known: true, Posted: true}
	for l, t := range p.lanes {
		if l.Root != root || t.stopped != nil {
			continue
		}
		past.Lost = past.Lost || t.lost
		if l.Writer != p.writer {
			past.Known = past.Known && (t.placed || !p.recent(l.Writer))
			past.Posted = past.Posted && t.placed && t.applied >= t.head
		}
	}
	return past
}

// status fills in what the pump knows. heads are the numbers given out so far.
func (p *pump) status(writer string, heads map[string]uint64) Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Status{LedgerErr: p.ledgerErr, Fenced: p.fenced, Regressions: p.regressions, Stopped: map[string]error{}}
	for l, t := range p.lanes {
		if t.stopped != nil && (l.Writer == writer || t.head > t.applied) {
			s.Stopped[l.Root] = t.stopped
		}
		head := t.head
		if l.Writer == writer {
			head = max(head, heads[l.Root])
		}
		if head > t.applied && p.retired[l.Writer] != record.Fenced {
			s.Backlog += head - t.applied
		}
	}
	for root, head := range heads {
		if p.lanes[record.Partition{Writer: writer, Root: root}] == nil {
			s.Backlog += head
		}
	}
	if s.Backlog > 0 {
		s.Since = p.opts.Now().Sub(p.progressed)
	}
	return s
}
