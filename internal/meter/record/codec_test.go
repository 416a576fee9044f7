package record

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/internal/wire"
)

func sampleStart() *Start {
	return &Start{
		ID: "01JD00000000000000000000AA", RequestID: "01JD00000000000000000000RR", Root: "acme",
		Tenant: "acme/support", Key: "k1", Op: wire.OpConverse, Model: "us.amazon.nova-lite-v1:0",
		SKU:  SKU{Model: "amazon.nova-lite-v1:0", Scope: "geo", Region: "eu-west-1", Latency: "optimized", Context: "long"},
		User: "u-17", AskedTier: "auto", AskedLatency: "optimized", Cascade: "support", Path: "light",
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
			Queries: wire.Known(2), Images: wire.Known(0), Milliseconds: wire.Known(6_500), Latency: "optimized",
			ServiceTier: "flex", InvokedModel: "m", StopReason: "end_turn",
		},
		Drained: true, Served: true, Escalated: true, TokensCut: 3500, AWSRequestID: "aws", At: testDay.Add(time.Second),
	}
	e.Usage.GuardrailUnits[wire.GuardrailTopic] = 4
	p := &Posting{Seq: 258, Root: "acme", Row: RowKey{
		Hour: testDay, Tenant: "acme/support", Key: "k1", Model: "us.amazon.nova-lite-v1:0", Scope: "geo",
		Tier: "flex", Cascade: "support", Path: "light", PriceVersion: "2026-01-01-0011aabb",
		Region: "eu-west-1", Latency: "optimized", Context: "long", User: "u-17", Held: "2d-19800",
	}, Add: Counters{
		Requests: 1, Legs: 1, Input: 10, CostInput: 600_000, Suspense: -1, Queries: 2, Discount: 3, Late: 5_000,
	}, Charges: []Charge{
		{Window: dayWindow("acme/support", UnitUSD), Amount: 600},
		{Window: dayWindow("another/tenant", UnitTokens), Amount: -10, Suspense: true},
	}}
	return p, e
}

func TestCodecKeepsEverything(t *testing.T) {
	s := sampleStart()
	back, err := ReadStart(AppendStart(nil, s))
	if diff := cmp.Diff(s, back); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	p, e := sampleEnd()
	b := AppendEnd(nil, p, e)
	pBack, eBack, err := ReadEnd(append(b, "a later field"...))
	if diff := cmp.Diff([]any{p, e}, []any{pBack, eBack}); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	if string(PostingRoot(b)) != "acme" {
		t.Errorf("root %q", PostingRoot(b))
	}
	for n := range len(b) {
		if _, _, err := ReadEnd(b[:n]); err == nil {
			t.Errorf("read with %d of %d bytes", n, len(b))
		}
	}
	b[0] = recordVersion + 1
	if _, _, err := ReadEnd(b); err == nil {
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

// TestOlderVersions reads the records of older versions. The first had no charges; 3 brought region, latency, context,
// user and units other than tokens; 4 which budgets count a row.
func TestOlderVersions(t *testing.T) {
	for version, charges := range []bool{1: false, 2: true, 3: true} {
		if version == 0 {
			continue
		}
		f := func(t *testing.T) { readOlder(t, version, charges) }
		t.Run(fmt.Sprintf("version %d", version), f)
	}
}

// withoutUnits takes away what version 3 brought.
func withoutUnits(s *Start, p *Posting, e *End) {
	s.SKU.Region, s.SKU.Latency, s.SKU.Context = "", "", ""
	s.User, s.AskedTier, s.AskedLatency = "", "", ""
	p.Row.Region, p.Row.Latency, p.Row.Context, p.Row.User = "", "", "", ""
	p.Add.Queries, p.Add.Discount = 0, 0
	u := &e.Usage
	u.Queries, u.Images, u.Milliseconds, u.Latency = wire.Count{}, wire.Count{}, wire.Count{}, ""
}

func readOlder(t *testing.T, version int, charges bool) {
	golden, err := os.ReadFile(filepath.Join("testdata", fmt.Sprintf("records.v%d.golden", version)))
	if err != nil {
		t.Fatal(err)
	}
	wantStart := sampleStart()
	p, wantEnd := sampleEnd()
	p.Row.Held, p.Add.Late = "", 0
	if version < 3 {
		withoutUnits(wantStart, p, wantEnd)
	}
	how := Settled
	if !charges {
		wantStart.Charges, p.Charges, how = nil, nil, Fenced // the only ending there was
	}
	read := map[string]func(b []byte) (want, got any, err error){
		"start": func(b []byte) (any, any, error) { s, err := ReadStart(b); return wantStart, s, err },
		"end": func(b []byte) (any, any, error) {
			got, e, err := ReadEnd(b)
			return []any{p, wantEnd}, []any{got, e}, err
		},
		"retire": func(b []byte) (any, any, error) {
			var e Retirement
			err := Read(b, &e)
			return Retirement{"abcdefghijklmnop", how}, e, err
		},
		"total": func(b []byte) (any, any, error) {
			var e RowTotal
			err := Read(b, &e)
			return RowTotal{Partition{"abcdefghijklmnop", "acme"}, p.Row, p.Add}, e, err
		},
		"adjust": func(b []byte) (any, any, error) {
			var e AdjustEntry
			err := Read(b, &e)
			return []any{p.Row, p.Add, "credit note"}, []any{e.Row, e.Add, e.Reason}, err
		},
	}
	for line := range strings.Lines(string(golden)) {
		var b []byte
		var name string
		if _, err := fmt.Sscanf(line, "%s %x", &name, &b); err != nil {
			t.Fatal(err)
		}
		if read[name] == nil {
			continue
		}
		want, got, err := read[name](b)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
}

// TestNewerVersionIsNamed: what a later program wrote is refused whole, by every reader.
func TestNewerVersionIsNamed(t *testing.T) {
	b := AppendStart(nil, sampleStart())
	b[0] = recordVersion + 1
	_, err := ReadStart(b)
	if want := fmt.Sprintf("version %d and this program knows %d", recordVersion+1, recordVersion); err == nil ||
		!strings.Contains(err.Error(), want) {
		t.Errorf("error %v does not say %q", err, want)
	}
}

func TestCountersRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var want, got Counters
		for _, v := range want.values() {
			*v = rapid.Int64().Draw(t, "value")
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
	resolve, adjust := bytesOf(&ResolveEntry{*p, *sampleResolution()}), bytesOf(&AdjustEntry{*p, *sampleAdjustment()})
	got := NewCorrections()
	for kind, b := range map[byte][]byte{KindResolve: resolve, KindAdjust: adjust} {
		if _, err := got.Add("w", kind, b); err != nil {
			t.Fatal(err)
		}
		for n := range len(b) {
			if _, err := got.Add("w", kind, b[:n]); err == nil {
				t.Errorf("kind %d read with %d of %d bytes", kind, n, len(b))
			}
		}
	}
	want := &Corrections{
		Resolved: map[string]*Resolution{sampleResolution().End.ID: sampleResolution()},
		Numbers:  map[string]Number{"adj-1": {"w", p.Seq}},
		Adjusted: map[string]*Adjustment{"adj-1": sampleAdjustment()},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func bytesOf(e Entry) []byte {
	_, b := Encode(e)
	return b
}

// TestGoldenRecords pins the bytes that docs/format/usage-record.md describes.
func TestGoldenRecords(t *testing.T) {
	start := AppendStart(nil, sampleStart())
	p, e := sampleEnd()
	end := AppendEnd(nil, p, e)
	of := Partition{"abcdefghijklmnop", "acme"}
	var got string
	for _, line := range []struct {
		name string
		b    []byte
	}{
		{"start", start},
		{"end", end},
		{"checkpoint", bytesOf(&Head{of, 258})},
		{"total", bytesOf(&RowTotal{of, p.Row, p.Add})},
		{"retire", bytesOf(&Retirement{of.Writer, Settled})},
		{"resolve", bytesOf(&ResolveEntry{*p, *sampleResolution()})},
		{"adjust", bytesOf(&AdjustEntry{*p, *sampleAdjustment()})},
		{"charges", bytesOf(&WindowTotal{of, p.Charges[0]})},
		{"suspended", bytesOf(&SuspendedEntry{of.Writer, start, end})},
	} {
		got += fmt.Sprintf("%s %x\n", line.name, line.b)
	}
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
		int(wire.OpConverse), int(wire.OpConverseStream), int(wire.OpInvoke), int(wire.OpInvokeStream),
		int(wire.OpCountTokens),
		int(wire.OpApplyGuardrail), int(wire.OpInvokeGuardrailChecks), int(wire.OpStartAsyncInvoke),
		int(wire.OpGetAsyncInvoke),
		int(wire.OpListAsyncInvokes), int(wire.OpInvokeBidirectional),
		int(wire.OpChat), int(wire.OpChatStream), int(wire.OpResponse), int(wire.OpResponseStream),
		int(Unknown), int(Completed), int(Failed),
	}
	want := []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func FuzzRecord(f *testing.F) {
	p, e := sampleEnd()
	f.Add(AppendStart(nil, sampleStart()))
	f.Add(AppendEnd(nil, p, e))
	resolve, adjust := bytesOf(&ResolveEntry{*p, *sampleResolution()}), bytesOf(&AdjustEntry{*p, *sampleAdjustment()})
	f.Add(resolve)
	f.Add(adjust)
	f.Fuzz(func(t *testing.T, b []byte) {
		_ = PostingRoot(b)
		all := NewCorrections()
		_, _ = all.Add("w", KindResolve, b)
		_, _ = all.Add("w", KindAdjust, b)
		if s, err := ReadStart(b); err == nil {
			once := AppendStart(nil, s)
			again, err := ReadStart(once)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(once, AppendStart(nil, again)) {
				t.Error("START changes on the way")
			}
		}
		p, e, err := ReadEnd(b)
		if err != nil {
			return
		}
		if p.Row.Held == "" {
			p.Row.Held = HeldBy(p.Row.Tenant, p.Charges) // older records have none
		}
		again := AppendEnd(nil, p, e)
		p2, e2, err := ReadEnd(again)
		if err != nil || !bytes.Equal(again, AppendEnd(nil, p2, e2)) {
			t.Errorf("END changes on the way: %v", err)
		}
	})
}

// A decoder reads what ReadPosting does, again and again, and keeps nothing of the bytes
// that it was given.
func TestDecoder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var d Decoder
		var want, got []Posting
		for range rapid.IntRange(1, 8).Draw(rt, "records") {
			p, e := sampleEnd()
			p.Row.User = rapid.SampledFrom([]string{"", "u-1", "u-2"}).Draw(rt, "user")
			p.Row.Held = rapid.SampledFrom([]string{"", "-", "=", "2d"}).Draw(rt, "held")
			p.Charges = p.Charges[rapid.IntRange(0, len(p.Charges)).Draw(rt, "charges"):]
			e.ID = rapid.StringMatching(`[A-Z]{0,26}`).Draw(rt, "id")
			b := AppendEnd(nil, p, e)
			one, wantID, err := ReadPosting(b)
			if err != nil {
				rt.Fatal(err)
			}
			want, got = append(want, one), append(got, Posting{Seq: 7, Holder: "of another record"})
			if id, err := d.Posting(b, &got[len(got)-1]); err != nil || string(id) != wantID {
				rt.Fatalf("got id %q, %v, want %q", id, err, wantID)
			}
			clear(b)
			if _, err := d.Posting(b, new(Posting)); err == nil {
				rt.Fatal("zeros are no record")
			}
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			rt.Fatalf("-want +got:\n%s", diff)
		}
	})
	p, e := sampleEnd()
	b := AppendEnd(nil, p, e)
	var d Decoder
	if n := testing.AllocsPerRun(100, func() { d.Posting(b, p); d.Forget() }); n > 0 {
		t.Errorf("a record like the one before costs %v allocations", n)
	}
}

// Texts that never end do not fill the memory.
func TestDecoderIsBounded(t *testing.T) {
	var d Decoder
	for i := range 3 * maxTexts {
		d.text([]byte(strconv.Itoa(i)))
	}
	if len(d.texts) > maxTexts {
		t.Errorf("%d texts are kept", len(d.texts))
	}
	d.room(maxCharges + 1)
	d.Forget()
	if cap(d.charges) > maxCharges {
		t.Errorf("room for %d charges is kept", cap(d.charges))
	}
}
