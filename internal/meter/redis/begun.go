package redis

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// begun is what a gateway knows of a ledger as a whole. Roots have marks of
// their own; this one tells of a loss to a gateway that asks for a root for the
// first time.
type begun struct {
	mark string    // that the ledger got when it was begun, as last seen
	anew time.Time // when another one was seen; zero: never
}

// begunAnew reports whether the ledger was found to be another one than before
// less than a term ago. By then, what was lent of the old one has expired.
func (l *Ledger) begunAnew(ctx context.Context, client goredis.UniversalClient, term time.Duration) (bool, error) {
	pipe := client.Pipeline()
	pipe.HSetNX(ctx, metaKey, "begun", rand.Text())
	get := pipe.HGet(ctx, metaKey, "begun")
	if _, err := pipe.Exec(ctx); err != nil {
		return false, fmt.Errorf("redis: %w", err)
	}
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.begun.mark != "" && l.begun.mark != get.Val() {
		l.begun.anew = now
	}
	l.begun.mark = get.Val()
	return !l.begun.anew.IsZero() && now.Sub(l.begun.anew) < term, nil
}

// lostUnheard reports whether the ledger may have lost a root that this gateway
// has not heard of yet.
func (l *Ledger) lostUnheard(ctx context.Context, root string, term time.Duration) (bool, error) {
	l.mu.Lock()
	heard := l.roots[root].lent != ""
	l.mu.Unlock()
	if heard {
		return false, nil
	}
	client, err := l.connected(ctx)
	if err != nil {
		return false, err
	}
	return l.begunAnew(ctx, client, term)
}
