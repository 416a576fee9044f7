package redis

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sluice-gateway/sluice/internal/meter/notify"
)

var _ notify.Store = (*Notices)(nil)

// noticesKey holds the notices that were claimed and are not delivered, by id.
const noticesKey = "sl:notices"

// What the key of a notice holds.
const (
	noticeClaimed   = "claimed"
	noticeDelivered = "delivered"
)

func noticeKey(id string) string { return "sl:notice:" + id }

// Notices remembers which notices were claimed and which were delivered.
type Notices struct {
	server *server
	now    func() time.Time
}

// Notices returns the notices that are kept beside the ledger.
func (l *Ledger) Notices() *Notices { return &Notices{l.server, l.roots.now} }

// Claim implements notify.Store. The claim comes before the list of what is
// pending: a gateway that dies between the two leaves a claim that lapses.
func (s *Notices) Claim(ctx context.Context, n *notify.Notice, ttl time.Duration) (bool, error) {
	c, err := s.server.connected(ctx)
	if err != nil {
		return false, err
	}
	err = c.SetArgs(ctx, noticeKey(n.ID), noticeClaimed, goredis.SetArgs{Mode: "NX", TTL: ttl}).Err()
	if errors.Is(err, goredis.Nil) {
		forgetDelivered(ctx, c, n.ID)
		return false, nil
	}
	if err != nil {
		return false, failed(err)
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
func (s *Notices) End(ctx context.Context, n *notify.Notice, how notify.Outcome) error {
	c, err := s.server.connected(ctx)
	if err != nil {
		return err
	}
	if how == notify.GivenUp {
		return c.Del(ctx, noticeKey(n.ID)).Err()
	}
	if err := c.SetArgs(ctx, noticeKey(n.ID), noticeDelivered, goredis.SetArgs{ExpireAt: n.Until}).Err(); err != nil {
		return failed(err)
	}
	return c.HDel(ctx, noticesKey, n.ID).Err()
}

// Pending implements notify.Store. What is past its time is removed on
// the way.
func (s *Notices) Pending(ctx context.Context) ([]notify.Notice, error) {
	c, err := s.server.connected(ctx)
	if err != nil {
		return nil, err
	}
	all, err := c.HGetAll(ctx, noticesKey).Result()
	if err != nil {
		return nil, failed(err)
	}
	var pending []notify.Notice
	for _, id := range slices.Sorted(maps.Keys(all)) {
		var n notify.Notice
		if json.Unmarshal([]byte(all[id]), &n) == nil && n.ID == id && n.Until.After(s.now()) {
			pending = append(pending, n)
			continue
		}
		if err := c.HDel(ctx, noticesKey, id).Err(); err != nil {
			return nil, failed(err)
		}
	}
	return pending, nil
}

func jobKey(invocationARN string) string { return "sl:job:" + invocationARN }

// Jobs remembers which tenant started which asynchronous job.
type Jobs struct{ server *server }

// Jobs returns the jobs that are kept beside the ledger.
func (l *Ledger) Jobs() *Jobs { return &Jobs{l.server} }

// Own remembers that tenant started the job, for as long as keep. Repeating it changes nothing.
func (j *Jobs) Own(ctx context.Context, invocationARN, tenant string, keep time.Duration) error {
	c, err := j.server.connected(ctx)
	if err != nil {
		return err
	}
	return c.Set(ctx, jobKey(invocationARN), tenant, keep).Err()
}

// OwnFirst is Own where nobody has the job yet, and returns who has it then.
func (j *Jobs) OwnFirst(ctx context.Context, invocationARN, tenant string, keep time.Duration) (string, error) {
	c, err := j.server.connected(ctx)
	if err != nil {
		return "", err
	}
	for {
		made, err := c.SetNX(ctx, jobKey(invocationARN), tenant, keep).Result()
		if made || err != nil {
			return tenant, err
		}
		first, err := j.Owner(ctx, invocationARN)
		if first != "" || err != nil {
			return first, err
		}
	}
}

// Owner returns the tenant that started the job, "" when none did.
func (j *Jobs) Owner(ctx context.Context, invocationARN string) (string, error) {
	c, err := j.server.connected(ctx)
	if err != nil {
		return "", err
	}
	tenant, err := c.Get(ctx, jobKey(invocationARN)).Result()
	if errors.Is(err, goredis.Nil) {
		return "", nil
	}
	return tenant, err
}
