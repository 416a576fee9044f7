package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/ledgertest"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// leases wipes the server and returns three gateways on it. A restored state is
// that of another server, as after a failover.
func (f *faults) leases(t testing.TB, use scripts) (ledgertest.LeaseSubject, func()) {
	t.Helper()
	if err := f.wipe(); err != nil {
		t.Fatal(err)
	}
	f.proxy.Heal()
	var open []*Ledger
	for range 3 {
		open = append(open, newLedger(t, f.proxy.URL()))
	}
	s := leaseSubject(use, open...)
	s.LoseReplies, s.Heal = f.proxy.LoseReplies, f.proxy.Heal
	s.Save, s.Wipe = f.save, f.wipe
	s.Restore = func() error { return errors.Join(f.restore(), f.moved()) }
	return s, func() {
		for _, l := range open {
			_ = l.Close()
		}
	}
}

// moved makes the state look as another server wrote it.
func (f *faults) moved() error {
	ctx, key := context.Background(), keysOf("acme").state()
	if n, err := f.direct.Exists(ctx, key).Result(); err != nil || n == 0 {
		return err
	}
	return f.direct.HSet(ctx, key, "run", "another").Err()
}

// TestLeaseHistories runs random histories with lost replies, failovers to an
// older state and total losses.
func TestLeaseHistories(t *testing.T) {
	f := newFaults(t)
	before := f.proxy.Lost()
	rapid.Check(t, func(rt *rapid.T) {
		s, done := f.leases(t, theScripts())
		defer done()
		if err := ledgertest.ReplayLeases(rt.Context(), s, ledgertest.LeaseHistories().Draw(rt, "history")); err != nil {
			rt.Fatal(err)
		}
	})
	if f.proxy.Lost() == before {
		t.Error("no reply was lost, so nothing was tried")
	}
	t.Logf("%d replies were lost", f.proxy.Lost()-before)
}

func TestLeaseLosses(t *testing.T) {
	f := newFaults(t)
	for _, c := range ledgertest.LeaseLosses {
		t.Run(c.Name, func(t *testing.T) {
			s, done := f.leases(t, theScripts())
			defer done()
			if err := c.Check(t.Context(), s); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestLostWindow deletes the key of a budget's window. M17
func TestLostWindow(t *testing.T) {
	f := newFaults(t)
	for _, c := range f.lostWindows() {
		t.Run(c.Name, func(t *testing.T) {
			s, done := f.leases(t, theScripts())
			defer done()
			if err := c.Check(t.Context(), s); err != nil {
				t.Error(err)
			}
		})
	}
}

// lostWindows delete a window that nobody who asks has an account of.
func (f *faults) lostWindows() []ledgertest.LeaseLoss {
	type step = func(context.Context, ledgertest.Leaser) error
	check := func(between step) func(context.Context, ledgertest.LeaseSubject) error {
		return func(ctx context.Context, s ledgertest.LeaseSubject) error {
			l := s.Gateways[0]
			err := grantOf(ctx, l, "w1", ledger.Granted)
			err = errors.Join(err, f.direct.Del(ctx, keysOf("acme").window(windowName(lostMonth()))).Err())
			err = errors.Join(err, between(ctx, l), grantOf(ctx, l, "w2", ledger.Frozen))
			s.Wait(time.Minute + time.Second)
			return errors.Join(err, grantOf(ctx, l, "w2", ledger.Granted), grantOf(ctx, l, "w3", ledger.Granted))
		}
	}
	return []ledgertest.LeaseLoss{
		{Name: "by its entry in the index", Check: check(func(context.Context, ledgertest.Leaser) error { return nil })},
		{Name: "though a batch made it again", Check: check(func(ctx context.Context, l ledgertest.Leaser) error {
			p := record.Posting{
				Seq: 1, Root: "acme", Row: record.RowKey{Hour: time.Now(), Tenant: "acme"}, Add: record.Counters{Legs: 1},
				Charges: []record.Charge{{Window: lostMonth(), Amount: 5}},
			}
			b := &ledger.Batch{Writer: "w4", Epoch: 1, Root: "acme", From: 1, To: 1, Postings: []record.Posting{p}}
			_, err := l.Apply(ctx, b)
			return err
		})},
	}
}

func lostMonth() record.Window {
	start := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -3)
	return record.Window{Tenant: "acme", Unit: record.UnitUSD, Period: "month", Start: start, End: start.AddDate(0, 0, 30)}
}

// grantOf asks for a little of lostMonth, as one that never had any.
func grantOf(ctx context.Context, l ledgertest.Leaser, writer string, want ledger.GrantState) error {
	reply, err := l.Grant(ctx, &ledger.GrantRequest{
		Writer: writer, Epoch: 1, Root: "acme", TTL: time.Minute,
		Wants: []ledger.Want{{Account: ledger.Account{Window: lostMonth()}, Limit: 100, Min: 1, Ask: 1}},
	})
	if err == nil && reply.State != want {
		err = fmt.Errorf("grant to %s: state %d, want %d", writer, reply.State, want)
	}
	return err
}

// leaseMutants are the scripts with one mistake each.
var leaseMutants = []struct{ name, old, with string }{
	{"no watermark check in apply", "if tonumber(from) ~= tonumber(watermark) + 1 then", "if false then"},
	{"no watermark check in grants", "claimed > watermark", "false"},
	{"accounts are not compared", "if granted <= a.granted or w.over then", "if true then"},
	{"run id is not compared", "local moved = run ~= ''", "local moved = false"},
	{"generation is not compared", " or known ~= '' and known ~= generation", ""},
	{
		"no freeze",
		"local function is_frozen() return number('until') > now end",
		"local function is_frozen() return false end",
	},
	{"thaws unheard", "if state['f:' .. who] ~= state.since or has < number('n:' .. who) then return false end", ""},
	{"thaws behind", " or has < number('n:' .. who)", ""},
	{"thaws a list that was lost", " or state.early ~= '1'", ""},
	{
		"write before validation",
		"  if math.abs(w.p) > LIMIT",
		"  redis.call('HSET', w.key, 'p', whole(w.p), 'h', whole(w.h), 's', whole(w.s))\n  if math.abs(w.p) > LIMIT",
	},
	{"no range check", "if math.abs(w.p) > LIMIT or math.abs(w.s) > LIMIT then", "if false then"},
	{
		"takes out of the account twice",
		"local out = math.min(taken, w.account.remains)",
		"local out = math.min(2 * taken, w.account.remains)",
	},
	{"takes nothing out of the account", "local out = math.min(taken, w.account.remains)", "local out = 0"},
	{
		"takes asserted records again",
		"if tonumber(asserted) >= tonumber(from) and asserted ~= after then",
		"if false then",
	},
	{"account below zero", "local out = math.min(taken, w.account.remains)", "local out = taken"},
	{"expired leases are free", "if not w.loose then w.s = w.s + a.remains end\n  return true", "return true"},
	{"no expiry", "if who and who ~= writer and number('d:' .. who) < now then", "if false then"},
	{
		"a charge misses the suspense",
		"if w.account.expired then w.s = w.s - out else w.h = w.h - out end",
		"w.h = w.h - out",
	},
	{"older epochs are forgotten", "if a.remains > 0 and not w.loose then", "if false then"},
	{"held does not count", "- w.h - math.max(0, w.s)", "- math.max(0, w.s)"},
	{"suspense does not count", "- w.h - math.max(0, w.s)", "- w.h"},
	{"part of a grant", "if refused then", "if refused == 1 then"},
	{"a lost grant is not found", "local found = math.max(0, a.granted - w.granted)", "local found = 0"},
	{
		"returns twice",
		"local back = math.min(returned - a.returned, a.remains)",
		"local back = math.min(returned, a.remains)",
	},
	{"no recall", "put('recall', whole(now + 2000))", ""},
	{"recalls for ever", "put('l:' .. writer, state.refusals)\n  return '1'", "return '1'"},
	{"retires keep", "if retires and not open then", "if false then"},
	{"retires before its records come", "if retires and not open then", "if retires then"},
	{"ends a writer that lives", "if lapsed and", "if false and"},
	{"takes an empty window for a loss", "not w.loose or leased(w)", "true or leased(w)"},
	{
		"forgets a silent writer's concurrency for good",
		"a.granted, a.returned, a.remains = granted, returned,", "local _ =",
	},
	{"another server is a loss", "elseif moved then freeze(true) end", "elseif moved then freeze(false) end"},
	{"another server is nothing", "elseif moved then freeze(true) end", "end"},
	{"a doubt ends at once", "if doubtful() then least =", "if doubtful() then least = 0 *"},
	{"a doubt outlasts proof", "if is_frozen() and not doubtful() then\n    proof", "if is_frozen() then\n    proof"},
	{"who was silent in a freeze makes another", "accounts_forgotten and not late", "accounts_forgotten"},
	{"a part of the accounts stands for all", "if take() == '1' then asserts = false end", "take()"},
	{"waits for who has left", "whole(leaves and now - 1 or now + ttl)", "whole(now + ttl)"},
	{"a lost window is none", "if not next(w.hash) and not w.over", "if false and not w.over"},
	{"a batch hides a lost window", "redis.call('HSET', state, 'lost', '1')", ""},
	{"a reported loss is ignored", " or reported", ""},
	{
		"no fencing",
		"if last_epoch > epoch then return answer('FENCED', '0', '0', {}) end\n\nlocal windows",
		"local windows",
	},
}

func TestLeaseMutants(t *testing.T) {
	f := newFaults(t)
	for _, m := range leaseMutants {
		t.Run(m.name, func(t *testing.T) {
			err := f.leaseSuite(t, theScripts().replace(t, m.old, m.with))
			if err == nil {
				t.Error("the suite does not notice")
				return
			}
			first, _, _ := strings.Cut(err.Error(), "\n")
			t.Log(first)
		})
	}
	t.Run("watermark in a step of its own", func(t *testing.T) {
		err := f.leaseSuite(t, theScripts().replace(t, "'w:' .. writer, to, ", ""))
		if err == nil {
			t.Error("the suite does not notice")
		}
	})
	if err := f.leaseSuite(t, theScripts()); err != nil {
		t.Errorf("the scripts as they are: %v", err)
	}
}

// leaseSuite returns the first failure of all cases and of some histories.
func (f *faults) leaseSuite(t *testing.T, use scripts) error {
	for _, c := range allLeaseCases {
		s, done := f.leases(t, use)
		err := c.Check(t.Context(), s)
		done()
		if err != nil {
			return fmt.Errorf("%s: %w", c.Name, err)
		}
	}
	for _, c := range ledgertest.LeaseLosses {
		s, done := f.leases(t, use)
		err := c.Check(t.Context(), s)
		done()
		if err != nil {
			return fmt.Errorf("%s: %w", c.Name, err)
		}
	}
	for _, c := range f.lostWindows() {
		s, done := f.leases(t, use)
		err := c.Check(t.Context(), s)
		done()
		if err != nil {
			return fmt.Errorf("%s: %w", c.Name, err)
		}
	}
	for seed := range 12 {
		s, done := f.leases(t, use)
		err := ledgertest.ReplayLeases(t.Context(), s, ledgertest.LeaseHistories().Example(seed))
		done()
		if err != nil {
			return fmt.Errorf("history %d: %w", seed, err)
		}
	}
	return nil
}
