package meter

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/ledger"
)

// asking is a ledger that notes of which roots it is asked.
type asking struct {
	*modelLedger
	mu    sync.Mutex
	fails error
	asked []string
}

func (a *asking) Apply(ctx context.Context, b *ledger.Batch) (ledger.Reply, error) {
	a.mu.Lock()
	a.asked = append(a.asked, b.Root)
	fails := a.fails
	a.mu.Unlock()
	if fails != nil {
		return ledger.Reply{}, fails
	}
	return a.modelLedger.Apply(ctx, b)
}

func (a *asking) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.asked)
}

// fail makes the ledger fail, and returns what was asked so far.
func (a *asking) fail(err error) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	asked := a.asked
	a.fails, a.asked = err, nil
	return asked
}

// TestListen: roots that nothing is posted to are asked for in turn, and a
// ledger that is away is left alone.
func TestListen(t *testing.T) {
	l := &asking{modelLedger: newModelLedger()}
	o := testOptions(t, t.TempDir(), l)
	o.Listen = func() []string { return []string{"a", "b", "c", "d", "e"} }
	m := openMeter(t, o)
	defer closeMeter(t, m)
	eventually(t, "asked", func() bool { return l.count() >= 50 })
	times := map[string]int{}
	for _, root := range l.fail(errAway)[:50] {
		times[root]++
	}
	for root, n := range times {
		if n != 10 || len(times) != 5 {
			t.Errorf("%s had %d turns of 50", root, n)
		}
	}
	eventually(t, "asked once more", func() bool { return l.count() > 0 })
	time.Sleep(20 * o.Flush) // the clock stands still, so there is no heartbeat
	if n := l.count(); n > listenAtOnce {
		t.Errorf("asked %d times while it was away", n)
	}
}

// TestTurn picks no root that was heard of.
func TestTurn(t *testing.T) {
	l := &listener{}
	f := func(roots []string, heard []string, want ...string) {
		t.Helper()
		for _, root := range heard {
			l.hear(root)
		}
		if got := l.turn(roots); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%v, want %v", got, want)
		}
	}
	roots := []string{"a", "b", "c", "d"}
	f(roots, nil, "b", "c")
	f(roots, []string{"a"}, "d", "b")
	f(roots, []string{"a", "b", "d"}, "c")
	f(roots, roots)
	f(roots[:1], nil, "a")
	f(nil, nil)
}
