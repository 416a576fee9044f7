package ledgertest

import (
	"sync"
	"time"
)

// Clock stands still until a test moves it, so that no test waits for a term and
// none is late on a busy machine. Make it with NewClock.
type Clock struct {
	mu    sync.Mutex
	now   time.Time
	moved func(now time.Time)
}

// NewClock returns a clock that begins now. moved is called with each time that
// it shows, the first one too; nil is for a ledger that asks Now.
func NewClock(moved func(now time.Time)) *Clock {
	c := &Clock{now: time.Now().Truncate(time.Millisecond), moved: moved}
	c.Wait(0)
	return c
}

// Now is the time that the clock shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Wait moves the clock and takes no time.
func (c *Clock) Wait(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	if c.moved != nil {
		c.moved(c.now)
	}
}
