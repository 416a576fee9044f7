package meter

import (
	"math/rand/v2"
	"time"
)

// backoff is a wait that doubles, with jitter so that many gateways do not
// return at once.
type backoff struct {
	now, most time.Duration
}

func (b *backoff) next() time.Duration {
	b.now = min(max(2*b.now, 100*time.Millisecond), b.most)
	return b.now/2 + rand.N(b.now/2+1)
}

func (b *backoff) nextAfter(err error) time.Duration {
	if err == nil {
		return 5 * time.Millisecond
	}
	return b.next()
}

func (b *backoff) reset() { b.now = 0 }
