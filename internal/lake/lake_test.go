package lake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/decision"
	"github.com/sluice-gateway/sluice/internal/meter"
	"github.com/sluice-gateway/sluice/internal/meter/embedded"
	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// noon is the time of the first record.
func noon() time.Time { return time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC) }

func prices(t testing.TB) *record.PriceBook {
	t.Helper()
	table, problems := record.CompilePrices([]config.PriceBook{{Name: "test.yaml", Prices: []config.Price{{
		Models: []string{"light"}, Effective: noon().AddDate(0, -1, 0),
		Rates: config.Rates{Input: 60_000_000_123, HasInput: true, Output: 240_000_000_457, HasOutput: true},
	}}}})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return table
}

// books is a gateway's meter on an embedded ledger.
type books struct {
	t      testing.TB
	dir    journal.Dir
	ledger *embedded.State
	meter  *meter.Meter
	table  *record.PriceBook
	n      int
	random *rand.Rand
}

func newBooks(t testing.TB) *books {
	t.Helper()
	b := &books{
		t: t, dir: journal.Dir(t.TempDir()), ledger: &embedded.State{}, table: prices(t), random: rand.New(rand.NewPCG(1, 2)),
	}
	b.open()
	return b
}

func (b *books) open() {
	b.t.Helper()
	var err error
	if b.meter, err = meter.Open(b.t.Context(), meter.Options{
		Disk: b.dir, Journal: journal.Options{Every: time.Millisecond, ReserveBytes: 4096, SegmentBytes: 20_000},
		Ledger: b.ledger, Flush: time.Millisecond, Now: time.Now, Log: slog.New(slog.DiscardHandler), Keep: time.Hour,
	}); err != nil {
		b.t.Fatal(err)
	}
}

func (b *books) close() {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := b.meter.Close(ctx); err != nil {
		b.t.Fatal(err)
	}
}

// calls journals calls of several tenants over three days, one in ten of unknown outcome.
func (b *books) calls(n int) {
	b.t.Helper()
	for range n {
		b.n++
		root := fmt.Sprintf("root%d", b.n%3)
		at := noon().Add(time.Duration(b.n) * 37 * time.Second)
		s := &record.Start{
			ID: fmt.Sprintf("01M8JJHRB1FE77ND3F%08d", b.n), RequestID: fmt.Sprintf("01M8JJHRB1FE77ND3G%08d", b.n), Root: root,
			Tenant: root + "/team", Key: "SLKA", Op: wire.OpConverse, Model: "light", SKU: record.SKU{Model: "light"},
			Path: "direct", Attempt: 1, Hold: 1000, MaxOutput: 10, At: at,
		}
		e := &record.End{
			ID: s.ID, Outcome: record.Completed, Status: 200, Served: true, AWSRequestID: fmt.Sprint("aws-", b.n), At: at,
			Usage: wire.Usage{
				Input: wire.Known(b.random.Int64N(1e6)), Output: wire.Known(b.random.Int64N(1e5)), StopReason: "end_turn",
				CacheRead: wire.Known(0), CacheWrite5m: wire.Known(0), CacheWrite1h: wire.Known(0),
			},
		}
		if b.n%10 == 0 {
			e.Outcome, e.Usage, e.Served = record.Unknown, wire.Usage{}, false
		}
		var booked record.Booked
		if err := errors.Join(b.meter.Begin(s), b.meter.End(s, e, b.table, &booked)); err != nil {
			b.t.Fatal(err)
		}
	}
}

// sums are the ledger's, by root and day.
func (b *books) sums() map[string]record.Counters {
	b.t.Helper()
	all := map[string]record.Counters{}
	until := noon().AddDate(1, 0, 0)
	err := b.ledger.Rows(b.t.Context(), time.Time{}, until, func(k record.RowKey, c record.Counters) error {
		at := dayOf(k.Hour) + " " + record.RootOf(k.Tenant)
		all[at], _ = all[at].Plus(c)
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return all
}

// stored reads a lake, and fails when a record is in it twice.
func stored(t testing.TB, dir string) map[string]record.Counters {
	t.Helper()
	all, seen := map[string]record.Counters{}, map[string]string{}
	paths, err := filepath.Glob(filepath.Join(dir, "usage", "*", "*", "*.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		rows, err := parquet.ReadFile[Usage](path)
		if err != nil {
			t.Fatal(err)
		}
		parts := strings.Split(filepath.ToSlash(path), "/")
		day := strings.TrimPrefix(parts[len(parts)-3], "day=")
		root := strings.TrimPrefix(parts[len(parts)-2], "root=")
		for i := range rows {
			u := &rows[i]
			name := fmt.Sprint(u.Writer, root, u.Seq)
			if other := seen[name]; other != "" && u.Kind != "sums" {
				t.Fatalf("record %s is in %s and %s", name, other, path)
			}
			seen[name] = path
			all[day+" "+root], _ = all[day+" "+root].Plus(record.Counters{
				Requests: u.Requests, Legs: u.Legs, Input: u.InputTokens, Output: u.OutputTokens, Unknown: u.Unknown,
				Unpriced: u.Unpriced, SuspenseTokens: u.SuspenseTokens, CostInput: pico(u.CostInputUSD),
				CostOutput: pico(u.CostOutputUSD), Suspense: pico(u.SuspenseUSD),
			})
			if pico(u.CostUSD) != pico(u.CostInputUSD)+pico(u.CostOutputUSD) {
				t.Errorf("%+v", u)
			}
			if (u.Kind == "usage" || u.Kind == "unknown") && (u.RequestID == "" || u.RecordID == "" || u.AWSRequestID == "") {
				t.Errorf("%+v", u)
			}
		}
	}
	return all
}

// frail is a folder whose uploads fail after so many, as a process that is killed.
type frail struct {
	Folder
	left *int
}

var errKilled = errors.New("killed")

func (f frail) Put(ctx context.Context, name string, body []byte) error {
	if *f.left--; *f.left < 0 {
		return errKilled
	}
	return f.Folder.Put(ctx, name, body)
}

func (b *books) exporter(dir string, left *int, most int) *Exporter {
	b.t.Helper()
	e, err := Open(Options{
		Store: frail{Folder(dir), left}, State: filepath.Join(string(b.dir), "..", "export.json"), Now: time.Now, Most: most,
		Journals: []Source{{Name: "journal", Disk: b.dir, Synced: func() journal.Position { return b.meter.Synced() }}},
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return e
}

// TestExactlyOnce: however often an export is killed between two uploads, and whatever is
// written meanwhile, the lake has each record once, and its sums are the ledger's to the
// pico-dollar.
func TestExactlyOnce(t *testing.T) {
	b, dir := newBooks(t), t.TempDir()
	state := filepath.Join(string(b.dir), "..", "export.json")
	defer os.Remove(state)
	b.calls(100)
	kills := 0
	for n := 0; ; n++ {
		left := n % 7
		e := b.exporter(dir, &left, 60)
		_, err := e.Run(t.Context())
		if err != nil && !errors.Is(err, errKilled) {
			t.Fatal(err)
		}
		if err == nil && n > 30 {
			break
		}
		if err != nil {
			kills++
		}
		if n < 20 {
			b.calls(30)
		}
		if n == 10 { // another process, another writer
			b.close()
			b.open()
		}
	}
	if kills < 10 {
		t.Errorf("killed %d times", kills)
	}
	b.close()
	want := b.sums()
	if got := stored(t, dir); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\nwant\n%+v", got, want)
	}
	b.open()
	defer b.close()
	left := 100
	if n, err := b.exporter(dir, &left, 0).Run(t.Context()); err != nil || n > 1 {
		t.Errorf("%d records more, %v", n, err)
	}
	manifests(t, dir, want)
}

// manifests list every file, with its sum.
func manifests(t *testing.T, dir string, want map[string]record.Counters) {
	t.Helper()
	var sum, total money.Pico
	for _, c := range want {
		total += c.CostInput + c.CostOutput
	}
	paths, err := filepath.Glob(filepath.Join(dir, "manifests", "*", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]File{}
	for _, path := range paths {
		var m Manifest
		text, err := os.ReadFile(path)
		if err == nil {
			err = json.Unmarshal(text, &m)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range m.Files {
			info, err := os.Stat(filepath.Join(dir, f.Name))
			if err != nil || info.Size() != int64(f.Bytes) {
				t.Errorf("%+v: %v", f, err)
			}
			listed[f.Name] = f
		}
	}
	for name, f := range listed {
		cost, err := money.ParseDollars(f.CostUSD)
		if err != nil {
			t.Error(name, err)
		}
		sum += cost
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "usage", "*", "*", "*")); len(files) != len(listed) {
		t.Errorf("%d files, %d of them listed", len(files), len(listed))
	}
	if sum != total {
		t.Errorf("%s by the manifests, want %s", sum, total)
	}
}

// TestDecimal: what a decimal has is the amount, also below nothing.
func TestDecimal(t *testing.T) {
	for _, p := range []money.Pico{0, 1, -1, 123456789, -987654321, 1<<63 - 1, -1 << 63} {
		if got := pico(decimal(p)); got != p {
			t.Errorf("%d: %d", p, got)
		}
	}
}

// given are decisions in memory.
type given []decision.Decision

func (g given) Each(after string, most int, yield func(*decision.Decision) error) (string, error) {
	n := 0
	fmt.Sscan(after, &n)
	for ; n < len(g) && most > 0; most-- {
		if err := yield(&g[n]); err != nil {
			return after, err
		}
		n++
	}
	return fmt.Sprint(n), nil
}

// TestDecisions are exported once, by day and root; those of nobody too.
func TestDecisions(t *testing.T) {
	var g given
	for i := range 100 {
		g = append(g, decision.Decision{
			ID: fmt.Sprintf("01M8JJHRB1FE77ND3F%08d", i), Received: noon().Add(time.Duration(i) * time.Hour), Status: 200,
			Tenant: []string{"", "acme/a", "b"}[i%3], Cost: 5,
		})
	}
	dir, state := t.TempDir(), filepath.Join(t.TempDir(), "export.json")
	for left := range 40 {
		e, err := Open(Options{Store: frail{Folder(dir), &left}, State: state, Decisions: g, Now: time.Now, Most: 30})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Run(t.Context()); err != nil && !errors.Is(err, errKilled) {
			t.Fatal(err)
		}
	}
	seen := map[string]bool{}
	paths, _ := filepath.Glob(filepath.Join(dir, "decisions", "*", "*", "*.parquet"))
	for _, path := range paths {
		rows, err := parquet.ReadFile[Decided](path)
		if err != nil {
			t.Fatal(err)
		}
		for i := range rows {
			if seen[rows[i].RequestID] {
				t.Error(rows[i].RequestID)
			}
			seen[rows[i].RequestID] = true
		}
	}
	if len(seen) != 100 || len(paths) < 10 {
		t.Error(len(seen), len(paths))
	}
}
