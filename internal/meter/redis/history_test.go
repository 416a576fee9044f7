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

	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/ledgertest"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
)

// faults is a real server behind a proxy, with every fault but a restart.
type faults struct {
	server *redistest.Server
	proxy  *redistest.Proxy
	direct *goredis.Client
	saved  []savedKey
}

type savedKey struct {
	key, value string
	expiry     time.Duration // Unix time, 0 for none
}

func newFaults(t *testing.T, args ...string) *faults {
	t.Helper()
	server := redistest.NewServer(t, args...)
	f := &faults{server: server, proxy: redistest.NewProxy(t, server.Addr)}
	f.direct = goredis.NewClient(&goredis.Options{Addr: server.Addr})
	t.Cleanup(func() { _ = f.direct.Close() })
	return f
}

// subject wipes the server and returns two gateways on it.
func (f *faults) subject(t testing.TB, change func(*Ledger) ledgertest.Ledger) (ledgertest.Subject, func()) {
	t.Helper()
	if err := f.wipe(); err != nil {
		t.Fatal(err)
	}
	s := ledgertest.Subject{
		Fences: true, LoseReplies: f.proxy.LoseReplies, Heal: f.proxy.Heal,
		Save: f.save, Restore: f.restore, Wipe: f.wipe,
	}
	var open []*Ledger
	for range 2 {
		l := newLedger(t, f.proxy.URL())
		open = append(open, l)
		s.Gateways = append(s.Gateways, change(l))
	}
	return s, func() {
		for _, l := range open {
			_ = l.Close()
		}
	}
}

func unchanged(l *Ledger) ledgertest.Ledger { return l }

func (f *faults) wipe() error { return f.direct.FlushAll(context.Background()).Err() }

func (f *faults) save() error {
	ctx := context.Background()
	f.saved = nil
	names, err := f.direct.Keys(ctx, "*").Result()
	if err != nil {
		return err
	}
	for _, name := range names {
		value, err := f.direct.Dump(ctx, name).Result()
		if err != nil {
			return err
		}
		expiry, err := f.direct.PExpireTime(ctx, name).Result()
		if err != nil {
			return err
		}
		f.saved = append(f.saved, savedKey{name, value, max(expiry, 0)})
	}
	return nil
}

func (f *faults) restore() error {
	ctx := context.Background()
	errs := []error{f.wipe()}
	for _, k := range f.saved {
		errs = append(errs, f.direct.Do(ctx, "RESTORE", k.key, k.expiry.Milliseconds(), k.value, "ABSTTL").Err())
	}
	return errors.Join(errs...)
}

// TestHistories runs random histories with lost replies, failovers to an older
// state and total losses.
func TestHistories(t *testing.T) {
	f := newFaults(t)
	rapid.Check(t, func(rt *rapid.T) {
		s, done := f.subject(t, unchanged)
		defer done()
		if err := ledgertest.Replay(rt.Context(), s, ledgertest.Histories().Draw(rt, "history")); err != nil {
			rt.Fatal(err)
		}
	})
	if f.proxy.Lost() == 0 {
		t.Error("no reply was lost, so nothing was tried")
	}
	t.Logf("%d replies were lost", f.proxy.Lost())
}

// TestHistoriesWithCrashes kills the server, which keeps what it acknowledged.
func TestHistoriesWithCrashes(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: restarts take seconds")
	}
	f := newFaults(t, "--appendonly", "yes", "--appendfsync", "always")
	restarts := 0
	for seed := range 10 {
		s, done := f.subject(t, unchanged)
		s.Restart = func() error {
			restarts++
			f.server.Kill()
			f.server.Start()
			return nil
		}
		s.Gateways[0], s.Gateways[1] = patient{s.Gateways[0]}, patient{s.Gateways[1]}
		err := ledgertest.Replay(t.Context(), s, ledgertest.Histories().Example(seed))
		done()
		if err != nil {
			t.Fatalf("history %d: %v", seed, err)
		}
	}
	t.Logf("%d restarts", restarts)
}

// patient calls again when a kept connection turns out to be dead.
type patient struct{ ledgertest.Ledger }

func (p patient) Apply(ctx context.Context, b *ledger.Batch) (ledger.Reply, error) {
	return retry(func() (ledger.Reply, error) { return p.Ledger.Apply(ctx, b) })
}

func (p patient) Watermark(ctx context.Context, writer, root string) (uint64, error) {
	return retry(func() (uint64, error) { return p.Ledger.Watermark(ctx, writer, root) })
}

func (p patient) Fold(ctx context.Context, now time.Time, hours func(root string, day time.Time) bool) error {
	_, err := retry(func() (int, error) { return 0, p.Ledger.Fold(ctx, now, nil) })
	return err
}

func (p patient) Rows(ctx context.Context, from, to time.Time, yield func(record.RowKey, record.Counters) error) error {
	_, err := retry(func() (int, error) {
		return 0, p.Ledger.Rows(ctx, from, from, yield) // finds a dead connection before it yields
	})
	return errors.Join(err, p.Ledger.Rows(ctx, from, to, yield))
}

func retry[T any](call func() (T, error)) (v T, err error) {
	for range 20 {
		if v, err = call(); err == nil || errors.Is(err, ledger.ErrFenced) {
			return v, err
		}
	}
	return v, err
}

// TestHistoriesOnCluster loses a whole shard's data now and then.
func TestHistoriesOnCluster(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: a cluster takes seconds to form")
	}
	cluster := redistest.NewCluster(t, 3)
	for seed := range 15 {
		wipe(t, cluster.Nodes...)
		l, other := newLedger(t, cluster.URL()), newLedger(t, cluster.Nodes[seed%3].URL())
		s := ledgertest.Subject{
			Gateways: []ledgertest.Ledger{l, other}, Fences: true,
			Wipe: func() error { wipe(t, cluster.Nodes...); return nil },
		}
		if err := ledgertest.Replay(t.Context(), s, ledgertest.Histories().Example(seed)); err != nil {
			t.Fatalf("history %d: %v", seed, err)
		}
	}
}

// mutant is a script with one mistake. The suite must notice each.
type mutant struct {
	name      string
	old, with string // in apply.lua or fold.lua
	wrap      func(*Ledger) ledgertest.Ledger
}

var mutants = []mutant{
	{name: "no watermark check", old: "if tonumber(from) ~= tonumber(watermark) + 1 then", with: "if false then"},
	{
		name: "gaps pass",
		old:  "if tonumber(from) ~= tonumber(watermark) + 1 then",
		with: "if tonumber(from) <= tonumber(watermark) then",
	},
	{
		name: "overlaps pass",
		old:  "if tonumber(from) ~= tonumber(watermark) + 1 then",
		with: "if tonumber(to) <= tonumber(watermark) then",
	},
	{name: "no fencing", old: "if known[1] and tonumber(known[1]) > tonumber(epoch) then", with: "if false then"},
	{name: "no ids check", old: "if redis.call('HGET', shapes, text) ~= id then", with: "if false then"},
	{name: "no range check", old: "if not fits(stored, group.deltas) then", with: "if false then"},
	{
		name: "write before validation",
		old:  "  if not fits(stored, group.deltas) then",
		with: "  for j, name in ipairs(group.names) do redis.call('HINCRBY', group.key, name, group.deltas[j]) end\n" +
			"  group.names = {}\n  if not fits(stored, group.deltas) then",
	},
	{
		name: "amounts through doubles",
		old:  "group.deltas[j])\n  end\n  redis.call('EXPIREAT'",
		with: "string.format('%.14g', group.deltas[j]))\n  end\n  redis.call('EXPIREAT'",
	},
	{name: "watermark in a step of its own", old: "'w:' .. writer, to, ", with: "", wrap: watermarkApart},
	{name: "watermark not kept", old: "'w:' .. writer, to, ", with: ""},
	{name: "index forgotten", old: "if #index.members > 0 then", with: "if false then"},
	{name: "fold copies", old: "redis.call('DEL', move.hour)", with: "redis.call('EXISTS', move.hour)"},
	{
		name: "fold forgets",
		old:  "redis.call('HINCRBY', move.day, name, move.deltas[j])",
		with: "redis.call('EXISTS', move.day)",
	},
}

// watermarkApart moves the watermark in a second command, as if it stood in
// another slot.
func watermarkApart(l *Ledger) ledgertest.Ledger { return apart{l} }

type apart struct{ *Ledger }

func (a apart) Apply(ctx context.Context, b *ledger.Batch) (ledger.Reply, error) {
	reply, err := a.Ledger.Apply(ctx, b)
	if err != nil || reply.Watermark != b.To {
		return reply, err
	}
	return reply, a.server.client.HSet(ctx, keysOf(b.Root).marks(), "w:"+b.Writer, b.To).Err()
}

func (m mutant) apply(t *testing.T) func(*Ledger) ledgertest.Ledger {
	t.Helper()
	broken := theScripts().replace(t, m.old, m.with)
	return func(l *Ledger) ledgertest.Ledger {
		broken.in(l)
		if m.wrap != nil {
			return m.wrap(l)
		}
		return l
	}
}

// TestMutants proves that the suite can fail: none of the broken scripts passes
// its cases and some histories.
func TestMutants(t *testing.T) {
	f := newFaults(t)
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			if err := f.suite(t, m.apply(t)); err == nil {
				t.Error("the suite does not notice")
			} else {
				first, _, _ := strings.Cut(err.Error(), "\n")
				t.Log(first)
			}
		})
	}
	if err := f.suite(t, unchanged); err != nil {
		t.Errorf("the script as it is: %v", err)
	}
}

// suite returns the first failure of all cases and of some histories.
func (f *faults) suite(t *testing.T, change func(*Ledger) ledgertest.Ledger) error {
	for _, c := range allCases {
		s, done := f.subject(t, change)
		err := c.Check(t.Context(), s.Gateways[0])
		done()
		if err != nil {
			return fmt.Errorf("%s: %w", c.Name, err)
		}
	}
	for seed := range 40 {
		s, done := f.subject(t, change)
		err := ledgertest.Replay(t.Context(), s, ledgertest.Histories().Example(seed))
		done()
		if err != nil {
			return fmt.Errorf("history %d: %w", seed, err)
		}
	}
	return nil
}
