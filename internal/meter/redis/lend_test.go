package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/internal/meter/ledgertest"
)

// lenders wipes the server and returns three gateways on it. A restored state is
// that of another server, as after a failover.
func (f *faults) lenders(t testing.TB, change func(*Ledger)) (ledgertest.LendingSubject, func()) {
	t.Helper()
	if err := f.wipe(); err != nil {
		t.Fatal(err)
	}
	f.proxy.Heal()
	s := ledgertest.LendingSubject{
		Now: time.Now, Wait: time.Sleep, LoseReplies: f.proxy.LoseReplies, Heal: f.proxy.Heal,
		Save: f.save, Wipe: f.wipe,
		Restore: func() error { return errors.Join(f.restore(), f.moved()) },
	}
	var open []*Ledger
	for range 3 {
		l := newLedger(t, f.proxy.URL())
		change(l)
		open = append(open, l)
		s.Gateways = append(s.Gateways, l)
	}
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

func asItIs(*Ledger) {}

// TestLendingHistories runs random histories with lost replies, failovers to an
// older state and total losses.
func TestLendingHistories(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: terms pass in real time")
	}
	f := newFaults(t)
	before := f.proxy.Lost()
	rapid.Check(t, func(rt *rapid.T) {
		s, done := f.lenders(t, asItIs)
		defer done()
		if err := ledgertest.ReplayLending(rt.Context(), s, ledgertest.LendingHistories().Draw(rt, "history")); err != nil {
			rt.Fatal(err)
		}
	})
	if f.proxy.Lost() == before {
		t.Error("no reply was lost, so nothing was tried")
	}
	t.Logf("%d replies were lost", f.proxy.Lost()-before)
}

func TestLendingLosses(t *testing.T) {
	f := newFaults(t)
	for _, c := range ledgertest.LendingLosses {
		t.Run(c.Name, func(t *testing.T) {
			s, done := f.lenders(t, asItIs)
			defer done()
			if err := c.Check(t.Context(), s); err != nil {
				t.Error(err)
			}
		})
	}
}

// lendingMutants are the scripts with one mistake each.
var lendingMutants = []struct{ name, old, with string }{
	{"no watermark check in apply", "if tonumber(from) ~= tonumber(watermark) + 1 then", "if false then"},
	{"no watermark check in grants", "claimed > watermark", "false"},
	{"accounts are not compared", "return granted > a.granted and", "return false and"},
	{"run id is not compared", "local moved = run ~= ''", "local moved = false"},
	{"generation is not compared", "local reborn = known ~= ''", "local reborn = false"},
	{"no freeze", "local function is_frozen() return number('until') > now end", "local function is_frozen() return false end"},
	{"thaws unheard", "if state['f:' .. who] ~= state.since or has < number('n:' .. who) then return false end", ""},
	{"thaws behind", " or has < number('n:' .. who)", ""},
	{"thaws a list that was lost", "state.early == '1'", "true"},
	{"write before validation", "  if math.abs(w.p) > LIMIT", "  redis.call('HSET', w.key, 'p', whole(w.p), 'h', whole(w.h), 's', whole(w.s))\n  if math.abs(w.p) > LIMIT"},
	{"no range check", "if math.abs(w.p) > LIMIT or math.abs(w.s) > LIMIT then", "if false then"},
	{"takes out of the account twice", "local out = math.min(taken, w.account.remains)", "local out = math.min(2 * taken, w.account.remains)"},
	{"takes nothing out of the account", "local out = math.min(taken, w.account.remains)", "local out = 0"},
	{"takes asserted records again", "if tonumber(asserted) >= tonumber(from) and asserted ~= after then", "if false then"},
	{"account below zero", "local out = math.min(taken, w.account.remains)", "local out = taken"},
	{"expired slices are free", "if not w.loose then w.s = w.s + a.remains end\n  return true", "return true"},
	{"no expiry", "if who and who ~= writer and number('d:' .. who) < now then", "if false then"},
	{"a charge misses the suspense", "if w.account.expired then w.s = w.s - out else w.h = w.h - out end", "w.h = w.h - out"},
	{"older epochs are forgotten", "if a.remains > 0 and not w.loose then", "if false then"},
	{"held does not count", "- w.h - math.max(0, w.s)", "- math.max(0, w.s)"},
	{"suspense does not count", "- w.h - math.max(0, w.s)", "- w.h"},
	{"part of a grant", "if refused then", "if refused == 1 then"},
	{"a lost grant is not found", "local found = math.max(0, a.granted - w.granted)", "local found = 0"},
	{"returns twice", "local back = math.min(returned - a.returned, a.remains)", "local back = math.min(returned, a.remains)"},
	{"no recall", "put('recall', whole(now + 2000))", ""},
	{"recalls for ever", "put('l:' .. writer, state.refusals)\n  return '1'", "return '1'"},
	{"retires keep", "if retires and not open then", "if false then"},
	{"retires before its records come", "if retires and not open then", "if retires then"},
	{"ends a writer that lives", "if lapsed and", "if false and"},
	{"takes an empty window for a loss", "w.loose and not lent(w)", "false"},
	{"a word of a loss is not taken", " or told", ""},
	{"no fencing", "if last_epoch > epoch then return answer('FENCED', '0', '0', {}) end\n\nlocal windows", "local windows"},
}

func TestLendingMutants(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: terms pass in real time")
	}
	f := newFaults(t)
	for _, m := range lendingMutants {
		t.Run(m.name, func(t *testing.T) {
			if n := strings.Count(windowLua+applyLua+lendLua+grantLua+settleLua, m.old); n == 0 {
				t.Fatalf("the scripts have no %q", m.old)
			}
			mutate := func(text string) string { return strings.Replace(text, m.old, m.with, 1) }
			err := f.lendingSuite(t, func(l *Ledger) {
				l.apply = goredis.NewScript(exactLua + windowLua + mutate(applyLua))
				l.grant = goredis.NewScript(windowLua + mutate(lendLua) + mutate(grantLua))
				l.settle = goredis.NewScript(windowLua + mutate(lendLua) + mutate(settleLua))
			})
			if err == nil {
				t.Error("the suite does not notice")
				return
			}
			first, _, _ := strings.Cut(err.Error(), "\n")
			t.Log(first)
		})
	}
	t.Run("watermark in a step of its own", func(t *testing.T) {
		err := f.lendingSuite(t, func(l *Ledger) {
			l.apply = goredis.NewScript(exactLua + windowLua + strings.Replace(applyLua, "'w:' .. writer, to, ", "", 1))
		})
		if err == nil {
			t.Error("the suite does not notice")
		}
	})
	if err := f.lendingSuite(t, asItIs); err != nil {
		t.Errorf("the scripts as they are: %v", err)
	}
}

// lendingSuite returns the first failure of all cases and of some histories.
func (f *faults) lendingSuite(t *testing.T, change func(*Ledger)) error {
	for _, c := range ledgertest.LendingCases {
		s, done := f.lenders(t, change)
		err := c.Check(t.Context(), s.Gateways[0])
		done()
		if err != nil {
			return fmt.Errorf("%s: %w", c.Name, err)
		}
	}
	for _, c := range ledgertest.LendingLosses {
		s, done := f.lenders(t, change)
		err := c.Check(t.Context(), s)
		done()
		if err != nil {
			return fmt.Errorf("%s: %w", c.Name, err)
		}
	}
	for seed := range 12 {
		s, done := f.lenders(t, change)
		err := ledgertest.ReplayLending(t.Context(), s, ledgertest.LendingHistories().Example(seed))
		done()
		if err != nil {
			return fmt.Errorf("history %d: %w", seed, err)
		}
	}
	return nil
}
