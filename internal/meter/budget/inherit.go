package budget

import (
	"context"
	"maps"
	"slices"

	"github.com/sluice-gateway/sluice/internal/meter/ledger"
)

// Inherit gives back what a writer before this one still has of the limiter's
// roots and of those that it journalled in, and reports whether nothing is left. If
// that writer may still run, its TTL has to pass first. It may be repeated.
func (l *Limiter) Inherit(ctx context.Context, p *ledger.Predecessor) (bool, error) {
	done := true
	for _, root := range l.rootsOf(p) {
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

// rootsOf are the roots in which a writer may have leased: this configuration's, and
// those of its records, which another gateway's file may have limited.
func (l *Limiter) rootsOf(p *ledger.Predecessor) []string {
	roots := slices.AppendSeq(slices.Clone(l.opts.Roots), maps.Keys(p.Heads))
	slices.Sort(roots)
	return slices.Compact(roots)
}
