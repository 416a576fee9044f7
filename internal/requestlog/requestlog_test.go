package requestlog

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/quiet"
	"github.com/sluice-gateway/sluice/internal/telemetry"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// newLog returns a log, and what it writes.
func newLog(t *testing.T) (*Log, *bytes.Buffer) {
	t.Helper()
	out := &bytes.Buffer{}
	s := quiet.New(slog.NewJSONHandler(out, nil), time.Now)
	t.Cleanup(s.Close)
	return &Log{Storms: s}, out
}

// TestLines (U11): whatever did not go well has a line with its id, and with the tenant
// and the reason as far as they are known.
func TestLines(t *testing.T) {
	from := netip.MustParseAddr("10.0.0.9")
	f := func(name string, e telemetry.RequestEnd, want string) {
		t.Helper()
		l, out := newLog(t)
		e.ID, e.From = "01ID", from
		if e.Refusal != nil {
			e.Error, e.Status = e.Refusal.Type(), cmp.Or(e.Status, e.Refusal.Status())
		}
		if l.Wants(e.Status, e.Refusal) {
			l.Ended(e)
		}
		got := map[string]any{}
		if out.Len() > 0 {
			if err := json.Unmarshal(out.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			delete(got, "time")
		}
		text, _ := json.Marshal(got)
		if string(text) != want {
			t.Errorf("%s: %s", name, text)
		}
	}
	f("it went well", telemetry.RequestEnd{Status: 200, Tenant: "acme"}, `{}`)
	f("no credential", telemetry.RequestEnd{
		Refusal: &wire.Error{Kind: wire.KindMissingAuthentication, Message: "Missing Authentication Token"},
	}, `{"audit":"authentication","from":"10.0.0.9","level":"WARN","message":"Missing Authentication Token",`+
		`"msg":"authentication failed","request":"01ID","type":"MissingAuthenticationTokenException"}`)
	f("a wrong secret", telemetry.RequestEnd{
		Claimed: "SLKA", Refusal: &wire.Error{Kind: wire.KindAccessDenied, Message: "Authentication failed"},
	}, `{"audit":"authentication","from":"10.0.0.9","key":"SLKA","level":"WARN","message":"Authentication failed",`+
		`"msg":"authentication failed","request":"01ID","type":"AccessDeniedException"}`)
	f("a model that is not allowed", telemetry.RequestEnd{
		Tenant: "acme", Key: "SLKA", Operation: "converse", Asked: "m",
		Refusal: &wire.Error{Kind: wire.KindAccessDenied, Message: "You do not have access to the model m."},
	}, `{"key":"SLKA","level":"WARN","message":"You do not have access to the model m.","model":"m",`+
		`"msg":"request refused","operation":"converse","request":"01ID","status":403,"tenant":"acme",`+
		`"type":"AccessDeniedException"}`)
	f("a full disk", telemetry.RequestEnd{
		Tenant: "acme", Refusal: &wire.Error{
			Kind: wire.KindServiceUnavailable, Message: "cannot be recorded", Cause: errors.New("no space left on device"),
		},
	}, `{"err":"no space left on device","level":"WARN","message":"cannot be recorded","msg":"request failed",`+
		`"request":"01ID","status":503,"tenant":"acme","type":"ServiceUnavailableException"}`)
	f("a stream that broke", telemetry.RequestEnd{
		Tenant: "acme", Status: 200, Refusal: wire.Errorf(wire.KindModelStream, "broken off"),
	}, `{"level":"WARN","message":"broken off","msg":"request failed","request":"01ID","status":200,"tenant":"acme",`+
		`"type":"ModelStreamErrorException"}`)
	f("the upstream's error", telemetry.RequestEnd{
		Tenant: "acme", Status: 429, Error: "ThrottlingException", Served: "m", UpstreamID: "aws-1",
	}, `{"level":"WARN","msg":"upstream answered with an error","request":"01ID","served":"m","status":429,`+
		`"tenant":"acme","type":"ThrottlingException","upstream_request":"aws-1"}`)
}

// TestFloodIsCounted (U18): a flood of whatever kind, of many callers too, has few lines.
func TestFloodIsCounted(t *testing.T) {
	f := func(name string, make func(i int) telemetry.RequestEnd) {
		t.Helper()
		l, out := newLog(t)
		for i := range 20_000 {
			e := make(i)
			e.ID, e.Status, e.Error = "01ID", e.Refusal.Status(), e.Refusal.Type()
			l.Ended(e)
		}
		if n := strings.Count(out.String(), "\n"); n > 110 {
			t.Errorf("%s: %d lines", name, n)
		}
	}
	full := &wire.Error{Kind: wire.KindServiceUnavailable, Message: "x", Cause: errors.New("no space")}
	tenants := func(i int) string { return "t" + strings.Repeat("x", i%5000) }
	f("full disk", func(i int) telemetry.RequestEnd { return telemetry.RequestEnd{Refusal: full, Tenant: tenants(i)} })
	f("wrong root secret", func(i int) telemetry.RequestEnd {
		return telemetry.RequestEnd{Refusal: wire.Errorf(wire.KindAccessDenied, "no"), Claimed: tenants(i)}
	})
	f("one address", func(int) telemetry.RequestEnd {
		return telemetry.RequestEnd{Refusal: wire.Errorf(wire.KindMissingAuthentication, "no")}
	})
	f("many addresses", func(i int) telemetry.RequestEnd {
		return telemetry.RequestEnd{
			Refusal: wire.Errorf(wire.KindMissingAuthentication, "no"),
			From:    netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}),
		}
	})
	f("budgets", func(i int) telemetry.RequestEnd {
		return telemetry.RequestEnd{Refusal: wire.Errorf(wire.KindThrottling, "%d used", i), Tenant: tenants(i)}
	})
}

// memory is a file in memory that can fail.
type memory struct {
	bytes.Buffer
	room  int // bytes that it takes before it is full
	block chan struct{}
}

func (m *memory) Write(p []byte) (int, error) {
	if m.block != nil {
		<-m.block
	}
	if len(p) > m.room {
		n, _ := m.Buffer.Write(p[:m.room])
		m.room = 0
		return n, io.ErrShortWrite
	}
	m.room -= len(p)
	return m.Buffer.Write(p)
}

func (m *memory) Close() error { return nil }
func (m *memory) moved() bool  { return false }

// TestAdminRefused: a credential that the admin port did not take is in the audit.
func TestAdminRefused(t *testing.T) {
	l, out := newLog(t)
	l.AdminRefused(netip.MustParseAddr("10.0.0.9"), "GET /metrics")
	const want = `"msg":"authentication failed","audit":"authentication","from":"10.0.0.9","type":"AdminPort",` +
		`"message":"GET /metrics"}`
	if !strings.Contains(out.String(), want) {
		t.Errorf("%s", out.String())
	}
}

// TestAccessOfTheEdge: a request that was refused at the edge has a line too, with its time.
func TestAccessOfTheEdge(t *testing.T) {
	tel, err := telemetry.New(t.Context(), telemetry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	l, _ := newLog(t)
	l.Counts = tel.Metrics()
	disk := &memory{room: 1000}
	open := func() (file, error) { return disk, nil }
	if l.Access, err = newAccess(open, tel.Metrics(), slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	go l.Access.run()
	l.Edge("01ID", netip.MustParseAddr("::1"), wire.Errorf(wire.KindValidation, "no"), time.UnixMilli(1_800_000_000_123))
	l.Access.Close(t.Context())
	const want = `{"time":"2027-01-15T08:00:00.123Z","request":"01ID","from":"::1","status":400,` +
		`"error":"ValidationException",`
	if !strings.HasPrefix(disk.String(), want) {
		t.Errorf("%s", disk.String())
	}
}

// TestAccessLine has every field of the format.
func TestAccessLine(t *testing.T) {
	line := appendLine(nil, &telemetry.RequestEnd{
		ID: "01ID", From: netip.MustParseAddr("::1"), Tenant: "acme", Key: "SLKA", Method: "POST", Operation: "converse",
		Asked: "a\"uto", Served: "m", Cascade: "c", Path: "light", Reason: "agreed", Status: 200, Error: "X",
		Cost: money.Dollar / 1000, CostState: "known", Input: wire.Known(10), Output: wire.Known(0),
		Received: time.UnixMilli(1_800_000_000_123), FirstByte: 5 * time.Millisecond, Duration: time.Second,
	})
	const want = `{"time":"2027-01-15T08:00:00.123Z","request":"01ID","from":"::1","tenant":"acme","key":"SLKA",` +
		`"method":"POST","operation":"converse","model":"a\"uto","served":"m","cascade":"c","path":"light",` +
		`"reason":"agreed","status":200,"error":"X","input_tokens":10,"output_tokens":0,"cost_usd":"0.001",` +
		`"cost_state":"known","first_byte_us":5000,"duration_us":1000000}` + "\n"
	if string(line) != want {
		t.Errorf("%s", line)
	}
	if least := appendLine(nil, &telemetry.RequestEnd{}); !json.Valid(least) {
		t.Errorf("%s", least)
	}
}

// TestAccessLosesWholeLines (U18): of a full disk there is one line when it begins and one
// when it ends; every line in the file is whole.
func TestAccessLosesWholeLines(t *testing.T) {
	tel, err := telemetry.New(t.Context(), telemetry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	disk := &memory{room: 1000}
	a, err := newAccess(func() (file, error) { return disk, nil }, tel.Metrics(), slog.New(slog.NewJSONHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	e := telemetry.RequestEnd{ID: "01ID", Status: 200}
	for i := range 100 {
		if i == 80 {
			disk.room = 1 << 20
		}
		a.add(&e)
		a.flush()
	}
	whole := 0
	for line := range strings.Lines(disk.String()) {
		if json.Valid([]byte(line)) && strings.HasSuffix(line, "\n") {
			whole++
		}
	}
	torn := strings.Count(disk.String(), "\n") - whole
	if whole < 20 || torn > 1 {
		t.Errorf("%d whole lines, %d torn:\n%s", whole, torn, disk.String())
	}
	if n := strings.Count(log.String(), "\n"); n != 2 {
		t.Errorf("%d lines: %s", n, log.String())
	}
}

// TestAccessDoesNotWait: lines beyond what may wait are dropped, and a stop does not
// wait for a reader that is gone.
func TestAccessDoesNotWait(t *testing.T) {
	pipe := &memory{room: 1 << 30, block: make(chan struct{})}
	a, err := newAccess(func() (file, error) { return pipe, nil }, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	go a.run()
	e := telemetry.RequestEnd{ID: strings.Repeat("x", 1000), Status: 200}
	for range 10_000 {
		a.add(&e)
	}
	a.mu.Lock()
	held := len(a.waiting)
	a.mu.Unlock()
	if held > maxWaiting+2000 {
		t.Errorf("%d bytes wait", held)
	}
	a.Close(t.Context())
	close(pipe.block)
	<-a.done
}

// TestNoAllocation: a request that is logged costs the line no memory, nor does one of
// a storm.
func TestNoAllocation(t *testing.T) {
	a, err := newAccess(func() (file, error) { return &memory{room: 1 << 30}, nil }, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	e := telemetry.RequestEnd{ID: "01ID", Status: 200, Cost: 1, CostState: "known", Received: time.Now(),
		From: netip.MustParseAddr("10.0.0.9")}
	for range 1000 {
		a.add(&e)
	}
	a.flush()
	if n := testing.AllocsPerRun(500, func() { a.add(&e) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestAccessIsMovedAway: a file that logrotate has moved is made anew, without a signal,
// and only its owner can read it.
func TestAccessIsMovedAway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.jsonl")
	a, err := OpenAccess(path, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	written := func(path, id string) {
		t.Helper()
		a.add(&telemetry.RequestEnd{ID: id, Status: 200})
		for range 1000 {
			text, err := os.ReadFile(path)
			if err == nil && strings.Contains(string(text), id) {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Fatalf("%s is not in %s", id, path)
	}
	written(path, "first")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	written(path, "second")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	a.Close(t.Context())
	if text, err := os.ReadFile(path + ".1"); err != nil || strings.Contains(string(text), "second") {
		t.Errorf("%s %v", text, err)
	}
	if _, err := OpenAccess(filepath.Join(path, "none", "x"), nil, nil); err == nil {
		t.Error("a path that cannot be")
	}
	out, err := OpenAccess(Stdout, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	out.Close(t.Context())
	if _, err := os.Stdout.Stat(); err != nil {
		t.Error("the standard output is closed", err)
	}
}

// BenchmarkAccess is what a request pays for its line in the access log.
func BenchmarkAccess(b *testing.B) {
	a, err := newAccess(func() (file, error) { return &memory{room: 1 << 40}, nil }, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	e := telemetry.RequestEnd{
		ID: "01M8JJHRB1FE77ND3FNE5YJWNK", Tenant: "acme/support", Key: "SLKC7UDJ4TFWZJERI3Z563F6", Method: "POST",
		Operation: "converse", Asked: "auto", Served: "us.amazon.nova-lite-v1:0", Path: "light", Reason: "agree", Status: 200,
		Cost: 1, CostState: "known", Received: time.Now(), From: netip.MustParseAddr("10.0.0.9"),
	}
	b.ReportAllocs()
	for b.Loop() {
		if a.add(&e); len(a.waiting) > maxWaiting/2 {
			a.waiting = a.waiting[:0]
		}
	}
}

// BenchmarkFlood is what a refused request of a flood pays for its line.
func BenchmarkFlood(b *testing.B) {
	s := quiet.New(slog.DiscardHandler, time.Now)
	defer s.Close()
	l := &Log{Storms: s}
	refused := wire.Errorf(wire.KindAccessDenied, "no")
	e := telemetry.RequestEnd{
		ID: "01ID", Status: 403, Error: refused.Type(), Refusal: refused, From: netip.MustParseAddr("10.0.0.9"),
	}
	b.ReportAllocs()
	for b.Loop() {
		l.Ended(e)
	}
}

// TestShed (U11): of requests that are refused because there are too many, a few have a line, which
// says how many more there were. None is lost from the count.
func TestShed(t *testing.T) {
	l, out := newLog(t)
	e := &wire.Error{Kind: wire.KindServiceUnavailable, Message: "too many"}
	from := netip.MustParseAddr("10.0.0.9")
	l.Shed("01A", from, e, 0, time.Now())
	l.Shed("01B", from, e, 99, time.Now())
	l.Shed("01C", from, e, 400, time.Now())
	l.Shed("01D", from, e, 999, time.Now())
	l.Storms.Close()
	var text []string
	for line := range bytes.Lines(out.Bytes()) {
		var got struct {
			Request               string
			More, Repeated, Total int64
		}
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatal(err)
		}
		text = append(text, fmt.Sprint(got))
	}
	want := []string{"{01A 0 0 0}", "{01B 99 0 0}", "{01C 400 0 0}", "{ 0 1000 1000}"}
	if !slices.Equal(text, want) {
		t.Errorf("%q", text)
	}
}
