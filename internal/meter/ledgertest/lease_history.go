package ledgertest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// LeaseSubject is a ledger with the faults that its surroundings can have. A
// fault that is nil is left out of histories.
type LeaseSubject struct {
	Gateways []Leaser // of several processes on the same books
	// Now and Wait are the clock of the TTLs: see Clock.
	Now  func() time.Time
	Wait func(time.Duration)
	// Fences is whether the ledger distinguishes processes of one writer by their
	// epochs. Elsewhere a process that follows another one is another writer.
	Fences      bool
	LoseReplies func(after int)
	Heal        func()
	// Save remembers the books and Restore puts them back, as a failover to a
	// replica that was behind does. Wipe loses everything.
	Save, Restore, Wipe func() error
}

// LeaseKind is what a step of a history of leases does.
type LeaseKind int

// The steps.
const (
	reserve     LeaseKind = iota // take holds, leasing what is short
	reserveMore                  // the same
	finish                       // the oldest call ends: journal its cost, give the rest back
	finishOver                   // it cost more than was held
	finishBlind                  // nobody knows what it cost
	sendCharges
	renewAll // renew, giving idle leases back
	crash    // the process dies and another one goes on with its journal
	leave    // finish, post and retire
	silence  // the writer does not renew for longer than its TTL
	saveBooks
	restoreBooks
	wipeBooks
	leaseKinds
)

// LeaseStep is one event of a history of leases.
type LeaseStep struct {
	Kind   LeaseKind
	Writer int
	Amount int64
	Lose   bool // the reply to the step's first call
}

// LeaseHistories generates lists of steps. Few histories overshoot, since what
// may be spent then has no bound to check.
func LeaseHistories() *rapid.Generator[[]LeaseStep] {
	return rapid.Custom(func(t *rapid.T) []LeaseStep {
		over := rapid.IntRange(0, 4).Draw(t, "over") == 0
		var kinds []LeaseKind
		for k := range leaseKinds {
			if k != silence && (k != finishOver || over) {
				kinds = append(kinds, k)
			}
		}
		step := rapid.Custom(func(t *rapid.T) LeaseStep {
			return LeaseStep{
				Kind: rapid.SampledFrom(kinds).Draw(t, "kind"), Writer: rapid.IntRange(0, 2).Draw(t, "writer"),
				Amount: rapid.Int64Range(1, 30).Draw(t, "amount"), Lose: rapid.IntRange(0, 5).Draw(t, "lose") == 0,
			}
		})
		steps := rapid.SliceOfN(step, 20, 60).Draw(t, "steps")
		if rapid.IntRange(0, 2).Draw(t, "silent") == 0 {
			steps[len(steps)/2].Kind = silence
		}
		return steps
	})
}

// ttl is that of all leases. Each step of a history takes some of it, and a
// writer with leases must renew fifty times in it.
const (
	ttl      = time.Minute
	stepTime = ttl / 100
)

// bank is one root, its windows with their limits, and its writers.
type bank struct {
	LeaseSubject
	ctx     context.Context
	windows []record.Window
	limits  []int64
	writers []*spender
	past    []*spender // whose processes were followed by another writer's
	saved   bool
	lost    bool // writes were lost at some time
	over    bool // a call cost more than was held
	loose   bool // a writer with open calls was given up, which frees its concurrency
}

// spender is a gateway that keeps the rules: it spends what it leased and has
// renewed, and journals what it spent.
type spender struct {
	name     string
	ledger   Leaser
	epoch    uint64
	journal  []record.Posting
	believe  uint64
	accounts []purse // by window
	holds    []int64
	renewed  time.Time // when the last answered call was sent
}

type purse struct{ granted, returned, idle int64 }

// ReplayLeases runs a history and ends it in order: all calls finish, all is
// posted, all writers retire. It fails when more may be spent than a limit says,
// when an account and its window differ, or when the books do not end as the
// journals say.
func ReplayLeases(ctx context.Context, s LeaseSubject, steps []LeaseStep) error {
	b := &bank{
		LeaseSubject: s, ctx: ctx,
		windows: []record.Window{month(), monthOf("acme"), slots()}, limits: []int64{100, 160, 8},
	}
	for i := range 3 {
		w := &spender{
			name:     fmt.Sprintf("w%d", i),
			ledger:   s.Gateways[i%len(s.Gateways)],
			epoch:    1,
			accounts: make([]purse, 3),
		}
		b.writers = append(b.writers, w)
		if err := b.renew(w, 0); err != nil {
			return err
		}
	}
	for i, step := range steps {
		b.Wait(stepTime)
		if err := b.beat(); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
		if err := b.do(b.writers[step.Writer], step); err != nil {
			return fmt.Errorf("step %d %+v: %w", i, step, err)
		}
		if err := b.check(); err != nil {
			return fmt.Errorf("after step %d %+v: %w", i, step, err)
		}
	}
	return b.end()
}

// beat lets every writer post and renew often enough for its TTL.
func (b *bank) beat() error {
	for _, w := range b.writers {
		if b.Now().Sub(w.renewed) < ttl/60 {
			continue
		}
		if err := b.speak(w); err != nil {
			return err
		}
	}
	return nil
}

func (b *bank) speak(w *spender) error {
	if err := b.send(w); err != nil {
		return err
	}
	return b.renew(w, 0)
}

func (b *bank) do(w *spender, s LeaseStep) error {
	if s.Lose && b.LoseReplies != nil {
		b.LoseReplies(0)
		defer b.Heal()
	}
	switch s.Kind {
	case reserve, reserveMore:
		return b.reserve(w, s.Amount)
	case finish:
		w.finish(b, 3*s.Amount/4)
	case finishOver:
		b.over = b.over || len(w.holds) > 0
		w.finish(b, 1<<20+s.Amount%3)
	case finishBlind:
		w.finish(b, -1)
	case sendCharges:
		return b.send(w)
	case renewAll:
		return b.renew(w, s.Amount)
	case crash:
		return b.crash(w)
	case leave:
		return b.leave(w)
	case silence:
		return b.silence(w)
	case saveBooks, restoreBooks, wipeBooks:
		return b.disaster(s.Kind)
	}
	return nil
}

func (b *bank) disaster(k LeaseKind) error {
	switch {
	case k == saveBooks && b.Save != nil:
		b.saved = true
		return b.Save()
	case k == restoreBooks && b.saved:
		b.lost = true
		return b.Restore()
	case k == wipeBooks && b.Wipe != nil:
		b.lost = true
		return b.Wipe()
	}
	return nil
}

// silence lets a TTL pass without a call of one writer. What was lost before is
// reported first: nobody can account for calls that outlive a loss unheard.
func (b *bank) silence(silent *spender) error {
	b.healAll()
	b.loose = true
	for range 5 {
		for _, w := range b.writers {
			if w == silent && !b.lost {
				continue
			}
			if err := b.speak(w); err != nil {
				return err
			}
		}
		b.Wait(ttl / 4)
	}
	if b.lost {
		return nil
	}
	// Another writer's call finds the silent one out.
	return b.reserve(b.writers[(b.index(silent)+1)%3], 1)
}

func (b *bank) healAll() {
	if b.Heal != nil {
		b.Heal()
	}
}

func (b *bank) index(of *spender) int {
	for i, w := range b.writers {
		if w == of {
			return i
		}
	}
	return 0
}

// amounts is what a hold takes of each window.
func amounts(hold int64) [3]int64 { return [3]int64{hold, hold, 1} }

// reserve takes a hold, leasing what is short with something on top.
func (b *bank) reserve(w *spender, hold int64) error {
	var wants []ledger.Want
	need := amounts(hold)
	live := b.Now().Sub(w.renewed) < ttl
	for i, p := range w.accounts {
		if !live || p.idle < need[i] {
			wants = append(wants, ledger.Want{
				Account: w.account(b, i), Limit: b.limits[i], Min: max(0, need[i]-p.idle), Ask: max(0, need[i]-p.idle) + need[i]/2,
			})
		}
	}
	if len(wants) > 0 {
		granted, err := b.lease(w, wants)
		if err != nil || !granted {
			return err
		}
	}
	for i := range w.accounts {
		if w.accounts[i].idle < need[i] {
			return fmt.Errorf("%s: a grant is smaller than its least amount", w.name)
		}
	}
	for i := range w.accounts {
		w.accounts[i].idle -= need[i]
	}
	w.holds = append(w.holds, hold)
	return nil
}

func (w *spender) account(b *bank, i int) ledger.Account {
	return ledger.Account{Window: b.windows[i], Granted: w.accounts[i].granted, Returned: w.accounts[i].returned}
}

func (b *bank) lease(w *spender, wants []ledger.Want) (bool, error) {
	sent := b.Now()
	reply, err := again(b, func() (*ledger.GrantReply, error) {
		return w.ledger.Grant(b.ctx, &ledger.GrantRequest{
			Writer: w.name, Epoch: w.epoch, Root: "acme", Watermark: w.believe, Wants: wants, TTL: ttl,
		})
	})
	if err != nil {
		return false, fmt.Errorf("%s: grant: %+v: %w", w.name, reply, err)
	}
	if reply.State == ledger.Frozen {
		return false, nil
	}
	w.renewed = sent
	if reply.State != ledger.Granted {
		return false, nil
	}
	for i := range wants {
		for j := range b.windows {
			if b.windows[j] == wants[i].Window {
				w.accounts[j].granted += reply.Amounts[i]
				w.accounts[j].idle += reply.Amounts[i]
			}
		}
	}
	return true, nil
}

// again repeats a call whose reply was lost.
func again[T any](b *bank, call func() (T, error)) (T, error) {
	v, err := call()
	if err != nil && b.Heal != nil {
		b.Heal()
		v, err = call()
	}
	return v, err
}

// finish ends the oldest call: a cost of -1 is unknown, one above 1<<20 is that
// much more than what was held.
func (w *spender) finish(b *bank, cost int64) {
	if len(w.holds) == 0 {
		return
	}
	hold := w.holds[0]
	w.holds = w.holds[1:]
	suspense := cost < 0
	switch {
	case suspense:
		cost = hold
	case cost > 1<<20:
		cost = hold + cost - 1<<20
	default:
		cost = min(cost, hold)
	}
	p := record.Posting{Seq: uint64(len(w.journal)) + 1, Root: "acme", Row: row("m"), Add: record.Counters{Legs: 1}}
	for i := range 2 {
		p.Charges = append(p.Charges, record.Charge{Window: b.windows[i], Amount: cost, Suspense: suspense})
		w.accounts[i].idle = max(0, w.accounts[i].idle+hold-cost)
	}
	w.accounts[2].idle++
	w.journal = append(w.journal, p)
}

// crash loses what is in memory. Calls that were open are found in the journal.
func (b *bank) crash(w *spender) error {
	for len(w.holds) > 0 {
		w.finish(b, -1)
	}
	if b.Fences {
		w.epoch++
		w.accounts = make([]purse, 3)
		return nil
	}
	died := *w
	*w = spender{name: w.name + "'", ledger: w.ledger, epoch: 1, accounts: make([]purse, 3)}
	b.past = append(b.past, &died)
	err := errors.Join(b.send(&died), b.retire(&died), b.renew(w, 0))
	died.accounts = make([]purse, 3)
	return err
}

// send posts the journal behind the watermark.
func (b *bank) send(w *spender) error {
	for range 4 {
		head := uint64(len(w.journal))
		wm, err := again(b, func() (uint64, error) { return w.ledger.Watermark(b.ctx, w.name, "acme") })
		if err != nil {
			return err
		}
		w.believe = wm
		if wm == head {
			return nil
		}
		batch := &ledger.Batch{Writer: w.name, Epoch: w.epoch, Root: "acme", From: wm + 1, To: head, Postings: w.journal[wm:]}
		if _, err := again(b, func() (ledger.Reply, error) { return w.ledger.Apply(b.ctx, batch) }); err != nil {
			return fmt.Errorf("%s: apply: %w", w.name, err)
		}
	}
	return fmt.Errorf("%s: the watermark does not reach the journal's head", w.name)
}

// renew gives back up to idle of each window and renews.
func (b *bank) renew(w *spender, idle int64) error {
	r := &ledger.RenewRequest{
		Writer: w.name, Epoch: w.epoch, Root: "acme", Watermark: w.believe, Head: uint64(len(w.journal)), TTL: ttl,
	}
	var open [3]int64
	for _, hold := range w.holds {
		for i, n := range amounts(hold) {
			open[i] += n
		}
	}
	for i := range w.accounts {
		p := &w.accounts[i]
		back := min(idle, p.idle)
		p.returned, p.idle = p.returned+back, p.idle-back
		r.Accounts = append(r.Accounts, w.account(b, i))
		r.Held = append(r.Held, open[i]+p.idle)
	}
	sent := b.Now()
	if _, err := again(b, func() (*ledger.RenewReply, error) { return w.ledger.Renew(b.ctx, r) }); err != nil {
		return fmt.Errorf("%s: renew: %w", w.name, err)
	}
	w.renewed = sent
	return nil
}

// leave ends a process in order. Another one begins in its place.
func (b *bank) leave(w *spender) error {
	for len(w.holds) > 0 {
		w.finish(b, 1)
	}
	if err := b.send(w); err != nil {
		return err
	}
	if err := b.retire(w); err != nil {
		return err
	}
	w.epoch++
	w.accounts = make([]purse, 3)
	return nil
}

// retire closes the accounts of a writer whose journal is posted.
func (b *bank) retire(w *spender) error {
	r := &ledger.RenewRequest{
		Writer: w.name, Epoch: w.epoch, Root: "acme", Watermark: w.believe, Head: w.believe, TTL: ttl, Retire: true,
	}
	for i := range w.accounts {
		r.Accounts = append(r.Accounts, w.account(b, i))
	}
	if _, err := again(b, func() (*ledger.RenewReply, error) { return w.ledger.Renew(b.ctx, r) }); err != nil {
		return fmt.Errorf("%s: retire: %w", w.name, err)
	}
	return nil
}
