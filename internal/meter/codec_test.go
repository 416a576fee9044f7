package meter

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/wire"
)

func sampleStart() *Start {
	return &Start{
		ID: "01JD00000000000000000000AA", RequestID: "01JD00000000000000000000RR", Root: "acme",
		Tenant: "acme/support", Key: "k1", Op: wire.OpConverse, Model: "us.amazon.nova-lite-v1:0",
		SKU: SKU{Model: "amazon.nova-lite-v1:0", Scope: "geo"}, Cascade: "support", Path: "light",
		Reason: "rule", Leg: 1, Attempt: 2, EstimatedInput: 300, MaxOutput: 500, Hold: 1_000,
		PriceVersion: "2026-01-01-0011aabb", At: testDay,
		Charges: []Charge{
			{Window: dayWindow("acme/support", UnitUSD), Amount: 1_000},
			{Window: dayWindow("acme", UnitTokens), Amount: 800},
			{Window: Window{Tenant: "acme", Unit: UnitConcurrent}, Amount: 1},
		},
	}
}

// dayWindow is the day of testDay in a time zone with a half hour.
func dayWindow(tenant string, u Unit) Window {
	start := testDay.Truncate(24 * time.Hour).Add(-330 * time.Minute)
	return Window{Tenant: tenant, Unit: u, Period: "day", Start: start, End: start.Add(24 * time.Hour)}
}

func sampleEnd() (*Posting, *End) {
	e := &End{
		ID: "01JD00000000000000000000AA", Outcome: Completed, Status: 200,
		Usage: wire.Usage{
			Input: wire.Known(10), Output: wire.Known(0), CacheRead: wire.Known(7),
			ServiceTier: "flex", InvokedModel: "m", StopReason: "end_turn",
		},
		Drained: true, Served: true, Escalated: true, TokensCut: 3500, AWSRequestID: "aws", At: testDay.Add(time.Second),
	}
	e.Usage.GuardrailUnits[wire.GuardrailTopic] = 4
	p := &Posting{Seq: 258, Root: "acme", Row: RowKey{
		Hour: testDay, Tenant: "acme/support", Key: "k1", Model: "us.amazon.nova-lite-v1:0", Scope: "geo",
		Tier: "flex", Cascade: "support", Path: "light", PriceVersion: "2026-01-01-0011aabb",
	}, Add: Counters{Requests: 1, Legs: 1, Input: 10, CostInput: 600_000, Suspense: -1}, Charges: []Charge{
		{Window: dayWindow("acme/support", UnitUSD), Amount: 600},
		{Window: dayWindow("another/tenant", UnitTokens), Amount: -10, Suspense: true},
	}}
	return p, e
}

func TestCodecKeepsEverything(t *testing.T) {
	s := sampleStart()
	var c coder
	c.start(s)
	back, err := readStart(c.b)
	if diff := cmp.Diff(s, back); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	p, e := sampleEnd()
	b := appendEnd(new(coder), p, e)
	pBack, eBack, err := readEnd(append(b, "a later field"...))
	if diff := cmp.Diff([]any{p, e}, []any{pBack, eBack}); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	if string(rootOf(b)) != "acme" {
		t.Errorf("root %q", rootOf(b))
	}
	for n := range len(b) {
		if _, _, err := readEnd(b[:n]); err == nil {
			t.Errorf("read with %d of %d bytes", n, len(b))
		}
	}
	b[0] = recordVersion + 1
	if _, _, err := readEnd(b); err == nil {
		t.Error("read a newer version")
	}
}

func TestChargesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var want, got []Charge
		tenant := rapid.SampledFrom([]string{"", "a", "a/b", "a/b/c", "a//b", "/", "a/"}).Draw(t, "record's tenant")
		for range rapid.IntRange(0, 5).Draw(t, "charges") {
			c := Charge{Amount: rapid.Int64().Draw(t, "amount"), Suspense: rapid.Bool().Draw(t, "suspense"), Window: Window{
				Tenant: rapid.SampledFrom([]string{"", "a", "a/b", "ab", "a/bc", "a/", "x/y"}).Draw(t, "tenant"),
				Unit:   Unit(rapid.IntRange(0, 5).Draw(t, "unit")),
				Period: rapid.SampledFrom([]string{"", "minute", "hour", "day", "month", "week"}).Draw(t, "period"),
			}}
			if s := rapid.Int64Range(0, 1<<35).Draw(t, "start"); s > 0 {
				c.Window.Start = time.Unix(s, 0).UTC()
				c.Window.End = c.Window.Start.Add(time.Duration(rapid.Int64Range(0, 1<<22).Draw(t, "length")) * time.Second)
			}
			want = append(want, c)
		}
		var c coder
		c.charges(tenant, &want)
		r := reader(c.b)
		r.charges(tenant, &got)
		if diff := cmp.Diff(want, got); diff != "" || r.bad || len(r.b) > 0 {
			t.Fatalf("bad %v, %d bytes left\n%s", r.bad, len(r.b), diff)
		}
	})
}

// TestVersion1 reads the records of the first version, which had no charges.
func TestVersion1(t *testing.T) {
	golden, err := os.ReadFile(filepath.Join("testdata", "records.v1.golden"))
	if err != nil {
		t.Fatal(err)
	}
	wantStart := sampleStart()
	wantStart.Charges = nil
	wantPosting, wantEnd := sampleEnd()
	wantPosting.Charges = nil
	for line := range strings.Lines(string(golden)) {
		var b []byte
		var name string
		if _, err := fmt.Sscanf(line, "%s %x", &name, &b); err != nil {
			t.Fatal(err)
		}
		switch name {
		case "start":
			s, err := readStart(b)
			if diff := cmp.Diff(wantStart, s); diff != "" || err != nil {
				t.Errorf("%v\n%s", err, diff)
			}
		case "end":
			p, e, err := readEnd(b)
			if diff := cmp.Diff([]any{wantPosting, wantEnd}, []any{p, e}); diff != "" || err != nil {
				t.Errorf("%v\n%s", err, diff)
			}
		case "retire":
			h := newHistory()
			if err := h.retire(b); err != nil || h.retired["abcdefghijklmnop"] != fenced {
				t.Errorf("retired %v, %v", h.retired, err)
			}
		}
	}
}

func TestCountersRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var want, got Counters
		for _, n := range want.counts() {
			*n = rapid.Int64().Draw(t, "count")
		}
		for _, p := range want.amounts() {
			*p = money.Pico(rapid.Int64().Draw(t, "amount"))
		}
		var c coder
		c.counters(&want)
		r := reader(c.b)
		r.counters(&got)
		if got != want || r.bad || len(r.b) > 0 {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	})
}

func sampleResolution() *Resolution {
	_, e := sampleEnd()
	return &Resolution{End: e, Source: FromInvocationLog, Actor: "ops", Note: "log.json:7", At: testDay.Add(time.Hour)}
}

func sampleAdjustment() *Adjustment {
	p, _ := sampleEnd()
	return &Adjustment{
		ID: "adj-1", RefersTo: "01JD00000000000000000000AA", Reason: "credit note", Actor: "ops", Root: p.Root,
		Row: p.Row, Add: p.Add, Charges: p.Charges, At: testDay.Add(time.Hour),
	}
}

func TestCorrectionsKeepEverything(t *testing.T) {
	p, _ := sampleEnd()
	var resolve, adjust coder
	resolve.resolve(p, sampleResolution())
	adjust.adjust(p, sampleAdjustment())
	got := newCorrections()
	for kind, b := range map[byte][]byte{kindResolve: resolve.b, kindAdjust: adjust.b} {
		if _, err := got.record(kind, b); err != nil {
			t.Fatal(err)
		}
		for n := range len(b) {
			if _, err := got.record(kind, b[:n]); err == nil {
				t.Errorf("kind %d read with %d of %d bytes", kind, n, len(b))
			}
		}
	}
	want := &Corrections{
		Resolved: map[string]*Resolution{sampleResolution().End.ID: sampleResolution()},
		Adjusted: map[string]*Adjustment{"adj-1": sampleAdjustment()},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestGoldenRecords pins the bytes that docs/format/usage-record.md describes.
func TestGoldenRecords(t *testing.T) {
	var start, head, total coder
	start.start(sampleStart())
	p, e := sampleEnd()
	end := appendEnd(new(coder), p, e)
	l, seq := lane{"abcdefghijklmnop", "acme"}, uint64(258)
	head.lane(&l)
	head.uint(&seq)
	total.lane(&l)
	total.row(&p.Row)
	total.counters(&p.Add)
	var resolve, adjust, charges coder
	resolve.resolve(p, sampleResolution())
	adjust.adjust(p, sampleAdjustment())
	charges.lane(&l)
	charges.charge(l.root, &p.Charges[0])
	kept := suspended{l.writer, start.b, end}
	got := fmt.Sprintf("start %x\nend %x\ncheckpoint %x\ntotal %x\nretire %x\nresolve %x\nadjust %x\ncharges %x\nsuspended %x\n",
		start.b, end, head.b, total.b, retireRecord(l.writer, left), resolve.b, adjust.b, charges.b, kept.record())
	path := filepath.Join("testdata", "records.golden")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// TestNumbersOfTheFormat: these are on disks and must never change.
func TestNumbersOfTheFormat(t *testing.T) {
	got := []int{
		int(wire.OpConverse), int(wire.OpConverseStream), int(wire.OpInvoke), int(wire.OpInvokeStream), int(wire.OpCountTokens),
		int(wire.OpApplyGuardrail), int(wire.OpInvokeGuardrailChecks), int(wire.OpStartAsyncInvoke), int(wire.OpGetAsyncInvoke),
		int(wire.OpListAsyncInvokes), int(wire.OpInvokeBidirectional), int(Unknown), int(Completed), int(Failed),
	}
	want := []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0, 1, 2}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func FuzzRecord(f *testing.F) {
	var c coder
	c.start(sampleStart())
	p, e := sampleEnd()
	f.Add(c.b)
	f.Add(appendEnd(new(coder), p, e))
	var resolve, adjust coder
	resolve.resolve(p, sampleResolution())
	adjust.adjust(p, sampleAdjustment())
	f.Add(resolve.b)
	f.Add(adjust.b)
	f.Fuzz(func(t *testing.T, b []byte) {
		_ = rootOf(b)
		all := newCorrections()
		_, _ = all.record(kindResolve, b)
		_, _ = all.record(kindAdjust, b)
		if s, err := readStart(b); err == nil {
			var c, d coder
			c.start(s)
			again, err := readStart(c.b)
			if err != nil {
				t.Fatal(err)
			}
			if d.start(again); !bytes.Equal(c.b, d.b) {
				t.Error("START changes on the way")
			}
		}
		p, e, err := readEnd(b)
		if err != nil {
			return
		}
		again := appendEnd(new(coder), p, e)
		p2, e2, err := readEnd(again)
		if err != nil || !bytes.Equal(again, appendEnd(new(coder), p2, e2)) {
			t.Errorf("END changes on the way: %v", err)
		}
	})
}
