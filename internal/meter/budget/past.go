package budget

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/ledger"
)

// errPast is why nothing is borrowed of a root yet.
var errPast = errors.New("the ledger is not known to have what earlier processes spent")

// afterPast is a lender that is not asked for slices of a root before the ledger
// is known to have what earlier processes of this journal spent there, and that
// is told with the first request when it had lost some of it.
type afterPast struct {
	ledger.Leaser
	past func(root string) (known, lost bool)

	mu    sync.Mutex
	asked map[string]bool // roots of which it has answered; guarded by mu
}

// pastEvery is how often the past is looked at until it is known.
const pastEvery = 5 * time.Millisecond

// Grant implements ledger.Leaser.
func (l *afterPast) Grant(ctx context.Context, r *ledger.GrantRequest) (*ledger.GrantReply, error) {
	l.mu.Lock()
	asked := l.asked[r.Root]
	l.mu.Unlock()
	if asked {
		return l.Leaser.Grant(ctx, r)
	}
	known, lost := l.past(r.Root)
	for ; !known; known, lost = l.past(r.Root) {
		if !pause(ctx, pastEvery) {
			return nil, errPast
		}
	}
	first := *r
	first.Lost = lost
	reply, err := l.Leaser.Grant(ctx, &first)
	if err == nil {
		l.mu.Lock()
		l.asked[r.Root] = true
		l.mu.Unlock()
	}
	return reply, err
}
