package redis

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	goredis "github.com/redis/go-redis/v9"

	"github.com/sluice-gateway/sluice/internal/meter/gossip"
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
)

// gateway is one that shares: its ledger, and what it heard.
type gateway struct {
	*Ledger
	t     *testing.T
	name  string
	board *gossip.Board
	seq   uint64
	heard map[string]string // value by key, since it was last looked at
}

func newGateway(t *testing.T, url, name string) *gateway {
	t.Helper()
	g := &gateway{t: t, name: name, heard: map[string]string{}}
	g.board = gossip.New(time.Now, func(h gossip.Fact) { g.heard[h.Key] = h.Value })
	l, err := New(Options{URL: url, Log: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	g.Ledger = l
	return g
}

func (g *gateway) put(kind gossip.Kind, key, value string) {
	g.board.Put("acme", gossip.Fact{Kind: kind, Key: key, Value: value, Until: time.Now().Add(time.Hour)})
}

// post applies a batch of one posting.
func (g *gateway) post() {
	g.t.Helper()
	g.seq++
	if at, err := g.exchange(one(g.name, g.seq)); err != nil || at != g.seq {
		g.t.Fatalf("%s: number %d: the watermark is %d, %v", g.name, g.seq, at, err)
	}
}

func (g *gateway) exchange(b *ledger.Batch) (uint64, error) {
	return ledger.Exchange(g.t.Context(), g.Ledger, g.board, b)
}

// beat sends an empty batch, as a gateway does that has nothing to post.
func (g *gateway) beat() {
	g.t.Helper()
	if at, err := g.exchange(&ledger.Batch{Writer: g.name, Root: "acme"}); err != nil || at != g.seq {
		g.t.Fatalf("%s: the watermark is %d, %v, want %d", g.name, at, err, g.seq)
	}
}

// hears checks what came since the last look.
func (g *gateway) hears(want map[string]string) {
	g.t.Helper()
	if diff := cmp.Diff(want, g.heard); diff != "" {
		g.t.Errorf("%s heard otherwise (-want +got):\n%s", g.name, diff)
	}
	clear(g.heard)
}

func one(writer string, seq uint64) *ledger.Batch {
	p := record.Posting{
		Seq:  seq,
		Root: "acme",
		Row:  record.RowKey{Hour: time.Now(), Tenant: "acme"},
		Add:  record.Counters{Legs: 1},
	}
	return &ledger.Batch{Writer: writer, Epoch: 1, Root: "acme", From: seq, To: seq, Postings: []record.Posting{p}}
}

type told = map[string]string

func TestFactsReachOthers(t *testing.T) {
	factsReachOthers(t, redistest.NewServer(t).URL())
}

func TestFactsOnCluster(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: a cluster takes seconds to form")
	}
	factsReachOthers(t, redistest.NewCluster(t, 3).URL())
}

func factsReachOthers(t *testing.T, url string) {
	a, b := newGateway(t, url, "a"), newGateway(t, url, "b")
	a.put(gossip.Session, "x", "1")
	a.put(gossip.Watch, "cert", "2")
	a.post()
	a.hears(told{}) // not its own
	b.post()
	b.hears(told{"x": "1", "cert": "2"})
	b.put(gossip.Guard, "rate", "3")
	b.beat() // carries as well
	a.beat()
	a.hears(told{"rate": "3"})
	a.post()
	b.post()
	a.hears(told{})
	b.hears(told{})

	late := newGateway(t, url, "late")
	late.beat() // before its first posting, and although it has no watermark
	late.hears(told{"x": "1", "cert": "2", "rate": "3"})
}

// TestFactsWaitForTheirBatch refuses a batch: its facts go with the next one.
func TestFactsWaitForTheirBatch(t *testing.T) {
	server := redistest.NewServer(t)
	a, b := newGateway(t, server.URL(), "a"), newGateway(t, server.URL(), "b")
	a.put(gossip.Session, "x", "1")
	if at, err := a.exchange(one("a", 5)); err != nil || at != 0 {
		t.Fatalf("a gap: %d, %v", at, err)
	}
	b.beat()
	b.hears(told{})
	a.post()
	b.beat()
	b.hears(told{"x": "1"})
}

func TestFactsAreBounded(t *testing.T) {
	server := redistest.NewServer(t)
	a, b := newGateway(t, server.URL(), "a"), newGateway(t, server.URL(), "b")
	const rounds, each = 48, 256
	for round := range rounds {
		for i := range each {
			a.put(gossip.Session, fmt.Sprint(round*each+i), "")
		}
		a.beat()
	}
	key := keysOf("acme").log(gossip.Session)
	length, _ := strconv.Atoi(server.CLI("XLEN", key))
	if length < kept[gossip.Session] || length > kept[gossip.Session]+100 {
		t.Errorf("the log has %d entries, want %d and at most 100 more", length, kept[gossip.Session])
	}
	ttl, _ := strconv.Atoi(server.CLI("TTL", key))
	if ttl < 3500 || ttl > 3600 {
		t.Errorf("the log lives for %d s, want an hour", ttl)
	}
	b.beat()
	if len(b.heard) != readAtOnce {
		t.Errorf("one reply brought %d facts, want %d", len(b.heard), readAtOnce)
	}
	for range rounds {
		b.beat()
	}
	newest := fmt.Sprint(rounds*each - 1)
	if _, ok := b.heard[newest]; !ok || len(b.heard) != length {
		t.Errorf("%d facts came, want %d and the newest among them", len(b.heard), length)
	}
}

// TestFactsAfterLoss loses the logs in several ways: gateways go on, and the
// books never notice.
func TestFactsAfterLoss(t *testing.T) {
	server := redistest.NewServer(t)
	a, b := newGateway(t, server.URL(), "a"), newGateway(t, server.URL(), "b")
	key := keysOf("acme").log(gossip.Session)
	exchange := func(what, key string) {
		t.Helper()
		a.put(gossip.Session, key, what)
		a.post()
		b.post()
		b.hears(told{key: what})
	}
	exchange("at first", "1")
	server.CLI("DEL", key)
	exchange("deleted", "2")
	server.CLI("DEL", key)
	server.CLI("XADD", key, "1-1", "h", "") // a server whose clock is behind
	exchange("older than what was read", "3")

	server.CLI("DEL", key)
	server.CLI("SET", key, "damage")
	a.put(gossip.Session, "4", "")
	a.put(gossip.Guard, "5", "still")
	a.post()
	b.post()
	b.hears(told{"5": "still"})
	server.CLI("DEL", key)
	exchange("mended", "6")

	server.CLI("XADD", key, "*", "h", "no fact")
	exchange("with an entry that says nothing", "7")
}

// TestFactsCostNoCall counts what the server is asked with and without facts.
func TestFactsCostNoCall(t *testing.T) {
	server := redistest.NewServer(t)
	asked := func(board *gossip.Board) int {
		server.CLI("FLUSHALL")
		l, err := New(Options{URL: server.URL(), Log: slog.New(slog.DiscardHandler), Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		seq := uint64(0)
		work := func(n int) {
			for range n {
				seq++
				board.Put("acme", gossip.Fact{Kind: gossip.Session, Key: fmt.Sprint(seq), Until: time.Now().Add(time.Hour)})
				for _, b := range []*ledger.Batch{one("w", seq), {Writer: "w", Root: "acme"}} {
					if _, err := ledger.Exchange(t.Context(), l, board, b); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		work(1) // scripts and shapes are known then
		count := new(commands)
		l.server.client.AddHook(count)
		work(50)
		return count.n
	}
	without, with := asked(nil), asked(gossip.New(time.Now, func(gossip.Fact) {}))
	if without != 100 || with != without {
		t.Errorf("%d commands with facts, %d without, want 100", with, without)
	}
}

// commands counts what a client sends.
type commands struct{ n int }

func (c *commands) DialHook(next goredis.DialHook) goredis.DialHook { return next }

func (c *commands) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, cmd goredis.Cmder) error {
		c.n++
		return next(ctx, cmd)
	}
}

func (c *commands) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return func(ctx context.Context, all []goredis.Cmder) error {
		c.n += len(all)
		return next(ctx, all)
	}
}

func FuzzParseFacts(f *testing.F) {
	f.Add("0-0", "1", "x", "0-0", "0", "2-1")
	f.Fuzz(func(_ *testing.T, a, b, c, d, e, g string) {
		_, _, _ = parseFacts([]string{a, b, c, d, e, g, "0"})
	})
}
