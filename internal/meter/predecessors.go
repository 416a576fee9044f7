package meter

import "github.com/sluice-gateway/sluice/internal/meter/journal"

// Predecessor is a writer of this journal whose process has ended, or was one of
// the directory that this one is a copy of, and has not said that it gave back
// what it had borrowed.
type Predecessor struct {
	journal.Identity
	Heads map[string]uint64 // its last numbers in this journal, by root tenant
	// Here is whether it wrote in this very directory: this process holds the
	// lock, so it is dead. Otherwise it may live on in the directory's original.
	Here bool
}

// Predecessors returns them, once the ledger has all that this journal has of
// them and of the attempts that they left open; posted is false until then.
func (m *Meter) Predecessors() (all []Predecessor, posted bool) {
	if !m.pump.pastPosted() {
		return nil, false
	}
	for _, o := range m.pump.origins {
		// Before a writer was one process it had several epochs; the last one counts.
		older := o.Epoch < m.pump.epochOf(o.Writer)
		if o.Writer == m.pump.writer || older || journal.IsEstate(o.Writer) || m.pump.ended(o.Writer) != 0 {
			continue
		}
		all = append(all, Predecessor{o.Identity, m.pump.headsOf(o.Writer), o.Place == m.log.Place()})
	}
	return all, true
}

// Settled journals that nothing is left of a writer: its records are posted and
// what it had borrowed is given back.
func (m *Meter) Settled(writer string) error {
	_, err := m.log.Append(kindRetire, retireRecord(writer, left), journal.Reserved)
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
		if l.writer != p.writer && t.stopped == nil && (!t.placed || t.head > t.applied) {
			return false
		}
	}
	return true
}

func (p *pump) ended(writer string) ending {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.retired[writer]
}

func (p *pump) settled(writer string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.retired[writer] = left
}

func (p *pump) headsOf(writer string) map[string]uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	heads := make(map[string]uint64)
	for l, t := range p.lanes {
		if l.writer == writer {
			heads[l.root] = t.head
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
		if l.root != root || t.stopped != nil {
			continue
		}
		past.Lost = past.Lost || t.lost
		if l.writer != p.writer {
			past.Known = past.Known && (t.placed || !p.recent(l.writer))
			past.Posted = past.Posted && t.placed && t.applied >= t.head
		}
	}
	return past
}
