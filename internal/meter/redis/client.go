package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// ErrUnfit is wrapped by errors about a server that must not hold the books:
// too old, evicting keys, or holding another format. Waiting does not help.
var ErrUnfit = errors.New("this Redis cannot hold the ledger")

// ErrDamaged is wrapped by errors about keys that hold what no version of this
// package wrote.
var ErrDamaged = errors.New("the ledger in Redis is damaged")

// formatVersion is the key format that docs/format/redis.md describes.
const formatVersion = "1"

// server is the Redis that a URL names: one server, a sentinel set or a cluster.
// It connects when it is first used.
type server struct {
	target *target
	log    *slog.Logger

	mu     sync.Mutex
	client goredis.UniversalClient // nil until it was found fit; guarded by mu
}

// connected returns the client. Nothing is written through it before its
// servers were found fit.
func (s *server) connected(ctx context.Context) (goredis.UniversalClient, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil {
		return s.client, nil
	}
	client, err := open(ctx, s.target)
	if err != nil {
		return nil, err
	}
	if err := check(ctx, client, s.log); err != nil {
		return nil, errors.Join(err, client.Close())
	}
	s.client = client
	return client, nil
}

// of returns the client and the keys of a root.
func (s *server) of(ctx context.Context, root string) (goredis.UniversalClient, keys, error) {
	if err := validRoot(root); err != nil {
		return nil, keys{}, err
	}
	client, err := s.connected(ctx)
	return client, keysOf(root), err
}

func (s *server) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client == nil {
		return nil
	}
	return s.client.Close()
}

// failed marks an error as one of a call to Redis; nil stays nil.
func failed(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("redis: %w", err)
}

func open(ctx context.Context, t *target) (goredis.UniversalClient, error) {
	switch t.mode {
	case sentinel:
		return goredis.NewFailoverClient(t.options.Failover()), nil
	case cluster:
		return clusterClient(t), nil
	}
	single := goredis.NewClient(t.options.Simple())
	info, err := single.Info(ctx, "cluster").Result()
	if err != nil && !isReply(err) {
		return nil, errors.Join(fmt.Errorf("redis: %w", err), single.Close())
	}
	if parseInfo(info)["cluster_enabled"] != "1" {
		return single, nil
	}
	if err := single.Close(); err != nil {
		return nil, err
	}
	return clusterClient(t), nil
}

// slotsEvery is how often a client of a cluster asks anew which node has which
// slot. A node that lost a slot answers with its new owner, but a dead master does
// not answer, and with retries off no failure makes the client look for another.
const slotsEvery = 2 * time.Second

func clusterClient(t *target) *goredis.ClusterClient {
	o := t.options.Cluster()
	o.ClusterStateReloadInterval = slotsEvery
	return goredis.NewClusterClient(o)
}

// check refuses servers that are too old or would evict counters, and a ledger
// in another format.
func check(ctx context.Context, client goredis.UniversalClient, log *slog.Logger) error {
	each := func(ctx context.Context, one *goredis.Client) error { return checkServer(ctx, one, log) }
	var err error
	switch c := client.(type) {
	case *goredis.ClusterClient:
		err = c.ForEachMaster(ctx, each)
	case *goredis.Client:
		err = each(ctx, c)
	}
	if err != nil {
		return err
	}
	format, err := setOnce(ctx, client, "format", formatVersion)
	if err != nil {
		return err
	}
	if format != formatVersion {
		return fmt.Errorf("%w: its keys have format %s and this program knows %s", ErrUnfit, format, formatVersion)
	}
	return nil
}

// setOnce sets a field of the ledger as a whole when it has none, and returns what
// it then has.
func setOnce(ctx context.Context, client goredis.UniversalClient, field, value string) (string, error) {
	pipe := client.Pipeline()
	pipe.HSetNX(ctx, metaKey, field, value)
	stored := pipe.HGet(ctx, metaKey, field)
	_, err := pipe.Exec(ctx)
	return stored.Val(), failed(err)
}

func checkServer(ctx context.Context, c *goredis.Client, log *slog.Logger) error {
	addr := c.Options().Addr
	text, err := c.Info(ctx).Result()
	if isReply(err) {
		log.Warn("redis denies INFO: its version and eviction policy are not checked", "server", addr, "error", err)
		return nil
	}
	if err != nil {
		return failed(err)
	}
	info := parseInfo(text)
	version := info["redis_version"] // Valkey names the version that it is compatible with here
	major, _, _ := strings.Cut(version, ".")
	if n, err := strconv.Atoi(major); err != nil || n < 7 {
		return fmt.Errorf("%w: %s has version %q, 7.0 is needed", ErrUnfit, addr, version)
	}
	policy, known := info["maxmemory_policy"]
	if !known {
		log.Warn("redis does not report its maxmemory-policy: it must be noeviction", "server", addr)
		return nil
	}
	if policy != "noeviction" {
		return fmt.Errorf("%w: %s has maxmemory-policy %s, which drops counters; set noeviction", ErrUnfit, addr, policy)
	}
	return nil
}

// parseInfo reads the reply of INFO.
func parseInfo(text string) map[string]string {
	out := make(map[string]string)
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			out[name] = value
		}
	}
	return out
}

// isReply reports whether Redis answered with the error, as opposed to a failure on
// the way.
func isReply(err error) bool {
	_, ok := errors.AsType[goredis.Error](err)
	return ok
}

// clientLog passes what go-redis logs on to slog.
type clientLog struct{ log *slog.Logger }

func (l clientLog) Printf(ctx context.Context, format string, v ...any) {
	l.log.WarnContext(ctx, "redis client", "text", fmt.Sprintf(format, v...))
}

// Refused reports whether err means that this server must not hold the books, as
// opposed to being away for a while.
func Refused(err error) bool { return errors.Is(err, ErrUnfit) || errors.Is(err, ErrDamaged) }
