package redis

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// errShapes is that the ids that this gateway knows are not those in Redis: it
// lost what it had.
var errShapes = errors.New("the ids of shapes changed while a batch was applied")

// errClosed is that other months are closed than this gateway knows.
var errClosed = errors.New("months were closed while a batch was applied")

// errAfter comes with the number up to which the writer's postings take nothing
// out of its accounts.
var errAfter = errors.New("the writer has asserted its accounts")

// Apply implements ledger.Ledger. It may be repeated after any error.
func (l *Ledger) Apply(ctx context.Context, b *ledger.Batch) (ledger.Reply, error) {
	if b.Empty() {
		return l.exchange(ctx, b)
	}
	client, _, err := l.server.of(ctx, b.Root)
	if err != nil {
		return ledger.Reply{}, err
	}
	if err := l.roots.register(ctx, client, b.Root); err != nil {
		return ledger.Reply{}, err
	}
	a := attempt{Batch: b}
	for range 4 {
		closed := l.closed.Known(b.Root)
		if a.rows, err = b.Sums(closed); err != nil {
			return ledger.Reply{}, err
		}
		a.closed = len(closed)
		if a.windows, err = b.WindowSums(a.after); err != nil {
			return ledger.Reply{}, err
		}
		reply, err := l.applyOnce(ctx, client, &a)
		switch {
		case errors.Is(err, errShapes):
			l.shapes.forget(b.Root)
		case errors.Is(err, errAfter):
			a.after = reply.Watermark
		case errors.Is(err, errClosed):
			if _, err := l.Closings(ctx, b.Root); err != nil {
				return reply, err
			}
		default:
			return reply, err
		}
	}
	return ledger.Reply{}, fmt.Errorf("%w: it changes while a batch is applied", ErrDamaged)
}

// attempt is a batch as it is laid out for the script.
type attempt struct {
	*ledger.Batch
	rows    map[record.RowKey]record.Counters
	windows map[record.Window]ledger.WindowSum
	closed  int    // how many months are known to be closed
	after   uint64 // up to this number nothing is taken out of accounts
}

func (l *Ledger) applyOnce(
	ctx context.Context, client goredis.UniversalClient, b *attempt,
) (r ledger.Reply, err error) {
	ids, err := l.shapes.of(ctx, client, b.Root, b.rows)
	if err != nil {
		return r, err
	}
	call, err := newCall(b, ids)
	if err != nil {
		return r, err
	}
	l.facts.add(call, b.Batch)
	words, err := l.apply.Run(ctx, client, call.keys, call.args...).StringSlice()
	if err != nil {
		return r, failed(err)
	}
	if len(words) < 3 {
		return r, fmt.Errorf("%w: the script answered %q", ErrDamaged, words)
	}
	if r.Watermark, err = parseMark(words[1]); err != nil {
		return r, err
	}
	switch words[0] {
	case "OK":
		l.facts.read(b.Batch, words[3:], &r)
		return r, l.roots.sawGeneration(ctx, client, b.Root, words[2])
	case "NEXT":
		return r, l.roots.sawGeneration(ctx, client, b.Root, words[2])
	case "FENCED":
		return r, ledger.ErrFenced
	case "BAD":
		return r, fmt.Errorf("%w: a counter of root %q would be out of range", ledger.ErrBadBatch, b.Root)
	case "SHAPES":
		return r, errShapes
	case "CLOSED":
		return r, errClosed
	case "AFTER":
		return r, errAfter
	}
	return r, fmt.Errorf("%w: the script answered %q", ErrDamaged, words)
}

// exchange carries facts both ways with an empty batch.
func (l *Ledger) exchange(ctx context.Context, b *ledger.Batch) (r ledger.Reply, err error) {
	r.Watermark, err = l.mark(ctx, b.Root, func(client goredis.UniversalClient, k keys) (string, error) {
		c := &call{keys: []string{k.marks()}}
		c.add(b.Writer)
		l.facts.add(c, b)
		words, err := l.watermark.Run(ctx, client, c.keys, c.args...).StringSlice()
		if err != nil {
			return "", err
		}
		if len(words) == 0 {
			return "", fmt.Errorf("%w: the script answered nothing", ErrDamaged)
		}
		l.facts.read(b, words[1:], &r)
		return words[0], nil
	})
	return r, err
}

// call is the keys and arguments of the script, in its order.
type call struct {
	keys []string
	args []any
}

// newCall lays out a batch. Rows are grouped by hash and hashes by day, each in
// a fixed order, so that the same batch is always the same call.
func newCall(b *attempt, ids map[string]string) (*call, error) {
	k := keysOf(b.Root)
	c := &call{keys: []string{k.marks(), k.shapes(), k.days(), k.state(), k.windows(), k.damage()}}
	c.keys = append(c.keys, k.copyOf(k.marks()), k.copyOf(k.windows()), k.closings())
	c.add(b.Writer, b.Account(), number(b.Epoch), number(b.From), number(b.To), rand.Text())
	c.addCount(b.closed)
	c.addCount(len(ids))
	for _, text := range slices.Sorted(maps.Keys(ids)) {
		c.add(text, ids[text])
	}
	days, err := layOut(b.rows, ids)
	if err != nil {
		return nil, err
	}
	var groups call
	count := 0
	c.addCount(len(days))
	for _, day := range slices.Sorted(maps.Keys(days)) {
		d := days[day]
		count += len(d.groups)
		c.keys = append(c.keys, k.index(day))
		c.add(day, d.expiry)
		c.addCount(len(d.groups))
		for _, m := range slices.SortedFunc(maps.Keys(d.groups), member.compare) {
			c.add(m.String())
			groups.keys = append(groups.keys, k.group(day, m))
			groups.add(d.expiry)
			groups.addChanges(d.groups[m])
		}
	}
	c.addCount(count)
	c.keys, c.args = append(c.keys, groups.keys...), append(c.args, groups.args...)
	c.addWindows(k, b)
	return c, nil
}

// addWindows lays out what the batch charges to budgets and limits.
func (c *call) addWindows(k keys, b *attempt) {
	named := make(map[string]record.Window, len(b.windows))
	for w, sum := range b.windows {
		if w.Unit != record.UnitConcurrent && sum != (ledger.WindowSum{}) {
			named[windowName(w)] = w
		}
	}
	c.add(number(b.after))
	c.addCount(len(named))
	for _, name := range slices.Sorted(maps.Keys(named)) {
		w := named[name]
		sum := b.windows[w]
		c.keys = append(c.keys, k.window(name))
		c.add(name, unix(w.Expiry()), decimal(sum.Posted), decimal(sum.Suspense), decimal(sum.Taken))
	}
}

func (c *call) add(args ...string) {
	for _, a := range args {
		c.args = append(c.args, a)
	}
}

func (c *call) addCount(n int) { c.add(strconv.Itoa(n)) }

func (c *call) addChanges(changes []change) {
	c.addCount(len(changes))
	for _, ch := range changes {
		c.add(ch.name, decimal(ch.delta))
	}
}

// day is what a batch changes in one day.
type day struct {
	expiry string
	groups map[member][]change
}

func layOut(sums map[record.RowKey]record.Counters, ids map[string]string) (map[string]*day, error) {
	days := make(map[string]*day)
	for key, c := range sums {
		if c == (record.Counters{}) {
			continue
		}
		id, err := strconv.Atoi(ids[shapeOf(key)])
		if err != nil || id < 0 {
			return nil, fmt.Errorf("%w: shape id %q", ErrDamaged, ids[shapeOf(key)])
		}
		name := dayOf(key.Hour)
		d := days[name]
		if d == nil {
			d = &day{expiry: expiry(key.Hour), groups: make(map[member][]change)}
			days[name] = d
		}
		m := member{id / groupRows, key.Hour.Hour()}
		d.groups[m] = append(d.groups[m], changesOf(id%groupRows, c)...)
	}
	return days, nil
}
