package redis

import (
	"context"
	"crypto/rand"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// registerEvery is how often a root in use is registered again, which mends the
// registry after a loss.
const registerEvery = 10 * time.Second

// roots is what this gateway has seen of the ledger: of each root, and of the
// whole. It is safe for concurrent use.
type roots struct {
	now func() time.Time

	mu   sync.Mutex // guards the following
	seen map[string]sighting
	// whole is the mark that the ledger got when it was begun, as last seen. Roots
	// have marks of their own; this one shows a loss to a gateway that asks for a
	// root for the first time.
	whole string
	anew  time.Time // when another mark was seen; zero: never
}

// sighting is what is known of a root.
type sighting struct {
	registered time.Time
	generation string // "" until its first batch
	// leased is the generation that leases have heard of. Batches do not change it:
	// one that begins the counters anew must not hide that leases were lost.
	leased string
	read   cursors // of the logs of facts
}

func (r *roots) of(root string) sighting {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen[root]
}

func (r *roots) change(root string, to func(*sighting)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := r.seen[root]
	to(&last)
	r.seen[root] = last
}

// register puts the root where readers find it. It comes before the root's
// first posting, so that no counter is ever out of sight.
func (r *roots) register(ctx context.Context, client goredis.UniversalClient, root string) error {
	now, last := r.now(), r.of(root).registered
	if now.Sub(last) < registerEvery {
		return nil
	}
	err := client.SAdd(ctx, rootsKey, root).Err()
	if err != nil && !last.IsZero() {
		return nil // it was there; in a cluster its shard may be away alone
	}
	if err != nil {
		return failed(err)
	}
	r.change(root, func(s *sighting) { s.registered = now })
	return nil
}

// sawGeneration registers the root anew when its counters were begun since the
// last batch: what lost them has probably lost the registry too.
func (r *roots) sawGeneration(ctx context.Context, client goredis.UniversalClient, root, generation string) error {
	r.change(root, func(s *sighting) {
		if s.generation != generation {
			s.generation, s.registered = generation, time.Time{}
		}
		if s.leased == "" {
			s.leased = generation
		}
	})
	return r.register(ctx, client, root)
}

// begunAnew reports whether the ledger was found to be another one than before
// less than a TTL ago. After that, what was leased of the old one has expired.
func (r *roots) begunAnew(ctx context.Context, client goredis.UniversalClient, ttl time.Duration) (bool, error) {
	mark, err := setOnce(ctx, client, "begun", rand.Text())
	if err != nil {
		return false, err
	}
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.whole != "" && r.whole != mark {
		r.anew = now
	}
	r.whole = mark
	return !r.anew.IsZero() && now.Sub(r.anew) < ttl, nil
}
