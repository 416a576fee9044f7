package redis

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sluice-gateway/sluice/internal/meter/peers"
)

//go:embed scripts/declare.lua
var declareLua string

// The keys of what gateways declare, in a slot of their own: no tenant is named *.
const (
	gatewaysKey = "sl:{*}:gateways"
	filePrefix  = "sl:{*}:limits:"
)

// filesKept is how many leases long a file is kept after its last gateway spoke.
const filesKept = 10

// Board is where the gateways of a ledger declare their limits.
type Board struct {
	server  *server
	declare *goredis.Script
}

var _ peers.Board = (*Board)(nil)

// NewBoard returns the board of a ledger, which has to stay open.
func NewBoard(l *Ledger) *Board { return &Board{l.server, goredis.NewScript(declareLua)} }

// Declare implements peers.Board. It may be repeated after any error.
func (b *Board) Declare(
	ctx context.Context, d peers.Declaration, file []byte,
) (all []peers.Declared, known bool, err error) {
	client, err := b.server.connected(ctx)
	if err != nil {
		return nil, false, err
	}
	lease := d.Lease.Milliseconds()
	words, err := b.declare.Run(ctx, client, []string{gatewaysKey, filePrefix + d.Digest},
		d.Gateway, d.Digest, decimal(lease), decimal(filesKept*lease), file).StringSlice()
	if err != nil {
		return nil, false, failed(err)
	}
	if len(words) == 1 && words[0] == "FILE" {
		return nil, false, nil
	}
	if len(words)%3 != 1 || words[0] != "OK" {
		return nil, false, fmt.Errorf("%w: the script answered %q", ErrDamaged, words)
	}
	for of := range slices.Chunk(words[1:], 3) {
		left, err := strconv.ParseInt(of[2], 10, 64)
		if err != nil {
			return nil, false, fmt.Errorf("%w: a lease of %q", ErrDamaged, of[2])
		}
		all = append(all, peers.Declared{Gateway: of[0], Digest: of[1], Left: time.Duration(left) * time.Millisecond})
	}
	return all, true, nil
}

// File implements peers.Board.
func (b *Board) File(ctx context.Context, digest string) ([]byte, error) {
	client, err := b.server.connected(ctx)
	if err != nil {
		return nil, err
	}
	body, err := client.Get(ctx, filePrefix+digest).Bytes()
	if errors.Is(err, goredis.Nil) {
		return nil, nil
	}
	return body, failed(err)
}
