package redis

import (
	"context"
	_ "embed"
	"fmt"
	"strconv"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sluice-gateway/sluice/internal/meter/gossip"
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
)

//go:embed scripts/share.lua
var shareLua string

//go:embed scripts/mark.lua
var markLua string

// kept is how many hints of each kind a root's log keeps.
var kept = [gossip.Kinds]int{gossip.Session: 8192, gossip.Guard: 1024, gossip.Watch: 256} //nolint:gochecknoglobals // a table

// readAtOnce bounds the hints of a kind in one reply. Only a gateway that has just
// started, or was away, finds so many.
const readAtOnce = 512

// cursors are how far a root's logs were read, as the script told. The zero
// value is their beginning.
type cursors [gossip.Kinds]string

func (k keys) hints(kind gossip.Kind) string { return k.prefix + "h:" + strconv.Itoa(int(kind)) }

// addGossip makes a call carry the batch's facts and bring those of others.
func (l *Ledger) addGossip(c *call, b *ledger.Batch) {
	if !b.Gossip {
		c.add("0", "0")
		return
	}
	before := len(c.args)
	at := l.cursorsOf(b.Root)
	for kind := range gossip.Kind(gossip.Kinds) {
		c.keys = append(c.keys, keysOf(b.Root).hints(kind))
		c.add(strconv.Itoa(kept[kind]), at[kind], strconv.Itoa(readAtOnce))
		c.addHints(kind, b.Facts)
	}
	c.add(strconv.Itoa(gossip.Kinds), strconv.Itoa(len(c.args)-before))
}

func (c *call) addHints(kind gossip.Kind, hints []gossip.Fact) {
	var texts []string
	expiry := int64(0)
	for i := range hints {
		if hints[i].Kind == kind {
			texts = append(texts, hints[i].Text())
			expiry = max(expiry, hints[i].Until.Unix())
		}
	}
	c.add(decimal(expiry))
	c.addCount(len(texts))
	c.add(texts...)
}

// readGossip reads the facts in the reply to a call: part is what follows the
// script's own words. Damage there does not make the batch fail.
func (l *Ledger) readGossip(b *ledger.Batch, part []string, reply *ledger.Reply) {
	if !b.Gossip {
		return
	}
	at, facts, err := parseShared(part)
	if err != nil {
		l.log.Warn("facts of other gateways cannot be read", "root", b.Root, "err", err)
		return
	}
	l.mu.Lock()
	last := l.roots[b.Root]
	last.read = at
	l.roots[b.Root] = last
	l.mu.Unlock()
	reply.Carried, reply.Facts = true, facts
}

// exchange carries facts both ways with an empty batch.
func (l *Ledger) exchange(ctx context.Context, b *ledger.Batch) (reply ledger.Reply, err error) {
	text, err := l.mark(ctx, b.Root, func(client goredis.UniversalClient) (string, error) {
		c := &call{keys: []string{keysOf(b.Root).marks()}}
		c.add(b.Writer)
		l.addGossip(c, b)
		words, err := l.watermark.Run(ctx, client, c.keys, c.args...).StringSlice()
		if err != nil {
			return "", err
		}
		if len(words) == 0 {
			return "", fmt.Errorf("%w: the script answered nothing", ErrDamaged)
		}
		l.readGossip(b, words[1:], &reply)
		return words[0], nil
	})
	if err == nil && text != "" {
		reply.Watermark, err = parseMark(text)
	}
	return reply, err
}

// parseShared reads what share.lua adds to a reply. Hints that make no sense
// are left out: another version may have written them.
func parseShared(part []string) (cursors, []gossip.Fact, error) {
	var at cursors
	var hints []gossip.Fact
	for kind := range at {
		if len(part) < 2 {
			return at, nil, fmt.Errorf("%w: the script answered %d words of hints", ErrDamaged, len(part))
		}
		n, err := strconv.Atoi(part[1])
		if err != nil || n < 0 || n > len(part)-2 {
			return at, nil, fmt.Errorf("%w: the script answered %q hints", ErrDamaged, part[1])
		}
		at[kind] = part[0]
		for _, text := range part[2 : 2+n] {
			if h, err := gossip.Parse(gossip.Kind(kind), text); err == nil { //nolint:gosec // one of three
				hints = append(hints, h)
			}
		}
		part = part[2+n:]
	}
	return at, hints, nil
}

func (l *Ledger) cursorsOf(root string) cursors {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := l.roots[root].read
	for kind := range at {
		if at[kind] == "" {
			at[kind] = "0-0"
		}
	}
	return at
}
