package redis

import (
	"context"
	"errors"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// jobsKeep is how long it is remembered who started an asynchronous job. AWS
// lists jobs for far shorter.
const jobsKeep = 90 * 24 * time.Hour

func jobKey(invocationARN string) string { return "sl:job:" + invocationARN }

// Jobs remembers which tenant started which asynchronous job.
type Jobs struct{ server *server }

// Jobs returns the jobs that are kept beside the ledger.
func (l *Ledger) Jobs() *Jobs { return &Jobs{l.server} }

// Own remembers that tenant started the job. Repeating it changes nothing.
func (j *Jobs) Own(ctx context.Context, invocationARN, tenant string) error {
	c, err := j.server.connected(ctx)
	if err != nil {
		return err
	}
	return c.Set(ctx, jobKey(invocationARN), tenant, jobsKeep).Err()
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
