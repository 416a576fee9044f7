package redis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sluice-gateway/sluice/internal/meter/notify"
)

var _ notify.Store = (*Ledger)(nil)

// noticesKey holds the notices that were claimed and are not delivered, by id.
const noticesKey = "sl:notices"

// What the key of a notice holds.
const (
	noticeClaimed   = "claimed"
	noticeDelivered = "delivered"
)

func noticeKey(id string) string { return "sl:notice:" + id }

// Claim implements notify.Store. The claim comes before the list of what is
// pending: whoever dies between the two leaves a claim that lapses.
func (l *Ledger) Claim(ctx context.Context, n *notify.Notice, term time.Duration) (bool, error) {
	c, err := l.connected(ctx)
	if err != nil {
		return false, err
	}
	err = c.SetArgs(ctx, noticeKey(n.ID), noticeClaimed, goredis.SetArgs{Mode: "NX", TTL: term}).Err()
	if errors.Is(err, goredis.Nil) {
		forgetDelivered(ctx, c, n.ID)
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("redis: %w", err)
	}
	text, err := json.Marshal(n)
	if err != nil {
		return false, err
	}
	return true, c.HSet(ctx, noticesKey, n.ID, text).Err()
}

// forgetDelivered takes a notice off the list of what is pending, where one that
// died after the delivery left it. The next look tries again.
func forgetDelivered(ctx context.Context, c goredis.UniversalClient, id string) {
	if state, err := c.Get(ctx, noticeKey(id)).Result(); err == nil && state == noticeDelivered {
		c.HDel(ctx, noticesKey, id)
	}
}

// End implements notify.Store.
func (l *Ledger) End(ctx context.Context, n *notify.Notice, how notify.Outcome) error {
	c, err := l.connected(ctx)
	if err != nil {
		return err
	}
	if how == notify.GivenUp {
		return c.Del(ctx, noticeKey(n.ID)).Err()
	}
	if err := c.SetArgs(ctx, noticeKey(n.ID), noticeDelivered, goredis.SetArgs{ExpireAt: n.Until}).Err(); err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	return c.HDel(ctx, noticesKey, n.ID).Err()
}

// Pending implements notify.Store. What nobody needs to know any more is
// removed on the way.
func (l *Ledger) Pending(ctx context.Context) ([]notify.Notice, error) {
	c, err := l.connected(ctx)
	if err != nil {
		return nil, err
	}
	all, err := c.HGetAll(ctx, noticesKey).Result()
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	var pending []notify.Notice
	for _, id := range sortedKeys(all) {
		var n notify.Notice
		if json.Unmarshal([]byte(all[id]), &n) == nil && n.ID == id && n.Until.After(l.now()) {
			pending = append(pending, n)
			continue
		}
		if err := c.HDel(ctx, noticesKey, id).Err(); err != nil {
			return nil, fmt.Errorf("redis: %w", err)
		}
	}
	return pending, nil
}
