package meter

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
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
	}
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
	}, Add: Counters{Requests: 1, Legs: 1, Input: 10, CostInput: 600_000, Suspense: -1}}
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
	got := fmt.Sprintf("start %x\nend %x\ncheckpoint %x\ntotal %x\nretire %x\n", start.b, end, head.b, total.b, retireRecord(l.writer))
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
	f.Fuzz(func(t *testing.T, b []byte) {
		_ = rootOf(b)
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
