package answer

import (
	"crypto/sha256"
	"sync"
)

// bounded keeps what was last made of some bytes, by their hash; when it is
// full the oldest goes. The zero value is ready; it is safe for concurrent use.
type bounded[V any] struct {
	mu    sync.Mutex // guards the following
	byKey map[[sha256.Size]byte]V
	order [][sha256.Size]byte // oldest first
}

// of returns what make makes of the bytes. It runs outside the lock: two
// callers may make the same, none waits for it.
func (b *bounded[V]) of(data []byte, most int, make func([]byte) V) V {
	key := sha256.Sum256(data)
	b.mu.Lock()
	v, known := b.byKey[key]
	b.mu.Unlock()
	if known {
		return v
	}
	v = make(data)
	b.keep(key, v, most)
	return v
}

func (b *bounded[V]) keep(key [sha256.Size]byte, v V, most int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, known := b.byKey[key]; known {
		return
	}
	if b.byKey == nil {
		b.byKey = map[[sha256.Size]byte]V{}
	}
	if len(b.order) == most {
		delete(b.byKey, b.order[0])
		b.order = b.order[1:]
	}
	b.byKey[key] = v
	b.order = append(b.order, key)
}
