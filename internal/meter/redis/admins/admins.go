// Package admins is the list in Redis of where the admin ports of a ledger's gateways are,
// so that one who asks for a request finds the gateway that had it.
package admins

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/redis"
	"github.com/sluice-gateway/sluice/internal/meter/redis/refusal"
)

// key is in the slot of what gateways declare: no tenant is named *.
const key = "sl:{*}:admin"

const (
	// Every is how often a gateway says that it is there, and lease how long that holds.
	Every = 10 * time.Second
	lease = 35 * time.Second
)

// List is the list of a ledger, which has to stay open.
type List struct {
	ledger *redis.Ledger
	now    func() time.Time
}

// New returns the list of a ledger.
func New(l *redis.Ledger, now func() time.Time) *List { return &List{l, now} }

// Announce says where the admin port of a gateway is. name is the process's own.
func (l *List) Announce(ctx context.Context, name, address string) error {
	client, err := l.ledger.Client(ctx)
	if err != nil {
		return err
	}
	until := strconv.FormatInt(l.now().Add(lease).Unix(), 10)
	if err := client.HSet(ctx, key, name, until+" "+address).Err(); err != nil {
		return refusal.Of(err)
	}
	return client.Expire(ctx, key, 10*lease).Err()
}

// Leave takes a gateway off the list.
func (l *List) Leave(ctx context.Context, name string) error {
	client, err := l.ledger.Client(ctx)
	if err != nil {
		return err
	}
	return client.HDel(ctx, key, name).Err()
}

// Addresses are where the gateways are that have announced themselves of late, each once, in
// order. Those that have gone without a word are taken off the list.
func (l *List) Addresses(ctx context.Context) ([]string, error) {
	client, err := l.ledger.Client(ctx)
	if err != nil {
		return nil, err
	}
	all, err := client.HGetAll(ctx, key).Result()
	if err != nil {
		return nil, refusal.Of(err)
	}
	var addresses, gone []string
	for name, value := range all {
		until, address, _ := strings.Cut(value, " ")
		n, err := strconv.ParseInt(until, 10, 64)
		if err != nil || l.now().Unix() > n {
			gone = append(gone, name)
			continue
		}
		addresses = append(addresses, address)
	}
	if len(gone) > 0 {
		client.HDel(ctx, key, gone...) // the next one who asks tries again
	}
	slices.Sort(addresses)
	return slices.Compact(addresses), nil
}
