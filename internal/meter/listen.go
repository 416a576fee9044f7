package meter

import (
	"context"

	"github.com/sluice-gateway/sluice/internal/meter/ledger"
)

// listenAtOnce is how many roots a round of the pump listens to.
const listenAtOnce = 2

// listen sends empty batches for roots of which this round brought no answer, in
// turn, for the facts in the reply. When the ledger does not answer, it is left
// alone until the next heartbeat.
func (p *pump) listen(ctx context.Context) {
	if p.opts.Listen == nil || p.isFenced() || p.opts.Now().Before(p.deafUntil) {
		return
	}
	_, err := forEach(p.turn(p.opts.Listen()), func(root string) error {
		ctx, cancel := context.WithTimeout(ctx, p.opts.Timeout)
		defer cancel()
		_, err := ledger.Exchange(ctx, p.opts.Ledger, p.opts.Board, &ledger.Batch{Writer: p.writer, Root: root})
		return err
	})
	if err != nil {
		p.deafUntil = p.opts.Now().Add(p.opts.Heartbeat)
		p.opts.Log.Debug("ledger cannot be asked", "error", err) // posting will say so
	}
}

// turn picks the roots whose turn it is, but not those that were heard of since
// the last round.
func (p *pump) turn(roots []string) []string {
	p.mu.Lock()
	heard := p.heard
	p.heard = make(map[string]bool)
	p.mu.Unlock()
	var picked []string
	for i := 0; i < len(roots) && len(picked) < listenAtOnce; i++ {
		p.listened = (p.listened + 1) % len(roots)
		if root := roots[p.listened]; !heard[root] {
			picked = append(picked, root)
		}
	}
	return picked
}

// hear notes that the ledger has answered about a root.
func (p *pump) hear(root string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.heard[root] = true
}
