package keys

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// sealer is a root secret, and perhaps one before it.
type sealer []string

func (s sealer) Seal(text []byte) string { return mac(s[0], text) }

func (s sealer) Sealed(text []byte, seal string) (ok, loaded bool) {
	generation, _, _ := strings.Cut(seal, ":")
	for _, root := range s {
		if root == generation {
			return mac(root, text) == seal, true
		}
	}
	return false, false
}

func mac(root string, text []byte) string {
	m := hmac.New(sha256.New, []byte(root))
	m.Write(text)
	return root + ":" + hex.EncodeToString(m.Sum(nil))
}

// board is a ledger's board. It forgets, loses its newest entries, and is away.
type board struct {
	mark    int
	ids     []string
	entries [][]byte
	away    bool
	used    map[string]int64
	page    int // entries in a page
}

var errAway = errors.New("the board is away")

func (b *board) Swap(_ context.Context, from Cursor, add []Carried) (Page, error) {
	if b.away {
		return Page{}, errAway
	}
	for _, c := range add {
		if !slices.Contains(b.ids, c.ID) {
			b.ids, b.entries = append(b.ids, c.ID), append(b.entries, c.Text)
		}
	}
	p := Page{Cursor: Cursor{Mark: fmt.Sprint(b.mark)}}
	if n := from.Read; from.Mark == p.Cursor.Mark && n <= int64(len(b.ids)) && b.place(n) == from.Last {
		p.Cursor.Read = from.Read
	} else {
		p.Again = from.Mark != ""
	}
	to := min(len(b.ids), int(p.Cursor.Read)+b.page)
	p.Entries, p.More = b.entries[p.Cursor.Read:to], to < len(b.ids)
	p.Cursor.Read = int64(to)
	p.Cursor.Last = b.place(p.Cursor.Read)
	return p, nil
}

// place identifies the first n entries.
func (b *board) place(n int64) string { return strings.Join(b.ids[:n], " ") }

func (b *board) Used(_ context.Context, at map[string]int64) (map[string]int64, error) {
	if b.away {
		return nil, errAway
	}
	maps.Copy(b.used, at)
	return b.used, nil
}

func (b *board) flush() { b.mark, b.ids, b.entries = b.mark+1, nil, nil }

// world is gateways around a board.
type world struct {
	t     testing.TB
	board *board
	now   time.Time
	books []*Book
	dirs  []string
}

func newWorld(t testing.TB, gateways int, dir func() string) *world {
	w := &world{t: t, board: &board{page: 3, used: map[string]int64{}}, now: time.Date(2026, 11, 29, 1, 0, 0, 0, time.UTC)}
	for range gateways {
		w.dirs, w.books = append(w.dirs, dir()), append(w.books, nil)
	}
	for i := range w.books {
		w.start(i)
	}
	return w
}

// start starts a gateway, in place of the one that there was.
func (w *world) start(i int) *Book {
	w.t.Helper()
	return w.startWith(i, sealer{"ROOT"})
}

func (w *world) startWith(i int, s sealer) *Book {
	w.t.Helper()
	if old := w.books[i]; old != nil {
		must(w.t, old.file.close())
	}
	b, err := Open(Options{
		DataDir: w.dirs[i], Sealer: s, Board: w.board, Log: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return w.now },
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.books[i] = b
	return b
}

func (w *world) do(i int, acts ...Act) {
	w.t.Helper()
	if err := w.books[i].Do(func(*State) ([]Act, error) { return acts, nil }); err != nil {
		w.t.Fatal(err)
	}
}

// settle lets every gateway hear of the others.
func (w *world) settle() {
	w.t.Helper()
	for range 2 {
		for _, b := range w.books {
			if err := b.Refresh(context.Background()); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}

func issue(key string) Act { return Act{Kind: Issue, Key: key, Tenant: "acme", Settings: &Settings{}} }

// TestGatewaysAgree has gateways act on the same few keys, at once and one after the
// other, while the board is away, forgets all, or loses its newest entries, while gateways
// lose their disks or restart from an older copy of theirs. In the end all have one state,
// whatever order they heard of things in, and each key that was ever revoked is.
func TestGatewaysAgree(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		w := newWorld(t, 3, func() string { return mustTemp(t) })
		revoked, issued := map[string]bool{}, 0
		key := func() string { return fmt.Sprintf("K%d", rapid.IntRange(0, 3).Draw(r, "key")) }
		gateway := func() int { return rapid.IntRange(0, len(w.books)-1).Draw(r, "gateway") }
		r.Repeat(map[string]func(*rapid.T){
			"issue": func(*rapid.T) { issued++; w.do(gateway(), issue(key())) },
			"rotate": func(*rapid.T) {
				a := issue(key())
				a.Replaces, a.Ends = key(), new(time.Time)
				*a.Ends = w.now
				w.do(gateway(), a)
			},
			"change": func(r *rapid.T) {
				name := rapid.StringMatching("[a-z<&>\"]{1,3}").Draw(r, "name")
				w.do(gateway(), Act{Kind: Change, Key: key(), Settings: &Settings{Name: name}})
			},
			"freeze":        func(*rapid.T) { w.do(gateway(), Act{Kind: Freeze, Key: key()}) },
			"freeze tenant": func(*rapid.T) { w.do(gateway(), Act{Kind: Freeze, Tenant: "acme"}) },
			"thaw": func(*rapid.T) {
				i, id := gateway(), key()
				if k := w.books[i].State().Keys[id]; k != nil && len(k.Frozen) > 0 {
					w.do(i, Act{Kind: Thaw, Key: id, Lifts: k.Frozen})
				}
			},
			"revoke":        func(*rapid.T) { id := key(); revoked[id] = true; w.do(gateway(), Act{Kind: Revoke, Key: id}) },
			"hear":          func(*rapid.T) { _ = w.books[gateway()].Refresh(context.Background()) },
			"board away":    func(*rapid.T) { w.board.away = !w.board.away },
			"board forgets": func(*rapid.T) { w.board.flush() },
			"board loses its newest": func(*rapid.T) {
				n := max(0, len(w.board.ids)-2)
				w.board.ids, w.board.entries = w.board.ids[:n:n], w.board.entries[:n:n]
			},
			"restart": func(*rapid.T) { w.start(gateway()) },
			"the file is gone under a running gateway": func(*rapid.T) {
				i := gateway()
				_ = os.Remove(filepath.Join(w.dirs[i], FileName))
				_ = w.books[i].Refresh(context.Background()) // within half a second: what only it knew is kept again
			},
			"a copy of a data directory starts": func(*rapid.T) {
				if len(w.books) > 4 {
					return
				}
				from, to := w.dirs[gateway()], mustTemp(t)
				if text, err := os.ReadFile(filepath.Join(from, FileName)); err == nil {
					must(t, os.WriteFile(filepath.Join(to, FileName), text, 0o600))
				}
				w.dirs, w.books = append(w.dirs, to), append(w.books, nil)
				w.start(len(w.books) - 1)
			},
			"": func(r *rapid.T) { // what a gateway knows of as revoked stays so
				for _, b := range w.books {
					for id, k := range b.State().Keys {
						if k.Revoked && !revoked[id] {
							r.Fatalf("%s is revoked and nobody did it", id)
						}
					}
				}
			},
		})
		w.board.away = false
		w.settle()
		for i, b := range w.books {
			if diff := cmp.Diff(w.books[0].State().Keys, b.State().Keys); diff != "" {
				r.Fatalf("gateway %d differs from gateway 0: %s", i, diff)
			}
			if !maps.EqualFunc(w.books[0].State().frozen, b.State().frozen, slices.Equal) {
				r.Fatalf("frozen tenants of gateway %d: %v, %v", i, b.State().frozen, w.books[0].State().frozen)
			}
			for id := range revoked {
				if !b.State().Keys[id].Revoked {
					r.Fatalf("gateway %d does not know that %s is revoked", i, id)
				}
			}
			if b.Waiting() != 0 || b.Trouble() != nil {
				r.Fatalf("gateway %d: %d wait, %v", i, b.Waiting(), b.Trouble())
			}
			lines, err := ReadFile(w.dirs[i], sealer{"ROOT"})
			if broken := Verify(lines); err != nil || len(broken) > 0 {
				r.Fatalf("gateway %d: %v, %+v", i, err, broken[0])
			}
			if again := w.start(i).State(); cmp.Diff(again.Keys, b.State().Keys) != "" { // from the disk alone
				r.Fatalf("gateway %d knows something else after a restart", i)
			}
		}
	})
}

// mustTemp is a directory in memory where there is one: each act is synced to the disk.
func mustTemp(t testing.TB) string {
	dir, err := os.MkdirTemp("/dev/shm", "keys")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
