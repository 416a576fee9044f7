// Package reembed notices texts that a tenant has embedded before, unchanged: their vectors could have been kept. It
// keeps hashes alone, of so many texts at most, and only advises: the call is made all the same.
package reembed

import (
	"hash/maphash"
	"sync"
)

// mostOf is how many texts each of the two generations has. The older one is forgotten when the newer one is full.
const mostOf = 100_000

// Table is the texts of late. Make it with New; it is safe for concurrent use.
type Table struct {
	seed maphash.Seed // of all hashes: they do not leave the process

	mu         sync.Mutex // guards the following
	newer, old map[uint64]struct{}
}

// New returns a table that knows of no text.
func New() *Table { return &Table{seed: maphash.MakeSeed()} }

// Again reports whether a tenant has had the same body embedded by the same model before, and remembers it.
func (t *Table) Again(tenant, model string, body []byte) bool {
	var h maphash.Hash
	h.SetSeed(t.seed)
	h.WriteString(tenant)
	h.WriteByte(0)
	h.WriteString(model)
	h.WriteByte(0)
	h.Write(body)
	sum := h.Sum64()
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, known := t.newer[sum]; known {
		return true
	}
	_, known := t.old[sum]
	if len(t.newer) >= mostOf {
		t.old, t.newer = t.newer, nil
	}
	if t.newer == nil {
		t.newer = make(map[uint64]struct{})
	}
	t.newer[sum] = struct{}{}
	return known
}
