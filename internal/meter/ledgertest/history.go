package ledgertest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
)

// Subject is a ledger with the faults that its surroundings can have. A fault
// that is nil is left out of histories.
type Subject struct {
	// Gateways are ledgers of several processes on the same books.
	Gateways []Ledger
	// Fences is whether the ledger refuses a process of an older epoch.
	Fences bool
	// LoseReplies lets some more replies through and then loses them, so that
	// calls take effect and fail, until Heal.
	LoseReplies func(after int)
	Heal        func()
	// Save remembers the books as they are and Restore puts them back, as a
	// failover to a replica that was behind does.
	Save, Restore func() error
	// Wipe loses everything.
	Wipe func() error
	// Restart kills the server and starts it again with what it persisted.
	Restart func() error
}

// Kind is what a step of a history does.
type Kind int

// The steps. Those that post are several, so that most steps post.
const (
	post      Kind = iota // journal some postings and send from the watermark on
	postMore              // the same
	send                  // send what the writer believes is next
	duplicate             // send the last batch again
	overlap               // send a batch that begins before the watermark
	gap                   // send a batch that leaves one out
	stale                 // send what is next under an epoch that has passed
	reopen                // the writer's process starts anew, with a higher epoch
	lose                  // post with replies being lost
	save
	restore
	wipe
	restart
	fold
	compare // read all books
	kinds
)

// Step is one event of a history.
type Step struct {
	Kind    Kind
	Gateway int
	Writer  int
	Root    int
	Posts   []Post
}

// Post chooses a row and amounts.
type Post struct {
	Hour, Model, Tenant int
	Count               int64
	Pico                money.Pico
}

// Histories generates lists of steps.
func Histories() *rapid.Generator[[]Step] {
	p := rapid.Custom(func(t *rapid.T) Post {
		return Post{
			Hour: rapid.IntRange(0, 5).Draw(t, "hour"), Model: rapid.IntRange(0, 5).Draw(t, "model"),
			Tenant: rapid.IntRange(0, 1).Draw(t, "tenant"), Count: rapid.Int64Range(-3, 1<<31).Draw(t, "count"),
			Pico: money.Pico(rapid.Int64Range(-2_000, 1<<45).Draw(t, "pico")),
		}
	})
	all := make([]Kind, kinds)
	for i := range all {
		all[i] = Kind(i)
	}
	step := rapid.Custom(func(t *rapid.T) Step {
		return Step{
			Kind:    rapid.SampledFrom(all).Draw(t, "kind"),
			Gateway: rapid.IntRange(0, 7).Draw(t, "gateway"),
			Writer:  rapid.IntRange(0, 2).Draw(t, "writer"), Root: rapid.IntRange(0, 1).Draw(t, "root"),
			Posts: rapid.SliceOfN(p, 1, 6).Draw(t, "posts"),
		}
	})
	return rapid.SliceOfN(step, 20, 60)
}

// Replay runs a history and ends the way every outage ends: faults are gone and
// each writer sends until the watermark is at its journal's head. It fails when
// the books ever differ from the journals up to the watermarks.
func Replay(ctx context.Context, s Subject, steps []Step) error {
	w := &world{Subject: s, writers: make(map[writerKey]*writer)}
	for i, step := range steps {
		if err := w.do(ctx, step); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
	}
	for key := range w.writers {
		if err := w.catchUp(ctx, s.Gateways[0], key); err != nil {
			return err
		}
	}
	return w.compare(ctx)
}

type writerKey struct{ writer, root int }

// writer is a journal as the oracle keeps it.
type writer struct {
	epoch   uint64
	believe uint64 // the last watermark that it got
	journal []record.Posting
	last    *ledger.Batch
}

type world struct {
	Subject
	writers map[writerKey]*writer
	saved   bool
}

func (w *world) do(ctx context.Context, s Step) error {
	key := writerKey{s.Writer, s.Root}
	me := w.writers[key]
	if me == nil {
		me = &writer{epoch: 2}
		w.writers[key] = me
	}
	l := w.Gateways[s.Gateway%len(w.Gateways)]
	switch s.Kind {
	case post, postMore:
		me.append(key, s.Posts)
		return w.send(ctx, l, key, me.batch(key, me.believe+1, me.epoch))
	case send:
		return w.send(ctx, l, key, me.batch(key, me.believe+1, me.epoch))
	case duplicate:
		return w.send(ctx, l, key, me.last)
	case overlap:
		return w.send(ctx, l, key, me.batch(key, max(me.believe, 2)-1, me.epoch))
	case gap:
		me.append(key, s.Posts)
		return w.send(ctx, l, key, me.batch(key, me.believe+2, me.epoch))
	case stale:
		if w.Fences {
			return w.sendStale(ctx, l, key)
		}
	case reopen:
		me.epoch++
	case lose:
		return w.lose(ctx, l, key, s.Posts)
	case fold:
		return l.Fold(ctx, time.Now(), nil)
	case compare:
		return w.compare(ctx)
	case save, restore, wipe, restart:
		return w.disaster(s.Kind)
	}
	return nil
}

func (w *world) disaster(k Kind) error {
	act := map[Kind]func() error{save: w.Save, restore: w.Restore, wipe: w.Wipe, restart: w.Restart}[k]
	if act == nil || (k == restore && !w.saved) {
		return nil
	}
	w.saved = w.saved || k == save
	return act()
}

// append journals further postings.
func (me *writer) append(key writerKey, posts []Post) {
	root := rootName(key.root)
	hours := []int{0, 1, 30, 41 * 24, 41*24 + 1, 60 * 24}
	models := []string{"amazon.nova-lite-v1:0", "us.meta.llama3-1-8b-instruct-v1:0", "a|b", "", "m1", "m2"}
	for _, p := range posts {
		me.journal = append(me.journal, record.Posting{
			Seq: uint64(len(me.journal)) + 1, Root: root,
			Row: record.RowKey{
				Hour:   base().Add(-time.Duration(hours[p.Hour]) * time.Hour),
				Tenant: fmt.Sprintf("%s/%d", root, p.Tenant), Key: "K", Model: models[p.Model], Path: "direct",
			},
			Add: record.Counters{Requests: 1, Legs: 1, Input: p.Count, CostInput: p.Pico, CostWasted: -p.Pico},
		})
	}
}

// batch cuts the journal from a number to its head, nil when there is nothing.
func (me *writer) batch(key writerKey, from, epoch uint64) *ledger.Batch {
	if from > uint64(len(me.journal)) {
		return nil
	}
	return &ledger.Batch{
		Writer: fmt.Sprintf("w%d", key.writer), Root: rootName(key.root), Epoch: epoch,
		From: from, To: uint64(len(me.journal)), Postings: me.journal[from-1:],
	}
}

func rootName(n int) string { return [...]string{"acme", "other"}[n] }

// send applies a batch and believes the answer. A batch of an epoch that has
// passed may be fenced.
func (w *world) send(ctx context.Context, l Ledger, key writerKey, b *ledger.Batch) error {
	if b == nil {
		return nil
	}
	me := w.writers[key]
	reply, err := l.Apply(ctx, b)
	if errors.Is(err, ledger.ErrFenced) && b.Epoch < me.epoch {
		return nil
	}
	if err != nil {
		return fmt.Errorf("apply %d to %d of %v: %w", b.From, b.To, key, err)
	}
	got := reply.Watermark
	if got > uint64(len(me.journal)) {
		return fmt.Errorf("watermark %d of %v is above its journal's head %d", got, key, len(me.journal))
	}
	me.believe, me.last = got, b
	return nil
}

// sendStale is a process that does not know that another one took its place,
// with records that nobody else has.
func (w *world) sendStale(ctx context.Context, l Ledger, key writerKey) error {
	me := w.writers[key]
	me.epoch++
	// The new process shows itself first; a duplicate is enough.
	if err := w.catchUp(ctx, l, key); err != nil || me.last == nil {
		return err
	}
	again := *me.last
	again.Epoch = me.epoch
	if err := w.send(ctx, l, key, &again); err != nil {
		return err
	}
	zombie := *me
	zombie.journal = append([]record.Posting(nil), me.journal...)
	zombie.append(key, []Post{{Count: 1_000_000_007}})
	_, err := l.Apply(ctx, zombie.batch(key, me.believe+1, me.epoch-1))
	if !errors.Is(err, ledger.ErrFenced) {
		return fmt.Errorf("a process of epoch %d posted after epoch %d: %w", me.epoch-1, me.epoch, err)
	}
	return nil
}

// lose posts while replies are lost, each reply that the call needs in turn,
// until one try gets all of them. However many took effect, one may count.
func (w *world) lose(ctx context.Context, l Ledger, key writerKey, posts []Post) error {
	if w.LoseReplies == nil {
		return nil
	}
	me := w.writers[key]
	me.append(key, posts)
	b := me.batch(key, me.believe+1, me.epoch)
	for after := range 12 {
		w.LoseReplies(after)
		_, err := l.Apply(ctx, b)
		w.Heal()
		if err == nil {
			break
		}
	}
	return w.send(ctx, l, key, b)
}

// catchUp sends until the watermark is at the journal's head.
func (w *world) catchUp(ctx context.Context, l Ledger, key writerKey) error {
	me := w.writers[key]
	for range 5 {
		wm, err := l.Watermark(ctx, fmt.Sprintf("w%d", key.writer), rootName(key.root))
		if err != nil {
			return err
		}
		if wm == uint64(len(me.journal)) {
			me.believe = wm
			return nil
		}
		if err := w.send(ctx, l, key, me.batch(key, wm+1, me.epoch)); err != nil {
			return err
		}
	}
	return fmt.Errorf("the watermark of %v does not reach its journal's head", key)
}

// compare reads the watermarks, adds up the journals to there, and wants the
// books to be that.
func (w *world) compare(ctx context.Context) error {
	want := make(map[record.RowKey]record.Counters)
	for key, me := range w.writers {
		wm, err := w.Gateways[0].Watermark(ctx, fmt.Sprintf("w%d", key.writer), rootName(key.root))
		if err != nil {
			return err
		}
		if wm > uint64(len(me.journal)) {
			return fmt.Errorf("watermark %d of %v is above its journal's head", wm, key)
		}
		for _, p := range me.journal[:wm] {
			addTo(want, p.Row, p.Add)
		}
	}
	got, err := Books(ctx, w.Gateways[0])
	if err != nil {
		return err
	}
	if diff := cmp.Diff(byDay(want), byDay(got)); diff != "" {
		return fmt.Errorf("books differ (-want +got):\n%s", diff)
	}
	return nil
}

// byDay adds the hours that may be folded, so that it does not matter whether
// they are. Rows that come to nothing are left out.
func byDay(books map[record.RowKey]record.Counters) map[record.RowKey]record.Counters {
	out := make(map[record.RowKey]record.Counters)
	for key, c := range books {
		if key.Hour.Before(base().Add(-record.KeepHours)) {
			key.Hour = key.Hour.Truncate(24 * time.Hour)
		}
		addTo(out, key, c)
	}
	for key, c := range out {
		if c == (record.Counters{}) {
			delete(out, key)
		}
	}
	return out
}
