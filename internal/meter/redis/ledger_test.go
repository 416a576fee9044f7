package redis

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/ledgertest"
	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
)

var (
	allCases      = slices.Concat(ledgertest.Cases, ledgertest.SharedCases)
	allLeaseCases = slices.Concat(ledgertest.LeaseCases, ledgertest.SharedLeaseCases)
)

func newLedger(t testing.TB, url string) *Ledger {
	t.Helper()
	l, err := New(Options{URL: url, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// wipe empties every server behind the ledger.
func wipe(t testing.TB, servers ...*redistest.Server) {
	t.Helper()
	for _, s := range servers {
		s.CLI("FLUSHALL")
	}
}

func TestCases(t *testing.T) {
	server := redistest.NewServer(t)
	ledgertest.Run(t, allCases, func(t *testing.T) ledgertest.Ledger {
		wipe(t, server)
		return newLedger(t, server.URL())
	})
}

func TestLeaseCases(t *testing.T) {
	server := redistest.NewServer(t)
	ledgertest.RunLeases(t, allLeaseCases, func(t *testing.T) ledgertest.LeaseSubject {
		wipe(t, server)
		return leaseSubject(theScripts(), newLedger(t, server.URL()))
	})
}

func TestCasesOnCluster(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: a cluster takes seconds to form")
	}
	cluster := redistest.NewCluster(t, 3)
	for name, url := range map[string]string{"named": cluster.URL(), "found": cluster.Nodes[0].URL()} {
		t.Run(name, func(t *testing.T) {
			ledgertest.Run(t, allCases, func(t *testing.T) ledgertest.Ledger {
				wipe(t, cluster.Nodes...)
				return newLedger(t, url)
			})
			ledgertest.RunLeases(t, allLeaseCases, func(t *testing.T) ledgertest.LeaseSubject {
				wipe(t, cluster.Nodes...)
				return leaseSubject(theScripts(), newLedger(t, url))
			})
		})
	}
}

func TestCasesOnSentinel(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: a sentinel set takes seconds to form")
	}
	set := redistest.NewSentinelSet(t)
	open := func(t *testing.T) ledgertest.Ledger {
		l := newLedger(t, set.URL())
		if err := l.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := l.server.client.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		return newLedger(t, set.URL())
	}
	ledgertest.Run(t, allCases, open)
	l := newLedger(t, set.URL())
	if err := l.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	set.Failover()
	deadline, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for l.Check(deadline) != nil {
		if deadline.Err() != nil {
			t.Fatal("the ledger does not find the new master")
		}
		time.Sleep(100 * time.Millisecond)
	}
	ledgertest.Run(t, allCases, func(t *testing.T) ledgertest.Ledger {
		if err := l.server.client.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		return l
	})
	ledgertest.RunLeases(t, allLeaseCases, func(t *testing.T) ledgertest.LeaseSubject {
		if err := l.server.client.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		return leaseSubject(theScripts(), newLedger(t, set.URL()))
	})
}
