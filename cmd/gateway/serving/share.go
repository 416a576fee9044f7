package serving

import (
	"crypto/rand"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/cascade/memory"
)

// shareMemory makes the memory of cascades one that the ledger carries to other
// gateways. A process is told from all others by a random name, so that what it
// counted before a restart goes on counting.
func (g *gate) shareMemory(cfg *config.Config) {
	g.memory = memory.New(rand.Text()[:8], time.Now)
	g.listenTo(cfg)
}

// listenTo makes the gateway listen to all root tenants, also to those that it
// has no traffic of: the next request of a conversation may come here.
func (g *gate) listenTo(cfg *config.Config) {
	var roots []string
	if len(cfg.Cascades) > 0 {
		for i := range cfg.Tenants {
			root, _, _ := strings.Cut(cfg.Tenants[i].ID, "/")
			roots = append(roots, root)
		}
	}
	slices.Sort(roots)
	roots = slices.Compact(roots)
	g.roots.Store(&roots)
}

// listens returns the roots to listen to, none when nothing is shared.
func (g *gate) listens() []string {
	if roots := g.roots.Load(); roots != nil && g.memory.Board() != nil {
		return *roots
	}
	return nil
}
