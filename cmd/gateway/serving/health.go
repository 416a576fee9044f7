package serving

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/redis"
)

// health is how a shared ledger was when it was last looked at. The zero value is
// well. It is safe for concurrent use.
type health struct {
	mu     sync.Mutex // guards the following
	err    error
	behind time.Duration // how far this machine's clock is behind the ledger's
}

const (
	// lookEvery is how often a shared ledger is looked at, and looked is how long one
	// look may take: what is wrong with it is known ten seconds later at most.
	lookEvery = 4 * time.Second
	looked    = 3 * time.Second
	// badClock is a difference of clocks that is told. One beyond maxSkew is not
	// corrected: nobody knows which of the two clocks is right.
	badClock = 2 * time.Second
	maxSkew  = time.Hour
)

// lookAt looks at the ledger, and logs when it began or ceased to be well.
func (a *accounts) lookAt() (more bool) {
	if a.look == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), looked)
	defer cancel()
	now, err := a.look(ctx)
	a.took(now, err)
	return true
}

func (a *accounts) took(now redis.Health, err error) {
	h := &a.health
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case err != nil && h.err == nil:
		a.log.Warn("the ledger is not well; records wait in the journal while it takes none", "err", err)
	case err == nil && h.err != nil:
		a.log.Info("the ledger is well again")
	}
	if h.err = err; err != nil {
		return
	}
	if bad := skewed(now.Ahead); bad != skewed(h.behind) && bad {
		a.log.Warn("this machine's clock differs from the ledger's; budgets go by the ledger's", "behind_by", now.Ahead)
	}
	h.behind = now.Ahead
}

func skewed(d time.Duration) bool { return d.Abs() > badClock }

// ahead is by how much budgets correct this machine's clock. Small differences are
// left: they may be the way to the ledger.
func (h *health) ahead() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !skewed(h.behind) || h.behind.Abs() > maxSkew {
		return 0
	}
	return h.behind
}

// state returns how far this machine's clock is behind, and why the ledger is not
// well, nil when it is.
func (h *health) state() (behind time.Duration, sick error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.behind, h.err
}

// ledgerTrouble is all that is wrong between this gateway and the ledger, by the names
// that /readyz gives it.
func (a *accounts) ledgerTrouble() map[string]string {
	all := map[string]string{}
	s, t := a.meter.Status(), a.limiter.Trouble()
	behind, sick := a.health.state()
	for _, err := range []error{t.Away, s.LedgerErr, sick} { // the last names the cause best
		if err != nil {
			all["ledger"] = err.Error()
		}
	}
	if s.Fenced {
		all["ledger"] = "another process posts as this writer"
	}
	if t.Frozen > 0 {
		all["budgets"] = fmt.Sprintf("the ledger has lost writes, or may have: it grants nothing to %d root tenants, "+
			"at most until %s", t.Frozen, t.Until.UTC().Format(time.RFC3339))
	}
	if skewed(behind) {
		all["clock"] = fmt.Sprintf("this machine's clock is %s behind the ledger's", behind.Round(time.Millisecond))
	}
	for root, err := range s.Stopped {
		all["ledger of "+root] = err.Error()
	}
	return all
}
