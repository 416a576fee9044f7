package meter

import (
	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// Predecessors returns them, once the ledger has all that this journal has of
// them and of the attempts that they left open; posted is false until then.
func (m *Meter) Predecessors() (all []ledger.Predecessor, posted bool) {
	if !m.ship.parts.pastPosted() {
		return nil, false
	}
	for _, o := range m.ship.origins {
		// Before a writer was one process it had several epochs; the last one counts.
		older := o.Epoch < m.ship.epochOf(o.Writer)
		if o.Writer == m.ship.parts.writer || older || journal.IsRecovery(o.Writer) || m.ship.parts.ended(o.Writer) != 0 {
			continue
		}
		all = append(all, ledger.Predecessor{
			Identity: o.Identity, Heads: m.ship.parts.headsOf(o.Writer), Here: o.Place == m.log.Place(),
		})
	}
	return all, true
}

// Settled journals that nothing is left of a writer: its records are posted and
// what it had leased is given back.
func (m *Meter) Settled(writer string) error {
	err := m.append(&record.Retirement{Writer: writer, How: record.Settled}, journal.Reserved)
	if err == nil {
		m.ship.parts.settled(writer)
	}
	return err
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
	return m.ship.parts.past(root, m.ship.recent)
}
