// Package posted is where gateways say in Redis up to when they have posted all that they
// finished, so that a report can tell what it lacks. docs/format/redis.md has the key.
package posted

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/redis"
)

// hashKey has a field for each writer that lives, or died with something to post. It is in
// the slot of what gateways declare: no tenant is named *.
const hashKey = "sl:{*}:posted"

// Board is what the gateways of a ledger say. The ledger has to stay open.
type Board struct{ ledger *redis.Ledger }

// NewBoard returns the board of a ledger.
func NewBoard(l *redis.Ledger) *Board { return &Board{l} }

// Gateway is what one gateway said.
type Gateway struct {
	Writer, Name string
	UpTo         time.Time // all that it finished before is in the ledger
}

// Tell says up to when this gateway has posted.
func (b *Board) Tell(ctx context.Context, g Gateway) error {
	client, err := b.ledger.Client(ctx)
	if err != nil {
		return err
	}
	text := strconv.FormatInt(g.UpTo.UnixMilli(), 10) + " " + g.Name
	return client.HSet(ctx, hashKey, g.Writer, text).Err()
}

// Forget removes writers that have posted all that they ever will.
func (b *Board) Forget(ctx context.Context, writers ...string) error {
	client, err := b.ledger.Client(ctx)
	if err != nil || len(writers) == 0 {
		return err
	}
	return client.HDel(ctx, hashKey, writers...).Err()
}

// All returns what is known, by name.
func (b *Board) All(ctx context.Context) ([]Gateway, error) {
	client, err := b.ledger.Client(ctx)
	if err != nil {
		return nil, err
	}
	fields, err := client.HGetAll(ctx, hashKey).Result()
	if err != nil {
		return nil, err
	}
	all := make([]Gateway, 0, len(fields))
	for writer, text := range fields {
		millis, name, _ := strings.Cut(text, " ")
		n, err := strconv.ParseInt(millis, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%w: gateway %s is posted up to %q", redis.ErrDamaged, writer, text)
		}
		all = append(all, Gateway{writer, name, time.UnixMilli(n).UTC()})
	}
	slices.SortFunc(all, func(a, b Gateway) int { return strings.Compare(a.Name+a.Writer, b.Name+b.Writer) })
	return all, nil
}
