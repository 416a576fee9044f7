package redis

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// errShapes says that ids which were known are not those in Redis: it lost
// what it had.
var errShapes = errors.New("the ids of shapes changed while a batch was applied")

// errAfter says up to which number the writer's postings take nothing out of its
// accounts.
var errAfter = errors.New("the writer has asserted its accounts")

// Apply implements ledger.Ledger. It may be repeated after any error.
func (l *Ledger) Apply(ctx context.Context, b *ledger.Batch) (ledger.Reply, error) {
	if b.Empty() {
		return l.exchange(ctx, b)
	}
	sums, err := b.Sums()
	if err != nil {
		return ledger.Reply{}, err
	}
	if err := validRoot(b.Root); err != nil {
		return ledger.Reply{}, err
	}
	client, err := l.connected(ctx)
	if err != nil {
		return ledger.Reply{}, err
	}
	if err := l.register(ctx, client, b.Root); err != nil {
		return ledger.Reply{}, err
	}
	a := attempt{Batch: b, rows: sums}
	for range 3 {
		if a.windows, err = b.WindowSums(a.after); err != nil {
			return ledger.Reply{}, err
		}
		reply, err := l.applyOnce(ctx, client, &a)
		switch {
		case errors.Is(err, errShapes):
			l.forgetShapes(b.Root)
		case errors.Is(err, errAfter):
			a.after = reply.Watermark
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
	after   uint64 // up to this number nothing is taken out of accounts
}

func (l *Ledger) applyOnce(ctx context.Context, client goredis.UniversalClient, b *attempt) (of ledger.Reply, err error) {
	sums := b.rows
	ids, err := l.shapeIDs(ctx, client, b.Root, sums)
	if err != nil {
		return of, err
	}
	call, err := newCall(b, ids)
	if err != nil {
		return of, err
	}
	l.addGossip(call, b.Batch)
	reply, err := l.apply.Run(ctx, client, call.keys, call.args...).StringSlice()
	if err != nil {
		return of, fmt.Errorf("redis: %w", err)
	}
	if len(reply) < 3 {
		return of, fmt.Errorf("%w: the script answered %q", ErrDamaged, reply)
	}
	if of.Watermark, err = parseMark(reply[1]); err != nil {
		return of, err
	}
	switch reply[0] {
	case "OK":
		l.readGossip(b.Batch, reply[3:], &of)
		return of, l.sawGeneration(ctx, client, b.Root, reply[2])
	case "NEXT":
		return of, l.sawGeneration(ctx, client, b.Root, reply[2])
	case "FENCED":
		return of, ledger.ErrFenced
	case "BAD":
		return of, fmt.Errorf("%w: a counter of root %q would be out of range", ledger.ErrBadBatch, b.Root)
	case "SHAPES":
		return of, errShapes
	case "AFTER":
		return of, errAfter
	}
	return of, fmt.Errorf("%w: the script answered %q", ErrDamaged, reply)
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
	c := &call{keys: []string{k.marks(), k.shapes(), k.days(), k.state(), k.windows()}}
	c.add(b.Writer, b.Account(), strconv.FormatUint(b.Epoch, 10), strconv.FormatUint(b.From, 10), strconv.FormatUint(b.To, 10), rand.Text())
	c.addCount(len(ids))
	for _, text := range sortedKeys(ids) {
		c.add(text, ids[text])
	}
	days, err := layOut(b.rows, ids)
	if err != nil {
		return nil, err
	}
	groups := 0
	c.addCount(len(days))
	for _, day := range sortedKeys(days) {
		d := days[day]
		groups += len(d.groups)
		c.keys = append(c.keys, k.index(day))
		c.add(day, d.expiry)
		c.addCount(len(d.groups))
		for _, m := range sortedMembers(d.groups) {
			c.add(m.String())
		}
	}
	c.addCount(groups)
	for _, day := range sortedKeys(days) {
		d := days[day]
		for _, m := range sortedMembers(d.groups) {
			c.keys = append(c.keys, k.group(day, m))
			c.add(d.expiry)
			c.addChanges(d.groups[m])
		}
	}
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
	c.add(strconv.FormatUint(b.after, 10))
	c.addCount(len(named))
	for _, name := range sortedKeys(named) {
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

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

func sortedMembers(m map[member][]change) []member {
	out := make([]member, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.SortFunc(out, func(a, b member) int {
		if a.group != b.group {
			return a.group - b.group
		}
		return a.hour - b.hour
	})
	return out
}

// shapeIDs returns the id of every shape in the sums, asking Redis for those
// that are not known yet.
func (l *Ledger) shapeIDs(ctx context.Context, client goredis.UniversalClient, root string, sums map[record.RowKey]record.Counters) (map[string]string, error) {
	ids := make(map[string]string)
	var missing []string
	l.mu.Lock()
	for key := range sums {
		text := shapeOf(key)
		if _, seen := ids[text]; seen {
			continue
		}
		id, known := l.shapes[root][text]
		ids[text] = id
		if !known {
			missing = append(missing, text)
		}
	}
	l.mu.Unlock()
	if len(missing) == 0 {
		return ids, nil
	}
	slices.Sort(missing)
	found, err := l.internShapes(ctx, client, root, missing)
	if err != nil {
		return nil, err
	}
	for i, text := range missing {
		ids[text] = found[i]
	}
	l.keepShapes(root, missing, found)
	return ids, nil
}

func (l *Ledger) internShapes(ctx context.Context, client goredis.UniversalClient, root string, texts []string) ([]string, error) {
	args := make([]any, len(texts))
	for i, text := range texts {
		args[i] = text
	}
	k := keysOf(root)
	found, err := l.intern.Run(ctx, client, []string{k.marks(), k.shapes()}, args...).StringSlice()
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	if len(found) != len(texts) {
		return nil, fmt.Errorf("%w: the script answered %d ids for %d", ErrDamaged, len(found), len(texts))
	}
	return found, nil
}

func (l *Ledger) keepShapes(root string, texts, ids []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shapeCount+len(texts) > maxShapes {
		clear(l.shapes)
		l.shapeCount = 0
	}
	if l.shapes[root] == nil {
		l.shapes[root] = make(map[string]string)
	}
	before := len(l.shapes[root])
	for i, text := range texts {
		l.shapes[root][text] = ids[i]
	}
	l.shapeCount += len(l.shapes[root]) - before
}

func (l *Ledger) forgetShapes(root string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.shapeCount -= len(l.shapes[root])
	delete(l.shapes, root)
}
