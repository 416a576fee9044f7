package cascade

import (
	"sync"

	"github.com/sluice-gateway/sluice/internal/cascade/certify"
)

// Watch holds the certificate of one cascade against what happens in service.
// It starts anew with each certificate. The zero value is ready; it is safe for
// concurrent use.
type Watch struct {
	mu      sync.Mutex // guards the following
	hash    string     // of the certificate that monitor is about
	monitor *certify.Monitor
}

// Observe takes the loss of one sampled request, 0 when it was escalated, and
// reports whether it is the one that refutes the certificate.
func (w *Watch) Observe(c *certify.Certificate, loss float64) (refuted bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.hash != c.Hash {
		w.hash, w.monitor = c.Hash, certify.NewMonitor(c.MaxLoss, c.Delta)
	}
	before := w.monitor.Alarm()
	w.monitor.Observe(loss)
	return w.monitor.Alarm() && !before
}

// Refuted reports whether the samples say that the certificate's bound does not
// hold. That stays until there is another certificate, or the gateway restarts.
func (w *Watch) Refuted(c *certify.Certificate) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.hash == c.Hash && w.monitor.Alarm()
}
