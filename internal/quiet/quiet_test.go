package quiet

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// line is a line as it was written.
type line struct {
	Msg, Of, Further, Tenant, Request string
	Repeated, Total                   int64
	Over                              bool
}

// output keeps what is written.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) lines(t *testing.T) (all []line) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	for dec := json.NewDecoder(&o.b); dec.More(); {
		var l line
		if err := dec.Decode(&l); err != nil {
			t.Fatal(err)
		}
		all = append(all, l)
	}
	return all
}

// run logs within synctest's time, and returns what was written by then and at Close.
func run(t *testing.T, log func(*slog.Logger)) (all []line) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		out := &output{}
		s := New(slog.NewJSONHandler(out, nil), time.Now)
		log(slog.New(s.Handler()))
		s.Close()
		all = out.lines(t)
	})
	return all
}

// each calls f n times, at a rate per second.
func each(n, rate int, f func(i int)) {
	for i := range n {
		f(i)
		time.Sleep(time.Second / time.Duration(rate))
	}
}

// TestStorm (U18): of 400 lines a second for 45 s there is a beginning, a count between
// and an end, and the counts say how many there were.
func TestStorm(t *testing.T) {
	const n = 45 * 400
	all := run(t, func(log *slog.Logger) {
		each(n, 400, func(i int) { log.Warn("refused", "request", fmt.Sprint(i), "tenant", "acme", "err", fmt.Sprint(i)) })
		time.Sleep(time.Minute)
	})
	if len(all) != burst+2 {
		t.Fatalf("%d lines: %+v", len(all), all)
	}
	first, last := all[burst-1], all[len(all)-1]
	if first.Further == "" || first.Request == "" || !last.Over || last.Of != "acme" || last.Msg != "refused" {
		t.Errorf("%+v, %+v", first, last)
	}
	told := int64(0)
	for _, l := range all {
		told += l.Repeated
	}
	if told != n-burst || last.Total != n-burst {
		t.Errorf("%d told, %d in total, want %d", told, last.Total, n-burst)
	}
}

// TestFewLinesAreAllWritten: what comes now and then is no storm.
func TestFewLinesAreAllWritten(t *testing.T) {
	all := run(t, func(log *slog.Logger) {
		for i := range 50 {
			log.Warn("refused", "tenant", "acme")
			log.Warn("refused", "tenant", "other")
			log.Info("something else", "request", fmt.Sprint(i))
			time.Sleep(window / 2)
		}
	})
	if len(all) != 150 {
		t.Errorf("%d lines", len(all))
	}
}

// TestOneStormHidesNoOtherTenant: lines about somebody else are written meanwhile.
func TestOneStormHidesNoOtherTenant(t *testing.T) {
	all := run(t, func(log *slog.Logger) {
		each(1000, 1000, func(int) { log.Warn("refused", "tenant", "acme") })
		log.Warn("refused", "tenant", "other")
	})
	found := 0
	for _, l := range all {
		if l.Tenant == "other" {
			found++
		}
	}
	if found != 1 || len(all) > burst+3 {
		t.Errorf("%+v", all)
	}
}

// TestManyKinds: a flood that looks like many different things is one too, and what
// is remembered of it stays small.
func TestManyKinds(t *testing.T) {
	f := func(name string, most int, log func(*slog.Logger, int)) {
		t.Helper()
		all := run(t, func(l *slog.Logger) {
			each(45*400, 400, func(i int) { log(l, i) })
			time.Sleep(time.Minute)
		})
		if len(all) > most {
			t.Errorf("%s: %d lines", name, len(all))
		}
	}
	f("tenants", burstOfAll+burst+2, func(l *slog.Logger, i int) { l.Warn("refused", "tenant", fmt.Sprint(i)) })
	f("few tenants", 20*(burst+2), func(l *slog.Logger, i int) { l.Warn("refused", "tenant", fmt.Sprint(i%20)) })
}

// TestRemembersLittle: kinds that do not come again are forgotten.
func TestRemembersLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(slog.DiscardHandler, time.Now)
		defer s.Close()
		for i := range 50 * maxKinds {
			s.Take(slog.LevelWarn, Kind{What: "refused", Whose: fmt.Sprint(i)})
			time.Sleep(10 * time.Millisecond)
		}
		if n := len(s.kinds); n > maxKinds+1 {
			t.Errorf("%d kinds", n)
		}
	})
}

// TestHandlerPassesWhatItGets: attributes and groups are the underlying handler's.
func TestHandlerPassesWhatItGets(t *testing.T) {
	var out bytes.Buffer
	s := New(slog.NewJSONHandler(&out, nil), time.Now)
	defer s.Close()
	log := slog.New(s.Handler()).With("a", 1).WithGroup("g")
	log.Debug("not enabled")
	log.Warn("said", "b", 2)
	if got := out.String(); !strings.Contains(got, `"a":1,"g":{"b":2}`) || strings.Contains(got, "not enabled") {
		t.Error(got)
	}
}

// TestTakeIsCheap: a flood of refused requests must not cost what writing lines does.
func TestTakeIsCheap(t *testing.T) {
	s := New(slog.DiscardHandler, time.Now)
	defer s.Close()
	attrs := func() []slog.Attr { return nil }
	for range burst {
		s.Log(slog.LevelWarn, Kind{What: "refused", Whose: "acme"}, attrs)
	}
	kind := Kind{What: "refused", Whose: "acme"}
	if n := testing.AllocsPerRun(1000, func() { s.Log(slog.LevelWarn, kind, attrs) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestLines: what a library prints is one kind, whatever it says.
func TestLines(t *testing.T) {
	all := run(t, func(l *slog.Logger) {
		print := log.New(Lines(l, "net/http"), "", 0)
		for i := range 100 {
			print.Printf("http: TLS handshake error from 10.0.0.%d", i)
		}
	})
	if len(all) != burst+1 || all[0].Msg != "library" || all[burst].Total != 100-burst {
		t.Errorf("%+v", all)
	}
}
