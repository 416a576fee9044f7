package promptcache

import (
	"bytes"
	"container/heap"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/engine/sandbox/prefixcache"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// minimum is that of the model of these tests, so that bodies are small.
const minimum = 16

var (
	monday = time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)
	known  = &config.PromptCache{Minimum: minimum, TTLs: ttls[:], In: partNames[:]}
	price  = priceOf(3, 15, 0.3, 3.75, 6)
)

// priceOf is a price of dollars per million tokens of input, output, cached reads and writes.
func priceOf(dollars ...float64) *record.Price {
	of := func(d float64) money.Price { return money.Price(d * float64(money.Dollar)) }
	book, _ := record.CompilePrices([]config.PriceBook{{Prices: []config.Price{{Models: []string{"m"}, Rates: config.Rates{
		Input: of(dollars[0]), HasInput: true, Output: of(dollars[1]), HasOutput: true, CacheRead: of(dollars[2]),
		HasCacheRead: true, CacheWrite5m: of(dollars[3]), HasCacheWrite5m: true, CacheWrite1h: of(dollars[4]),
		HasCacheWrite1h: true,
	}}}}})
	return book.Find(record.SKU{Model: "m"}, monday)
}

// traffic is what one source of prompts sends: they begin alike, or go on from one another.
type traffic struct {
	system   string
	grows    bool          // a conversation, else every prompt has a message of its own
	changes  bool          // the system prompt is another one each time
	gap      time.Duration // between bursts, on average
	burst    int
	within   time.Duration // of a burst
	restarts int           // after so many turns a conversation begins anew
	turns    []string
	began    int
}

func randomTraffic(r *rand.Rand) *traffic {
	f := &traffic{
		system: fmt.Sprintf("%x ", r.Uint64()) + strings.Repeat("rule ", minimum/2+r.IntN(4*minimum)),
		grows:  r.IntN(2) == 0, changes: r.IntN(6) == 0, burst: 1 + r.IntN(6),
		gap:      time.Duration(math.Exp(math.Log(10)+r.Float64()*math.Log(6*360)) * float64(time.Second)),
		restarts: 2 + r.IntN(12),
	}
	f.within = time.Duration(r.Float64() * float64(f.gap) / 4)
	return f
}

// next is the next body.
func (f *traffic) next(r *rand.Rand) []byte {
	text := fmt.Sprintf("%x", r.Uint64())
	system := f.system
	if f.changes {
		system = text + system
	}
	if !f.grows {
		f.turns = nil
	}
	if len(f.turns) >= 2*f.restarts {
		f.turns, f.began = nil, f.began+1
	}
	f.turns = append(f.turns, text+strings.Repeat(" ask", r.IntN(2*minimum)))
	var messages []string
	for i, turn := range f.turns {
		role := [...]string{"user", "assistant"}[i%2]
		messages = append(messages, `{"role":"`+role+`","content":[{"text":"`+turn+`"}]}`)
	}
	if f.grows {
		f.turns = append(f.turns, "done")
	}
	return []byte(`{"system":[{"text":"` + system + `"}],"messages":[` + strings.Join(messages, ",") + `]}`)
}

// world is a tenant whose prompts come to a model with a cache, and the books of both.
type world struct {
	t        *testing.T
	r        *rand.Rand
	store    *Store
	upstream prefixcache.Cache
	now      time.Time
	queue    events
	owed     map[string]*owed
	weeks    map[int64]*weekly
	paid     money.Pico
	saved    money.Pico
	reads    int
	name     string
}

// owed is what a prefix owes.
type owed struct {
	debt, once money.Pico
	wrote      time.Time
	life       time.Duration
}

type weekly struct {
	spent money.Pico
	net   map[string]money.Pico
}

// event is something that happens at a time.
type event struct {
	at time.Time
	do func()
}

type events []event

func (e events) Len() int           { return len(e) }
func (e events) Less(i, j int) bool { return e[i].at.Before(e[j].at) }
func (e events) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)        { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

func (w *world) after(d time.Duration, do func()) { heap.Push(&w.queue, event{w.now.Add(d), do}) }

func (w *world) run(until time.Time) {
	for w.queue.Len() > 0 {
		e := heap.Pop(&w.queue).(event)
		if e.at.After(until) {
			return
		}
		w.now = e.at
		e.do()
	}
}

// send has a prompt placed, asked a moment later, and ended after a while.
func (w *world) send(source string, f *traffic) {
	body := f.next(w.r)
	facts := &wire.Facts{}
	if err := facts.Read(wire.OpConverse, nil, body); err != nil {
		w.t.Fatal(err)
	}
	p := &Prompt{Tenant: "t", Model: "m", Facts: facts, Body: body, Price: price, Cache: known, Inject: true}
	at := w.store.Place(p, w.now)
	if at == nil {
		w.t.Fatal("a prompt that nothing is learned of")
	}
	sent := wire.ApplySplices(nil, body, at.Splices)
	if len(at.Splices) == 0 != bytes.Equal(sent, body) {
		w.t.Fatal("the body is another one")
	}
	conversation := fmt.Sprint(f.began)
	w.after(time.Second, func() { w.ask(source, conversation, sent, at) })
}

// ask is the model's side: one prompt in fifty fails, one in fifty loses its usage.
func (w *world) ask(source, conversation string, sent []byte, at *Placed) {
	took := time.Duration(1+w.r.IntN(30)) * time.Second
	fate := w.r.IntN(50)
	if fate == 0 {
		w.after(took, func() { w.store.Ended(at, &Answer{Fate: Failed}, w.now) })
		return
	}
	blocks, part := blocksOf(w.t, sent)
	use, err := w.upstream.Ask("m", minimum, blocks, w.now)
	if err != nil {
		w.t.Fatalf("%s: %v\n%s", w.name, err, sent)
	}
	total := int64(0)
	for _, b := range blocks {
		total += int64(b.Bytes)
	}
	u := &wire.Usage{
		Input: wire.Known((total+3)/4 - use.Read - use.Write5m - use.Write1h), Output: wire.Known(20),
		CacheRead: wire.Known(use.Read), CacheWrite5m: wire.Known(use.Write5m), CacheWrite1h: wire.Known(use.Write1h),
	}
	prefix := source
	if part == inMessages {
		prefix += " " + conversation
	}
	w.after(took, func() { w.end(prefix, u, at, fate == 1) })
}

func (w *world) end(prefix string, u *wire.Usage, at *Placed, unknown bool) {
	cost := func(tokens int64, dollars float64) money.Pico {
		return money.Cost(tokens, money.Price(dollars*float64(money.Dollar)))
	}
	paid := cost(u.CacheWrite5m.N, 0.75) + cost(u.CacheWrite1h.N, 3)
	saved := cost(u.CacheRead.N, 2.7)
	spent := cost(u.Input.N, 3) + cost(20, 15) + cost(u.CacheRead.N, 0.3) + cost(u.CacheWrite5m.N, 3.75) +
		cost(u.CacheWrite1h.N, 6)
	w.book(prefix, u, paid, saved, spent)
	if unknown {
		w.store.Ended(at, &Answer{}, w.now)
		return
	}
	w.store.Ended(at, &Answer{Fate: Answered, Usage: u, Cost: spent}, w.now)
}

// book keeps what a prefix owes, and what a week came to, and holds both to their bounds.
func (w *world) book(prefix string, u *wire.Usage, paid, saved, spent money.Pico) {
	w.paid, w.saved = w.paid+paid, w.saved+saved
	if saved > 0 {
		w.reads++
	}
	o := w.owed[prefix]
	if o == nil {
		o = &owed{}
		w.owed[prefix] = o
	}
	if paid > 0 {
		if w.now.Sub(o.wrote) >= window*o.life-time.Minute { // an answer takes a while
			o.debt = 0
		}
		o.wrote, o.life = w.now, 5*time.Minute
		if u.CacheWrite1h.N > 0 {
			o.life = time.Hour
		}
	}
	o.once = max(o.once, paid)
	o.debt = max(0, o.debt+paid-saved)
	if o.debt > o.once {
		w.t.Fatalf("%s: prefix %s owes %s at %s, one write costs %s", w.name, prefix, o.debt, w.now, o.once)
	}
	n := weekOf(w.now)
	if w.weeks[n] == nil {
		w.weeks[n] = &weekly{net: map[string]money.Pico{}}
	}
	k := w.weeks[n]
	k.spent += spent
	k.net[prefix] += paid - saved
	owes := money.Pico(0)
	for _, net := range k.net {
		owes += max(0, net)
	}
	if owes > k.spent/share {
		w.t.Fatalf("%s: the tenant owes %s at %s, and has spent %s this week", w.name, owes, w.now, k.spent)
	}
}

// blocksOf reads a body as the model does, and in which part the last point is.
func blocksOf(t *testing.T, body []byte) (all []prefixcache.Block, part int) {
	type block struct {
		Text       string
		CachePoint *struct{ TTL string }
	}
	var of struct {
		System   []block
		Messages []struct {
			Role    string
			Content []block
		}
	}
	if err := json.Unmarshal(body, &of); err != nil {
		t.Fatalf("%v\n%s", err, body)
	}
	add := func(in int, frame string, blocks []block) {
		for _, b := range blocks {
			if b.CachePoint == nil {
				all = append(all, prefixcache.Block{Text: []byte(frame + b.Text), Bytes: len(b.Text)})
				continue
			}
			part = in
			all[len(all)-1].TTL = 5 * time.Minute
			if b.CachePoint.TTL == "1h" {
				all[len(all)-1].TTL = time.Hour
			}
		}
	}
	add(inSystem, "", of.System)
	for _, m := range of.Messages {
		add(inMessages, m.Role, m.Content)
	}
	return all, part
}

// TestWhatIsNotRecoveredIsBounded has a thousand shapes of traffic for up to nine days each, on a
// clock of their own, before a model of Bedrock's cache. What a prefix owes is never more than
// one write, and what the tenant owes never more than a hundredth of its week. Over all of
// them the points spare more than they cost.
func TestWhatIsNotRecoveredIsBounded(t *testing.T) {
	shapes, paid, saved, reads, better := 1000, money.Pico(0), money.Pico(0), 0, 0
	for seed := range shapes {
		w := &world{t: t, r: rand.New(rand.NewPCG(uint64(seed), 16)), store: New(), now: monday.Add(-36 * time.Hour),
			owed: map[string]*owed{}, weeks: map[int64]*weekly{}, name: fmt.Sprintf("shape %d", seed)}
		left := 150
		for i := range 1 + w.r.IntN(5) {
			f, source := randomTraffic(w.r), fmt.Sprint("source ", i)
			var burst func()
			burst = func() {
				if left <= 0 {
					return
				}
				for k := range f.burst {
					w.after(time.Duration(k)*f.within/time.Duration(f.burst), func() {
						if left--; left > 0 {
							w.send(source, f)
						}
					})
				}
				w.after(time.Duration(w.r.ExpFloat64()*float64(f.gap))+f.within, burst)
			}
			burst()
		}
		w.run(monday.Add(8 * 24 * time.Hour))
		paid, saved, reads = paid+w.paid, saved+w.saved, reads+w.reads
		if w.saved > w.paid {
			better++
		}
	}
	t.Logf("%d shapes: paid %s, saved %s, %d reads, %d shapes gained", shapes, paid, saved, reads, better)
	if saved < 2*paid || better < shapes/4 {
		t.Errorf("paid %s, saved %s; %d of %d shapes gained", paid, saved, better, shapes)
	}
}
