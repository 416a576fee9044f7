package redis

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
)

func TestParseTarget(t *testing.T) {
	type want struct {
		mode           mode
		addrs, master  string
		user, password string
		db             int
		tls            bool
	}
	ok := func(url string, w want) {
		t.Helper()
		got, err := parseTarget(url)
		if err != nil {
			t.Errorf("%s: %v", url, err)
			return
		}
		o := got.options
		have := want{got.mode, strings.Join(o.Addrs, ","), o.MasterName, o.Username, o.Password, o.DB, o.TLSConfig != nil}
		if have != w {
			t.Errorf("%s is %+v, want %+v", url, have, w)
		}
		if o.MaxRetries != -1 || !o.ContextTimeoutEnabled || o.MaintNotificationsConfig == nil {
			t.Errorf("%s: retries %d, deadlines obeyed %v", url, o.MaxRetries, o.ContextTimeoutEnabled)
		}
	}
	ok("redis://127.0.0.1:6380/2", want{addrs: "127.0.0.1:6380", db: 2})
	ok("redis://localhost", want{addrs: "localhost:6379"})
	ok("redis://u:p%40ss@h:1/0?read_timeout=1s", want{addrs: "h:1", user: "u", password: "p@ss"})
	ok("redis://h:1?max_retries=9", want{addrs: "h:1"})
	ok("rediss://:secret@h/1", want{addrs: "h:6379", password: "secret", db: 1, tls: true})
	ok("redis-sentinel://a,b:2,c/books/3", want{mode: sentinel, addrs: "a:26379,b:2,c:26379", master: "books", db: 3})
	ok(
		"rediss-sentinel://u:p@a:1/books",
		want{mode: sentinel, addrs: "a:1", master: "books", user: "u", password: "p", tls: true},
	)
	ok("redis-cluster://a:1,b:2", want{mode: cluster, addrs: "a:1,b:2"})
	ok("rediss-cluster://a/0", want{mode: cluster, addrs: "a:6379", tls: true})
	ok("redis://[::1]:7/0", want{addrs: "[::1]:7"})

	bad := func(url string) {
		t.Helper()
		_, err := parseTarget(url)
		if err == nil {
			t.Errorf("%s is taken", url)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the password is in %q", err)
		}
	}
	bad("")
	bad("127.0.0.1:6379")
	bad("http://127.0.0.1")
	bad("redis://u:hunter2@a,b")
	bad("redis://u:hunter2@h:port/0")
	bad("redis://u:hunter2@h/zero")
	bad("redis://u:hunter2@h/0?no_such=1")
	bad("redis://u:hunter2@h/0?%zz")
	bad("redis-sentinel://u:hunter2@a")
	bad("redis-cluster://a/3")
	bad("redis-cluster://a,,b")
	bad("redis://h?ca_file=/nowhere")
	bad("rediss://h?ca_file=/nowhere")
}

func FuzzParseTarget(f *testing.F) {
	for _, seed := range []string{
		"redis://h:1/0", "rediss-sentinel://u:p@a,b:2/m/1?read_timeout=2s", "redis-cluster://a:1,b",
		"redis://[::1]:1?ca_file=x",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, url string) {
		got, err := parseTarget(url)
		if err == nil && (len(got.options.Addrs) == 0 || got.options.MaxRetries != -1) {
			t.Errorf("%q gives %+v", url, got.options)
		}
	})
}

func FuzzShape(f *testing.F) {
	f.Add("acme/a", "us.x", "", "", "", "")
	f.Add("|", "%", "\x00", "%7C", "|", "")
	f.Fuzz(func(t *testing.T, tenant, model, cascade, path, latency, user string) {
		key := record.RowKey{Tenant: tenant, Model: model, Cascade: cascade, Path: path, Latency: latency, User: user}
		text := shapeOf(key)
		got, err := parseShape(text)
		if err != nil || got != key {
			t.Errorf("%q came back as %+v, %v", text, got, err)
		}
		_, _ = parseShape(tenant) // any text may fail, none may panic
	})
}

func FuzzDecodeGroup(f *testing.F) {
	f.Add("0in", "5", "3in$p", "-999")
	f.Add("9in", "x", "", "")
	f.Fuzz(func(_ *testing.T, a, b, c, d string) {
		_, _ = decodeGroup(map[string]string{a: b, c: d})
	})
}

// TestFieldsCoverCounters fails when a counter has no field.
func TestFieldsCoverCounters(t *testing.T) {
	for place := range groupRows {
		want := everyCounter()
		hash := make(map[string]string)
		for _, c := range changesOf(place, want) {
			hash[c.name] = itoa(c.delta)
		}
		rows, err := decodeGroup(hash)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, rows[place]); diff != "" {
			t.Errorf("place %d: %s", place, diff)
		}
		if n := len(changesOf(place, tokenCounters())) * groupRows; n > 128 {
			t.Errorf("a group may have %d fields, more than the compact encoding takes", n)
		}
	}
}

func TestRefusesUnfitServers(t *testing.T) {
	evicts := redistest.NewServer(t, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
	l := newLedger(t, evicts.URL())
	if err := l.Check(t.Context()); !errors.Is(err, ErrUnfit) {
		t.Errorf("a server that evicts: %v", err)
	}
	if _, err := l.Watermark(t.Context(), "w", "acme"); !errors.Is(err, ErrUnfit) {
		t.Errorf("it is used all the same: %v", err)
	}
	evicts.CLI("CONFIG", "SET", "maxmemory-policy", "noeviction")
	if err := l.Check(t.Context()); err != nil {
		t.Errorf("after it was mended: %v", err)
	}
	evicts.CLI("HSET", metaKey, "format", "2")
	if err := newLedger(t, evicts.URL()).Check(t.Context()); !errors.Is(err, ErrUnfit) {
		t.Errorf("another format: %v", err)
	}
}

// TestDeniedInfo starts on a server whose operator gives us nothing but data.
func TestDeniedInfo(t *testing.T) {
	server := redistest.NewServer(t)
	server.CLI("ACL", "SETUSER", "sluice", "on", ">pw", "~sl:*", "+@all", "-info", "-config")
	l := newLedger(t, "redis://sluice:pw@"+server.Addr+"/0")
	if err := l.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := l.Watermark(t.Context(), "w", "acme"); err != nil {
		t.Error(err)
	}
}

// TestStartsBeforeRedis finds a server that comes up later.
func TestStartsBeforeRedis(t *testing.T) {
	server := redistest.NewServer(t)
	server.Kill()
	l := newLedger(t, server.URL())
	if err := l.Check(t.Context()); err == nil || errors.Is(err, ErrUnfit) {
		t.Errorf("without a server: %v", err)
	}
	server.Start()
	if err := l.Check(t.Context()); err != nil {
		t.Errorf("with a server: %v", err)
	}
}

// TestExpiryIsAbsolute adds to the same day twice: it must not live longer.
func TestExpiryIsAbsolute(t *testing.T) {
	server := redistest.NewServer(t)
	l := newLedger(t, server.URL())
	day := time.Now().UTC().Truncate(24 * time.Hour)
	want := day.Add(24*time.Hour + record.KeepDays).Unix()
	for seq := range uint64(2) {
		p := record.Posting{
			Seq:  seq + 1,
			Root: "acme",
			Row:  record.RowKey{Hour: day.Add(7 * time.Hour), Tenant: "acme"},
			Add:  record.Counters{Legs: 1},
		}
		b := ledger.Batch{Writer: "w", Epoch: 1, Root: "acme", From: seq + 1, To: seq + 1, Postings: []record.Posting{p}}
		if _, err := l.Apply(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
		name := day.Format(dayLayout)
		for _, key := range []string{keysOf("acme").index(name), keysOf("acme").group(name, member{0, 7})} {
			if got := server.CLI("EXPIRETIME", key); got != itoa(want) {
				t.Errorf("%s expires at %s, want %d", key, got, want)
			}
		}
		if got := server.CLI("TTL", keysOf("acme").marks()); got != "-1" {
			t.Errorf("the watermarks have a time to live: %s", got)
		}
	}
}

// TestLostShapes deletes the names of rows with their copy: rows must be missing with an
// error, and never be shown under another name.
func TestLostShapes(t *testing.T) {
	server := redistest.NewServer(t)
	l := newLedger(t, server.URL())
	apply := func(seq uint64, model string) {
		t.Helper()
		p := record.Posting{
			Seq:  seq,
			Root: "acme",
			Row:  record.RowKey{Hour: time.Now(), Tenant: "acme", Model: model},
			Add:  record.Counters{Legs: 1},
		}
		b := ledger.Batch{Writer: "w", Epoch: 1, Root: "acme", From: seq, To: seq, Postings: []record.Posting{p}}
		if _, err := l.Apply(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
	}
	apply(1, "first")
	server.CLI("DEL", keysOf("acme").shapes(), keysOf("acme").copyOf(keysOf("acme").shapes()))
	apply(2, "second")
	err := l.Rows(t.Context(), time.Unix(0, 0), time.Now().Add(time.Hour), func(k record.RowKey, c record.Counters) error {
		if k.Model != "second" || c.Legs != 1 {
			t.Errorf("row %+v %+v", k, c)
		}
		return nil
	})
	if !errors.Is(err, ErrDamaged) {
		t.Errorf("rows without a name: %v", err)
	}
}

// TestShapesOfOlderRows: a row of a record before version 3 keeps the shape, and so the id, that older programs gave.
func TestShapesOfOlderRows(t *testing.T) {
	old := record.RowKey{Tenant: "acme/a", Key: "k", Model: "us.x", Scope: "geo", Path: "light", PriceVersion: "v"}
	if got := shapeOf(old); got != "acme/a|k|us.x|geo|||light|v" {
		t.Errorf("the old shape is %q", got)
	}
	now := old
	now.Region = "us-east-1"
	if got := shapeOf(now); got != "acme/a|k|us.x|geo|||light|v|us-east-1" {
		t.Errorf("the new shape is %q", got)
	}
	if got, err := parseShape("acme/a|k|us.x|geo|||light|v"); err != nil || got != old {
		t.Errorf("read %+v, %v", got, err)
	}
}
