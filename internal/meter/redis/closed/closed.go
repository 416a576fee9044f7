// Package closed keeps in Redis which months of each root tenant are closed, and
// remembers them: a Redis that has lost its contents gets them back from any gateway.
package closed

import (
	"context"
	_ "embed"
	"fmt"
	"strconv"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

//go:embed close.lua
var closeLua string

// Keys are where a root's closings, its writers' watermarks, and a copy of those are.
type Keys struct{ Closings, Marks, MarksCopy string }

// Book is what is known of closed months. It is safe for concurrent use.
type Book struct {
	script *goredis.Script

	mu    sync.Mutex // guards the following
	known map[string]ledger.Closings
}

// New returns a book that knows of none.
func New() *Book {
	return &Book{script: goredis.NewScript(closeLua), known: map[string]ledger.Closings{}}
}

// Known are the closings of a root as they were last seen.
func (b *Book) Known(root string) ledger.Closings {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.known[root]
}

// Load reads a root's closings, and gives back those that Redis has lost.
func (b *Book) Load(
	ctx context.Context, client goredis.UniversalClient, root string, k Keys, now time.Time,
) (ledger.Closings, error) {
	fields, err := client.HGetAll(ctx, k.Closings).Result()
	if err != nil {
		return nil, err
	}
	var all ledger.Closings
	for name, text := range fields {
		c, err := parse(name, text)
		if err != nil {
			return nil, err
		}
		all = all.With(c)
	}
	oldest := now.Add(-keep)
	for _, c := range b.Known(root) {
		if all.Find(c.Through) == nil && c.Through.After(oldest) {
			if all, err = b.restore(ctx, client, all, c, k); err != nil {
				return nil, err
			}
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.known[root] = all
	return all, nil
}

// keep is how long closings are kept: what they are of is gone by then.
const keep = record.KeepDays + 62*24*time.Hour

func (b *Book) restore(
	ctx context.Context, client goredis.UniversalClient, all ledger.Closings, c ledger.Closing, k Keys,
) (ledger.Closings, error) {
	if err := client.HSetNX(ctx, k.Closings, name(c.Through), c.String()).Err(); err != nil {
		return nil, err
	}
	return all.With(c), nil
}

// Close marks a month as closed and returns the mark that it has: an earlier one's,
// if it was closed before. It fails with ledger.ErrClosing when a later one is
// closed.
func (b *Book) Close(
	ctx context.Context, client goredis.UniversalClient, root string, k Keys, now time.Time,
	c ledger.Closing,
) (ledger.Closing, error) {
	if _, err := b.Load(ctx, client, root, k, now); err != nil {
		return c, err
	}
	c.UpTo = nil
	keys := []string{k.Closings, k.Marks, k.MarksCopy}
	text, err := b.script.Run(ctx, client, keys, name(c.Through), c.String(), name(c.Through.Add(-keep))).Text()
	if err != nil {
		return c, err
	}
	if text == "" {
		return c, fmt.Errorf("%w: a later one of root %s is closed", ledger.ErrClosing, root)
	}
	if c, err = parse(name(c.Through), text); err != nil {
		return c, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.known[root] = b.known[root].With(c)
	return c, nil
}

// Restore gives back a closing that a statement has, and the ledger has lost.
func (b *Book) Restore(
	ctx context.Context, client goredis.UniversalClient, root string, k Keys, now time.Time, c ledger.Closing,
) error {
	all, err := b.Load(ctx, client, root, k, now)
	if err != nil || all.Find(c.Through) != nil {
		return err
	}
	if all, err = b.restore(ctx, client, all, c, k); err == nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.known[root] = all
	}
	return err
}

func name(through time.Time) string { return strconv.FormatInt(through.Unix(), 10) }

func parse(name, text string) (ledger.Closing, error) {
	seconds, err := strconv.ParseInt(name, 10, 64)
	if err != nil {
		return ledger.Closing{}, fmt.Errorf("closing %q is of no time", name)
	}
	return ledger.ParseClosing(time.Unix(seconds, 0), text)
}
