// Package estimate says how many input tokens a request will be billed, before
// it is sent: a bound, which limits are held by, and a calibrated figure that is
// seldom exceeded, for the books.
//
// It counts nothing that is billed; usage comes from answers alone. Output is
// capped and needs no estimate: only whether a model has any is learned.
package estimate

import (
	"slices"
	"strings"
	"sync"
)

const (
	// window is how many answers of a model the calibration looks back, and
	// enough how many it needs before it says anything.
	window = 512
	enough = 100
	// quantile is which share of the answers in the window, in percent, used no
	// more input than the estimate says. The rank is rounded up.
	quantile = 99
	// every is how many answers pass between two calibrations.
	every = 32
	// maxModels bounds the models that are calibrated; later ones get the bound.
	maxModels = 1000
	// scale is the unit of ratios: thousandths, rounded up.
	scale = 1000
	// maxTokens is what a count is believed up to; no context window comes near.
	maxTokens = 1 << 28
)

// Table is the ratio of billed to estimated input by model and dialect. The
// zero value is ready to use; its methods may be called concurrently.
//
// It is deterministic: the ratio of a model depends on nothing but the order of
// its last answers.
type Table struct {
	mu     sync.RWMutex // guards all below
	models map[key]*ratios
	writes map[string]bool // by model: whether one of its answers was no embedding
}

type key struct{ model, dialect string }

// ratios are the last answers of one model, in a ring.
type ratios struct {
	ring [window]int32
	n    int   // answers ever
	high int64 // the quantile; 0 until there are enough
}

// Likely is the input that a request will hardly exceed: raw (wire's estimate)
// times the quantile of billed/estimated over the model's last answers, at most
// bound. Until a model has answered a hundred times it is the bound.
func (t *Table) Likely(model, dialect string, raw, bound int64) int64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	r := t.models[key{model, dialect}]
	if r == nil || r.high == 0 {
		return bound
	}
	return min(bound, (min(raw, maxTokens)*r.high+scale-1)/scale)
}

// Observe takes in what an answer was billed for input, all classes together.
// raw is what was estimated.
func (t *Table) Observe(model, dialect string, raw, billed int64) {
	if raw <= 0 || billed < 0 || billed > maxTokens {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.models[key{model, dialect}]
	if r == nil {
		if len(t.models) >= maxModels {
			return
		}
		if t.models == nil {
			t.models = make(map[key]*ratios)
		}
		r = &ratios{}
		t.models[key{model, dialect}] = r
	}
	r.add((billed*scale + raw - 1) / raw)
}

// Writes reports whether a model of an unknown family may have output: unless all of
// its answers were embeddings.
func (t *Table) Writes(model string) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	writes, known := t.writes[model]
	return writes || !known
}

// ObserveWriting takes in whether an answer of such a model was something else than
// an embedding.
func (t *Table) ObserveWriting(model string, writes bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before, known := t.writes[model]
	if before || !known && len(t.writes) >= maxModels {
		return
	}
	if t.writes == nil {
		t.writes = make(map[string]bool)
	}
	t.writes[strings.Clone(model)] = writes
}

func (r *ratios) add(ratio int64) {
	r.ring[r.n%window] = int32(min(ratio, 1<<31-1))
	r.n++
	if r.n < enough || r.n > enough && r.n%every != 0 {
		return
	}
	sorted := slices.Clone(r.ring[:min(r.n, window)])
	slices.Sort(sorted)
	rank := (len(sorted)*quantile + 99) / 100
	r.high = max(1, int64(sorted[rank-1]))
}
