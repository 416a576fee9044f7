// Package redis is the ledger that many gateways share: the counters in Redis
// or Valkey from version 7.0, single, watched by Sentinel, or a Cluster.
//
// What holds, whatever is lost on the way:
//
//   - A posting is in the counters if and only if its number is not above the
//     watermark of its writer and root, because one script changes both, in one
//     cluster slot, and refuses before its first write what it will not do.
//   - So every call may be repeated. The client's own retries are off all the
//     same: the caller decides, and a failure is never hidden.
//   - Amounts travel as text and are added by HINCRBY alone.
//   - Redis never evicts a counter: another policy than noeviction is refused.
//
// It holds no truth: after a loss the writers' journals fill it again.
// docs/format/redis.md describes the keys.
package redis

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/redis/closed"
)

// Options say where the ledger is.
type Options struct {
	// URL is one of
	//
	//	redis://user:password@host:port/db      a single server, or a node of a
	//	                                        cluster, which is found out
	//	redis-sentinel://host:port,host:port/master/db
	//	redis-cluster://host:port,host:port
	//
	// with rediss in place of redis for TLS. Parameters are those of go-redis
	// (read_timeout=2s, pool_size=10, …), ca_file, and, for sentinels,
	// sentinel_username and sentinel_password.
	URL string
	Log *slog.Logger
	Now func() time.Time
}

//go:embed scripts/exact.lua
var exactLua string

//go:embed scripts/window.lua
var windowLua string

//go:embed scripts/copy.lua
var copyLua string

//go:embed scripts/apply.lua
var applyLua string

//go:embed scripts/wipe.lua
var wipeLua string

// Ledger is the counters in Redis. It is safe for use by several goroutines,
// and connects when it is first used.
type Ledger struct {
	server *server
	roots  *roots
	shapes *shapes
	facts  *facts
	*months

	apply, fold, grant, renew, watermark, wipe *goredis.Script
}

var _ ledger.Ledger = (*Ledger)(nil)

// New reads the options. It does not connect: a Redis that is away at the start
// is found later. See Check.
func New(o Options) (*Ledger, error) {
	t, err := parseTarget(o.URL)
	if err != nil {
		return nil, err
	}
	goredis.SetLogger(clientLog{o.Log})
	seen := &roots{now: o.Now, seen: make(map[string]sighting)}
	of := &server{target: t, log: o.Log}
	return &Ledger{
		server: of, roots: seen, months: &months{of, closed.New(), o.Now},
		shapes:    &shapes{intern: goredis.NewScript(copyLua + internLua), ids: make(map[string]map[string]string)},
		facts:     &facts{roots: seen, log: o.Log},
		apply:     goredis.NewScript(exactLua + windowLua + damageLua + copyLua + factsLua + applyLua),
		fold:      goredis.NewScript(exactLua + foldLua),
		grant:     goredis.NewScript(windowLua + damageLua + copyLua + leaseLua + grantLua),
		renew:     goredis.NewScript(windowLua + damageLua + copyLua + leaseLua + renewLua),
		watermark: goredis.NewScript(factsLua + markLua),
		wipe:      goredis.NewScript(wipeLua),
	}, nil
}

// Client returns a client of servers that are fit to hold the ledger, for what is kept
// beside its counters.
func (l *Ledger) Client(ctx context.Context) (goredis.UniversalClient, error) {
	return l.server.connected(ctx)
}

// Close closes all connections.
func (l *Ledger) Close() error { return l.server.close() }

// Check connects and fails when Redis is away, or with ErrUnfit when it must
// not be used. Later it is a health check.
func (l *Ledger) Check(ctx context.Context) error {
	client, err := l.server.connected(ctx)
	if err != nil {
		return err
	}
	return client.HLen(ctx, metaKey).Err()
}

// Fingerprint implements ledger.Ledger. A mismatch is ledger.ErrFingerprint.
func (l *Ledger) Fingerprint(ctx context.Context, fp string) error {
	client, err := l.server.connected(ctx)
	if err != nil {
		return err
	}
	stored, err := setOnce(ctx, client, "fingerprint", fp)
	if err != nil {
		return err
	}
	if stored != fp {
		return ledger.ErrFingerprint
	}
	_, err = l.roots.begunAnew(ctx, client, 0)
	return err
}

// Rotate replaces the mark of the root secret.
func (l *Ledger) Rotate(ctx context.Context, fp string) error {
	client, err := l.server.connected(ctx)
	if err != nil {
		return err
	}
	return client.HSet(ctx, metaKey, "fingerprint", fp).Err()
}

// Watermark implements ledger.Ledger.
func (l *Ledger) Watermark(ctx context.Context, writer, root string) (uint64, error) {
	return l.mark(ctx, root, func(client goredis.UniversalClient, k keys) (string, error) {
		text, err := client.HGet(ctx, k.marks(), "w:"+writer).Result()
		if errors.Is(err, goredis.Nil) {
			return "", nil
		}
		return text, err
	})
}

// mark parses the watermark that read returns, "" for none. A root that has one is
// registered, so that a lost registry mends itself.
func (l *Ledger) mark(
	ctx context.Context, root string, read func(goredis.UniversalClient, keys) (string, error),
) (uint64, error) {
	client, k, err := l.server.of(ctx, root)
	if err != nil {
		return 0, err
	}
	text, err := read(client, k)
	if err != nil || text == "" {
		return 0, failed(err)
	}
	if err := l.roots.register(ctx, client, root); err != nil {
		return 0, err
	}
	return parseMark(text)
}

// Writers returns the ids of all writers that a root has numbers of, sorted.
func (l *Ledger) Writers(ctx context.Context, root string) ([]string, error) {
	client, k, err := l.server.of(ctx, root)
	if err != nil {
		return nil, err
	}
	names, err := client.HKeys(ctx, k.marks()).Result()
	var writers []string
	for _, name := range names {
		if id, ok := strings.CutPrefix(name, "w:"); ok {
			writers = append(writers, id)
		}
	}
	slices.Sort(writers)
	return writers, failed(err)
}

// Wipe removes all that the ledger has of a root, in one step: counters,
// watermarks, budgets and leases. Whoever has the journals can post them again;
// nothing is leased meanwhile, as after any loss.
func (l *Ledger) Wipe(ctx context.Context, root string) error {
	client, k, err := l.server.of(ctx, root)
	if err != nil {
		return err
	}
	keys := []string{k.marks(), k.shapes(), k.days(), k.state(), k.windows(), k.damage(),
		k.copyOf(k.marks()), k.copyOf(k.shapes()), k.copyOf(k.windows())}
	err = l.wipe.Run(ctx, client, keys, k.prefix).Err()
	if err == nil {
		l.shapes.forget(root)
	}
	return failed(err)
}

// months are what a ledger knows of closed ones.
type months struct {
	at     *server
	closed *closed.Book
	now    func() time.Time
}

// Closings returns the closed months of a root, oldest first.
func (m *months) Closings(ctx context.Context, root string) (ledger.Closings, error) {
	client, k, err := m.at.of(ctx, root)
	if err != nil {
		return nil, err
	}
	all, err := m.closed.Load(ctx, client, root, k.closing(), m.now())
	return all, failed(err)
}

// CloseMonth marks a month of a root as closed, with what the ledger has at this
// moment, and returns its mark. One that was closed before keeps its mark, and one
// that a statement has, and the ledger has lost, gets it back. It fails with
// ledger.ErrClosing when a later month is closed.
func (m *months) CloseMonth(ctx context.Context, root string, c ledger.Closing) (ledger.Closing, error) {
	client, k, err := m.at.of(ctx, root)
	if err != nil {
		return c, err
	}
	if len(c.UpTo) > 0 {
		if err := m.closed.Restore(ctx, client, root, k.closing(), m.now(), c); err != nil {
			return c, failed(err)
		}
	}
	c, err = m.closed.Close(ctx, client, root, k.closing(), m.now(), c)
	return c, failed(err)
}

func parseMark(text string) (uint64, error) {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: watermark %q", ErrDamaged, text)
	}
	return n, nil
}
