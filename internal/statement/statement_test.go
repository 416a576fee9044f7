package statement

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/internal/meter/embedded"
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
)

func TestPeriodOf(t *testing.T) {
	f := func(month, zone, from, to string) {
		t.Helper()
		p, err := PeriodOf(month, zone)
		if from == "" {
			if !errors.Is(err, ErrInput) {
				t.Errorf("%s %s: %v", month, zone, err)
			}
			return
		}
		if got := p.From.Format(time.RFC3339) + " " + p.To.Format(time.RFC3339); err != nil || got != from+" "+to {
			t.Errorf("%s %s: %s, %v", month, zone, got, err)
		}
	}
	f("2026-11", "UTC", "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z")
	f("2026-10", "Europe/Berlin", "2026-09-30T22:00:00Z", "2026-10-31T23:00:00Z") // the clocks change within it
	f("2026-02", "America/New_York", "2026-02-01T05:00:00Z", "2026-03-01T05:00:00Z")
	f("2026-01", "Pacific/Kiritimati", "2025-12-31T10:00:00Z", "2026-01-31T10:00:00Z")
	f("2026-11", "Asia/Kolkata", "", "")
	f("2026-11", "Berlin", "", "")
	f("2026-13", "UTC", "", "")
	f("2026-1", "UTC", "", "")
	f("2026-11-01", "UTC", "", "")
	f("", "UTC", "", "")
}

// books is a ledger whose months are closed as the command does it.
type books struct {
	*embedded.State
	closed ledger.Closings
	seq    uint64
	file   string
	t      *testing.T
}

func newBooks(t *testing.T) *books {
	return &books{State: &embedded.State{}, file: filepath.Join(t.TempDir(), "closings"), t: t}
}

func (b *books) post(hour time.Time, tenant string, cost money.Pico) {
	b.t.Helper()
	b.seq++
	p := record.Posting{Seq: b.seq, Root: "acme",
		Row: record.RowKey{Hour: hour, Tenant: tenant, Model: "m", Path: "direct"},
		Add: record.Counters{Requests: 1, Legs: 1, Input: int64(b.seq), CostInput: cost}}
	batch := &ledger.Batch{Writer: "w", Root: "acme", From: b.seq, To: b.seq, Postings: []record.Posting{p}}
	if _, err := b.Apply(b.t.Context(), batch); err != nil {
		b.t.Fatal(err)
	}
}

func (b *books) close(dir Dir, p Period) File {
	b.t.Helper()
	c := ledger.Closing{Month: p.Month, Zone: p.Zone, Through: p.To, UpTo: map[string]uint64{"w": b.seq}}
	if had := b.closed.Find(p.To); had != nil {
		c = *had
	}
	b.closed = b.closed.With(c)
	if _, err := embedded.AppendClosing(b.file, "acme", c); err != nil {
		b.t.Fatal(err)
	}
	if err := b.TakeClosings(b.file); err != nil {
		b.t.Fatal(err)
	}
	sums, err := Read(b.t.Context(), b, []Month{{"acme", p}}, p.To)
	if err != nil {
		b.t.Fatal(err)
	}
	st := sums[0].Statement(Statement{UpTo: c.UpTo, ClosedAt: p.To, Previous: dir.Hash("acme", p.Before())}, nil)
	file, err := dir.Write(st)
	if err != nil {
		b.t.Fatal(err)
	}
	return file
}

// TestYearOfMonths closes a year, with records that come too late for each of its months, and closes each month again:
// no closed file changes by a byte, the report of a closed month stays what its statement says, also when hours were
// folded into days, and all statements together have every pico-dollar.
func TestYearOfMonths(t *testing.T) {
	for _, zone := range []string{"UTC", "Europe/Berlin", "Pacific/Auckland"} {
		t.Run(zone, func(t *testing.T) { yearOfMonths(t, zone) })
	}
}

func yearOfMonths(t *testing.T, zone string) {
	b, dir := newBooks(t), Dir(t.TempDir())
	in, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	files, totals := map[string][]byte{}, map[string]string{}
	var periods []Period
	var posted money.Total
	for month := range 12 {
		p, err := PeriodOf(fmt.Sprintf("2026-%02d", month+1), zone)
		if err != nil {
			t.Fatal(err)
		}
		post := func(hour time.Time, cost money.Pico) {
			b.post(hour, []string{"acme/a", "acme/b"}[b.seq%2], cost)
			posted.Add(cost)
		}
		for hour := p.From; hour.Before(p.To); hour = hour.Add(13 * time.Hour) {
			post(hour, money.Pico(1_000_003+int64(month)))
		}
		post(p.To.Add(-time.Hour), 7)
		for _, earlier := range periods { // too late for their months
			post(earlier.From, 11)
			post(earlier.To.Add(-time.Hour), -3)
		}
		periods = append(periods, p)
		file := b.close(dir, p)
		if files[file.Path], err = os.ReadFile(file.Path); err != nil {
			t.Fatal(err)
		}
		st, err := dir.Load("acme", p.Month)
		if err != nil {
			t.Fatal(err)
		}
		totals[p.Month] = st.Totals.MeteredUSD
		if want := (money.Pico(8 * month)).String(); st.Totals.CorrectionsUSD != want {
			t.Errorf("%s: corrections of %s, want %s", p.Month, st.Totals.CorrectionsUSD, want)
		}
		hours := func(root string, day time.Time) bool { return KeepsHours(in, b.closed, day) }
		if err := b.Fold(t.Context(), p.To, hours); err != nil {
			t.Fatal(err)
		}
	}
	var stated money.Total
	for _, p := range periods {
		b.close(dir, p) // again
		st, err := dir.Load("acme", p.Month)
		if err != nil {
			t.Fatal(err)
		}
		amount, err := money.ParseDollars(st.Totals.MeteredUSD)
		if err != nil || st.Totals.MeteredUSD != totals[p.Month] {
			t.Errorf("%s: %s was %s, %v", p.Month, st.Totals.MeteredUSD, totals[p.Month], err)
		}
		stated.Add(amount)
	}
	if stated.String() != posted.String() {
		t.Errorf("the statements have %s of %s", stated.String(), posted.String())
	}
	for path, was := range files {
		if is, err := os.ReadFile(path); err != nil || string(is) != string(was) {
			t.Errorf("%s has changed: %v", path, err)
		}
	}
}

// TestStatementNeverChanges: other contents, a file that was changed, and a cut are refused.
func TestStatementNeverChanges(t *testing.T) {
	b, dir := newBooks(t), Dir(t.TempDir())
	p, _ := PeriodOf("2026-10", "UTC")
	b.post(p.From, "acme/a", 5)
	file := b.close(dir, p)
	st, err := dir.Load("acme", "2026-10")
	if err != nil {
		t.Fatal(err)
	}
	st.Lines[0].USD = "9"
	if _, err := dir.Write(st); !errors.Is(err, ErrExists) {
		t.Errorf("other contents: %v", err)
	}
	if list, err := dir.List("acme"); err != nil || len(list) != 1 || list[0] != file {
		t.Errorf("list: %v, %v", list, err)
	}
	for _, kind := range []string{"json", "csv", "sha256"} {
		path := filepath.Join(string(dir), "acme", "2026-10."+kind)
		was, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, is := range []string{string(was[:len(was)-1]), strings.Replace(string(was), "a", "b", 1), ""} {
			rewrite(t, path, is)
			if _, err := dir.Load("acme", "2026-10"); err == nil {
				t.Errorf("%s was changed and is read", path)
			}
		}
		rewrite(t, path, string(was))
	}
}

func rewrite(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.Remove(path), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
}

// TestOpen: what is in suspense, unknown or unpriced is named.
func TestOpen(t *testing.T) {
	f := func(c record.Counters, tolerance money.Pico, want int) {
		t.Helper()
		s := &Sums{rows: []sum{{record.RowKey{Tenant: "acme", Model: "m"}, c}}}
		if got := s.Open(tolerance); len(got) != want {
			t.Errorf("%+v: %q", c, got)
		}
	}
	f(record.Counters{Legs: 3, CostInput: 7}, 0, 0)
	f(record.Counters{Unknown: 1, Suspense: 5}, 0, 1)
	f(record.Counters{Unknown: 1, Suspense: 5}, 5, 0)
	f(record.Counters{Unknown: 1, Suspense: 5}, 4, 1)
	f(record.Counters{Unknown: 1}, 0, 1)
	f(record.Counters{Unpriced: 1}, 5, 1)
	f(record.Counters{Unpriced: 1, Unknown: 2, Suspense: 6}, 5, 2)
}

// TestSplit splits any cost by any weights: amounts sum to the cost and ratios to 1, and none is more than one unit off
// its exact part.
func TestSplit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(-9e18, 9e18).Draw(t, "n")
		weights := rapid.SliceOfN(rapid.Int64Range(0, 1<<62), 1, 40).Draw(t, "weights")
		total := new(big.Rat)
		rats := make([]*big.Rat, len(weights))
		for i, w := range weights {
			rats[i] = new(big.Rat).SetInt64(w)
			total.Add(total, rats[i])
		}
		if total.Sign() == 0 {
			return
		}
		var sum money.Total
		for i, part := range Apportion(n, rats, total) {
			sum.Add(money.Pico(part))
			exact := new(big.Rat).Mul(new(big.Rat).Quo(rats[i], total), new(big.Rat).SetInt64(n))
			if off := exact.Sub(exact, new(big.Rat).SetInt64(part)); off.Abs(off).Cmp(big.NewRat(1, 1)) >= 0 {
				t.Fatalf("part %d is off by %s", i, off)
			}
		}
		if got, fits := sum.Pico(); !fits || got != money.Pico(n) {
			t.Fatalf("the parts of %d sum to %s", n, sum.String())
		}
	})
}

func TestSharedCosts(t *testing.T) {
	months := []*Sums{
		{root: "acme", rows: []sum{
			{record.RowKey{Tenant: "acme/a"}, record.Counters{Requests: 1, Input: 1, CostInput: 5}},
			{record.RowKey{Tenant: "acme/b"}, record.Counters{Requests: 1, Output: 1}},
			{record.RowKey{Tenant: "acme/c", Corrects: "2026-09"}, record.Counters{Requests: 1, Output: 1}},
		}},
		{root: "beta", rows: []sum{{record.RowKey{Tenant: "beta"}, record.Counters{Requests: 1, CacheRead: 1}}}},
	}
	f := func(table, want string) {
		t.Helper()
		costs, err := ParseCosts("shared.csv", strings.NewReader(table))
		var shared map[string][]Shared
		if err == nil {
			shared, err = Split(costs, months)
		}
		got := ""
		if err != nil {
			if !errors.Is(err, ErrInput) {
				t.Errorf("%q: %v", table, err)
			}
			got = strings.TrimPrefix(err.Error(), ErrInput.Error()+": ")
		}
		for _, root := range []string{"acme", "beta"} {
			for _, one := range shared[root] {
				for _, p := range one.Parts {
					got += fmt.Sprintf("%s %s %s %s\n", one.Name, p.Tenant, p.Ratio, p.USD)
				}
			}
		}
		if got != want {
			t.Errorf("%q:\n%s\nwant\n%s", table, got, want)
		}
	}
	f("name,usd,by\nPT,1,tokens\n", "PT acme/a 0.333333333334 0.333333333334\nPT acme/b 0.333333333333 0.333333333333\n"+
		"PT beta 0.333333333333 0.333333333333\n")
	f("Name, USD ,By,Below\nPT,1,requests,acme\n", "PT acme/a 0.500000000000 0.50\nPT acme/b 0.500000000000 0.50\n")
	f("name,usd,by\ncredit,-0.000000000003,equal\n", "credit acme/a 0.333333333334 -0.000000000001\n"+
		"credit acme/b 0.333333333333 -0.000000000001\ncredit beta 0.333333333333 -0.000000000001\n")
	f("name,usd,by\nKB,2,usd\n", "KB acme/a 1.000000000000 2.00\n")
	f("name,usd,by,ratios\nKB,2,ratios,acme/x=0.25 beta=0.75\n",
		"KB acme/x 0.250000000000 0.50\nKB beta 0.750000000000 1.50\n")
	f("name,usd,by,ratios\nKB,2,ratios,acme/x=0.25 beta=0.7\n",
		"shared.csv:2: ratios: the ratios sum to 0.950000000000, not to 1")
	f("name,usd,by\nPT,1,guardrail_units\n",
		"shared.csv:2: PT cannot be split by guardrail_units: no tenant has any in the month")
	f("name,usd,by\nPT,1,colour\n", `shared.csv:2: "colour" is nothing to split by; there are tokens, input_tokens, `+
		"output_tokens, requests, guardrail_units, usd, equal, ratios")
	f("name,usd,by\nPT,1 EUR,tokens\n", `shared.csv:2: usd: "1 EUR" is not a decimal number; `+
		"write it as 1250 or 0.75, without a sign of a currency")
	f("name,usd,by\nPT,1,tokens\nPT,1,tokens\n", "shared.csv:3: PT is there twice")
	f("name,usd\n", "shared.csv:1: there is no column by")
	f("name,usd,by,colour\n", `shared.csv:1: unknown or repeated column "colour"; there are name, usd, by, below, ratios`)
	f("", "shared.csv: no table of shared costs: EOF")
}

// TestReadTogether: months of roots in other time zones are read in one go, and each has what is of it.
func TestReadTogether(t *testing.T) {
	b, n := newBooks(t), 0
	berlin, _ := PeriodOf("2026-10", "Europe/Berlin")
	utc, _ := PeriodOf("2026-10", "UTC")
	for _, hour := range []time.Time{berlin.From, utc.From, berlin.To, utc.To, utc.To.Add(-time.Hour)} {
		b.post(hour, "acme/a", 1)
		b.post(hour, "beta", 1)
	}
	counted := counting{b, &n}
	sums, err := Read(t.Context(), counted, []Month{{"beta", utc}, {"acme", berlin}, {"none", utc}}, utc.To)
	if err != nil || len(sums) != 3 || n != 1 {
		t.Fatalf("%v %v, read %d times", sums, err, n)
	}
	for i, want := range []struct {
		root string
		legs int64
	}{{"beta", 3}, {"acme", 2}, {"none", 0}} {
		legs := int64(0)
		for k := range sums[i].rows {
			legs += sums[i].rows[k].all.Legs
		}
		if sums[i].Root() != want.root || legs != want.legs {
			t.Errorf("%s has %d, want %+v", sums[i].Root(), legs, want)
		}
	}
}

// counting counts how often a ledger is read.
type counting struct {
	Source
	n *int
}

func (c counting) Rows(
	ctx context.Context, from, to time.Time, yield func(record.RowKey, record.Counters) error,
) error {
	*c.n++
	return c.Source.Rows(ctx, from, to, yield)
}

// TestFoldedBound: a month that begins within a day of which the hours are gone is refused.
func TestFoldedBound(t *testing.T) {
	b := newBooks(t)
	p, _ := PeriodOf("2026-10", "Europe/Berlin")
	b.post(p.From, "acme", 5)
	if err := b.Fold(t.Context(), p.To.AddDate(0, 1, 0), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(context.Background(), b, []Month{{"acme", p}}, p.To.AddDate(0, 1, 0)); !errors.Is(err, ErrInput) {
		t.Error(err)
	}
	utc, _ := PeriodOf("2026-10", "UTC")
	if _, err := Read(context.Background(), b, []Month{{"acme", utc}}, p.To.AddDate(0, 1, 0)); err != nil {
		t.Error(err)
	}
}

// known counts how often somebody asks for the months of roots.
type known struct {
	asked map[string]int
	fails bool
}

func (k *known) BillingZone(root string) (*time.Location, error) {
	k.asked["zone of "+root]++
	return time.UTC, nil
}

func (k *known) Closings(_ context.Context, root string) (ledger.Closings, error) {
	k.asked["closings of "+root]++
	if k.fails {
		return nil, errors.New("away")
	}
	return ledger.Closings{{Month: "2026-10", Zone: "UTC", Through: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)}}, nil
}

// TestHours asks once for each root, however many days it has, and again only after an error.
func TestHours(t *testing.T) {
	k := &known{asked: map[string]int{}, fails: true}
	keeps := Hours(t.Context(), k, k)
	october := time.Date(2026, 10, 5, 0, 0, 0, 0, time.UTC)
	if !keeps("acme", october) {
		t.Error("folded without knowing whether its month is closed")
	}
	k.fails, k.asked = false, map[string]int{}
	for n := range 60 {
		day := october.AddDate(0, 0, n)
		for _, root := range []string{"acme", "beta"} {
			if keeps(root, day) != (day.Month() > time.October) {
				t.Errorf("%s of %s", day, root)
			}
		}
	}
	for what, n := range k.asked {
		if n != 1 {
			t.Errorf("asked %d times for the %s", n, what)
		}
	}
	if len(k.asked) != 4 {
		t.Errorf("%v", k.asked)
	}
}
