package redis

import (
	"context"
	_ "embed"
	"fmt"
	"strconv"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sluice-gateway/sluice/internal/meter/gossip"
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

// addShared makes a call carry the root's hints, and returns those.
func (l *Ledger) addShared(c *call, root string) []gossip.Fact {
	if l.board == nil {
		c.add("0", "0")
		return nil
	}
	before := len(c.args)
	hints := l.board.Waiting(root)
	at := l.cursorsOf(root)
	for kind := range gossip.Kind(gossip.Kinds) {
		c.keys = append(c.keys, keysOf(root).hints(kind))
		c.add(strconv.Itoa(kept[kind]), at[kind], strconv.Itoa(readAtOnce))
		c.addHints(kind, hints)
	}
	c.add(strconv.Itoa(gossip.Kinds), strconv.Itoa(len(c.args)-before))
	return hints
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

// tookShared hands on what the reply to a call brought: part is what stands
// behind the script's own words. Damage there is no matter of the books.
func (l *Ledger) tookShared(root string, carried []gossip.Fact, part []string) {
	if l.board == nil {
		return
	}
	at, hints, err := parseShared(part)
	if err != nil {
		l.log.Warn("hints of other gateways cannot be read", "root", root, "err", err)
		return
	}
	l.mu.Lock()
	last := l.roots[root]
	last.read = at
	l.roots[root] = last
	l.mu.Unlock()
	l.board.Carried(root, carried)
	l.board.Receive(hints)
}

// markShared reads a writer's watermark, "" when there is none, and exchanges
// hints on the way.
func (l *Ledger) markShared(ctx context.Context, client goredis.UniversalClient, writer, root string) (string, error) {
	c := &call{keys: []string{keysOf(root).marks()}}
	c.add(writer)
	carried := l.addShared(c, root)
	reply, err := l.watermark.Run(ctx, client, c.keys, c.args...).StringSlice()
	if err != nil {
		return "", err
	}
	if len(reply) == 0 {
		return "", fmt.Errorf("%w: the script answered nothing", ErrDamaged)
	}
	l.tookShared(root, carried, reply[1:])
	return reply[0], nil
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
