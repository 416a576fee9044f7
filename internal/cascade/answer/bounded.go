package answer

import (
	"crypto/sha256"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"
)

// bounded keeps what was made of some bytes, by their hash; when it is full, what
// was used longest ago is dropped. The zero value is ready; it is safe for
// concurrent use.
type bounded[V any] struct {
	once  sync.Once
	cache *lru.Cache[[sha256.Size]byte, V]
}

// of returns what make makes of the bytes, of which the last most are kept. Two
// callers may make the same at once; none waits for the other.
func (b *bounded[V]) of(data []byte, most int, make func([]byte) V) V {
	b.once.Do(func() { b.cache, _ = lru.New[[sha256.Size]byte, V](most) }) // it fails on sizes below 1 only
	key := sha256.Sum256(data)
	if v, known := b.cache.Get(key); known {
		return v
	}
	v := make(data)
	b.cache.Add(key, v)
	return v
}
