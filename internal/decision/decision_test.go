package decision

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
)

// clock is a time that tests move.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

// start is when tests begin.
func start() time.Time { return time.Date(2026, 11, 29, 8, 0, 0, 0, time.UTC) }

// open opens a log whose decisions are written when they are read.
func open(t testing.TB, file string, c *clock, o Options) *Log {
	t.Helper()
	o.File, o.Now, o.Log = file, c.Now, slog.New(slog.DiscardHandler)
	if o.Keep == 0 {
		o.Keep = 35 * 24 * time.Hour
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = 1 << 30
	}
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func newID(at time.Time, n uint64) string {
	var id ulid.ULID
	if err := id.SetTime(ulid.Timestamp(at)); err != nil {
		panic(err)
	}
	for i := range 8 {
		id[15-i] = byte(n >> (8 * i))
	}
	return id.String()
}

// sample is a decision in which every field has a value of its own.
func sample(at time.Time, n uint64) Decision {
	return Decision{
		ID: newID(at, n), Received: at.UTC(), Gateway: "gw", From: netip.MustParseAddr("10.0.0.9"), Tenant: "acme/support",
		Key: "SLKA", Claimed: "SLKB", User: "u1", Method: "POST", Operation: "converse", Asked: "auto", Served: "nova",
		Cascade: "c", Rule: "long_input", Path: "escalated", Reason: "disagree", Cap: 100, Cut: 7, Status: 200,
		Error: "ThrottlingException", Step: "reserve", Message: "used up", Cost: 123456789, CostState: "known",
		FirstByte: 1500, Duration: 250_000,
		Legs: []Leg{{
			Record: newID(at, n+1<<40), Index: 1, Attempt: 2, Path: "light", Reason: "r", Model: "nova", Upstream: "eu",
			Levers: Levers{Named: "n", Tiers: "flex late, default", Cache: "c", Capacity: "floor full, on demand",
				Lines: "default, west", Waited: 1_200_000},
			Region: "eu-west-1", Tier: "flex", Payer: "acme", Status: 200, Outcome: "completed", Error: "x",
			UpstreamID: "aws-1", Stop: "end_turn", Is: FateServed | FateEscalated,
			Tokens: Tokens{Count{10, true}, Count{0, true}, Count{}, Count{3, true}, Count{4, true}},
			Cost:   123456789, CostState: "known", PriceVersion: "p1", Began: at.Add(1234 * time.Microsecond).UTC(), Took: 5,
			Effects: []Effect{
				{"acme", "usd", "month", start(), 124, 3}, {"acme/support", "tokens", "minute", start(), 7, 0},
			},
		}, {Record: newID(at, n+2<<40), Model: "lite", Outcome: "failed"}},
	}
}

// TestCodec: what is written is read again, field by field, and a program that knows fewer
// fields, or more, reads what it knows.
func TestCodec(t *testing.T) {
	want := sample(start(), 1)
	b := appendDecision(nil, &want)
	one, rest, err := next(b)
	if err != nil || len(rest) > 0 {
		t.Fatal(err, len(rest))
	}
	var got Decision
	if err := read(one, &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\n%+v\n%+v", err, got, want)
	}
	var all Decision
	if err := read(append(append([]byte{}, one...), 1, 2, 3), &all); err != nil || !reflect.DeepEqual(all, want) {
		t.Errorf("a newer program's: %v", err)
	}
	for n := range len(one) {
		var part Decision
		_ = read(one[:n], &part) // whatever it is, it must not panic
	}
	text, err := json.Marshal(&want)
	if err != nil {
		t.Fatal(err)
	}
	var again Decision
	if err := json.Unmarshal(text, &again); err != nil || !reflect.DeepEqual(again, want) {
		t.Errorf("%v\n%s\n%+v", err, text, again)
	}
	none := Decision{}
	if one, _, err := next(appendDecision(nil, &none)); err != nil || read(one, &got) != nil {
		t.Error(err)
	}
}

// TestFind (U11): each decision is found by its id, also after a restart, and those that
// end long after they came.
func TestFind(t *testing.T) {
	c, file := &clock{start()}, filepath.Join(t.TempDir(), "d", "decisions.db")
	l := open(t, file, c, Options{})
	random := rand.New(rand.NewPCG(1, 2))
	var ids []string
	for i := range 800 {
		d := sample(c.now.Add(-time.Duration(random.IntN(3600))*time.Second), uint64(i))
		ids = append(ids, d.ID)
		l.Add(&d)
		c.now = c.now.Add(time.Second)
		if i%100 == 0 {
			l.flush(false)
		}
	}
	look := func() {
		t.Helper()
		for i, id := range ids {
			if d, err := l.Find(id); err != nil || d.ID != id {
				t.Fatal(i, id, err)
			}
		}
		if _, err := l.Find(newID(start(), 1<<60)); err != ErrUnknown {
			t.Error(err)
		}
		for _, bad := range []string{"", "x", "01ARZ3NDEKTSV4RRFFQ69G5FA", "'; drop"} {
			if _, err := l.Find(bad); err == nil || err == ErrUnknown {
				t.Errorf("%q: %v", bad, err)
			}
		}
	}
	look()
	l.Close(t.Context())
	l = open(t, file, c, Options{})
	defer l.Close(t.Context())
	look()
}

// TestList: the pages of a filter have each decision that it takes once, newest first,
// while others are added.
func TestList(t *testing.T) {
	c := &clock{start()}
	l := open(t, filepath.Join(t.TempDir(), "decisions.db"), c, Options{})
	defer l.Close(t.Context())
	tenants := []string{"acme", "acme/support", "acmeother", "b"}
	n := 0
	add := func() {
		d := Decision{
			ID: newID(c.now, uint64(n)), Tenant: tenants[n%4], Reason: []string{"a", "b"}[n/4%2], Status: 200 + n%3*100,
		}
		n++
		l.Add(&d)
		c.now = c.now.Add(time.Second)
	}
	for range 5000 {
		add()
	}
	walk := func(f Filter, limit int) (ids []string) {
		t.Helper()
		for cursor, pages := "", 0; ; pages++ {
			p, err := l.List(f, cursor, limit)
			if err != nil || len(p.Decisions) > limit || pages > 6000 {
				t.Fatal(err)
			}
			if !p.Since.Equal(start()) {
				t.Error(p.Since)
			}
			for i := range p.Decisions {
				ids = append(ids, p.Decisions[i].ID)
			}
			if cursor = p.Next; cursor == "" {
				return ids
			}
			add()
		}
	}
	f := func(f Filter, limit, want int) {
		t.Helper()
		ids := walk(f, limit)
		if len(ids) != want {
			t.Errorf("%+v: %d, want %d", f, len(ids), want)
		}
		for i := 1; i < len(ids); i++ {
			if ids[i] >= ids[i-1] {
				t.Fatalf("%s behind %s", ids[i], ids[i-1])
			}
		}
	}
	f(Filter{}, 1000, 5000)
	began := n
	f(Filter{Tenant: "acme", Until: start().Add(4000 * time.Second)}, 7, 2000)
	f(Filter{Tenant: "acme", Reason: "b", Until: start().Add(4000 * time.Second)}, 1000, 1000)
	f(Filter{Tenant: "acme/support", Status: 4, Until: start().Add(3000 * time.Second)}, 100, 250)
	f(Filter{Since: start().Add(1000 * time.Second), Until: start().Add(1010 * time.Second)}, 3, 10)
	f(Filter{Tenant: "nobody"}, 10, 0)
	f(Filter{Since: c.now}, 10, 0)
	if n == began {
		t.Error("nothing was added meanwhile")
	}
	for _, bad := range []string{"x", "!!", "AAAA"} {
		if _, err := l.List(Filter{}, bad, 1); err == nil {
			t.Errorf("cursor %q", bad)
		}
	}
}

// TestBounds: decisions and minutes that are too old are forgotten, and the oldest when
// there is too much.
func TestBounds(t *testing.T) {
	c, file := &clock{start()}, filepath.Join(t.TempDir(), "decisions.db")
	l := open(t, file, c, Options{Keep: time.Hour, MaxBytes: 300_000})
	defer l.Close(t.Context())
	random := rand.New(rand.NewPCG(3, 4))
	for i := range 20_000 {
		d := sample(c.now, random.Uint64())
		d.Message = fmt.Sprint(random.Uint64(), random.Uint64())
		l.Add(&d)
		if c.now = c.now.Add(50 * time.Millisecond); i%100 == 0 {
			l.flush(false)
		}
	}
	l.flush(false)
	if l.store.Load().bytes > 300_000+blockBytes {
		t.Errorf("%d bytes", l.store.Load().bytes)
	}
	if info, err := os.Stat(file); err != nil || info.Size() > 3_000_000 {
		t.Errorf("%v %d", err, info.Size())
	}
	p, err := l.List(Filter{}, "", 1)
	if err != nil || !p.Since.After(start().Add(time.Minute)) {
		t.Error(err, p.Since)
	}
	c.now = c.now.Add(2 * time.Hour)
	d := sample(c.now, 1)
	l.Add(&d)
	l.flush(false)
	if p, err = l.List(Filter{}, "", 1000); err != nil || len(p.Decisions) != 1 {
		t.Error(err, len(p.Decisions))
	}
	before := l.store.Load().bytes
	if err := l.store.Load().view(l.store.Load().weigh); err != nil || l.store.Load().bytes != before {
		t.Error(err, before, l.store.Load().bytes)
	}
}

// TestQueueIsBounded: what a disk is too slow for is dropped and counted, and nobody waits.
func TestQueueIsBounded(t *testing.T) {
	c, dropped := &clock{start()}, 0
	l := open(t, filepath.Join(t.TempDir(), "decisions.db"), c, Options{Dropped: func(n int) { dropped += n }})
	defer l.Close(t.Context())
	l.turn.Lock()
	d := sample(c.now, 1)
	size := len(appendDecision(nil, &d))
	n := 2 * maxWaiting / size
	for range n {
		l.Add(&d)
	}
	if held := len(l.waiting); held > maxWaiting+size || dropped < n/3 || dropped+l.count != n {
		t.Errorf("%d bytes wait, %d of %d dropped", held, dropped, n)
	}
	l.turn.Unlock()
	if _, err := l.Find(d.ID); err != nil {
		t.Error(err)
	}
}

// TestBrokenFile: a file that is none is moved out of the way, and one that another gateway
// has open is not.
func TestBrokenFile(t *testing.T) {
	c, file := &clock{start()}, filepath.Join(t.TempDir(), "decisions.db")
	if err := os.WriteFile(file, []byte("this is no database, but text of some length"), 0o600); err != nil {
		t.Fatal(err)
	}
	l := open(t, file, c, Options{})
	d := sample(c.now, 1)
	l.Add(&d)
	if _, err := l.Find(d.ID); err != nil {
		t.Error(err)
	}
	if bad, err := filepath.Glob(file + ".*.bad"); err != nil || len(bad) != 1 {
		t.Error(bad, err)
	}
	if _, err := Open(Options{File: file, Now: c.Now, Log: slog.New(slog.DiscardHandler), Keep: time.Hour}); err == nil {
		t.Error("opened twice")
	}
	l.Close(t.Context())
}

// TestMinutes: the sums of the minutes are those of the decisions, also across a restart,
// and there is an end to their rows.
func TestMinutes(t *testing.T) {
	c, file := &clock{start()}, filepath.Join(t.TempDir(), "decisions.db")
	l := open(t, file, c, Options{})
	for i := range 600 {
		d := sample(c.now, uint64(i))
		l.Add(&d)
		if c.now = c.now.Add(time.Second); i == 299 {
			l.Close(t.Context())
			l = open(t, file, c, Options{})
		}
	}
	for i := range 3 * mostRows {
		l.Add(&Decision{
			Tenant: "t" + fmt.Sprint(i), Legs: []Leg{{Model: "m" + fmt.Sprint(i), Tokens: Tokens{Input: Count{1, true}}}},
		})
	}
	c.now = c.now.Add(time.Minute)
	rows, sum, many, legs := 0, Row{}, int64(0), int64(0)
	since, err := l.Minutes(start().Add(time.Minute), c.now, func(r *Row) error {
		rows, legs = rows+1, legs+r.Legs
		if r.Root == "acme" && r.Model == "nova" {
			sum.Cost, sum.Legs, sum.Input = sum.Cost+r.Cost, sum.Legs+r.Legs, sum.Input+r.Input
			sum.Requests += r.Requests
		} else if r.Root != "acme" {
			many += r.Input
		}
		return nil
	})
	want := Row{Cost: 540 * 123456789, Legs: 540, Input: 5400, Requests: 540}
	if err != nil || sum != want || !since.Equal(start()) {
		t.Errorf("%v %v %+v", err, since, sum)
	}
	if many != 3*mostRows || rows > 9*3+3*mostRows || legs != 1080+3*mostRows {
		t.Error(many, rows, legs)
	}
	l.Close(t.Context())
}

// TestNoAllocation: a decision costs the request line no memory.
func TestNoAllocation(t *testing.T) {
	c := &clock{start()}
	l := open(t, filepath.Join(t.TempDir(), "decisions.db"), c, Options{})
	defer l.Close(t.Context())
	l.turn.Lock()
	defer l.turn.Unlock()
	d := sample(c.now, 1)
	for range 5000 {
		l.Add(&d)
	}
	l.waiting = l.waiting[:0]
	if n := testing.AllocsPerRun(500, func() { l.Add(&d) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkAdd is what a request pays for its decision.
func BenchmarkAdd(b *testing.B) {
	c := &clock{start()}
	l := open(b, filepath.Join(b.TempDir(), "decisions.db"), c, Options{})
	defer l.Close(b.Context())
	l.turn.Lock() // nothing is written meanwhile, and nothing dropped
	defer l.turn.Unlock()
	d := sample(c.now, 1)
	d.Legs = d.Legs[:1]
	b.ReportAllocs()
	for b.Loop() {
		l.Add(&d)
		if len(l.waiting) >= writeSoon {
			l.waiting, l.count = l.waiting[:0], 0
		}
	}
}

// BenchmarkWrite is what the writer pays for a decision.
func BenchmarkWrite(b *testing.B) {
	c := &clock{start()}
	l := open(b, filepath.Join(b.TempDir(), "decisions.db"), c, Options{})
	defer l.Close(b.Context())
	n := uint64(0)
	for b.Loop() {
		for range 4000 {
			d := sample(c.now, n)
			n++
			l.Add(&d)
		}
		l.flush(false)
		c.now = c.now.Add(time.Second)
	}
	b.ReportMetric(float64(l.store.Load().bytes)/float64(n), "bytes/decision")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/decision")
}
