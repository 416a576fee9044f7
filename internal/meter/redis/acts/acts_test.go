package acts_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/keys"
	"github.com/sluice-gateway/sluice/internal/meter/redis"
	"github.com/sluice-gateway/sluice/internal/meter/redis/acts"
	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
)

func newBoard(t *testing.T, url string) *acts.Board {
	t.Helper()
	l, err := redis.New(redis.Options{URL: url, Log: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return acts.NewBoard(l)
}

// reader reads a board on from where it was.
type reader struct {
	t     *testing.T
	board *acts.Board
	at    keys.Cursor
}

// more sends acts and reads to the end.
func (r *reader) more(add ...string) (got []string, again bool) {
	r.t.Helper()
	var all []keys.Carried
	for _, text := range add {
		all = append(all, keys.Carried{ID: fmt.Sprintf("%064s", text), Text: []byte("text of " + text)})
	}
	for {
		p, err := r.board.Swap(context.Background(), r.at, all)
		if err != nil {
			r.t.Fatal(err)
		}
		for _, text := range p.Entries {
			got = append(got, string(text)[len("text of "):])
		}
		again, all, r.at = again || p.Again, nil, p.Cursor
		if !p.More {
			return got, again
		}
	}
}

// TestSwap puts acts on the board and reads them, and loses parts of it.
func TestSwap(t *testing.T) {
	server := redistest.NewServer(t)
	one, two := &reader{t: t, board: newBoard(t, server.URL())}, &reader{t: t, board: newBoard(t, server.URL())}
	want := func(what string, got []string, again, wantAgain bool, want ...string) {
		t.Helper()
		if !slices.Equal(got, want) || again != wantAgain {
			t.Errorf("%s: %q (again %v), want %q (again %v)", what, got, again, want, wantAgain)
		}
	}
	f := func(what string, r *reader, add []string, wantAgain bool, all ...string) {
		t.Helper()
		got, again := r.more(add...)
		want(what, got, again, wantAgain, all...)
	}
	f("a first look", one, nil, true)
	f("one's own", one, []string{"a", "b"}, false, "a", "b")
	f("twice is once", one, []string{"b", "c"}, false, "c")
	f("the other one", two, []string{"b"}, true, "a", "b", "c")
	f("nothing new", two, nil, false)

	server.CLI("RPOP", "sl:{*}:acts")
	server.CLI("HDEL", "sl:{*}:acts:ids", fmt.Sprintf("%064s", "c")) // a failover that forgot c
	f("somebody writes instead", two, []string{"d"}, true, "a", "b", "d")
	f("as many as before, and not the same", one, nil, true, "a", "b", "d")

	for _, id := range []string{"b", "d"} { // a failover that forgot both, before d came back in its old place
		server.CLI("RPOP", "sl:{*}:acts")
		server.CLI("HDEL", "sl:{*}:acts:ids", fmt.Sprintf("%064s", id))
	}
	f("another before the same last one", two, []string{"e", "d"}, true, "a", "e", "d")
	f("as many, with the same last one", one, nil, true, "a", "e", "d")

	for _, key := range []string{"sl:{*}:acts", "sl:{*}:acts:ids"} {
		server.CLI("DEL", key)
		f("without "+key, one, nil, true)
		f("filled again", one, []string{"a", "b"}, false, "a", "b")
	}
	server.CLI("FLUSHALL")
	f("lost", two, []string{"a"}, true, "a")

	server.CLI("RPUSH", "sl:{*}:acts", "rubbish")
	server.CLI("HSET", "sl:{*}:acts:ids", "rubbish", "")
	if p, err := one.board.Swap(context.Background(), keys.Cursor{}, nil); err != nil || len(p.Entries) != 2 {
		t.Errorf("with rubbish: %v %v", p, err)
	}
	server.CLI("FLUSHALL")
	f("lost again", two, []string{"a"}, true, "a")

	var many []string
	for i := range 600 {
		many = append(many, fmt.Sprintf("n%d", i))
	}
	f("many", one, many, true, append([]string{"a"}, many...)...)
}

// TestUsed keeps the latest time of each key.
func TestUsed(t *testing.T) {
	server := redistest.NewServer(t)
	b := newBoard(t, server.URL())
	for _, at := range []map[string]int64{{"A": 5, "B": 7}, {"A": 4, "B": 8}, {}} {
		if len(at) > 0 {
			if _, err := b.Used(context.Background(), at); err != nil {
				t.Fatal(err)
			}
		}
	}
	if all, err := b.Used(context.Background(), nil); err != nil || len(all) != 2 || all["A"] != 5 || all["B"] != 8 {
		t.Errorf("%v %v", all, err)
	}
}
