package serving

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter"
	"github.com/sluice-gateway/sluice/internal/meter/audit"
	"github.com/sluice-gateway/sluice/internal/meter/budget"
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/peers"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/meter/redis"
	"github.com/sluice-gateway/sluice/internal/snapshot"
	"github.com/sluice-gateway/sluice/internal/statement"
)

// health is how a shared ledger was when it was last looked at. The zero value is
// well. It is safe for concurrent use.
type health struct {
	mu      sync.Mutex // guards the following
	err     error
	behind  time.Duration   // how far this machine's clock is behind the ledger's
	evicted int64           // keys that it had dropped
	doubted bool            // it may have lost keys of any day
	lost    map[string]bool // keys that it is known to have lost
	frozen  int             // root tenants of which nothing is leased
	until   time.Time       // at most
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
	h.doubted = h.doubted || errors.Is(err, redis.ErrUnfit) || now.Evicted > h.evicted
	if h.err = err; err != nil {
		return
	}
	h.evicted = now.Evicted
	if bad := skewed(now.Ahead); bad != skewed(h.behind) && bad {
		a.log.Warn("this machine's clock differs from the ledger's; budgets go by the ledger's", "behind_by", now.Ahead)
	}
	h.behind = now.Ahead
}

// lastSilence is how long a stop waits for a ledger that takes nothing.
const lastSilence = 5 * time.Second

// whileItPosts returns a context that ends with ctx, with the returned function, and when
// the ledger is silent: when for a while it has neither taken a record that waits nor
// answered a look. What it has not taken waits in the journal for the next start.
func (a *accounts) whileItPosts(ctx context.Context) (posting context.Context, enough func()) {
	posting, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		left, heard := a.meter.Status().Backlog, time.Now()
		for posting.Err() == nil && time.Since(heard) < lastSilence {
			now := a.meter.Status().Backlog
			if now != left || a.answers(posting) {
				left, heard = now, time.Now()
			}
			select {
			case <-posting.Done():
			case <-time.After(lastSilence / 20):
			}
		}
		if posting.Err() == nil {
			a.log.Warn("the ledger does not answer at the stop; what it lacks waits in the journal", "records", left)
		}
		cancel()
	}()
	return posting, func() { cancel(); <-ended }
}

// answers reports whether the ledger answers now.
func (a *accounts) answers(ctx context.Context) bool {
	if a.look == nil {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_, err := a.look(ctx)
	return err == nil
}

// diskEvery is how often the journal is asked whether the disk takes records.
const diskEvery = time.Second

// watchDisk returns what logs when the disk began or ceased to take records.
func (a *accounts) watchDisk() func() (more bool) {
	faulty := false
	return func() bool {
		fault := a.meter.Status().Fault
		switch {
		case fault != nil && !faulty:
			a.log.Error("the disk takes no records; new requests get 503 until it does", "err", fault)
		case fault == nil && faulty:
			a.log.Info("the disk takes records again")
		}
		faulty = fault != nil
		return true
	}
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
	if roots, until := a.freeze(&t); roots > 0 {
		all["budgets"] = fmt.Sprintf("the ledger has lost writes, or may have: it grants nothing to %d root tenants, "+
			"at most until %s", roots, until.UTC().Format(time.RFC3339))
	}
	if skewed(behind) {
		all["clock"] = fmt.Sprintf("this machine's clock is %s behind the ledger's", behind.Round(time.Millisecond))
	}
	if n := a.health.missing(); n > 0 {
		all["rows"] = fmt.Sprintf("the ledger lost %d keys with counters; gateways restore them from their journals, each "+
			"its part", n)
	}
	if of := a.peers.State(); of.Err != nil && all["ledger"] == "" {
		all["limits"] = "not all limits of other gateways are known here: " + of.Err.Error()
	} else if of.Total > 0 {
		all["limits"] = differing(&of)
	}
	for root, err := range s.Stopped {
		all["ledger of "+root] = err.Error()
	}
	return all
}

// mender is a shared ledger that can lose single keys, and gets them back from the
// journals of those who had posted to them.
type mender interface {
	Inspect(ctx context.Context, now time.Time, everywhere bool) (*redis.Found, error)
	Heal(ctx context.Context, d *redis.Damage, writer string,
		rows map[record.RowKey]record.Counters, windows map[record.Window]ledger.WindowSum) error
}

// mended is how long one look for lost keys, and their restoring, may take.
const mended = time.Minute

// fold turns hours that are old enough into days.
func (a *accounts) fold() (more bool) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := a.ledger.Fold(ctx, time.Now(), statement.Hours(ctx, a.snapshots.Load().Config, a.ledger)); err != nil {
		a.log.Warn("old counters not folded", "err", err)
	}
	return true
}

// mend looks for keys that the ledger has lost, and adds again what the journals here
// had posted to them.
func (a *accounts) mend() (more bool) {
	if a.mends == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), mended)
	defer cancel()
	found, err := a.mends.Inspect(ctx, a.now(), a.health.doubts())
	if err != nil {
		return true // lookAt says so
	}
	if len(found.Restored) > 0 {
		a.log.Error("the ledger lost keys that list others; they are there again", "keys", found.Restored)
	}
	if a.health.found(a.log, found) {
		a.log.Error("the ledger lost keys with counters; restoring what the journals here have of them",
			"keys", len(found.Lost))
	}
	if err := a.restore(ctx, found.Lost); err != nil {
		a.log.Warn("keys that the ledger lost are not restored yet", "err", err)
	}
	return true
}

// restore adds the parts of all writers in the journals here.
func (a *accounts) restore(ctx context.Context, lost []redis.Damage) error {
	read := map[string][]*meter.JournalSums{} // by what was asked for: mostly the same
	for i := range lost {
		d := &lost[i]
		asked := fmt.Sprint(d.Root, d.UpTo)
		if read[asked] == nil {
			var err error
			if read[asked], err = postedHere(a.snapshots.Load().Config.DataDir, d); err != nil {
				return err
			}
		}
		for _, sums := range read[asked] {
			if err := a.heal(ctx, d, sums); err != nil {
				return err
			}
		}
	}
	return nil
}

// postedHere is what the journals of a data directory have of what the ledger lost.
func postedHere(dataDir string, d *redis.Damage) ([]*meter.JournalSums, error) {
	journals, err := audit.SourcesIn(dataDir)
	if err != nil {
		return nil, err
	}
	all := make([]*meter.JournalSums, len(journals))
	for i := range journals {
		if all[i], err = meter.ReadPosted(journals[i].Disk, upTo(d)); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func upTo(d *redis.Damage) map[record.Partition]uint64 {
	numbers := make(map[record.Partition]uint64, len(d.UpTo))
	for writer, n := range d.UpTo {
		numbers[record.Partition{Writer: writer, Root: d.Root}] = n
	}
	return numbers
}

func (a *accounts) heal(ctx context.Context, d *redis.Damage, sums *meter.JournalSums) (failed error) {
	for of := range sums.Heads {
		windows := map[record.Window]ledger.WindowSum{}
		for w, s := range sums.Windows[of] {
			windows[w.UTC()] = ledger.WindowSum{Posted: s.Posted, Suspense: s.Suspense}
		}
		failed = errors.Join(failed, a.mends.Heal(ctx, d, of.Writer, sums.Rows[of], windows))
	}
	return failed
}

// doubts reports, once, whether keys of any day may be lost.
func (h *health) doubts() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	defer func() { h.doubted = false }()
	return h.doubted
}

// whole reports whether the ledger is not known to lack anything.
func (h *health) whole() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.lost) == 0 && !h.doubted
}

// found notes what is wrong with the ledger's keys, and reports whether some are lost that
// were not before.
func (h *health) found(log *slog.Logger, f *redis.Found) (more bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	lost := make(map[string]bool, len(f.Lost))
	for i := range f.Lost {
		lost[f.Lost[i].Key()] = true
		more = more || !h.lost[f.Lost[i].Key()]
	}
	h.logFreeze(log, f)
	h.lost, h.frozen, h.until = lost, f.Frozen, f.Until
	return more
}

// logFreeze logs that leases began or ceased to be frozen, for gateways that ask for none.
func (h *health) logFreeze(log *slog.Logger, f *redis.Found) {
	switch {
	case f.Frozen > 0 && h.frozen == 0:
		log.Warn("ledger has lost writes, or may have, and grants no leases for now", "roots", f.Frozen,
			"at_most_until", f.Until)
	case f.Frozen == 0 && h.frozen > 0:
		log.Info("ledger grants leases again")
	}
}

// freeze returns of how many root tenants the ledger grants nothing, and until when at
// most: as this gateway's leases met with it, or as it was when last looked at.
func (a *accounts) freeze(t *budget.Trouble) (roots int, until time.Time) {
	h := &a.health
	h.mu.Lock()
	defer h.mu.Unlock()
	if t.Frozen >= h.frozen || !a.now().Before(h.until) {
		return t.Frozen, t.Until
	}
	return h.frozen, h.until
}

func (h *health) missing() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.lost)
}

// peersTimeout is how long one exchange with the ledger may take.
const peersTimeout = 2 * time.Second

// openPeers makes this gateway heed the limits of others on its ledger. It has heard of
// them before it serves the first request, if the ledger answers at all.
func (a *accounts) openPeers(s *snapshot.Snapshot, writer string) {
	if a.board == nil {
		return
	}
	a.peers = peers.New(peers.Options{
		Board: a.board, Gateway: gatewayName(writer), Log: a.log, Now: time.Now,
	}, s.Budgets)
	a.declare()
	a.wg.Go(func() { a.repeat(peers.Every, a.declare) })
}

// gatewayName names this process so that people find it and no other has its name.
func gatewayName(writer string) string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "gateway"
	}
	const tail = 6
	return host + "-" + strings.ToLower(writer[max(0, len(writer)-tail):])
}

func (a *accounts) declare() (more bool) {
	ctx, cancel := context.WithTimeout(context.Background(), peersTimeout)
	defer cancel()
	a.peers.Refresh(ctx)
	return true
}
