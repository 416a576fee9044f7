package budget

import (
	"context"

	"github.com/sluice-gateway/sluice/internal/meter"
)

// Inherit gives back what a writer before this one still has of the desk's roots
// and reports whether nothing is left. While it may live, that is when its term
// has passed. It may be repeated.
func (d *Desk) Inherit(ctx context.Context, p *meter.Predecessor) (bool, error) {
	done := true
	for _, root := range d.opts.Roots {
		ctx, cancel := context.WithTimeout(ctx, d.opts.Timeout)
		reply, err := d.opts.Lender.Settle(ctx, &meter.SettleRequest{
			Writer: p.Writer, Epoch: p.Epoch, Root: root, Head: p.Heads[root],
			Term: d.opts.Term, Retire: true, Lapsed: !p.Here,
		})
		cancel()
		if err != nil {
			return false, err
		}
		done = done && !reply.Open
	}
	return done, nil
}
