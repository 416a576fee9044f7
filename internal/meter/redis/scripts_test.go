package redis

import (
	"fmt"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sluice-gateway/sluice/internal/meter/ledgertest"
)

// scripts are the texts of the scripts, for tests that break them or need a clock
// of their own in them.
type scripts struct{ apply, fold, grant, renew string }

func theScripts() scripts {
	return scripts{
		apply: exactLua + windowLua + damageLua + copyLua + factsLua + applyLua, fold: exactLua + foldLua,
		grant: windowLua + damageLua + copyLua + leaseLua + grantLua,
		renew: windowLua + damageLua + copyLua + leaseLua + renewLua,
	}
}

// replace changes every script that has the text; it fails when none has.
func (s scripts) replace(t testing.TB, old, with string) scripts {
	t.Helper()
	found := false
	for _, text := range []*string{&s.apply, &s.fold, &s.grant, &s.renew} {
		found = found || strings.Contains(*text, old)
		*text = strings.Replace(*text, old, with, 1)
	}
	if !found {
		t.Fatalf("no script has %q", old)
	}
	return s
}

// in makes a ledger use the scripts.
func (s scripts) in(l *Ledger) {
	l.apply, l.fold = goredis.NewScript(s.apply), goredis.NewScript(s.fold)
	l.grant, l.renew = goredis.NewScript(s.grant), goredis.NewScript(s.renew)
}

// at stops the clock of the scripts.
func (s scripts) at(now time.Time) scripts {
	clock := fmt.Sprintf("({'%d', '%d'})", now.Unix(), now.Nanosecond()/1000)
	for _, text := range []*string{&s.apply, &s.grant, &s.renew} {
		*text = strings.ReplaceAll(*text, "redis.call('TIME')", clock)
	}
	return s
}

// leaseSubject is ledgers of several gateways with a clock that the test moves.
func leaseSubject(s scripts, ledgers ...*Ledger) ledgertest.LeaseSubject {
	clock := ledgertest.NewClock(func(now time.Time) {
		for _, l := range ledgers {
			s.at(now).in(l)
		}
	})
	subject := ledgertest.LeaseSubject{Now: clock.Now, Wait: clock.Wait, Fences: true}
	for _, l := range ledgers {
		l.roots.now = clock.Now
		subject.Gateways = append(subject.Gateways, l)
	}
	return subject
}
