package audit

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter"
	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

func TestVerifyFindsEachDamage(t *testing.T) {
	check := func(name, text string, damage func(t *testing.T, dir string, b *books)) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			b := newBooks()
			dir := gateway(t, b, 100)
			wantClean(t, reading(b, dir))
			damage(t, dir, b)
			wantFound(t, reading(b, dir), text)
		})
	}
	check("flipped bit", "damaged", func(t *testing.T, dir string, _ *books) { flip(t, segment(dir, newest(t, dir)-1)) })
	check("flipped bit behind a checkpoint", "damaged", func(t *testing.T, dir string,
		_ *books) {
		flip(t, segment(dir, 1))
	})
	check("segment deleted in the middle", "missing", func(t *testing.T, dir string,
		_ *books) {
		remove(t, segment(dir, newest(t, dir)-1))
	})
	check("newest segments deleted", "the ledger has numbers up to", func(t *testing.T, dir string, _ *books) {
		last := newest(t, dir)
		remove(t, segment(dir, last))
		remove(t, segment(dir, last-1))
	})
	check("checkpoint and first segment deleted", "no checkpoint covers", func(t *testing.T, dir string, _ *books) {
		remove(t, segment(dir, 1))
		checkpoints, err := filepath.Glob(filepath.Join(dir, "*.checkpoint"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range checkpoints {
			remove(t, file)
		}
	})
	check("changed counter", "Input is", func(_ *testing.T, _ string, b *books) {
		b.tamper = func(key record.RowKey, c *record.Counters) {
			if key.Tenant == "root1/team" {
				c.Input++
			}
		}
	})
	check("lost counter", "CostInput is", func(_ *testing.T, _ string, b *books) {
		b.tamper = func(_ record.RowKey, c *record.Counters) { *c = record.Counters{} }
	})
	check("changed budget", "budget of root1", func(_ *testing.T, _ string, b *books) {
		w := month("root1", record.UnitUSD)
		b.windows[w] = ledger.WindowState{Posted: b.windows[w].Posted - 1}
	})
	check("ledger lost", "the ledger lacks numbers 1 to 50", func(_ *testing.T, _ string, b *books) { b.lose() })
}

// TestVerifyNamesForeignWriters: with all journals given, records of a writer
// that none of them has are a difference.
func TestVerifyNamesForeignWriters(t *testing.T) {
	b := newBooks()
	first, second := gateway(t, b, 30), gateway(t, b, 20)
	wantClean(t, reading(b, first, second))
	r := reading(b, first)
	if n, out := verify(t, r); n != 0 || !strings.Contains(out, "sums not compared") {
		t.Errorf("%d differences:\n%s", n, out)
	}
	r.All = true
	wantFound(t, r, "whose journal is not here")
	wantClean(t, reading(b, first, first, second))
}

// TestCopiedJournals: copies of a directory share what was written before the
// copy. It counts once, in the comparison and when the ledger is made again.
func TestCopiedJournals(t *testing.T) {
	b := newBooks()
	first, older := gateway(t, b, 30), t.TempDir()
	copyDir(t, first, older)
	serve := func(dir string, id int) {
		m := open(t, dir, b)
		call(t, m, id, "root1")
		shut(t, m)
	}
	serve(first, 40)
	copied := t.TempDir()
	copyDir(t, first, copied)
	serve(older, 41)
	serve(copied, 42)
	serve(first, 43)
	r := reading(b, older, first, copied)
	r.All = true
	wantClean(t, r)
	want := b.sum(t)
	rebuilding := Rebuilding{Reading: r, Meter: options("", b), Wipe: func(context.Context, string) error {
		b.lose()
		return nil
	}}
	if n, err := Rebuild(t.Context(), rebuilding, io.Discard); n != 0 || err != nil || b.sum(t) != want ||
		want.Legs != 34 {
		t.Errorf("%d differences, %v: %+v, before %+v", n, err, b.sum(t), want)
	}
}

// TestVerifyOtherContents: two journals that hold different records under the
// same numbers are a difference.
func TestVerifyOtherContents(t *testing.T) {
	b, dirs := newBooks(), [2]string{t.TempDir(), t.TempDir()}
	for id, dir := range dirs {
		o := options(dir, b)
		o.Journal.Random = strings.NewReader("the same ten letters for both")
		m, err := meter.Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		call(t, m, 1+id, "root1")
		shut(t, m)
	}
	wantFound(t, reading(b, dirs[:]...), "are others in")
}

func copyDir(t testing.TB, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// TestVerifyWhileRunning: what moves is no difference.
func TestVerifyWhileRunning(t *testing.T) {
	b, dir := newBooks(), t.TempDir()
	m := open(t, dir, b)
	defer shut(t, m)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for id := 0; ; id++ {
			select {
			case <-stop:
				return
			default:
				call(t, m, id, "acme")
			}
		}
	}()
	r := reading(b, dir)
	r.Patience = 300 * time.Millisecond
	for range 4 {
		if n, out := verify(t, r); n != 0 {
			t.Errorf("%d differences:\n%s", n, out)
		}
	}
	close(stop)
	<-done
}

func rebuild(t testing.TB, r Rebuilding) (int, string) {
	t.Helper()
	var out strings.Builder
	n, err := Rebuild(t.Context(), r, &out)
	if err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	return n, out.String()
}

func TestRebuildAfterTotalLoss(t *testing.T) {
	b := newBooks()
	first, second := gateway(t, b, 100), gateway(t, b, 60)
	want := b.sum(t)
	b.lose()
	r := Rebuilding{Reading: reading(b, first, second), Meter: options("", b)}
	for range 2 { // the second time changes nothing
		if n, out := rebuild(t, r); n != 0 {
			t.Fatalf("%d differences:\n%s", n, out)
		}
		if got := b.sum(t); got != want {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
		wantClean(t, r.Reading)
	}
}

func TestRebuildMendsCounters(t *testing.T) {
	b := newBooks()
	dir := gateway(t, b, 100)
	b.tamper = func(_ record.RowKey, c *record.Counters) { c.Output-- }
	r := Rebuilding{Reading: reading(b, dir), Meter: options("", b)}
	if n, _ := rebuild(t, r); n == 0 {
		t.Error("mended without a wipe")
	}
	r.Wipe = func(_ context.Context, root string) error {
		if root == "root0" { // this ledger is wiped as a whole
			b.lose()
		}
		return nil
	}
	if n, out := rebuild(t, r); n != 0 {
		t.Errorf("%d differences:\n%s", n, out)
	}
	wantClean(t, r.Reading)
}

// TestRebuildLosesNobody: a wipe is refused while a writer's journal is missing
// or in use.
func TestRebuildLosesNobody(t *testing.T) {
	b := newBooks()
	first := gateway(t, b, 30)
	gateway(t, b, 30)
	wiped := false
	r := Rebuilding{
		Reading: reading(b, first), Meter: options("", b),
		Wipe: func(context.Context, string) error { wiped = true; return nil },
	}
	if _, err := Rebuild(t.Context(), r, new(strings.Builder)); !errors.Is(err, ErrJournalMissing) || wiped {
		t.Errorf("error %v, wiped %v", err, wiped)
	}
	r.Writers = nil
	if _, err := Rebuild(t.Context(), r, new(strings.Builder)); !errors.Is(err, ErrJournalMissing) || wiped {
		t.Errorf("error %v, wiped %v", err, wiped)
	}
	m := open(t, first, b)
	r.All = true
	if _, err := Rebuild(t.Context(), r, new(strings.Builder)); !errors.Is(err, journal.ErrLocked) || wiped {
		t.Errorf("error %v, wiped %v", err, wiped)
	}
	shut(t, m)
	all, err := b.Writers(t.Context(), "root0")
	if err != nil {
		t.Fatal(err)
	}
	r.All, r.Writers, r.Abandon = false, b.Writers, all
	if _, err := Rebuild(t.Context(), r, new(strings.Builder)); err != nil || !wiped {
		t.Errorf("error %v, wiped %v", err, wiped)
	}
}
