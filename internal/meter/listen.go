package meter

import (
	"sync"
	"time"
)

// listenAtOnce is how many roots a round of the shipper listens to.
const listenAtOnce = 2

// listener chooses the roots of which the ledger is asked although nothing is
// posted to them, for the facts in its replies.
type listener struct {
	last      int       // the root that had its turn
	deafUntil time.Time // after a ledger that did not answer

	mu    sync.Mutex
	heard map[string]bool // roots of which the ledger has answered in this round
}

// turn picks the roots whose turn it is, but not those that were heard of since
// the last round.
func (l *listener) turn(roots []string) []string {
	l.mu.Lock()
	heard := l.heard
	l.heard = make(map[string]bool)
	l.mu.Unlock()
	var picked []string
	for i := 0; i < len(roots) && len(picked) < listenAtOnce; i++ {
		l.last = (l.last + 1) % len(roots)
		if root := roots[l.last]; !heard[root] {
			picked = append(picked, root)
		}
	}
	return picked
}

// hear notes that the ledger has answered about a root.
func (l *listener) hear(root string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.heard == nil {
		l.heard = make(map[string]bool)
	}
	l.heard[root] = true
}
