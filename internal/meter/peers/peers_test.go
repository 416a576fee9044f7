package peers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/internal/meter/record"
)

var noon = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

// board is a ledger in memory, which keeps time by the test's clock.
type board struct {
	now      time.Time
	away     bool
	declared map[string]declared
	files    map[string][]byte
}

type declared struct {
	digest   string
	deadline time.Time
}

func newBoard() *board {
	return &board{now: noon, declared: map[string]declared{}, files: map[string][]byte{}}
}

var errAway = errors.New("nobody listens")

func (b *board) Declare(_ context.Context, d Declaration, file []byte) (all []Declared, known bool, err error) {
	if b.away {
		return nil, false, errAway
	}
	if file != nil {
		b.files[d.Digest] = file
	}
	if d.Digest != "" && b.files[d.Digest] == nil {
		return nil, false, nil
	}
	b.declared[d.Gateway] = declared{d.Digest, b.now.Add(d.Lease)}
	for gateway, of := range b.declared {
		if left := of.deadline.Sub(b.now); left > 0 {
			all = append(all, Declared{gateway, of.digest, left})
		}
	}
	return all, true, nil
}

func (b *board) File(_ context.Context, digest string) ([]byte, error) {
	if b.away {
		return nil, errAway
	}
	return b.files[digest], nil
}

// limits are a configuration.
type limits struct {
	own   map[string][]Rule
	heeds map[string][]Rule
}

func (l *limits) Rules() File {
	return func(yield func(string, []Rule) bool) {
		for _, tenant := range slices.Sorted(maps.Keys(l.own)) {
			if !yield(tenant, l.own[tenant]) {
				return
			}
		}
	}
}

func (l *limits) Heed(rules map[string][]Rule) error {
	l.heeds = rules
	return nil
}

// most is how far the limits let a tenant go in a month.
func (l *limits) most(tenant string) int64 {
	most := int64(Unlimited)
	for _, r := range slices.Concat(l.own[tenant], l.heeds[tenant]) {
		most = min(most, r.Hard)
	}
	return most
}

// month is a tenant's file with a budget per month, none for 0.
func month(usd int64) []Rule {
	if usd == 0 {
		return nil
	}
	return []Rule{{Unit: record.UnitUSD, Period: "month", Zone: "UTC", Hard: usd, Light: Unlimited}}
}

// gateway is a process with a file.
type gateway struct {
	*Peers
	name   string
	limits *limits
	board  *board
	said   []Rule // what it declared of acme last
}

func start(b *board, name string, own map[string][]Rule) *gateway {
	l := &limits{own: own}
	now := func() time.Time { return b.now }
	g := &gateway{name: name, limits: l, board: b}
	g.Peers = New(Options{Board: b, Gateway: name, Log: slog.New(slog.DiscardHandler), Now: now}, l)
	g.speak()
	return g
}

func (g *gateway) speak() {
	if !g.board.away {
		g.said = g.limits.own["acme"]
	}
	g.Refresh(context.Background())
}

func (g *gateway) reload(own map[string][]Rule) {
	g.limits = &limits{own: own}
	g.Use(g.limits)
}

// beat lets all gateways speak and hear, twice.
func beat(all ...*gateway) {
	for range 2 {
		for _, g := range all {
			g.speak()
		}
	}
}

func wantMost(t *testing.T, when string, most int64, all ...*gateway) {
	t.Helper()
	for _, g := range all {
		if got := g.limits.most("acme"); got != most {
			t.Errorf("%s: gateway %s goes to %d, want %d", when, g.name, got, most)
		}
	}
}

// TestM20StricterHolds walks through the life of two files that differ.
func TestM20StricterHolds(t *testing.T) {
	board := newBoard()
	a := start(board, "a", map[string][]Rule{"acme": month(5)})
	b := start(board, "b", map[string][]Rule{"acme/app": nil}) // knows acme by its child alone
	wantMost(t, "b starts with a file without the budget", 5, a, b)
	beat(a, b)
	if got := b.State(); !slices.Equal(got.Differ, []Difference{{"a", "acme"}}) || got.Total != 1 || got.Err != nil {
		t.Errorf("b says %+v", got)
	}
	if got := a.State(); !slices.Equal(got.Differ, []Difference{{"b", "acme"}}) {
		t.Errorf("a says %+v", got)
	}

	b.reload(map[string][]Rule{"acme": month(3)})
	beat(a, b)
	wantMost(t, "b's file is stricter", 3, a, b)
	b.reload(map[string][]Rule{"acme": month(9)})
	wantMost(t, "a raise that a does not have, before anybody spoke", 5, b)
	beat(a, b)
	wantMost(t, "a raise that a does not have", 5, a, b)
	a.reload(map[string][]Rule{"acme": month(9)})
	beat(a, b)
	wantMost(t, "both have the raise", 9, a, b)
	if got := a.State(); got.Total != 0 {
		t.Errorf("equal files: %+v", got)
	}

	a.reload(map[string][]Rule{"acme": nil})
	beat(a, b)
	wantMost(t, "b has not removed it", 9, a, b)
	b.reload(map[string][]Rule{"acme": nil})
	beat(a, b)
	wantMost(t, "both have removed it", Unlimited, a, b)
}

// TestM20DeadGateway: a gateway that died holds the others for its lease and no longer;
// one that left holds nobody.
func TestM20DeadGateway(t *testing.T) {
	board := newBoard()
	a := start(board, "a", map[string][]Rule{"acme": month(9)})
	b := start(board, "b", map[string][]Rule{"acme": month(5)})
	beat(a, b)
	board.now = board.now.Add(Lease - time.Second) // b is dead
	beat(a)
	wantMost(t, "b's lease", 5, a)
	board.now = board.now.Add(2 * time.Second)
	beat(a)
	wantMost(t, "after b's lease", 9, a)

	b = start(board, "b2", map[string][]Rule{"acme": month(5)})
	beat(a)
	wantMost(t, "b is back", 5, a)
	if err := b.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	beat(a)
	wantMost(t, "b left", 9, a)
}

// TestM20LedgerAway: what was heard holds while the ledger is away, however long, and
// until those who live had the time to speak.
func TestM20LedgerAway(t *testing.T) {
	board := newBoard()
	a := start(board, "a", map[string][]Rule{"acme": month(9)})
	b := start(board, "b", map[string][]Rule{"acme": month(5)})
	beat(a, b)
	board.away = true
	board.now = board.now.Add(time.Hour)
	beat(a, b)
	wantMost(t, "the ledger is away", 5, a, b)
	if a.State().Err == nil {
		t.Error("nothing says so")
	}
	board.away = false
	clear(board.declared) // and it has lost everything
	clear(board.files)
	a.Refresh(t.Context())
	wantMost(t, "b could not speak yet", 5, a)
	board.now = board.now.Add(time.Second)
	beat(b, a)
	wantMost(t, "b spoke", 5, a, b)
	board.now = board.now.Add(Lease + settle)
	beat(a)
	wantMost(t, "b died", 9, a)
	if err := a.State().Err; err != nil {
		t.Error(err)
	}
}

// TestModel draws what gateways do, and compares with what must hold: nobody goes
// further than the file of any gateway that lives and was heard, and in the end nobody
// is held by what no living gateway says.
func TestModel(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 20))
		board := newBoard()
		var live []*gateway
		dead := map[int64]time.Time{} // budgets of files that ended, and until when they may hold
		draw := func() map[string][]Rule { return map[string][]Rule{"acme": month(int64(rng.IntN(4)))} }
		ended := func(g *gateway, lease time.Duration) {
			for _, r := range g.said {
				dead[r.Hard] = board.now.Add(lease)
			}
		}
		for step := range 60 {
			switch n := rng.IntN(8); {
			case n == 0 && len(live) < 3 || len(live) == 0:
				live = append(live, start(board, fmt.Sprint("g", step), draw()))
			case n == 1 && len(live) > 1:
				i := rng.IntN(len(live))
				ended(live[i], Lease+2*settle)
				live = slices.Delete(live, i, i+1)
			case n == 2 && len(live) > 1:
				i := rng.IntN(len(live))
				if live[i].Leave(t.Context()) != nil {
					ended(live[i], Lease+2*settle)
				}
				live = slices.Delete(live, i, i+1)
			case n == 3:
				g := live[rng.IntN(len(live))]
				before := g.limits.heeds
				g.reload(draw())
				for _, r := range before["acme"] {
					if !covers(g.limits.own["acme"], &r) && g.limits.most("acme") > r.Hard {
						t.Fatalf("seed %d, step %d: a reload forgets what was heard", seed, step)
					}
				}
			case n == 4:
				board.away = !board.away
			case n == 5:
				clear(board.declared)
				clear(board.files)
			case n == 6:
				board.now = board.now.Add(time.Duration(rng.IntN(20)) * time.Second)
			}
			board.now = board.now.Add(time.Second)
			if board.away {
				for g := range dead {
					dead[g] = dead[g].Add(time.Second) // nobody's lease ends before it is heard
				}
				continue
			}
			beat(live...)
			least := int64(Unlimited)
			for _, g := range live {
				for _, r := range g.limits.own["acme"] {
					least = min(least, r.Hard)
				}
			}
			lasting := least
			for most, until := range dead {
				if board.now.Before(until) {
					lasting = min(lasting, most)
				}
			}
			for _, g := range live {
				if got := g.limits.most("acme"); got > least || got < lasting {
					t.Fatalf("seed %d, step %d: %s goes to %d, the living to %d, the dead to %d",
						seed, step, g.name, got, least, lasting)
				}
			}
		}
		board.away = false
		beat(live...)
		board.now = board.now.Add(Lease + settle)
		beat(live...)
		least := int64(Unlimited)
		for _, g := range live {
			for _, r := range g.limits.own["acme"] {
				least = min(least, r.Hard)
			}
		}
		wantMost(t, fmt.Sprintf("seed %d, in the end", seed), least, live...)
	}
}

func TestEncode(t *testing.T) {
	own := map[string][]Rule{
		"acme": {
			{Unit: record.UnitUSD, Period: "day", Zone: "Europe/Berlin", Hard: 12, Light: Unlimited},
			{Unit: record.UnitUSD, Period: "month", Zone: "UTC", Hard: Unlimited, Light: 7},
			{Unit: record.UnitConcurrent, Zone: "UTC", Hard: 3, Light: Unlimited},
		},
		"acme/app": nil,
	}
	body := encode((&limits{own: own}).Rules())
	got, err := decode(body)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(own, got); diff != "" {
		t.Error(diff)
	}
	if _, err := decode([]byte("something else")); !errors.Is(err, errMalformed) {
		t.Error(err)
	}
}

// TestBounds: however many tenants differ, few are named, and all are held.
func TestBounds(t *testing.T) {
	board, file, none := newBoard(), map[string][]Rule{}, map[string][]Rule{}
	for i := range 3 * maxNamed {
		name := fmt.Sprintf("t%04d", i)
		file[name], none[name] = month(5), nil
	}
	a, b := start(board, "a", file), start(board, "b", none)
	beat(a, b)
	if s := b.State(); len(s.Differ) != maxNamed || s.Total != 3*maxNamed {
		t.Errorf("%d named of %d", len(s.Differ), s.Total)
	}
	if got := b.limits.most("t0299"); got != 5 {
		t.Errorf("the last one goes to %d", got)
	}
}

// FuzzDecode: whatever another program declares makes no gateway stop.
func FuzzDecode(f *testing.F) {
	f.Add(encode((&limits{own: map[string][]Rule{"acme": month(5)}}).Rules()))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, body []byte) {
		file, err := decode(body)
		if err != nil {
			return
		}
		for tenant := range file {
			if strings.Contains(tenant, "\n") {
				t.Errorf("tenant %q", tenant)
			}
		}
	})
}
