package redis

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sluice-gateway/sluice/internal/meter/ledger"
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

// registerEvery is how often a root in use is registered again, which mends the
// registry after a loss.
const registerEvery = 10 * time.Second

// maxShapes bounds the memory for ids of shapes; at the bound they are asked
// for again.
const maxShapes = 100_000

//go:embed scripts/exact.lua
var exactLua string

//go:embed scripts/window.lua
var windowLua string

//go:embed scripts/apply.lua
var applyLua string

//go:embed scripts/intern.lua
var internLua string

// Ledger is the counters in Redis. It is safe for use by several goroutines,
// and connects when it is first used.
type Ledger struct {
	target *target
	log    *slog.Logger
	now    func() time.Time

	apply, intern, fold, grant, settle, watermark *goredis.Script

	mu sync.Mutex
	// The fields below are guarded by mu.
	client     goredis.UniversalClient // nil until a server was found fit
	begun      begun
	roots      map[string]sighting          // by root
	shapes     map[string]map[string]string // ids by text, by root
	shapeCount int
}

var _ ledger.Ledger = (*Ledger)(nil)

// sighting is what is known of a root.
type sighting struct {
	registered time.Time
	generation string // "" until its first batch
	// lent is the generation that lending has heard of. Batches do not change it:
	// one that begins the counters anew must not hide that slices were lost.
	lent string
	read cursors // of the logs of hints
}

// New reads the options. It does not connect: a Redis that is away at the start
// is found later. See Check.
func New(o Options) (*Ledger, error) {
	t, err := parseTarget(o.URL)
	if err != nil {
		return nil, err
	}
	goredis.SetLogger(clientLog{o.Log})
	return &Ledger{
		target: t, log: o.Log, now: o.Now,
		apply:     goredis.NewScript(exactLua + windowLua + shareLua + applyLua),
		intern:    goredis.NewScript(internLua),
		fold:      goredis.NewScript(exactLua + foldLua),
		grant:     goredis.NewScript(windowLua + lendLua + grantLua),
		settle:    goredis.NewScript(windowLua + lendLua + settleLua),
		watermark: goredis.NewScript(shareLua + markLua),
		roots:     make(map[string]sighting),
		shapes:    make(map[string]map[string]string),
	}, nil
}

// Close closes all connections.
func (l *Ledger) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.client == nil {
		return nil
	}
	return l.client.Close()
}

// Check connects and fails when Redis is away, or with ErrUnfit when it must
// not be used. Later it is a health check.
func (l *Ledger) Check(ctx context.Context) error {
	client, err := l.connected(ctx)
	if err != nil {
		return err
	}
	return client.HLen(ctx, metaKey).Err()
}

// connected returns the client. Nothing is written through it before its
// servers were found fit.
func (l *Ledger) connected(ctx context.Context) (goredis.UniversalClient, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.client == nil {
		client, err := connect(ctx, l.target, l.log)
		if err != nil {
			return nil, err
		}
		l.client = client
	}
	return l.client, nil
}

// Fingerprint implements ledger.Ledger. A mismatch is ledger.ErrFingerprint.
func (l *Ledger) Fingerprint(ctx context.Context, fp string) error {
	client, err := l.connected(ctx)
	if err != nil {
		return err
	}
	if err := client.HSetNX(ctx, metaKey, "fingerprint", fp).Err(); err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	stored, err := client.HGet(ctx, metaKey, "fingerprint").Result()
	if err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	if stored != fp {
		return ledger.ErrFingerprint
	}
	_, err = l.begunAnew(ctx, client, 0)
	return err
}

// Rotate replaces the mark of the root secret.
func (l *Ledger) Rotate(ctx context.Context, fp string) error {
	client, err := l.connected(ctx)
	if err != nil {
		return err
	}
	return client.HSet(ctx, metaKey, "fingerprint", fp).Err()
}

// Watermark implements ledger.Ledger.
func (l *Ledger) Watermark(ctx context.Context, writer, root string) (uint64, error) {
	text, err := l.mark(ctx, root, func(client goredis.UniversalClient) (string, error) {
		return optional(client.HGet(ctx, keysOf(root).marks(), "w:"+writer).Result())
	})
	if err != nil || text == "" {
		return 0, err
	}
	return parseMark(text)
}

// Generation returns the mark that a root's counters got when they were begun,
// "" before. Another one than before means that they were lost in between.
func (l *Ledger) Generation(ctx context.Context, root string) (string, error) {
	return l.mark(ctx, root, func(client goredis.UniversalClient) (string, error) {
		return optional(client.HGet(ctx, keysOf(root).marks(), "gen").Result())
	})
}

// optional is a reply of Redis in which nothing is "".
func optional(text string, err error) (string, error) {
	if errors.Is(err, goredis.Nil) {
		return "", nil
	}
	return text, err
}

// mark reads one of a root's marks, "" when there is none. A root that has one
// is registered, so that a lost registry mends itself.
func (l *Ledger) mark(ctx context.Context, root string, read func(goredis.UniversalClient) (string, error)) (string, error) {
	if err := validRoot(root); err != nil {
		return "", err
	}
	client, err := l.connected(ctx)
	if err != nil {
		return "", err
	}
	text, err := read(client)
	if err != nil {
		return "", fmt.Errorf("redis: %w", err)
	}
	if text == "" {
		return "", nil
	}
	return text, l.register(ctx, client, root)
}

// register puts the root where readers find it. It comes before the root's
// first posting, so that no counter is ever out of sight.
func (l *Ledger) register(ctx context.Context, client goredis.UniversalClient, root string) error {
	now := l.now()
	l.mu.Lock()
	last := l.roots[root]
	l.mu.Unlock()
	if now.Sub(last.registered) < registerEvery {
		return nil
	}
	err := client.SAdd(ctx, rootsKey, root).Err()
	if err != nil && !last.registered.IsZero() {
		return nil // it was there; in a cluster its shard may be away alone
	}
	if err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	last.registered = now
	l.mu.Lock()
	l.roots[root] = last
	l.mu.Unlock()
	return nil
}

// sawGeneration registers the root anew when its counters were begun since the
// last batch: what lost them has probably lost the registry too.
func (l *Ledger) sawGeneration(ctx context.Context, client goredis.UniversalClient, root, generation string) error {
	l.mu.Lock()
	last := l.roots[root]
	if last.generation != generation {
		last = sighting{generation: generation, lent: last.lent, read: last.read}
	}
	if last.lent == "" {
		last.lent = generation
	}
	l.roots[root] = last
	l.mu.Unlock()
	return l.register(ctx, client, root)
}

func parseMark(text string) (uint64, error) {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: watermark %q", ErrDamaged, text)
	}
	return n, nil
}
