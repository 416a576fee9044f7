package serving

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/cmd/gateway/serving/succession"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/cascade/memory"
	"github.com/sluice-gateway/sluice/internal/forecast"
	"github.com/sluice-gateway/sluice/internal/keys"
	"github.com/sluice-gateway/sluice/internal/leg"
	"github.com/sluice-gateway/sluice/internal/meter"
	"github.com/sluice-gateway/sluice/internal/meter/budget"
	"github.com/sluice-gateway/sluice/internal/meter/embedded"
	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/notify"
	"github.com/sluice-gateway/sluice/internal/meter/peers"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/meter/redis"
	"github.com/sluice-gateway/sluice/internal/meter/redis/acts"
	"github.com/sluice-gateway/sluice/internal/meter/redis/posted"
	"github.com/sluice-gateway/sluice/internal/snapshot"
	"github.com/sluice-gateway/sluice/internal/tenant"
)

// leasingLedger is what both ledgers are: counters, and budgets to lease from.
type leasingLedger interface {
	ledger.Ledger
	ledger.Leaser
	// Rotate replaces the mark of the root secret.
	Rotate(ctx context.Context, fp string) error
	// Fold turns hours that are old enough into days.
	Fold(ctx context.Context, now time.Time, hours func(root string, day time.Time) bool) error
	// Closings returns the closed months of a root.
	Closings(ctx context.Context, root string) (ledger.Closings, error)
	// Claim reports whether this gateway may do what only one should for a root.
	Claim(ctx context.Context, root, what string, ttl time.Duration) (bool, error)
	forecast.Ledger
}

// accounts is what a gateway counts with: the meter with its journal, the ledger
// below, budgets and their notices, and the jobs that it started.
type accounts struct {
	accountsOptions
	meter   *meter.Meter
	limiter *budget.Limiter
	peers   *peers.Peers // nil with a ledger of this process alone
	store
	notices *notify.Outbox
	health  health

	stop chan struct{}
	wg   sync.WaitGroup
}

type accountsOptions struct {
	log     *slog.Logger
	now     func() time.Time
	crash   meter.Crash
	secrets *tenant.Secrets
	memory  *memory.Store
	// snapshots say where a tenant's webhook is, and which facts of other gateways
	// matter here. One is in use.
	snapshots  *snapshot.Store
	calls      http.RoundTripper // for webhooks
	succession *succession.Succession
}

// store is a ledger, and what is kept beside its counters.
type store struct {
	ledger leasingLedger
	kept   notify.Store // notices that were not delivered yet
	jobs   leg.Jobs
	// correct gives the ledger what commands have corrected; nil for a shared one,
	// to which they post themselves.
	correct func(context.Context) error
	// look asks a shared ledger how it is; nil for one of this process.
	look    func(context.Context) (redis.Health, error)
	board   peers.Board   // where gateways declare their limits; nil for one of this process
	acts    keys.Board    // where gateways tell what was done to keys; nil for one of this process
	posted  *posted.Board // where gateways say up to when they have posted; nil for one of this process
	mends   mender        // nil for one of this process
	shared  *redis.Ledger // nil for one of this process
	closers []io.Closer
}

// openAccounts opens the journal and the ledger. A ledger that is away does not
// stop the start: records wait in the journal.
func openAccounts(ctx context.Context, o accountsOptions) (*accounts, error) {
	a := &accounts{accountsOptions: o, stop: make(chan struct{})}
	s := o.snapshots.Load()
	var err error
	if a.store, err = openStore(ctx, s.Config, o); err != nil {
		return nil, err
	}
	if err := a.checkFingerprint(ctx); err != nil {
		return nil, err
	}
	of := command.MeterOptions(s.Config, a.ledger)
	of.Now, of.Log, of.Crash, of.Listen = o.now, o.log, o.crash, a.listens
	of.Board = o.memory.Board()
	if err := o.succession.Open(func(folder journal.Dir) (err error) {
		of.Disk = folder
		a.meter, err = meter.Open(ctx, of)
		return err
	}); err != nil {
		return nil, cannotOpen(s.Config, err)
	}
	a.notices = notify.NewOutbox(notify.OutboxOptions{
		Store: a.kept, Sender: notify.New(notify.Options{Transport: o.calls, Log: o.log, Now: o.now}),
		Hook: a.hook, Log: o.log, Now: o.now,
	})
	_, id := a.meter.Journal()
	a.limiter = budget.New(budget.Options{
		Leaser: a.ledger, Writer: id.Writer, Epoch: id.Epoch, Numbers: a.meter.Numbers, Log: o.log, Now: o.now,
		Roots: s.Budgets.Roots(), Notice: a.notice, Past: a.past(s.Config.Ledger.Redis != ""),
		Ahead: a.health.ahead,
	})
	a.openPeers(s, id.Writer)
	a.wg.Go(func() { a.repeat(time.Hour, a.fold) })
	a.wg.Go(func() { a.atOnceAndEvery(lookEvery, a.lookAt) })
	a.wg.Go(func() { a.repeat(lookEvery, a.mend) })
	a.wg.Go(func() { a.atOnceAndEvery(succession.AdoptEvery, o.succession.Adopter(o.snapshots, a.ledger)) })
	a.wg.Go(func() { a.atOnceAndEvery(tellEvery, a.tellPosted()) })
	a.wg.Go(func() { a.repeat(diskEvery, a.watchDisk()) })
	a.wg.Go(func() { a.atOnceAndEvery(correctionsEvery, a.takeCorrections) })
	a.wg.Go(func() { a.atOnceAndEvery(inheritEvery, a.inheritOrWarn) })
	arrears := a.arrears()
	a.wg.Go(func() { a.repeat(arrearsEvery, arrears.look) })
	return a, nil
}

// listens returns the root tenants whose facts to read, none when gateways share
// nothing.
func (a *accounts) listens() []string {
	if a.memory.Board() == nil {
		return nil
	}
	return a.snapshots.Load().Roots
}

func openStore(ctx context.Context, cfg *config.Config, o accountsOptions) (store, error) {
	if cfg.Ledger.Redis == "" {
		return openEmbedded(cfg)
	}
	shared, err := command.OpenRedisWith(cfg, redis.Options{Log: o.log, Now: o.now})
	if err != nil {
		return store{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, ledgerTimeout)
	defer cancel()
	if err := shared.Check(ctx); redis.Refused(err) {
		return store{}, err
	}
	return store{
		ledger: shared, kept: shared.Notices(), jobs: shared.Jobs(), look: shared.Look, mends: redis.NewMender(shared),
		board: redis.NewBoard(shared), acts: acts.NewBoard(shared), posted: posted.NewBoard(shared),
		shared: shared, closers: []io.Closer{shared},
	}, nil
}

func openEmbedded(cfg *config.Config) (store, error) {
	state := &embedded.State{FingerprintFile: filepath.Join(cfg.DataDir, "fingerprint")}
	jobs, err := embedded.OpenJobs(command.JobsFile(cfg), time.Now)
	if err != nil {
		return store{}, err
	}
	notices, err := embedded.OpenNotices(filepath.Join(cfg.DataDir, "notices"), time.Now)
	if err != nil {
		return store{}, err
	}
	where := &config.Config{DataDir: cfg.DataDir} // all of cfg may be large, and a reload replaces it
	closings := command.ClosingsFile(cfg)
	correct := func(ctx context.Context) error {
		if err := state.TakeClosings(closings); err != nil {
			return err
		}
		dir, ever := command.Corrected(where)
		if !ever {
			return nil
		}
		return meter.EachCorrection(dir, func(writer string, p *record.Posting) error {
			return state.Correct(ctx, writer, p)
		})
	}
	return store{ledger: state, kept: notices, jobs: jobs, correct: correct, closers: []io.Closer{jobs, notices}}, nil
}

// ledgerTimeout is how long a start waits for a ledger.
const ledgerTimeout = 5 * time.Second

// checkFingerprint stops a start under another root secret than the ledger was
// made with: its keys would belong to other tenants. A ledger that has the
// previous secret's mark gets the current one's: the secret is being rotated.
func (a *accounts) checkFingerprint(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, ledgerTimeout)
	defer cancel()
	err := a.ledger.Fingerprint(ctx, a.secrets.Fingerprint())
	if previous := a.secrets.PreviousFingerprint(); errors.Is(err, ledger.ErrFingerprint) && previous != "" {
		if err = a.ledger.Fingerprint(ctx, previous); err == nil {
			err = a.ledger.Rotate(ctx, a.secrets.Fingerprint())
		}
	}
	if errors.Is(err, ledger.ErrFingerprint) {
		return fmt.Errorf("%w: set SLUICE_ROOT_SECRET, or root.secret in data_dir, to the one that its keys derive from", err)
	}
	if err != nil {
		a.log.Warn("the ledger's fingerprint could not be checked", "err", err)
	}
	return nil
}

// repeat waits and calls f, until f reports that nothing is left to do or the
// gateway stops.
func (a *accounts) repeat(every time.Duration, f func() (more bool)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-a.stop:
			return
		case <-tick.C:
		}
		if !f() {
			return
		}
	}
}

// atOnceAndEvery is repeat with a first call at once.
func (a *accounts) atOnceAndEvery(every time.Duration, f func() (more bool)) {
	if f() {
		a.repeat(every, f)
	}
}

// correctionsEvery is how long the embedded ledger may not know of a correction.
const correctionsEvery = 2 * time.Second

func (a *accounts) takeCorrections() (more bool) {
	if a.correct == nil {
		return false
	}
	if err := a.correct(context.Background()); err != nil {
		a.log.Warn("corrections are not counted by budgets", "err", err)
	}
	return true
}

// past is what must be known of a root before anything is leased for it. The
// embedded ledger is made from the journal at each start: all must be posted, and
// nothing is lost. Redis may have lost what it had according to the journal, and then
// other gateways may have leased what it does not know of.
func (a *accounts) past(shared bool) func(root string) (known, lost bool) {
	if !shared {
		return func(root string) (bool, bool) { return a.meter.Past(root).Posted, false }
	}
	return func(root string) (bool, bool) {
		past := a.meter.Past(root)
		return past.Known, past.Lost
	}
}

// inheritEvery is how often leases of processes that died are looked for while
// there are any.
const inheritEvery = time.Second

func (a *accounts) inheritOrWarn() (more bool) {
	left, err := a.inherit(context.Background())
	if err != nil {
		a.log.Warn("leases of an earlier process were not given back yet", "err", err)
	}
	return left > 0
}

// inherit gives back what earlier processes of this data directory did not, and
// returns how many such processes are left.
func (a *accounts) inherit(ctx context.Context) (left int, failed error) {
	before, posted := a.meter.Predecessors()
	if !posted {
		return 1, nil
	}
	for i := range before {
		done, err := a.limiter.Inherit(ctx, &before[i])
		if err == nil && done {
			err = a.meter.Settled(before[i].Writer)
		} else {
			left++
		}
		failed = errors.Join(failed, err)
	}
	return left, failed
}

// noticeKeep is how long after its window a threshold may still be reported.
const noticeKeep = 24 * time.Hour

// notice sends on that a budget reached a threshold.
func (a *accounts) notice(n budget.Notice) {
	body, err := json.Marshal(n.Body())
	if err != nil {
		panic("BUG: a notice has no JSON: " + err.Error())
	}
	a.notices.Add(notify.Notice{ID: n.ID, Tenant: n.Tenant, Body: body, Until: n.End.Add(noticeKeep)})
}

// hook is where the notices of a tenant go.
func (a *accounts) hook(tenant string) (url, secret string) {
	h := a.snapshots.Load().Budgets.Hook(tenant)
	return h.URL, h.Secret
}

// lastNotices is how long a stop waits for webhooks, which may be away.
const lastNotices = 5 * time.Second

func (a *accounts) close(ctx context.Context) {
	close(a.stop)
	a.wg.Wait()
	posting, enough := a.whileItPosts(ctx)
	defer enough()
	a.meter.Retire(posting)  //nolint:errcheck // what the ledger lacks waits in the journal for the next start
	a.inherit(posting)       //nolint:errcheck // the next start tries again
	a.limiter.Close(posting) //nolint:errcheck // leases that were not given back expire
	a.leavePosted(posting)   //nolint:errcheck // reports say then that it is behind
	a.peers.Leave(posting)   //nolint:errcheck // what this gateway declared expires
	last, cancel := context.WithTimeout(ctx, lastNotices)
	defer cancel()
	a.notices.Close(last)
	for _, c := range a.closers {
		c.Close() //nolint:errcheck // nothing is written here
	}
}

const (
	// arrearsEvery is how often new budgets are looked for.
	arrearsEvery = time.Second
	// arrearsClaim is how long the gateways of a root leave its new budgets to the one
	// that looks, which may die, and how long after a look the next one is.
	arrearsClaim = 15 * time.Second
	// arrearsWithin is how long one look may take.
	arrearsWithin = 4 * time.Minute
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
	keys  *keys.State       // likewise
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

// take gives the roots whose budgets a reload changed, or an act on a key, their turns.
func (a *arrears) take(now time.Time) {
	current := a.snapshots.Load()
	if current.Budgets == a.of && current.Tenants.Keys() == a.keys {
		return
	}
	a.of, a.keys = current.Budgets, current.Tenants.Keys()
	marks := a.of.Marks(a.keys)
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
		if now.Before(t.at) {
			continue
		}
		posted, _ := known(root)
		_, applied := a.meter.Numbers(root)
		if !posted || applied < t.posted {
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
	ctx, cancel := context.WithTimeout(context.Background(), arrearsWithin)
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
	all, err := a.of.Arrears(ctx, a.ledger, a.keys, roots, changed, now)
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
