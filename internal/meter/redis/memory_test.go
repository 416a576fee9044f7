package redis

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
)

// TestMemory measures the figures of docs/format/redis.md. It runs when asked
// for, since it proves nothing.
func TestMemory(t *testing.T) {
	if os.Getenv("SLUICE_MEASURE") == "" {
		t.Skip("SKIPPED: set SLUICE_MEASURE=1 to measure")
	}
	const days = 2
	old := time.Now().UTC().Add(-record.KeepHours - 5*24*time.Hour).Truncate(24 * time.Hour)
	for _, rows := range []int{1, 10, 100, 1000} {
		server := redistest.NewServer(t)
		l := newLedger(t, server.URL())
		fill(t, l, "warm", []record.Posting{typical(old, 0)})
		empty, roots := used(t, server), 1000/rows // many rows in all, so that fixed costs do not show
		for root := range roots {
			var postings []record.Posting
			for h := range days * 24 {
				for r := range rows {
					postings = append(postings, typical(old.Add(time.Duration(h)*time.Hour), r))
				}
			}
			fill(t, l, fmt.Sprintf("root%03d", root), postings)
		}
		hours := used(t, server) - empty
		if err := l.Fold(t.Context(), time.Now(), nil); err != nil {
			t.Fatal(err)
		}
		folded := used(t, server) - empty
		t.Logf("%4d rows in every hour of a root: %d bytes per row and hour, %d per row and day; folded %d per row and day",
			rows, hours/(roots*rows*days*24), hours/(roots*rows*days), folded/(roots*rows*days))
	}
	server := redistest.NewServer(t)
	l := newLedger(t, server.URL())
	empty := used(t, server)
	for root := range 1000 {
		for writer := range 16 {
			b := ledger.Batch{
				Writer: fmt.Sprintf("01JD0000000000000000000%03d", writer),
				Epoch:  3,
				Root:   fmt.Sprintf("root%03d", root),
				From:   1,
				To:     1,
			}
			b.Postings = []record.Posting{{Seq: 1, Root: b.Root, Row: record.RowKey{Hour: old}}}
			if _, err := l.Apply(t.Context(), &b); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Logf("1000 roots × 16 writers: %d bytes of watermarks, shapes and registry", used(t, server)-empty)
}

func typical(hour time.Time, r int) record.Posting {
	n := int64(r + 1)
	return record.Posting{
		Row: record.RowKey{
			Hour: hour, Tenant: fmt.Sprintf("acme/team%d", r/10), Key: fmt.Sprintf("SLU1ABCDEFGHIJKLM%03d", r/10),
			Model: fmt.Sprintf(
				"us.anthropic.claude-model-%d-20250929-v1:0",
				r%10,
			), Scope: "geo", Path: "direct", PriceVersion: "2026-10-01",
		},
		Add: record.Counters{
			Requests: 120, Legs: 121, Input: 180_000 + n, Output: 60_000 + n, CacheRead: 20_000 + n,
			CostInput: 540_000_123_456, CostOutput: 900_000_123_456, CostCacheRead: 6_000_123_456,
		},
	}
}

func fill(t *testing.T, l *Ledger, root string, postings []record.Posting) {
	t.Helper()
	for from := 0; from < len(postings); from += 500 {
		part := postings[from:min(from+500, len(postings))]
		b := ledger.Batch{
			Writer:   "w",
			Epoch:    1,
			Root:     root,
			From:     uint64(from) + 1,
			To:       uint64(from + len(part)),
			Postings: part,
		}
		for i := range part {
			part[i].Seq, part[i].Root = uint64(from+i)+1, root
		}
		if _, err := l.Apply(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
	}
}

func used(t *testing.T, s *redistest.Server) int {
	t.Helper()
	time.Sleep(300 * time.Millisecond) // tables are resized in the background
	s.CLI("SCRIPT", "FLUSH")
	s.CLI("MEMORY", "PURGE")
	var n int
	for line := range strings.Lines(s.CLI("INFO", "memory")) {
		if _, err := fmt.Sscanf(line, "used_memory:%d", &n); err == nil {
			return n
		}
	}
	t.Fatal("no used_memory")
	return 0
}
