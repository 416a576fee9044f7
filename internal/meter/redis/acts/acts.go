// Package acts is the board in Redis by which gateways tell each other what was done to
// keys. docs/format/keys.md describes its keys.
package acts

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sluice-gateway/sluice/internal/keys"
	"github.com/sluice-gateway/sluice/internal/meter/redis"
	"github.com/sluice-gateway/sluice/internal/meter/redis/refusal"
)

// The keys of the board, in the slot of what gateways declare: no tenant is named *.
const (
	listKey = "sl:{*}:acts"
	idsKey  = "sl:{*}:acts:ids"
	usedKey = "sl:{*}:keys:used"
)

// page is how many entries are read at once: some 200 kB.
const page = 256

//go:embed swap.lua
var swapLua string

//go:embed used.lua
var usedLua string

// Board is the board of a ledger, which has to stay open.
type Board struct {
	ledger     *redis.Ledger
	swap, used *goredis.Script
}

var _ keys.Board = (*Board)(nil)

// NewBoard returns the board of a ledger.
func NewBoard(l *redis.Ledger) *Board {
	return &Board{l, goredis.NewScript(swapLua), goredis.NewScript(usedLua)}
}

// Swap implements keys.Board.
func (b *Board) Swap(ctx context.Context, from keys.Cursor, add []keys.Carried) (keys.Page, error) {
	client, err := b.ledger.Client(ctx)
	if err != nil {
		return keys.Page{}, err
	}
	args := []any{from.Mark, from.Read, from.Last, rand.Text(), page}
	for i := range add {
		args = append(args, add[i].ID, add[i].Text)
	}
	words, err := b.swap.Run(ctx, client, []string{listKey, idsKey}, args...).StringSlice()
	if err != nil {
		return keys.Page{}, refusal.Of(err)
	}
	return readPage(from, words)
}

const headWords = 3 // of the answer, before the entries

func readPage(from keys.Cursor, words []string) (keys.Page, error) {
	bad := fmt.Errorf("%w: the acts about keys", redis.ErrDamaged)
	if len(words) < headWords {
		return keys.Page{}, bad
	}
	count, err := strconv.ParseInt(words[2], 10, 64)
	if err != nil {
		return keys.Page{}, bad
	}
	p := keys.Page{Cursor: keys.Cursor{Mark: words[0], Read: from.Read, Last: from.Last}, Again: words[1] == "1"}
	if p.Again {
		p.Cursor.Read, p.Cursor.Last = 0, ""
	}
	for _, word := range words[headWords:] {
		place, text, _ := strings.Cut(word, " ") // what somebody else has put there is no reason to hear nothing more
		p.Entries = append(p.Entries, []byte(text))
		p.Cursor.Read++
		p.Cursor.Last = place
	}
	p.More = p.Cursor.Read < count
	return p, nil
}

// Used implements keys.Board.
func (b *Board) Used(ctx context.Context, at map[string]int64) (map[string]int64, error) {
	client, err := b.ledger.Client(ctx)
	if err != nil {
		return nil, err
	}
	if len(at) > 0 {
		args := make([]any, 0, 2*len(at))
		for id, seconds := range at {
			args = append(args, id, seconds)
		}
		err := b.used.Run(ctx, client, []string{usedKey}, args...).Err()
		if err != nil && !errors.Is(err, goredis.Nil) {
			return nil, refusal.Of(err)
		}
		return nil, nil
	}
	all, err := client.HGetAll(ctx, usedKey).Result()
	if err != nil {
		return nil, refusal.Of(err)
	}
	times := make(map[string]int64, len(all))
	for id, text := range all {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			times[id] = n
		}
	}
	return times, nil
}
