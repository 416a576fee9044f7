package gossip

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// clock is a time that a test moves.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func fact(kind Kind, key, value string) Fact {
	return Fact{Kind: kind, Key: key, Value: value, Until: noon.Add(time.Hour)}
}

func waits(t *testing.T, b *Board, root string, want ...Fact) {
	t.Helper()
	got := map[Fact]bool{}
	for _, h := range b.Waiting(root) {
		got[h] = true
	}
	for _, h := range want {
		if !got[h] {
			t.Errorf("%q does not wait for %s", h, root)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d facts wait for %s, want %d", len(got), root, len(want))
	}
}

func TestPutAndCarry(t *testing.T) {
	c := &clock{noon}
	b := New(c.now, func(Fact) {})
	old, latest, other := fact(Session, "a", "1"), fact(Session, "a", "2"), fact(Guard, "a", "3")
	b.Put("acme", old)
	b.Put("acme", latest)
	b.Put("acme", other)
	waits(t, b, "acme", latest, other)
	waits(t, b, "acme", latest, other) // until it is known to have arrived
	waits(t, b, "beta")

	later := fact(Guard, "a", "4")
	sent := b.Waiting("acme")
	b.Put("acme", later) // while the call is under way
	b.Carried("acme", sent)
	waits(t, b, "acme", later)

	c.at = noon.Add(time.Hour)
	waits(t, b, "acme") // it has ended
	if s := b.Stats(); s != (Stats{}) {
		t.Errorf("%+v", s)
	}
}

func TestBounds(t *testing.T) {
	b := New((&clock{noon}).now, func(Fact) {})
	for i := range maxWaiting + 1 {
		b.Put("acme", fact(Session, fmt.Sprint(i), ""))
	}
	b.Put("acme", fact(Session, "7", "again")) // one that waits may change
	b.Put("acme", fact(Guard, "7", ""))        // another kind has room
	b.Put("acme", fact(Session, strings.Repeat("x", MaxBytes+1), ""))
	b.Put("beta", Fact{Kind: Kinds, Key: "unknown", Until: noon.Add(time.Hour)})
	if s := b.Stats(); s != (Stats{Waiting: maxWaiting + 1, Dropped: 3}) {
		t.Errorf("%+v", s)
	}
	total := 0
	for range maxWaiting/maxPerCall + 1 {
		sent := b.Waiting("acme")
		if len(sent) > maxPerCall+1 {
			t.Fatalf("one call takes %d along", len(sent))
		}
		total += len(sent)
		b.Carried("acme", sent)
	}
	if total != maxWaiting+1 {
		t.Errorf("%d were carried, want %d", total, maxWaiting+1)
	}
}

func TestBoundInAll(t *testing.T) {
	b := New((&clock{noon}).now, func(Fact) {})
	for root := range maxInAll/maxWaiting + 1 {
		for i := range maxWaiting {
			b.Put(fmt.Sprint(root), fact(Session, fmt.Sprint(i), ""))
		}
	}
	if s := b.Stats(); s != (Stats{Waiting: maxInAll, Dropped: maxWaiting}) {
		t.Errorf("%+v", s)
	}
	b.Carried("0", b.Waiting("0"))
	b.Put("new", fact(Session, "1", ""))
	waits(t, b, "new", fact(Session, "1", ""))
}

func TestStand(t *testing.T) {
	c := &clock{noon}
	b := New(c.now, func(Fact) {})
	first, second := fact(Watch, "cert", "1"), fact(Watch, "cert", "2")
	b.Repeat(first)
	b.Carried("acme", b.Waiting("acme"))
	waits(t, b, "acme")
	waits(t, b, "beta", first)
	b.Repeat(second)
	waits(t, b, "acme", second)
	b.Carried("acme", b.Waiting("acme"))
	c.at = noon.Add(repeatAfter)
	waits(t, b, "acme", second)
	c.at = noon.Add(time.Hour)
	waits(t, b, "acme")
}

func TestTake(t *testing.T) {
	c := &clock{noon}
	var got []Fact
	b := New(c.now, func(h Fact) { got = append(got, h) })
	ended := Fact{Kind: Session, Key: "old", Until: noon}
	b.Receive([]Fact{fact(Session, "a", "1"), ended, fact(Watch, "b", "2")})
	if len(got) != 2 || got[0].Key != "a" || got[1].Key != "b" {
		t.Errorf("taken: %q", got)
	}
}

func TestAlone(t *testing.T) {
	var b *Board
	b.Put("acme", fact(Session, "a", ""))
	b.Repeat(fact(Session, "a", ""))
	b.Carried("acme", []Fact{fact(Session, "a", "")})
	b.Receive([]Fact{fact(Session, "a", "")})
	if b.Waiting("acme") != nil || b.Stats() != (Stats{}) {
		t.Error("a board that shares nothing holds something")
	}
}

func FuzzParse(f *testing.F) {
	for _, h := range []Fact{fact(Session, "support\x00\x01\xff", "\x00"), fact(Watch, "", "x"), {}} {
		f.Add(h.Text())
	}
	f.Add("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")
	f.Fuzz(func(t *testing.T, text string) {
		h, err := Parse(Guard, text)
		if err != nil {
			return
		}
		if again, err := Parse(Guard, h.Text()); err != nil || again != h {
			t.Errorf("%q came back as %q, %v", h, again, err)
		}
		if !h.fits() {
			t.Errorf("%q is beyond the bounds", h)
		}
	})
}

func TestText(t *testing.T) {
	h := Fact{Kind: Session, Key: "key", Value: "value", Until: time.Unix(300, 0).UTC()}
	const want = "\xac\x02\x03keyvalue"
	if got := h.Text(); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, err := Parse(Session, want); err != nil || got != h {
		t.Errorf("%q, %v", got, err)
	}
	for _, bad := range []string{"", "\xac", "\xac\x02", "\xac\x02\x04key", "\x00\x00", "\xac\x02\x01" +
		strings.Repeat("x", MaxBytes+1)} {
		if h, err := Parse(Session, bad); err == nil {
			t.Errorf("%q is %q", bad, h)
		}
	}
}
