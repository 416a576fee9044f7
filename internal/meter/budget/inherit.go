package budget

import (
	"context"

	"github.com/sluice-gateway/sluice/internal/meter/ledger"
)

// Inherit gives back what a writer before this one still has of the limiter's
// roots, and reports whether nothing is left. If that writer may still run, its TTL
// has to pass first. It may be repeated.
func (l *Limiter) Inherit(ctx context.Context, p *ledger.Predecessor) (bool, error) {
	done := true
	for _, root := range l.opts.Roots {
		ctx, cancel := context.WithTimeout(ctx, l.opts.Timeout)
		reply, err := l.opts.Leaser.Renew(ctx, &ledger.RenewRequest{
			Writer: p.Writer, Epoch: p.Epoch, Root: root, Head: p.Heads[root],
			TTL: l.opts.TTL, Retire: true, Lapsed: !p.Here,
		})
		cancel()
		if err != nil {
			return false, err
		}
		done = done && !reply.Open
	}
	return done, nil
}
