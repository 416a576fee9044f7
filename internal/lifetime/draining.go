package lifetime

import (
	"context"
	"time"
)

// Draining is a context that outlives its caller for a while: it ends at its
// deadline, or when a drain bound has passed since the caller left. The zero value
// has not begun. It must not be copied.
type Draining struct {
	Context
	caller Watch
	drain  time.Duration
}

// BeginDraining starts d, a zero value, which ends after the time given, drain after
// caller has ended, by its own End or with the group, whichever is first.
func (g *Group) BeginDraining(caller context.Context, d *Draining, within, drain time.Duration) {
	d.drain = drain
	g.Begin(&d.Context, within)
	d.caller = Watching(caller, d)
}

// ContextEnded implements Hook: the caller has left.
func (d *Draining) ContextEnded() {
	time.AfterFunc(d.drain, func() { d.Context.End(context.Canceled) })
}

// Leave is for who sees that the caller has left before the caller's own context
// ends: the drain bound begins now. Later signs of the same change nothing.
func (d *Draining) Leave() {
	if d.caller.Stop() {
		d.ContextEnded()
	}
}

// End ends d, and reports whether its memory may be used again: nobody can have kept
// it.
func (d *Draining) End() (alone bool) {
	stays := d.caller.Stop()
	return d.Context.End(context.Canceled) && stays
}
