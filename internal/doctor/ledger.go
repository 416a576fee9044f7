package doctor

import (
	"cmp"
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/redis"
	"github.com/sluice-gateway/sluice/internal/meter/redis/refusal"
)

const (
	// clockSlack is a difference of clocks that is told, as gateways tell it.
	clockSlack = 2 * time.Second
	// slowLedger is how long a round trip to the ledger may take: a lease takes one.
	slowLedger, tooSlowLedger = 5 * time.Millisecond, 100 * time.Millisecond
	// leastRedis is the oldest version of Redis, and of Valkey, that holds a ledger.
	leastRedis = 7
	// fullShare is how much of maxmemory may be in use.
	fullShare = 0.8
)

// Survey asks the servers of a shared ledger how they are. redis.Survey is the real one.
type Survey func(ctx context.Context) ([]redis.Server, error)

// Ledger checks a shared ledger. where is its address without password, fingerprint that
// of the root secret, "" when it is not known.
func Ledger(ctx context.Context, survey Survey, where, fingerprint string) []Finding {
	a := about{"ledger", where}
	servers, err := survey(ctx)
	if err != nil {
		way := "see that Redis runs, that ledger.redis names it, and that this machine reaches it"
		var refused *refusal.Error
		if errors.As(err, &refused) {
			way = refused.WayOut
		}
		return []Finding{a.fail(way, "%v", err)}
	}
	var all []Finding
	for i := range servers {
		all = append(all, server(&servers[i], fingerprint)...)
	}
	return all
}

func server(s *redis.Server, fingerprint string) []Finding {
	a := func(check string) about { return about{check, s.Addr} }
	all := []Finding{latency(a("ledger latency"), s.RoundTrip), skew(a("ledger clock"), s.Ahead)}
	if s.Fingerprint != "" && fingerprint != "" && s.Fingerprint != fingerprint {
		all = append(all, a("root secret").fail("use the root secret of the other gateways of this ledger, as "+
			"SLUICE_ROOT_SECRET or data_dir/root.secret, or another ledger", "the ledger belongs to another root secret"))
	}
	if len(s.Info) == 0 {
		return append(all, a("ledger").warn("let the user of ledger.redis run INFO",
			"INFO is denied: version, eviction and persistence cannot be seen"))
	}
	return append(all, version(a("ledger version"), s), eviction(a("ledger memory"), s),
		persistence(a("ledger persistence"), s))
}

func latency(a about, took time.Duration) Finding {
	const way = "put Redis near the gateways, in the same zone, and see what keeps it busy (SLOWLOG)"
	text := took.Round(time.Microsecond)
	switch {
	case took >= tooSlowLedger:
		return a.fail(way, "a round trip takes %s: requests that need a new lease wait for several", text)
	case took >= slowLedger:
		return a.warn(way, "a round trip takes %s", text)
	}
	return a.ok("a round trip takes %s", text)
}

func skew(a about, ahead time.Duration) Finding {
	text := ahead.Abs().Round(time.Millisecond)
	switch {
	case ahead.Abs() < clockSlack:
		return a.ok("this machine's clock differs by %s", text)
	case ahead.Abs() > time.Hour:
		return a.fail(setClock, "this machine's clock differs by %s, which is too much to be corrected", text)
	}
	return a.warn(setClock,
		"this machine's clock differs by %s; budgets go by the ledger's, reports by this machine's", text)
}

const setClock = "let NTP set the clocks (chrony, systemd-timesyncd)"

func version(a about, s *redis.Server) Finding {
	said := s.Info["redis_version"]
	major, _, _ := strings.Cut(said, ".")
	name := "Redis " + said
	if valkey := s.Info["valkey_version"]; valkey != "" {
		name = "Valkey " + valkey
	}
	if n, err := strconv.Atoi(major); err != nil || n < leastRedis {
		return a.fail("use Redis or Valkey from version 7.0", "%s", name)
	}
	return a.ok("%s", name)
}

func eviction(a about, s *redis.Server) Finding {
	switch policy := s.Info["maxmemory_policy"]; policy {
	case "noeviction":
	case "":
		return a.warn("see that maxmemory-policy is noeviction", "the server does not say what it does when it is full")
	default:
		return a.fail("set maxmemory-policy noeviction, in its configuration too", "maxmemory-policy is %s, which drops "+
			"counters when memory is short", policy)
	}
	used, _ := strconv.ParseFloat(s.Info["used_memory"], 64)
	most, _ := strconv.ParseFloat(s.Info["maxmemory"], 64)
	if most > 0 && used > fullShare*most {
		return a.warn("raise maxmemory: when it is full, records wait in the journals and budgets grant nothing",
			"%.0f of %.0f MiB are used", used/mib, most/mib)
	}
	return a.ok("noeviction, %.0f MiB are used", used/mib)
}

// persistence is what the server keeps of a restart. What it loses comes back from the
// gateways' journals, and until then budgets of gateways that are gone are not known.
func persistence(a about, s *redis.Server) Finding {
	const way = "set appendonly yes and appendfsync everysec: after a restart without, budgets freeze until gateways " +
		"have posted again what their journals keep"
	appends, fsync := s.Info["aof_enabled"] == "1", cmp.Or(s.Settings["appendfsync"], "unknown")
	save, seen := s.Settings["save"]
	switch {
	case appends && s.Info["aof_last_write_status"] == "err":
		return a.fail("free or repair the disk of Redis", "its last write to the append-only file failed")
	case appends && fsync == "no":
		return a.warn("set appendfsync everysec", "append-only file, written whenever the system does")
	case appends:
		return a.ok("append-only file, appendfsync %s", fsync)
	case s.Info["rdb_last_bgsave_status"] == "err":
		return a.fail("free or repair the disk of Redis", "its last snapshot failed, and it has no append-only file")
	case seen && save == "":
		return a.warn(way, "a restart loses everything: no append-only file and no snapshots")
	case !seen:
		return a.warn(way, "no append-only file; whether there are snapshots cannot be seen")
	}
	return a.warn(way, "snapshots only (save %s): a crash loses what came after the last one", save)
}
