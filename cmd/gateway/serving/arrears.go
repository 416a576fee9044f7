package serving

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/sluice-gateway/sluice/internal/meter/budget"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

const (
	// arrearsEvery is how often new budgets are looked for.
	arrearsEvery = time.Second
	// arrearsClaim is how long the gateways of a root leave its new budgets to the one
	// that looks, and how long after a look the next one is.
	arrearsClaim = 4 * time.Minute
	// arrearsLater is by how much longer the wait is after each look that found nothing,
	// and arrearsLast is the longest: what is still open then, under the configuration
	// of before the change, is not counted until there is another.
	arrearsLater = 4
	arrearsLast  = 64 * time.Minute
)

// arrears makes budgets that are newer than their period's spending count it.
type arrears struct {
	*accounts
	of    *budget.Policies  // what was looked at last
	marks map[string]string // its budgets, by root
	turns map[string]turn   // roots that are to be looked at
}

// turn is when to look at a root. After a change it is looked at several times: what its
// gateways had open under the old configuration is in the rows when it ends. A look
// finds what two gateways counted at once too, so after one that found something there
// is another as soon as the ledger has what was posted.
type turn struct {
	at, changed time.Time
	wait        time.Duration // until the next look, when this one finds nothing
	posted      uint64        // the number that the ledger must have before that
}

// arrears takes in the budgets that the gateway starts with.
func (a *accounts) arrears() *arrears {
	all := &arrears{accounts: a, marks: map[string]string{}, turns: map[string]turn{}}
	all.take(a.now())
	return all
}

// take gives the roots whose budgets a reload changed their turns.
func (a *arrears) take(now time.Time) {
	current := a.snapshots.Load().Budgets
	if current == a.of {
		return
	}
	a.of = current
	marks := current.Marks()
	for root, mark := range marks {
		if a.marks[root] != mark {
			a.turns[root] = turn{at: now, changed: now, wait: arrearsClaim}
		}
	}
	for root := range a.turns {
		if marks[root] == "" {
			delete(a.turns, root)
		}
	}
	a.marks = marks
}

// look takes in what a reload changed and looks at the roots whose turn it is. What
// the ledger has lost would be missing in rows: then it waits.
func (a *arrears) look() (more bool) {
	now := a.now()
	a.take(now)
	if !a.health.whole() {
		return true
	}
	known, due := a.past(a.correct == nil), map[time.Time]map[string]bool{}
	for root, t := range a.turns {
		posted, _ := known(root)
		_, applied := a.meter.Numbers(root)
		if !posted || applied < t.posted || now.Before(t.at) {
			continue
		}
		if due[t.changed] == nil {
			due[t.changed] = map[string]bool{}
		}
		due[t.changed][root] = true
	}
	for changed, roots := range due {
		if err := a.settle(roots, changed, now); err != nil {
			a.log.Warn("what new budgets must count is not known yet", "err", err)
		}
	}
	return true
}

// settle posts what the windows of the roots lack, in the periods of a change and of
// now, and gives them their next turns. Another gateway that looked just now is as good.
func (a *arrears) settle(roots map[string]bool, changed, now time.Time) error {
	ctx, cancel := context.WithTimeout(context.Background(), arrearsClaim)
	defer cancel()
	mine := map[string]bool{}
	for root := range roots {
		t := a.turns[root]
		a.turns[root] = turn{now.Add(arrearsClaim), changed, t.wait, t.posted} // when this fails
		claimed, err := a.ledger.Claim(ctx, root, "arrears:"+a.marks[root], arrearsClaim-time.Second)
		if err != nil {
			return err
		}
		if claimed {
			mine[root] = true
		}
	}
	found, err := a.post(ctx, mine, changed, now)
	if err != nil {
		return err
	}
	for root := range roots {
		a.next(root, now, found[root])
	}
	return nil
}

// next is the turn after a look.
func (a *arrears) next(root string, now time.Time, found bool) {
	t := a.turns[root]
	switch {
	case found:
		head, _ := a.meter.Numbers(root)
		a.turns[root] = turn{now.Add(arrearsClaim), t.changed, arrearsClaim, head}
	case t.wait > arrearsLast:
		delete(a.turns, root)
	default:
		a.turns[root] = turn{now.Add(t.wait), t.changed, t.wait * arrearsLater, t.posted}
	}
}

// post posts what the windows of the roots lack, and returns which roots had any.
func (a *arrears) post(ctx context.Context, roots map[string]bool, changed, now time.Time) (map[string]bool, error) {
	found := map[string]bool{}
	all, err := a.of.Arrears(ctx, a.ledger, roots, changed, now)
	if err != nil {
		return nil, err
	}
	for i := range all {
		w := &all[i].Window
		id := ulid.MustNew(ulid.Timestamp(now), rand.Reader).String()
		if err := a.meter.Adjust(all[i].Charge(id, now)); err != nil {
			return nil, err
		}
		found[record.RootOf(w.Tenant)] = true
		a.log.Info("a budget counts what its period already holds", "tenant", w.Tenant, "period", w.Period,
			"nano_usd", all[i].Nanos)
	}
	return found, nil
}
