package meter

import (
	"context"
	"slices"
)

// maxListens is how many roots that this gateway does not post to a heartbeat
// asks for.
const maxListens = 64

// listen asks for the watermarks of roots to which nothing was posted, in turn.
// The answer is known; what a ledger brings with it is not.
func (p *pump) listen(ctx context.Context) {
	if p.opts.Listen == nil {
		return
	}
	quiet := p.quiet()
	if len(quiet) == 0 {
		return
	}
	if p.listened >= len(quiet) {
		p.listened = 0
	}
	asked := quiet[p.listened:min(p.listened+maxListens, len(quiet))]
	p.listened += len(asked)
	writer := p.log.Identity().Writer
	_, err := forEach(asked, func(root string) error {
		ctx, cancel := context.WithTimeout(ctx, p.opts.Timeout)
		defer cancel()
		_, err := p.opts.Ledger.Watermark(ctx, writer, root)
		return err
	})
	if err != nil {
		p.opts.Log.Debug("ledger cannot be asked", "error", err) // posting will say so
	}
}

// quiet are the roots to listen to that heartbeats do not ask for anyway.
func (p *pump) quiet() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	asked := make(map[string]bool, len(p.lanes))
	for l, t := range p.lanes {
		asked[l.root] = asked[l.root] || t.placed && t.applied > 0 && p.retired[l.writer] != left
	}
	return slices.DeleteFunc(p.opts.Listen(), func(root string) bool { return asked[root] })
}
