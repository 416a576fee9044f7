package redis

import (
	"context"
	_ "embed"
	"fmt"
	"slices"
	"strings"

	goredis "github.com/redis/go-redis/v9"
)

//go:embed scripts/wipe.lua
var wipeLua string

// wipeScript is constant.
var wipeScript = goredis.NewScript(wipeLua)

// Writers returns the ids of all writers that a root has numbers of, sorted.
func (l *Ledger) Writers(ctx context.Context, root string) ([]string, error) {
	if err := validRoot(root); err != nil {
		return nil, err
	}
	client, err := l.connected(ctx)
	if err != nil {
		return nil, err
	}
	names, err := client.HKeys(ctx, keysOf(root).marks()).Result()
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	var writers []string
	for _, name := range names {
		if id, ok := strings.CutPrefix(name, "w:"); ok {
			writers = append(writers, id)
		}
	}
	slices.Sort(writers)
	return writers, nil
}

// Wipe removes all that the ledger has of a root, in one step: counters,
// watermarks, budgets and what is lent. Whoever has the journals can post them
// again; lending is frozen meanwhile, as after any loss.
func (l *Ledger) Wipe(ctx context.Context, root string) error {
	if err := validRoot(root); err != nil {
		return err
	}
	client, err := l.connected(ctx)
	if err != nil {
		return err
	}
	k := keysOf(root)
	if err := wipeScript.Run(ctx, client, []string{k.marks(), k.shapes(), k.days(), k.state(), k.windows()}, k.prefix).Err(); err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	l.forgetShapes(root)
	return nil
}
