package memory

import (
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/internal/money"
)

// Allowance limits what the shadows of one cascade cost per UTC day on this
// gateway. The worst case is reserved before the call and settled after it, so
// the limit holds. The zero value is ready; it is safe for concurrent use.
type Allowance struct {
	mu    sync.Mutex // guards the following
	day   int64      // Unix days
	spent money.Pico // including what is reserved
}

// Take reserves the worst case of a call if the day's limit has room for it. A
// limit of 0 means no limit.
func (a *Allowance) Take(worst, limit money.Pico, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if day := now.Unix() / 86400; day != a.day {
		a.day, a.spent = day, 0
	}
	if limit > 0 && a.spent+worst > limit {
		return false
	}
	a.spent += worst
	return true
}

// Settle replaces what was reserved for a call by what it cost. A call that ends
// after midnight corrects the new day, an error of one call at most.
func (a *Allowance) Settle(worst, cost money.Pico) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.spent = max(a.spent-worst, 0) + cost
}
