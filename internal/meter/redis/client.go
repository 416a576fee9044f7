package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sluice-gateway/sluice/internal/meter/redis/refusal"
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

// failed explains an error of a call to Redis; nil stays nil.
func failed(err error) error { return refusal.Of(err) }

func open(ctx context.Context, t *target) (goredis.UniversalClient, error) {
	switch t.mode {
	case sentinel:
		return goredis.NewFailoverClient(t.options.Failover()), nil
	case cluster:
		return clusterClient(t), nil
	}
	single := goredis.NewClient(t.options.Simple())
	info, err := single.Info(ctx, "cluster").Result()
	if err != nil && !denied(err) {
		return nil, errors.Join(failed(err), single.Close())
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
	err := eachServer(ctx, client, func(ctx context.Context, one *goredis.Client) error {
		_, err := checkServer(ctx, one, log)
		return err
	})
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

// eachServer calls do for each server that takes writes, maybe at once.
func eachServer(
	ctx context.Context, client goredis.UniversalClient, do func(context.Context, *goredis.Client) error,
) error {
	switch c := client.(type) {
	case *goredis.ClusterClient:
		return c.ForEachMaster(ctx, do)
	case *goredis.Client:
		return do(ctx, c)
	}
	return nil
}

// Health is how the servers of a ledger are.
type Health struct {
	Ahead time.Duration // how far the ledger's clock is ahead of this machine's
	// Evicted is how many keys the servers have dropped for want of memory since they
	// started.
	Evicted int64
}

// Look asks every server of the ledger how it is. It fails when one is away, with
// ErrUnfit when one must not hold the ledger, as after a change of its settings.
func (l *Ledger) Look(ctx context.Context) (h Health, err error) {
	client, err := l.server.connected(ctx)
	if err != nil {
		return h, err
	}
	var mu sync.Mutex
	return h, eachServer(ctx, client, func(ctx context.Context, c *goredis.Client) error {
		info, err := checkServer(ctx, c, nil)
		if err != nil {
			return err
		}
		evicted, _ := strconv.ParseInt(info["evicted_keys"], 10, 64) // absent where INFO is denied
		sent := l.roots.now()
		at, err := c.Time(ctx).Result()
		if err != nil && !denied(err) {
			return failed(err)
		}
		mu.Lock()
		defer mu.Unlock()
		h.Evicted += evicted
		if err == nil {
			h.Ahead = at.Sub(sent.Add(l.roots.now().Sub(sent) / 2))
		}
		return nil
	})
}

// checkServer returns what the server says of itself; nothing when it denies that,
// which log, if not nil, gets to know.
func checkServer(ctx context.Context, c *goredis.Client, log *slog.Logger) (map[string]string, error) {
	addr := c.Options().Addr
	text, err := c.Info(ctx).Result()
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if denied(err) {
		log.Warn("redis denies INFO: its version and eviction policy are not checked", "server", addr, "error", err)
		return nil, nil
	}
	if err != nil {
		return nil, failed(err)
	}
	info := parseInfo(text)
	version := info["redis_version"] // Valkey names the version that it is compatible with here
	major, _, _ := strings.Cut(version, ".")
	if n, err := strconv.Atoi(major); err != nil || n < 7 {
		return nil, fmt.Errorf("%w: %s has version %q, 7.0 is needed", ErrUnfit, addr, version)
	}
	policy, known := info["maxmemory_policy"]
	if !known {
		log.Warn("redis does not report its maxmemory-policy: it must be noeviction", "server", addr)
		return info, nil
	}
	if policy != "noeviction" {
		return nil, fmt.Errorf("%w: %s has maxmemory-policy %s, which drops counters; set noeviction", ErrUnfit, addr, policy)
	}
	return info, nil
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

// denied reports whether Redis does not let this user run the command, or does not
// have it.
func denied(err error) bool {
	return goredis.HasErrorPrefix(err, "NOPERM") || goredis.HasErrorPrefix(err, "unknown command")
}

// clientLog passes what go-redis logs on to slog.
type clientLog struct{ log *slog.Logger }

func (l clientLog) Printf(ctx context.Context, format string, v ...any) {
	l.log.WarnContext(ctx, "redis client", "text", fmt.Sprintf(format, v...))
}

// Refused reports whether err means that this server must not hold the books, as
// opposed to being away for a while.
func Refused(err error) bool { return errors.Is(err, ErrUnfit) || errors.Is(err, ErrDamaged) }

// Server is what one server of a ledger says of itself.
type Server struct {
	Addr string
	// Info is what INFO says, and Settings are save and appendfsync; empty where this
	// user may not ask for them.
	Info, Settings map[string]string
	Ahead          time.Duration // how far its clock is ahead of this machine's
	RoundTrip      time.Duration // the median of some pings
	// Fingerprint is that of the root secret whose gateways use the ledger, "" for none
	// yet, and in a cluster at other servers than the one that has it.
	Fingerprint string
}

// pings is how many round trips a survey measures.
const pings = 15

// Survey asks each server of the ledger at a URL that takes writes how it is. Unlike a
// Ledger it writes nothing and refuses none. It fails when the URL is none, or a server
// does not answer.
func Survey(ctx context.Context, url string, now func() time.Time) (all []Server, err error) {
	t, err := parseTarget(url)
	if err != nil {
		return nil, err
	}
	goredis.SetLogger(clientLog{slog.New(slog.DiscardHandler)}) // what it would say is in the error
	client, err := open(ctx, t)
	if err != nil {
		return nil, err
	}
	defer client.Close() //nolint:errcheck // nothing was written
	var mu sync.Mutex
	err = eachServer(ctx, client, func(ctx context.Context, c *goredis.Client) error {
		one, err := survey(ctx, c, now)
		mu.Lock()
		defer mu.Unlock()
		all = append(all, one)
		return err
	})
	return all, err
}

func survey(ctx context.Context, c *goredis.Client, now func() time.Time) (Server, error) {
	s := Server{Addr: c.Options().Addr, Settings: map[string]string{}}
	text, err := c.Info(ctx).Result()
	if err != nil && !denied(err) {
		return s, failed(err)
	}
	s.Info = parseInfo(text)
	for _, name := range []string{"save", "appendfsync"} {
		if found, err := c.ConfigGet(ctx, name).Result(); err == nil {
			maps.Copy(s.Settings, found)
		}
	}
	var trips []time.Duration
	for range pings {
		sent := now()
		at, err := c.Time(ctx).Result()
		if err != nil {
			return s, failed(err)
		}
		took := now().Sub(sent)
		trips = append(trips, took)
		s.Ahead = at.Sub(sent.Add(took / 2))
	}
	slices.Sort(trips)
	s.RoundTrip = trips[len(trips)/2]
	s.Fingerprint, err = c.HGet(ctx, metaKey, "fingerprint").Result()
	if errors.Is(err, goredis.Nil) || goredis.HasErrorPrefix(err, "MOVED") {
		err = nil
	}
	return s, failed(err)
}
