package serving

import (
	"crypto/rand"
	"time"

	"github.com/sluice-gateway/sluice/internal/cascade/memory"
)

// shareMemory makes the memory of cascades one that the ledger carries to other
// gateways. A process is told from all others by a random name, so that what it
// counted before a restart goes on counting.
func (g *gate) shareMemory() {
	g.memory = memory.New(rand.Text()[:8], time.Now)
}

// listens returns the roots to listen to, none when nothing is shared.
func (g *gate) listens() []string {
	if g.memory.Board() == nil {
		return nil
	}
	return g.snapshots.Load().Roots
}
