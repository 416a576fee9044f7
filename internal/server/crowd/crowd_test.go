package crowd

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var one, two = netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")

// hall is a crowd, and who was closed to make room.
type hall struct {
	*Crowd
	out string
}

func (h *hall) enter(name string, a Arrival) (*Guest, bool) {
	g := &Guest{}
	a.Evict = func() { h.out += name }
	return g, h.Enter(g, a)
}

// TestWhoLeaves: suspects first, then who has asked for nothing, then who has; never the
// proven.
func TestWhoLeaves(t *testing.T) {
	h := &hall{Crowd: New(Limits{All: 5})}
	a, _ := h.enter("a", Arrival{From: one})
	b, _ := h.enter("b", Arrival{From: one})
	h.enter("c", Arrival{From: one})
	h.enter("d", Arrival{From: two, Suspect: true})
	h.enter("e", Arrival{From: two})
	h.Asked(a)
	h.Prove(b)
	for _, name := range []string{"f", "g", "h", "i", "j"} {
		g, ok := h.enter(name, Arrival{From: two})
		if ok != (name != "j") {
			t.Errorf("%s is a guest: %v", name, ok)
		}
		h.Prove(g)
	}
	if h.out != "dcea" {
		t.Errorf("%q left", h.out)
	}
	if h.Leave(b); h.all != 4 {
		t.Errorf("%d are left", h.all)
	}
}

// TestAddresses: an address pushes out its own, a proven connection is in no count, and
// IPv6 counts by /64.
func TestAddresses(t *testing.T) {
	h := &hall{Crowd: New(Limits{PerAddress: 2})}
	g, _ := h.enter("a", Arrival{From: one})
	h.enter("b", Arrival{From: one})
	h.Prove(g)
	h.enter("c", Arrival{From: one})
	h.enter("d", Arrival{From: one})
	h.enter("e", Arrival{From: two})
	h.enter("f", Arrival{From: one, Exempt: true})
	if h.out != "b" {
		t.Errorf("%q left", h.out)
	}
	h.out = ""
	for i := range 4 {
		h.enter(fmt.Sprint(i), Arrival{From: netip.MustParseAddr(fmt.Sprintf("2001:db8::%d", i))})
	}
	h.enter("other", Arrival{From: netip.MustParseAddr("2001:db8:0:1::1")})
	if h.out != "01" {
		t.Errorf("%q left", h.out)
	}
	if Of(netip.MustParseAddr("::ffff:10.0.0.1")) != Of(one) || Of(netip.Addr{}) == Of(one) {
		t.Error("an address in another form counts apart")
	}
}

// TestCounts: whatever happens, the lists and the counts agree and the bounds hold.
func TestCounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := Limits{
			All: rapid.IntRange(0, 6).Draw(t, "all"), Unproven: rapid.IntRange(0, 5).Draw(t, "unproven"),
			PerAddress: rapid.IntRange(0, 3).Draw(t, "each"),
		}
		c := New(l)
		var guests []*Guest
		t.Repeat(map[string]func(*rapid.T){
			"enter": func(t *rapid.T) {
				g := &Guest{}
				from := []netip.Addr{one, two, {}}[rapid.IntRange(0, 2).Draw(t, "from")]
				c.Enter(g, Arrival{From: from, Suspect: rapid.Bool().Draw(t, "suspect"), Evict: func() {}})
				guests = append(guests, g)
			},
			"change": func(t *rapid.T) {
				if len(guests) > 0 {
					g := guests[rapid.IntRange(0, len(guests)-1).Draw(t, "guest")]
					[]func(*Guest){c.Asked, c.Prove, c.Leave}[rapid.IntRange(0, 2).Draw(t, "how")](g)
				}
			},
			"": func(t *rapid.T) {
				all, unproven := 0, 0
				for _, g := range guests {
					if g.state != left {
						all++
					}
					if g.all != nil {
						unproven++
					}
				}
				lists := c.suspect.Len() + c.idle.Len() + c.busy.Len()
				if all != c.all || unproven != c.unproven || lists != unproven {
					t.Fatalf("%d of %d, %d of %d, %d in lists", c.all, all, c.unproven, unproven, lists)
				}
				if l.All > 0 && all > l.All || l.Unproven > 0 && unproven > l.Unproven {
					t.Fatalf("%d and %d with %+v", all, unproven, l)
				}
			},
		})
	})
}

func TestFloods(t *testing.T) {
	var f Floods
	now := time.Unix(1000, 0)
	const most = 5 * time.Second
	wait := func(from netip.Addr, http2 bool) time.Duration {
		got, ok := f.Wait(from, http2, most, now)
		if !ok {
			return -1
		}
		return got
	}
	if wait(one, true) != 0 || f.Flooding(one, now) {
		t.Error("an unknown address waits")
	}
	f.Note(one, now)
	for i := range 3 {
		if got := wait(one, true); got != time.Duration(i)*spacingHTTP2 {
			t.Errorf("connection %d waits %v", i, got)
		}
	}
	for range 10 {
		f.Note(one, now)
	}
	now = now.Add(time.Second)
	wait(one, true)
	if got := wait(one, true); got != mostSpacing {
		t.Errorf("after ten more floods a connection waits %v", got)
	}
	if wait(one, false); wait(one, false) != spacingHTTP1 {
		t.Error("HTTP/1.1 waits for what HTTP/2 did")
	}
	for range 100 {
		wait(one, true)
	}
	if now = now.Add(2 * mostSpacing); wait(one, true) < 0 {
		t.Error("those who were not let in have a turn")
	}
	if wait(two, true) != 0 {
		t.Error("another address waits")
	}
	if now = now.Add(remembered); f.Flooding(one, now) || wait(one, true) != 0 {
		t.Error("it is remembered for ever")
	}
	for range failureBurst {
		f.Failed(two, now)
	}
	if f.Flooding(two, now) {
		t.Error("a few failures are a flood")
	}
	if f.Failed(two, now); !f.Flooding(two, now) {
		t.Error("many failures are none")
	}
	for range 100 * failureRate { // a second each 200
		now = now.Add(time.Second / failureRate)
		f.Failed(one, now)
	}
	if f.Flooding(one, now) {
		t.Error("failures at a steady rate are a flood")
	}
	for i := range 3 * tableSize {
		f.Note(netip.AddrFrom4([4]byte{11, byte(i >> 16), byte(i >> 8), byte(i)}), now)
	}
	if len(f.by) != tableSize || f.order.Len() != tableSize {
		t.Errorf("%d addresses are remembered", len(f.by))
	}
}
