package audit

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter"
	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/meter/redis"
	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// TestFloodsOfValues: M15, a tenant sends 7,200 values of each thing in a row that callers choose, 200 bytes each where
// they may be, by calls that fail, complete and end unknown. Its rows stay bounded, a Redis of 16 MB takes them,
// another tenant is counted, and nothing is lost.
func TestFloodsOfValues(t *testing.T) {
	b := newBooks()
	t.Run("embedded", func(t *testing.T) {
		flooded(t, b, func(dir string) Reading { return reading(b, dir) })
	})
	server := redistest.NewServer(t, "--maxmemory", "16mb", "--maxmemory-policy", "noeviction")
	l, err := redis.New(redis.Options{URL: server.URL(), Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	t.Run("redis", func(t *testing.T) {
		flooded(t, l, func(dir string) Reading {
			return Reading{Journals: []Source{{"gateway", journal.Dir(dir), false}}, Ledger: l, Writers: l.Writers,
				Windows: l.Windows, Now: now, Patience: 100 * time.Millisecond}
		})
	})
}

func flooded(t *testing.T, l ledger.Ledger, read func(dir string) Reading) {
	const values = 7200
	dir := t.TempDir()
	o := options(dir, l)
	o.Journal.SegmentBytes = 1 << 20
	m, err := meter.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	book := prices(t)
	var wg sync.WaitGroup
	for field := range 4 {
		wg.Go(func() {
			for i := range values {
				floodCall(t, m, book, field*values+i, field, fmt.Sprintf("%d-%s", i, strings.Repeat("x", 200)))
			}
		})
	}
	wg.Wait()
	call(t, m, 4*values, "other")
	shut(t, m)
	rows, legs := 0, map[string]int64{}
	r := read(dir)
	from, to := now.Add(-time.Hour), now.Add(48*time.Hour)
	err = r.Ledger.Rows(t.Context(), from, to, func(k record.RowKey, c record.Counters) error {
		rows++
		legs[record.RootOf(k.Tenant)] += c.Legs
		return nil
	})
	if err != nil || rows > 3000 || legs["flood"] != 4*values || legs["other"] != 1 {
		t.Errorf("%d rows, legs %v, %v", rows, legs, err)
	}
	wantClean(t, r)
}

// floodCall is a call with a value in one of the fields that callers choose.
func floodCall(t *testing.T, m *meter.Meter, book *record.PriceBook, id, field int, value string) {
	s := start(id, "flood")
	e := &record.End{ID: s.ID, Outcome: record.Outcome(id % 3), Status: 200, At: now.Add(time.Second)}
	if e.Outcome == record.Completed {
		e.Usage = wire.Usage{Input: wire.Known(10), Output: wire.Known(5)}
	}
	*[...]*string{&s.Model, &s.SKU.Tier, &s.SKU.Latency, &s.User}[field] = value
	if err := m.Begin(s); err != nil {
		t.Error(err)
		return
	}
	if err := m.End(s, e, book, &record.Booked{}); err != nil {
		t.Error(err)
	}
}
