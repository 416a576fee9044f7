package audit

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter"
	"github.com/sluice-gateway/sluice/internal/meter/embedded"
	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// now is a day on which nothing is folded.
var now = time.Now().UTC().Truncate(time.Hour)

// books is a ledger that can be wiped and tampered with, and that lists its
// writers.
type books struct {
	mu      sync.Mutex
	state   *embedded.State
	writers map[record.Partition]bool
	windows map[record.Window]ledger.WindowState
	// tamper changes what Rows yields, until a wipe.
	tamper func(record.RowKey, *record.Counters)
}

func newBooks() *books {
	b := &books{}
	b.lose()
	return b
}

func (b *books) lose() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.state, b.tamper = &embedded.State{}, nil
	b.writers, b.windows = map[record.Partition]bool{}, map[record.Window]ledger.WindowState{}
}

func (b *books) Apply(ctx context.Context, batch *ledger.Batch) (ledger.Reply, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before, _ := b.state.Watermark(ctx, batch.Writer, batch.Root)
	applied, err := b.state.Apply(ctx, batch)
	if err != nil {
		return applied, err
	}
	b.writers[record.Partition{Writer: batch.Writer, Root: batch.Root}] = true
	if applied.Watermark == before {
		return applied, nil
	}
	for _, p := range batch.Postings {
		for _, c := range p.Charges {
			sum := b.windows[c.Window]
			if c.Suspense {
				sum.Suspense += c.Amount
			} else {
				sum.Posted += c.Amount
			}
			b.windows[c.Window] = sum
		}
	}
	return applied, nil
}

func (b *books) current() *embedded.State {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state
}

func (b *books) Watermark(ctx context.Context, writer, root string) (uint64, error) {
	return b.current().Watermark(ctx, writer, root)
}

func (b *books) Fingerprint(context.Context, string) error { return nil }

func (b *books) Rows(ctx context.Context, from, to time.Time, yield func(record.RowKey, record.Counters) error) error {
	return b.current().Rows(ctx, from, to, func(key record.RowKey, c record.Counters) error {
		if b.tamper != nil {
			b.tamper(key, &c)
		}
		return yield(key, c)
	})
}

func (b *books) Writers(_ context.Context, root string) (all []string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for l := range b.writers {
		if l.Root == root {
			all = append(all, l.Writer)
		}
	}
	return all, nil
}

func (b *books) Windows(_ context.Context, root string) (all []ledger.WindowBook, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for w, s := range b.windows {
		if record.RootOf(w.Tenant) == root {
			all = append(all, ledger.WindowBook{Window: w, WindowState: s})
		}
	}
	return all, nil
}

func (b *books) sum(t testing.TB) (sum record.Counters) {
	t.Helper()
	if err := b.Rows(t.Context(), time.Time{}, now.AddDate(1, 0, 0), func(_ record.RowKey, c record.Counters) error {
		sum, _ = sum.Plus(c)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return sum
}

func prices(t testing.TB) *record.PriceBook {
	t.Helper()
	table, problems := record.CompilePrices([]config.PriceBook{{Name: "test.yaml", Prices: []config.Price{{
		Models: []string{"light"}, Effective: now.AddDate(0, -1, 0),
		Rates: config.Rates{Input: 60_000_000_000, HasInput: true, Output: 240_000_000_000, HasOutput: true},
	}}}})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return table
}

func options(dir string, l ledger.Ledger) meter.Options {
	return meter.Options{
		Disk: journal.Dir(dir), Journal: journal.Options{Every: time.Millisecond, ReserveBytes: 4096, SegmentBytes: 4000},
		Ledger: l, Flush: time.Millisecond, Now: time.Now,
	}
}

func open(t testing.TB, dir string, l ledger.Ledger) *meter.Meter {
	t.Helper()
	m, err := meter.Open(t.Context(), options(dir, l))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

type closer interface{ Close(context.Context) error }

func shut(t testing.TB, c closer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := c.Close(ctx); err != nil {
		t.Fatal(err)
	}
}

// month is the month of now.
func month(tenant string, u record.Unit) record.Window {
	start := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
	return record.Window{Tenant: tenant, Unit: u, Period: "month", Start: start, End: start.AddDate(0, 1, 0)}
}

func start(id int, root string) *record.Start {
	return &record.Start{
		ID: fmt.Sprintf("01TEST%020d", id), RequestID: "r", Root: root, Tenant: root + "/team", Key: "key",
		Op: wire.OpConverse, Model: "us.light", SKU: record.SKU{Model: "light", Scope: "geo"}, Path: "light",
		Attempt: 1, EstimatedInput: 100, MaxOutput: 50, Hold: 18_000_000, At: now,
		Charges: []record.Charge{
			{Window: month(root, record.UnitUSD), Amount: 18_000}, {Window: month(root+"/team", record.UnitTokens), Amount: 150},
		},
	}
}

func call(t testing.TB, m *meter.Meter, id int, root string) {
	t.Helper()
	s := start(id, root)
	if err := m.Begin(s); err != nil {
		t.Fatal(err)
	}
	e := &record.End{ID: s.ID, Outcome: record.Completed, Status: 200, Served: true, At: now}
	e.Usage.Input, e.Usage.Output = wire.Known(int64(id)), wire.Known(5)
	if err := m.End(s, e, prices(t), &record.Booked{}); err != nil {
		t.Fatal(err)
	}
}

// gateway runs a gateway for n calls to its end and returns its directory.
func gateway(t testing.TB, l ledger.Ledger, n int) string {
	t.Helper()
	dir := t.TempDir()
	m := open(t, dir, l)
	for id := range n {
		call(t, m, id, fmt.Sprintf("root%d", id%2))
	}
	shut(t, m)
	return dir
}

func reading(b *books, dirs ...string) Reading {
	r := Reading{Ledger: b, Writers: b.Writers, Windows: b.Windows, Now: now, Patience: 100 * time.Millisecond}
	for _, dir := range dirs {
		r.Journals = append(r.Journals, Source{filepath.Base(dir), journal.Dir(dir), false})
	}
	return r
}

func verify(t testing.TB, r Reading) (int, string) {
	t.Helper()
	var out strings.Builder
	n, err := Verify(t.Context(), r, &out)
	if err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if n != strings.Count(out.String(), "DIFFERENCE ") {
		t.Errorf("%d differences, but:\n%s", n, out.String())
	}
	return n, out.String()
}

func wantClean(t testing.TB, r Reading) {
	t.Helper()
	if n, out := verify(t, r); n != 0 || strings.Contains(out, "not compared") {
		t.Errorf("books are not equal:\n%s", out)
	}
}

// wantFound wants differences, one of which says the text.
func wantFound(t testing.TB, r Reading, text string) {
	t.Helper()
	if n, out := verify(t, r); n == 0 || !slices.ContainsFunc(strings.Split(out, "\n"), func(line string) bool {
		return strings.HasPrefix(line, "DIFFERENCE") && strings.Contains(line, text)
	}) {
		t.Errorf("%d differences, none with %q:\n%s", n, text, out)
	}
}

func segment(dir string, n int) string { return filepath.Join(dir, fmt.Sprintf("%020d.seg", n)) }

func flip(t testing.TB, file string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 0x10
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func remove(t testing.TB, file string) {
	t.Helper()
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
}

func newest(t testing.TB, dir string) int {
	t.Helper()
	all, err := journal.Segments(journal.Dir(dir))
	if err != nil {
		t.Fatal(err)
	}
	return int(all[len(all)-1])
}
