package redis

import (
	"cmp"
	_ "embed"
	"fmt"
	"log/slog"
	"strconv"

	"github.com/sluice-gateway/sluice/internal/meter/gossip"
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
)

//go:embed scripts/facts.lua
var factsLua string

//go:embed scripts/mark.lua
var markLua string

// kept is how many facts of each kind a root's log keeps.
var kept = [gossip.Kinds]int{ //nolint:gochecknoglobals // a table
	gossip.Session: 8192, gossip.Guard: 1024, gossip.Watch: 256,
}

// readAtOnce bounds the facts of a kind in one reply. Only a gateway that has just
// started, or was away, finds so many.
const readAtOnce = 512

// cursors are how far a root's logs were read, as the script returned it. The zero
// value is their beginning.
type cursors [gossip.Kinds]string

func (k keys) log(kind gossip.Kind) string { return k.prefix + "h:" + strconv.Itoa(int(kind)) }

// facts carries facts between gateways with the calls on a root.
type facts struct {
	roots *roots
	log   *slog.Logger
}

// add makes a call carry the batch's facts and bring those of others.
func (f *facts) add(c *call, b *ledger.Batch) {
	if !b.Gossip {
		c.add("0", "0")
		return
	}
	before := len(c.args)
	at := f.roots.of(b.Root).read
	for kind := range gossip.Kind(gossip.Kinds) {
		c.keys = append(c.keys, keysOf(b.Root).log(kind))
		c.add(strconv.Itoa(kept[kind]), cmp.Or(at[kind], "0-0"), strconv.Itoa(readAtOnce))
		c.addFacts(kind, b.Facts)
	}
	c.add(strconv.Itoa(gossip.Kinds), strconv.Itoa(len(c.args)-before))
}

func (c *call) addFacts(kind gossip.Kind, facts []gossip.Fact) {
	var texts []string
	expiry := int64(0)
	for i := range facts {
		if facts[i].Kind == kind {
			texts = append(texts, facts[i].Text())
			expiry = max(expiry, facts[i].Until.Unix())
		}
	}
	c.add(decimal(expiry))
	c.addCount(len(texts))
	c.add(texts...)
}

// read takes the facts out of the reply to a call: part is what follows the
// script's own words. Damage there does not make the batch fail.
func (f *facts) read(b *ledger.Batch, part []string, reply *ledger.Reply) {
	if !b.Gossip {
		return
	}
	at, facts, err := parseFacts(part)
	if err != nil {
		f.log.Warn("facts of other gateways cannot be read", "root", b.Root, "err", err)
		return
	}
	f.roots.change(b.Root, func(s *sighting) { s.read = at })
	reply.Carried, reply.Facts = true, facts
}

// parseFacts reads what facts.lua adds to a reply. Facts that make no sense
// are left out: another version may have written them.
func parseFacts(part []string) (cursors, []gossip.Fact, error) {
	var at cursors
	var facts []gossip.Fact
	for kind := range at {
		if len(part) < 2 {
			return at, nil, fmt.Errorf("%w: the script answered %d words of facts", ErrDamaged, len(part))
		}
		n, err := strconv.Atoi(part[1])
		if err != nil || n < 0 || n > len(part)-2 {
			return at, nil, fmt.Errorf("%w: the script answered %q facts", ErrDamaged, part[1])
		}
		at[kind] = part[0]
		for _, text := range part[2 : 2+n] {
			if h, err := gossip.Parse(gossip.Kind(kind), text); err == nil { //nolint:gosec // one of three
				facts = append(facts, h)
			}
		}
		part = part[2+n:]
	}
	return at, facts, nil
}
