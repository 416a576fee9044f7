// Package lifetime has contexts that are a part of the state whose life they
// bound. One of package context takes memory for itself, for each of its
// children, and a timer for its deadline; most requests end without anybody having
// waited for one of these.
//
// A Context here takes a channel and a timer when somebody first waits for its
// Done, and tells its end to hooks without a goroutine or a closure for each. It
// works with package context: contexts can be derived from it.
package lifetime

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Hook is told once that a context has ended. It must not wait for anything: it
// runs in the goroutine that ends the context.
type Hook interface{ ContextEnded() }

// Context is a context.Context without values. The zero value has no deadline
// and ends by End alone. It must not be copied.
type Context struct {
	deadline time.Time // zero: none; it does not change after Begin

	group      *Group   // nil: none
	prev, next *Context // guarded by group.mu

	mu    sync.Mutex    // guards the following
	err   error         // nil until it ends
	done  chan struct{} // nil until somebody asks for it, then closed at the end
	timer *time.Timer   // runs from then on, when there is a deadline
	hooks []Hook        // begins as room
	room  [2]Hook
}

var _ context.Context = (*Context)(nil)

// Deadline implements context.Context. Nothing happens at the deadline unless
// somebody has asked for Done; a hook that depends on it has to look itself.
func (c *Context) Deadline() (time.Time, bool) { return c.deadline, !c.deadline.IsZero() }

// Value implements context.Context.
func (c *Context) Value(any) any { return nil }

// Err implements context.Context.
func (c *Context) Err() error {
	c.mu.Lock()
	err := c.err
	c.mu.Unlock()
	if err == nil && !c.deadline.IsZero() && time.Until(c.deadline) <= 0 {
		c.End(context.DeadlineExceeded)
		return c.Err()
	}
	return err
}

// Done implements context.Context.
func (c *Context) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done != nil {
		return c.done
	}
	c.done = make(chan struct{})
	switch {
	case c.err != nil:
		close(c.done)
	case !c.deadline.IsZero():
		c.timer = time.AfterFunc(time.Until(c.deadline), func() { c.End(context.DeadlineExceeded) })
	}
	return c.done
}

// End ends the context, if it has not ended yet, with context.Canceled or
// context.DeadlineExceeded, and tells the hooks. It reports whether the memory may
// be used again as a zero Context: it had not ended, and no hook, timer or group
// can still know of it.
func (c *Context) End(err error) (alone bool) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return false
	}
	c.err = err
	if c.done != nil {
		close(c.done)
	}
	quiet := c.timer == nil || c.timer.Stop()
	hooks := c.hooks
	c.hooks = nil
	c.mu.Unlock()
	left := c.group.leave(c)
	for _, h := range hooks {
		h.ContextEnded()
	}
	return quiet && left && len(hooks) == 0
}

// AfterFunc is how package context derives contexts without a goroutine.
func (c *Context) AfterFunc(f func()) (stop func() bool) {
	h := &funcHook{f: f}
	c.hook(h)
	return func() bool { return h.stopped.CompareAndSwap(false, true) && c.unhook(h) }
}

// funcHook runs a function in a goroutine of its own.
type funcHook struct {
	f func()
	// A derived context with a timer stops its hook twice, and the second time may
	// be when the memory of this one has already gone to another request.
	stopped atomic.Bool
}

func (h *funcHook) ContextEnded() { go h.f() }

func (c *Context) hook(h Hook) {
	c.mu.Lock()
	ended := c.err != nil
	if !ended {
		if c.hooks == nil {
			c.hooks = c.room[:0]
		}
		c.hooks = append(c.hooks, h)
	}
	c.mu.Unlock()
	if ended {
		h.ContextEnded()
	}
}

func (c *Context) unhook(h Hook) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.Index(c.hooks, h)
	if i < 0 {
		return false
	}
	c.hooks = slices.Delete(c.hooks, i, i+1)
	return true
}

// Watch is a hook at a context. The zero value is none.
type Watch struct {
	ctx  *Context
	hook Hook
	stop func() bool // for a context of another kind
}

// Watching tells h when ctx ends. A context of this package is not watched for
// its deadline: h has to keep that itself.
func Watching(ctx context.Context, h Hook) Watch {
	if c, ok := ctx.(*Context); ok {
		c.hook(h)
		return Watch{ctx: c, hook: h}
	}
	return Watch{stop: context.AfterFunc(ctx, h.ContextEnded)}
}

// Stop ends the watch. It reports false when the hook has been told, or is being
// told, or the watch had been stopped.
func (w Watch) Stop() bool {
	switch {
	case w.ctx != nil:
		return w.ctx.unhook(w.hook)
	case w.stop != nil:
		return w.stop()
	default:
		return false
	}
}

// Group is contexts that can be ended together. The zero value is empty.
type Group struct {
	mu    sync.Mutex
	first *Context // guarded by mu
	ended bool     // guarded by mu
}

// Begin starts a zero context, which ends after the time given, by its own End or
// with its group, whichever is first. It belongs to the group until it ends.
func (g *Group) Begin(c *Context, within time.Duration) {
	c.deadline = time.Now().Add(within) //nolint:forbidigo // deadlines follow the real clock
	c.group = g
	g.mu.Lock()
	ended := g.ended
	if !ended {
		c.next = g.first
		if c.next != nil {
			c.next.prev = c
		}
		g.first = c
	}
	g.mu.Unlock()
	if ended {
		c.End(context.Canceled)
	}
}

// End ends the contexts of the group, and those that begin later at once.
func (g *Group) End() {
	for c := g.close(); c != nil; c = g.close() {
		c.End(context.Canceled)
	}
}

// close returns a context that has not ended, nil when there is none.
func (g *Group) close() *Context {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ended = true
	return g.first
}

// leave removes c, if it is in a group. It reports false when the group is being
// ended, and may be about to end c.
func (g *Group) leave(c *Context) bool {
	if g == nil {
		return true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case c.prev != nil:
		c.prev.next = c.next
	case g.first == c:
		g.first = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	}
	c.prev, c.next = nil, nil
	return !g.ended
}
