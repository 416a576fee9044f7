package refusal_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
	"github.com/sluice-gateway/sluice/internal/meter/redis/refusal"
)

// TestServersRefuse has real servers refuse: each is said in words, with a way out of its own.
func TestServersRefuse(t *testing.T) {
	s := redistest.NewServer(t, "--databases", "1")
	f := func(url, want, wayOut string, do func(context.Context, *goredis.Client) error) {
		t.Helper()
		o, err := goredis.ParseURL(url)
		if err != nil {
			t.Fatal(err)
		}
		o.MaxRetries, o.DialerRetries = -1, 1
		o.DialTimeout, o.ReadTimeout = 200*time.Millisecond, 200*time.Millisecond
		c := goredis.NewClient(o)
		defer c.Close()
		err = refusal.Of(do(t.Context(), c))
		var e *refusal.Error
		if !errors.As(err, &e) || !strings.HasPrefix(err.Error(), "redis"+want) || !strings.Contains(e.WayOut, wayOut) {
			t.Errorf("%v, %+v", err, e)
		}
	}
	ping := func(ctx context.Context, c *goredis.Client) error { return c.Ping(ctx).Err() }
	set := func(ctx context.Context, c *goredis.Client) error { return c.Set(ctx, "k", "v", 0).Err() }
	f(s.URL()[:strings.LastIndexByte(s.URL(), '/')]+"/7", " has no database of that number: ", "/0", ping)
	f("redis://127.0.0.1:1/0", " is not there: ", "that Redis runs", ping)
	f("redis://nobody.invalid:6379/0", " cannot be found by its name: ", "ledger.redis names it", ping)
	f(s.URL(), ": ", "that Redis runs", func(context.Context, *goredis.Client) error { return errors.New("odd") })
	f("rediss"+strings.TrimPrefix(s.URL(), "redis"), " ", "redis:// for one without", ping)
	s.CLI("CONFIG", "SET", "maxmemory", "1")
	f(s.URL(), " has no memory left: ", "maxmemory", set)
	s.CLI("CONFIG", "SET", "maxmemory", "0")
	s.CLI("REPLICAOF", "127.0.0.1", "1")
	f(s.URL(), " is a replica, which takes no writes: ", "redis-sentinel://", set)
	s.CLI("REPLICAOF", "NO", "ONE")
	s.CLI("ACL", "SETUSER", "weak", "on", ">p", "~none", "+ping")
	f(strings.Replace(s.URL(), "://", "://weak:p@", 1), " denies a command", "begin with sl:", set)
	f(strings.Replace(s.URL(), "://", "://weak:q@", 1), " refuses the user or the password", "%40", ping)
	s.CLI("CONFIG", "SET", "requirepass", "secret")
	f(s.URL(), " wants a password", "USER:PASSWORD", ping)
	if refusal.Of(nil) != nil {
		t.Error("nothing is refused")
	}
}
