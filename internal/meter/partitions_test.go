package meter

import (
	"fmt"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// TestPastOfOneRoot: asking for the past of one root, which is done for every root
// with budgets in turn, costs the same however many roots there are.
func TestPastOfOneRoot(t *testing.T) {
	cost := func(roots int) time.Duration {
		h := &history{heads: map[record.Partition]uint64{}}
		for i := range roots {
			h.heads[record.Partition{Writer: "earlier", Root: fmt.Sprint("root", i)}] = 1
		}
		ps := newPartitions("w", time.Now, h)
		recent := func(string) bool { return true }
		if p := ps.past("root1", recent); p.Known || p.Posted {
			t.Fatalf("%d roots: %+v of a partition that was not asked for", roots, p)
		}
		if p := ps.past("other", recent); !p.Known || !p.Posted {
			t.Fatalf("%d roots: %+v of a root without a past", roots, p)
		}
		began := time.Now()
		for range 200 {
			ps.past("root1", recent)
		}
		return time.Since(began)
	}
	if few, many := cost(10), cost(20_000); many > 50*few+time.Millisecond {
		t.Errorf("200 times: %v with 10 roots, %v with 20,000", few, many)
	}
}
