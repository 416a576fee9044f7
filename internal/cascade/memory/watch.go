package memory

import (
	"math"
	"slices"
	"sync"

	"github.com/sluice-gateway/sluice/internal/cascade/certify"
)

// maxWatched bounds the certificates of a cascade whose steps back are
// remembered; the first one is forgotten first.
const maxWatched = 16

// Watch tests the certificate of one cascade on samples of the traffic in service.
// When they refute the threshold in use, it steps back to the most liberal of the
// certificate's steps that they do not refute, and when there is none, to the
// escalation model. It never steps forward: that takes another certificate. The
// zero value is ready; it is safe for concurrent use.
//
// Every step has its own test, from the first sample on: an answer above a lower
// threshold would have been escalated there, without loss. Each test alarms on a
// valid threshold with probability at most δ.
type Watch struct {
	mu       sync.Mutex // guards the following
	back     []Stepped
	hash     string             // of the certificate that monitors belong to
	monitors []*certify.Monitor // one for each of its steps
}

// Stepped is how many steps a watch has taken back from a certificate.
type Stepped struct {
	Certificate string `json:"certificate"` // its hash
	Steps       int    `json:"steps_back"`
}

// Sample is one sampled request.
type Sample struct {
	Risk float64 // of the light answer; -Inf when every threshold would serve it
	Loss float64 // of quality, -1 to 1; 0 when it was escalated
}

// Observe adds a sample. It returns how many steps back the watch is now, and
// whether this sample refuted the threshold that was in use.
func (w *Watch) Observe(c *certify.Certificate, s Sample) (back int, refuted bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turn(c)
	for i, m := range w.monitors {
		loss := s.Loss
		if s.Risk > c.Steps[i] {
			loss = 0
		}
		m.Observe(loss)
	}
	before := w.of(c.Hash)
	back = before
	for back < len(c.Steps) && w.monitors[len(c.Steps)-1-back].Alarm() {
		back++
	}
	w.set(c.Hash, back)
	return back, back > before
}

// turn restarts the tests when the certificate has changed.
func (w *Watch) turn(c *certify.Certificate) {
	if w.hash == c.Hash {
		return
	}
	w.hash, w.monitors = c.Hash, make([]*certify.Monitor, len(c.Steps))
	for i := range w.monitors {
		w.monitors[i] = certify.NewMonitor(c.MaxLoss, c.Delta)
	}
}

// Threshold is the highest risk that is accepted, -Inf when none is.
func (w *Watch) Threshold(c *certify.Certificate) float64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if i := len(c.Steps) - 1 - w.of(c.Hash); i >= 0 {
		return c.Steps[i]
	}
	return math.Inf(-1)
}

// Refuted reports whether every step of the certificate has been refuted.
func (w *Watch) Refuted(c *certify.Certificate) bool { return math.IsInf(w.Threshold(c), -1) }

// Back returns how many steps the watch has taken back from the certificate with
// this hash.
func (w *Watch) Back(hash string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.of(hash)
}

// Stepped returns the certificates that the watch has stepped back from, in the
// order in which it did.
func (w *Watch) Stepped() []Stepped {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.back)
}

// StepBack steps back as far as this gateway did before a restart, or as another
// gateway did. It never steps forward, so facts may come late and more than once.
func (w *Watch) StepBack(s Stepped) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.set(s.Certificate, max(s.Steps, w.of(s.Certificate)))
}

func (w *Watch) of(hash string) int {
	if i := w.index(hash); i >= 0 {
		return w.back[i].Steps
	}
	return 0
}

func (w *Watch) set(hash string, steps int) {
	i := w.index(hash)
	switch {
	case i >= 0:
		w.back[i].Steps = steps
		return
	case steps == 0:
		return
	case len(w.back) == maxWatched:
		w.back = slices.Delete(w.back, 0, 1)
	}
	w.back = append(w.back, Stepped{hash, steps})
}

func (w *Watch) index(hash string) int {
	return slices.IndexFunc(w.back, func(s Stepped) bool { return s.Certificate == hash })
}
