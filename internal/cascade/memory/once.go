package memory

import "sync"

// maxOnce bounds the names that are remembered.
const maxOnce = 1000

// Once remembers names, so that each is logged only once. When it is full, no
// further name counts as new. The zero value is ready; it is safe for concurrent
// use.
type Once struct {
	mu   sync.Mutex // guards seen
	seen map[string]struct{}
}

// New reports whether the name comes for the first time.
func (o *Once) New(name string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, known := o.seen[name]; known || len(o.seen) == maxOnce {
		return false
	}
	if o.seen == nil {
		o.seen = map[string]struct{}{}
	}
	o.seen[name] = struct{}{}
	return true
}
