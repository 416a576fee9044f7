package redis

import (
	"encoding/binary"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/gossip"
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
)

// sizes are typical facts: a session, the rates of a gateway, and a tightened
// certificate.
var sizes = map[gossip.Kind]struct{ key, value int }{ //nolint:gochecknoglobals // a table
	gossip.Session: {24, 8}, gossip.Guard: {16, 24}, gossip.Watch: {72, 8},
}

// TestFactMemory measures the figures of docs/format/redis.md. It runs when
// asked for, since it proves nothing.
func TestFactMemory(t *testing.T) {
	if os.Getenv("SLUICE_MEASURE") == "" {
		t.Skip("SKIPPED: set SLUICE_MEASURE=1 to measure")
	}
	for kind, size := range sizes {
		for _, n := range []int{1, kept[kind], 3 * kept[kind]} {
			server := redistest.NewServer(t)
			g := newGateway(t, server.URL(), "a")
			for i := range n {
				g.put(kind, filled(i, size.key), filled(i, size.value))
				if i%100 == 99 || i == n-1 {
					g.beat()
				}
			}
			log := keysOf("acme").log(kind)
			t.Logf(
				"kind %d, %5d facts put: %s entries take %s bytes",
				kind,
				n,
				server.CLI("XLEN", log),
				server.CLI("MEMORY", "USAGE", log, "SAMPLES", "0"),
			)
		}
	}
}

// filled is n bytes that differ with i.
func filled(i, n int) string {
	b := make([]byte, n)
	binary.BigEndian.PutUint64(b, uint64(i)*0x9e3779b97f4a7c15)
	return string(b)
}

// busy is how long the server worked since its statistics were reset, in
// microseconds. What scripts call is in their time already.
func busy(s *redistest.Server) (us float64) {
	stats := s.CLI("INFO", "commandstats")
	for _, command := range []string{"cmdstat_evalsha:", "cmdstat_hget:"} {
		_, rest, found := strings.Cut(stats, command)
		_, rest, _ = strings.Cut(rest, "usec=")
		number, _, _ := strings.Cut(rest, ",")
		if n, err := strconv.ParseFloat(number, 64); found && err == nil {
			return n
		}
	}
	return 0
}

// BenchmarkFacts is what an exchange costs: nothing to say, one fact each way,
// and a log that is read from its beginning.
func BenchmarkFacts(b *testing.B) {
	server := redistest.NewServer(b)
	run := func(name string, board *gossip.Board, before func(i int, l *Ledger)) {
		b.Run(name, func(b *testing.B) {
			l := newLedger(b, server.URL())
			server.CLI("CONFIG", "RESETSTAT")
			for i := range b.N {
				before(i, l)
				if _, err := ledger.Exchange(b.Context(), l, board, &ledger.Batch{Writer: "w", Root: "acme"}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(busy(server)/float64(b.N), "server-µs/op")
		})
	}
	hear := func(gossip.Fact) {}
	board := gossip.New(time.Now, hear)
	put := func(i int, _ *Ledger) {
		board.Put(
			"acme",
			gossip.Fact{Kind: gossip.Session, Key: strconv.Itoa(i), Value: "12345678", Until: time.Now().Add(time.Hour)},
		)
	}
	run("off", nil, func(int, *Ledger) {})
	run("silent", gossip.New(time.Now, hear), func(int, *Ledger) {})
	run("tells", board, put)
	run("hears512", gossip.New(time.Now, hear), func(_ int, l *Ledger) { l.roots.seen = map[string]sighting{} })
}
