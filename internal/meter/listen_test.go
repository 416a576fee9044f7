package meter

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// asking is a ledger that notes whose watermarks it is asked for.
type asking struct {
	*modelLedger
	mu    sync.Mutex
	asked map[string]int
}

func (a *asking) Watermark(ctx context.Context, writer, root string) (uint64, error) {
	a.mu.Lock()
	a.asked[root]++
	a.mu.Unlock()
	return a.modelLedger.Watermark(ctx, writer, root)
}

// take returns what was asked for since the last time.
func (a *asking) take() map[string]int {
	a.mu.Lock()
	defer a.mu.Unlock()
	asked := a.asked
	a.asked = map[string]int{}
	return asked
}

// TestListen: a heartbeat asks for roots that nothing was posted to, a few at a
// time, and for none of them twice.
func TestListen(t *testing.T) {
	l := &asking{modelLedger: newModelLedger(), asked: map[string]int{}}
	var beats atomic.Int64
	o := testOptions(t, t.TempDir(), l)
	o.Heartbeat = time.Minute
	o.Now = func() time.Time { return testDay.Add(time.Duration(beats.Load()) * time.Minute) }
	o.Listen = func() []string {
		var roots []string
		for i := range maxListens + 10 {
			roots = append(roots, fmt.Sprintf("root%d", i))
		}
		return roots
	}
	m := openMeter(t, o)
	defer closeMeter(t, m)
	heard := func(what string, want int) map[string]int {
		t.Helper()
		var got map[string]int
		eventually(t, what, func() bool {
			l.mu.Lock()
			defer l.mu.Unlock()
			got = l.asked
			return len(got) == want
		})
		return l.take()
	}
	first := heard("as soon as it starts", maxListens)
	call(t, m, 1, "root70")
	eventually(t, "posted", func() bool { return m.Status().Backlog == 0 })
	beats.Add(1)
	second := heard("the others, and the one that was posted to", 10)
	if second["root70"] != 1 {
		t.Errorf("root70 was asked for %d times", second["root70"])
	}
	for root := range second {
		if first[root] != 0 {
			t.Errorf("%s had its turn before", root)
		}
	}
	beats.Add(1)
	heard("from the beginning", maxListens+1)
}
