package audit

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter"
	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// crashed runs a gateway that dies with calls 0 to n-1 in flight, and the next
// one, which books them as unknown. Call n ends as unknown with its AWS request
// id known.
func crashed(t testing.TB, l ledger.Ledger, n int) string {
	t.Helper()
	dir, after := t.TempDir(), t.TempDir()
	m := open(t, dir, l)
	call(t, m, 1000, "acme")
	for id := range n + 1 {
		if err := m.Begin(start(id, "acme")); err != nil {
			t.Fatal(err)
		}
	}
	s := start(n, "acme")
	end := &record.End{ID: s.ID, Status: 200, AWSRequestID: "aws-known", At: now}
	if err := m.End(s, end, nil, &record.Booked{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return m.Status().Backlog == 0 })
	if err := os.CopyFS(after, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_ = m.Close(gone)
	m = open(t, after, l)
	shut(t, m)
	return after
}

func eventually(t testing.TB, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		if ok() {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
	t.Fatal("never")
}

func unknown(t testing.TB, dir string) []record.Suspended {
	t.Helper()
	all, err := meter.ReadSuspended(journal.Dir(dir))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func corrections(t testing.TB, dir string, l ledger.Ledger) *Corrections {
	t.Helper()
	c, err := OpenCorrections(t.Context(), options(dir, l), prices(t))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func line(request, tag string, in, out int64) string {
	metadata := ""
	if tag != "" {
		metadata = fmt.Sprintf(`,"requestMetadata":{"team":"x","sluice-record":%q}`, tag)
	}
	return fmt.Sprintf(`{"schemaType":"ModelInvocationLog","schemaVersion":"1.0","timestamp":%q,"accountId":"1","region":"us-east-1",`+
		`"requestId":%q,"operation":"Converse","modelId":"us.light","input":{"inputContentType":"application/json","inputTokenCount":%d},`+
		`"output":{"outputContentType":"application/json","outputTokenCount":%d}%s}`+"\n",
		now.Add(time.Second).Format(time.RFC3339), request, in, out, metadata)
}

func resolveLog(t testing.TB, c *Corrections, all []record.Suspended, log io.Reader) (Resolved, string) {
	t.Helper()
	var out strings.Builder
	done, err := c.ResolveLog(LogReading{Suspended: all, Files: []LogFile{{"log.json", log}},
		By: Signature{"ops", now}}, &out)
	if err != nil {
		t.Fatal(err)
	}
	return done, out.String()
}

// TestResolveFromLog: tagged calls and those with a known AWS request id become
// exact, once; others are listed and stay.
func TestResolveFromLog(t *testing.T) {
	b := newBooks()
	dir, own := crashed(t, b, 3), t.TempDir()
	if got := b.sum(t); got.Unknown != 4 || got.Suspense != 4*18_000_000 || got.SuspenseTokens != 600 {
		t.Fatalf("before: %+v", got)
	}
	log := line("other", "01TESTSOMEBODYELSE", 9, 9) + line("aws-0", start(0, "acme").ID, 70, 30) +
		line("aws-0", start(0, "acme").ID, 70, 30) +
		line("aws-known", "", 40, 20) + line("untagged", "", 98, 10) + line("far", "", 5000, 10) +
		`{"schemaType":"ModelInvocationLog","timestamp":"2026-01-01T00:00:00Z","requestId":"e","operation":"Converse","modelId":"us.light",` +
		`"errorCode":"ThrottlingException","input":{},"output":{},"requestMetadata":{"sluice-record":"` +
		start(1, "acme").ID + `"}}` + "\n"
	all := unknown(t, dir)
	c := corrections(t, own, b)
	done, out := resolveLog(t, c, all, strings.NewReader(log))
	if want := (Resolved{Made: 3, Open: 1}); done != want {
		t.Errorf("%+v, want %+v\n%s", done, want, out)
	}
	if !strings.Contains(out, start(2, "acme").ID+": not tagged") || !strings.Contains(out, "request untagged") ||
		strings.Contains(out, "request other") || strings.Index(out, "request far") < strings.Index(out, "request untagged") {
		t.Errorf("candidates:\n%s", out)
	}
	shut(t, c)
	c = corrections(t, own, b)
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := z.Write([]byte(log)); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	if done, out := resolveLog(t, c, all, &zipped); done != (Resolved{Before: 3, Open: 1}) {
		t.Errorf("again: %+v\n%s", done, out)
	}
	byHand(t, c, all)
	shut(t, c)
	want := record.Counters{
		Requests: 1, Legs: 5, Input: 1000 + 70 + 40 + 11, Output: 5 + 30 + 20 + 7,
		CostInput: (1000 + 70 + 40 + 11) * 60_000, CostOutput: (5 + 30 + 20 + 7) * 240_000,
	}
	if got := b.sum(t); got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	for w, s := range b.windows {
		if want := map[record.Unit]int64{record.UnitUSD: int64(want.CostInput+want.CostOutput) / 1000,
			record.UnitTokens: want.Input + want.Output}[w.Unit]; s.Posted != want || s.Suspense != 0 {
			t.Errorf("window %+v has %+v, want %d posted", w, s, want)
		}
	}
	wantClean(t, reading(b, dir, own))
}

// byHand resolves the one that the log does not tell.
func byHand(t testing.TB, c *Corrections, all []record.Suspended) {
	t.Helper()
	left := c.Unresolved(all)
	if len(left) != 1 {
		t.Fatalf("%d left", len(left))
	}
	truth := func(in int64) *record.Resolution {
		e := &record.End{ID: left[0].End.ID, Outcome: record.Completed,
			Usage: wire.Usage{Input: wire.Known(in), Output: wire.Known(7)}}
		return &record.Resolution{End: e, Source: record.FromOperator, Actor: "me", At: now}
	}
	half := truth(1)
	half.End.Usage.Output = wire.Count{}
	if _, err := c.Resolve(&left[0], half); err == nil {
		t.Error("resolved by half a usage")
	}
	for i, want := range []bool{true, false} {
		if made, err := c.Resolve(&left[0], truth(11)); made != want || err != nil {
			t.Errorf("resolve %d: %v, %v", i, made, err)
		}
	}
	if _, err := c.Resolve(&left[0], truth(12)); !errors.Is(err, ErrOtherContents) {
		t.Errorf("other contents: %v", err)
	}
	var out strings.Builder
	if err := ListUnknown(left, &out); err != nil || !strings.Contains(out.String(), left[0].End.ID) {
		t.Errorf("%v\n%s", err, out.String())
	}
}

// TestResolveNeverPicks: two calls under one record id resolve nothing.
func TestResolveNeverPicks(t *testing.T) {
	b := newBooks()
	dir := crashed(t, b, 1)
	c := corrections(t, t.TempDir(), b)
	defer shut(t, c)
	id := start(0, "acme").ID
	done, out := resolveLog(t, c, unknown(t, dir), strings.NewReader(line("a", id, 1, 1)+line("b", id, 2, 2)))
	if done.Made != 0 || !strings.Contains(out, "two calls") {
		t.Errorf("%+v\n%s", done, out)
	}
	for _, bad := range []string{"{", `{"schemaType":"other"}`, strings.Repeat("x", maxLine+1)} {
		if _, err := c.ResolveLog(LogReading{Files: []LogFile{{"bad", strings.NewReader(bad)}}}, io.Discard); err == nil {
			t.Errorf("took %.20q for a log", bad)
		}
	}
}

func TestAdjust(t *testing.T) {
	b := newBooks()
	dir, own := gateway(t, b, 10), t.TempDir()
	a := &record.Adjustment{
		ID: "credit-7", RefersTo: start(3, "root1").ID, Reason: "billed twice by AWS", Actor: "ops", Root: "root1", At: now,
		Row:     record.RowKey{Hour: now, Tenant: "root1/team", Model: "us.light"},
		Add:     record.Counters{Input: -3, CostInput: -180_000},
		Charges: []record.Charge{{Window: month("root1", record.UnitUSD), Amount: -180}},
	}
	before := b.sum(t)
	for i, want := range []bool{true, false} {
		c := corrections(t, own, b)
		if made, err := c.Adjust(a); made != want || err != nil {
			t.Errorf("adjust %d: %v, %v", i, made, err)
		}
		other := *a
		other.Add.Input = -4
		if _, err := c.Adjust(&other); !errors.Is(err, ErrOtherContents) {
			t.Errorf("other contents: %v", err)
		}
		other.ID, other.Root = "new", "root0"
		if _, err := c.Adjust(&other); err == nil {
			t.Error("adjusted another root's tenant")
		}
		shut(t, c)
	}
	want, _ := before.Plus(a.Add)
	if got := b.sum(t); got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	wantClean(t, reading(b, dir, own))
}

// TestCorrectionsDoNotForget: what was made is known after many segments, and
// damage is an error, not a licence to make it again.
func TestCorrectionsDoNotForget(t *testing.T) {
	b, own := newBooks(), t.TempDir()
	for round := range 3 {
		c := corrections(t, own, b)
		for n := range 60 {
			a := &record.Adjustment{
				ID: fmt.Sprint("a", n), Reason: strings.Repeat("r", 100), Root: "r", Row: record.RowKey{Hour: now, Tenant: "r"},
				Add: record.Counters{Input: 1},
			}
			if made, err := c.Adjust(a); made != (round == 0) || err != nil {
				t.Fatalf("round %d: %v, %v", round, made, err)
			}
		}
		shut(t, c)
	}
	if got := b.sum(t).Input; got != 60 {
		t.Errorf("%d, want 60", got)
	}
	flip(t, segment(own, 1))
	if _, err := OpenCorrections(t.Context(), options(own, b), prices(t)); err == nil {
		t.Error("opened damaged corrections")
	}
}

func FuzzInvocation(f *testing.F) {
	f.Add(line("a", "b", 1, 2))
	f.Add(`{"schemaType":"ModelInvocationLog","requestId":"x","input":{"cacheDetails":[{"ttl":"1h","inputTokens":9}]},"output":{"outputTokenCount":1}}`)
	f.Fuzz(func(t *testing.T, text string) {
		_ = readLog("f", strings.NewReader(text), func(i *Invocation) {
			if e, ok := i.End("id"); ok && e.Outcome == record.Completed && !e.Usage.Complete() {
				t.Errorf("incomplete usage of %q", text)
			}
		})
	})
}
