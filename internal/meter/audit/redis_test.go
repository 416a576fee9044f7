package audit

import (
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/meter/redis"
	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
)

// TestRedis: with the real ledger, verify finds what happened to a counter, a
// budget or everything, and rebuild mends it.
func TestRedis(t *testing.T) {
	server := redistest.NewServer(t)
	l, err := redis.New(redis.Options{URL: server.URL(), Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dir := gateway(t, l, 60)
	r := Rebuilding{
		Reading: Reading{
			Journals: []Source{{"gateway", journal.Dir(dir), false}}, Ledger: l, Writers: l.Writers, Windows: l.Windows,
			Now: now, Patience: 100 * time.Millisecond,
		},
		Meter: options("", l), Wipe: l.Wipe,
	}
	wantClean(t, r.Reading)
	keyOf := func(pattern string) string {
		t.Helper()
		return strings.Fields(server.CLI("KEYS", pattern))[0]
	}
	check := func(name, text string, damage func()) {
		t.Helper()
		damage()
		wantFound(t, r.Reading, text)
		if n, out := rebuild(t, r); n != 0 {
			t.Errorf("%s: %d differences after rebuild:\n%s", name, n, out)
		}
		wantClean(t, r.Reading)
	}
	check("row deleted", "Input is", func() { server.CLI("DEL", keyOf("sl:{root1}:r:*")) })
	check("counter changed", "in the ledger", func() {
		row := keyOf("sl:{root0}:r:*")
		server.CLI("HINCRBY", row, strings.Fields(server.CLI("HKEYS", row))[0], "1")
	})
	check("budget changed", "budget of root0", func() { server.CLI("HINCRBY", keyOf("sl:{root0}:b:*"), "p", "7") })
	check("all lost", "the ledger lacks", func() { server.CLI("FLUSHALL") })
	nothing := r.Reading
	empty := t.TempDir()
	nothing.Journals, nothing.All = []Source{{"empty", journal.Dir(empty), false}}, true
	wantFound(t, nothing, "empty: there is no segment") // U21
	wantFound(t, nothing, "root root0: the ledger has rows, and no journal here has a record of it")
	if all := server.CLI("KEYS", "sl:{root1}:*"); all == "" {
		t.Fatal("nothing there")
	}
	if err := l.Wipe(t.Context(), "root1"); err != nil {
		t.Fatal(err)
	}
	if left := strings.TrimSpace(server.CLI("KEYS", "sl:{root1}:*")); left != "" {
		t.Errorf("left behind: %s", left)
	}
	server.CLI("FLUSHALL")
	wantFound(t, nothing, "there is nothing to compare")
}
