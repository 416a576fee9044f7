// Package prefixcache is the prompt cache of the stand-in's models: what of a prompt is
// read from it and what is written to it. It follows AWS's user guide, "Prompt caching":
// a prefix ends behind a block with a point; one that is too short is not kept; a hit
// begins the lifetime anew; a point finds what is kept up to twenty blocks before it.
package prefixcache

import (
	"crypto/sha256"
	"errors"
	"sync"
	"time"
)

// Block is a part of a prompt, in the order in which the model reads it.
type Block struct {
	Text  []byte        // all that tells it from others
	Bytes int           // of it that are billed, four to a token
	TTL   time.Duration // that the point behind it asks for, 0 without a point
}

// Use is what a prompt takes from the cache and puts into it, in tokens. The rest of its
// input is neither.
type Use struct{ Read, Write5m, Write1h int64 }

// What is wrong with points.
var (
	ErrTooMany = errors.New("prefixcache: more than four points")
	ErrOrder   = errors.New("prefixcache: a point of an hour stands behind one of five minutes")
)

const (
	maxPoints = 4
	lookback  = 20
	// maxKept bounds the memory of prefixes. What is above it is not kept.
	maxKept = 1 << 17
)

// Cache is the cache of all models. The zero value is empty; it is safe for concurrent use.
type Cache struct {
	mu   sync.Mutex // guards kept
	kept map[[sha256.Size]byte]prefix
}

type prefix struct {
	ttl   time.Duration
	until time.Time
}

// point is a block with a point, and what is before its end.
type point struct {
	block  int
	tokens int64
	ttl    time.Duration
}

// Ask is what a prompt does at a time. space is what shares a cache, such as a model in a
// region, and minimum the fewest tokens that it keeps.
func (c *Cache) Ask(space string, minimum int64, blocks []Block, now time.Time) (Use, error) {
	hashes, tokens := measure(space, blocks)
	points, err := pointsOf(blocks, tokens, minimum)
	if err != nil || len(points) == 0 {
		return Use{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	read := c.deepest(hashes, points, minimum, tokens, now)
	var use Use
	if read >= 0 {
		use.Read = tokens[read]
		c.keep(hashes[read], c.kept[hashes[read]].ttl, now)
	}
	from := use.Read
	for _, p := range points {
		if p.block <= read {
			if _, known := c.kept[hashes[p.block]]; known {
				c.keep(hashes[p.block], c.kept[hashes[p.block]].ttl, now)
			}
			continue
		}
		if p.ttl >= time.Hour {
			use.Write1h += p.tokens - from
		} else {
			use.Write5m += p.tokens - from
		}
		from = p.tokens
		c.keep(hashes[p.block], p.ttl, now)
	}
	return use, nil
}

// measure is the hash of all up to the end of each block, and its tokens.
func measure(space string, blocks []Block) (hashes [][sha256.Size]byte, tokens []int64) {
	at, bytes := sha256.Sum256([]byte(space)), 0
	for _, b := range blocks {
		h := sha256.New()
		h.Write(at[:])
		h.Write(b.Text)
		at, bytes = [sha256.Size]byte(h.Sum(nil)), bytes+b.Bytes
		hashes, tokens = append(hashes, at), append(tokens, (int64(bytes)+3)/4)
	}
	return hashes, tokens
}

// pointsOf are the points that do something.
func pointsOf(blocks []Block, tokens []int64, minimum int64) ([]point, error) {
	var points []point
	all, short := 0, false
	for i, b := range blocks {
		if b.TTL == 0 {
			continue
		}
		all++
		if short && b.TTL >= time.Hour {
			return nil, ErrOrder
		}
		short = short || b.TTL < time.Hour
		if tokens[i] >= minimum {
			points = append(points, point{i, tokens[i], b.TTL})
		}
	}
	if all > maxPoints {
		return nil, ErrTooMany
	}
	return points, nil
}

// deepest is the last block up to which a prefix is kept that a point can find, -1 for none.
func (c *Cache) deepest(hashes [][sha256.Size]byte, points []point, minimum int64, tokens []int64, now time.Time) int {
	best := -1
	for _, p := range points {
		for i := p.block; i >= 0 && i > p.block-lookback && tokens[i] >= minimum; i-- {
			if kept, ok := c.kept[hashes[i]]; ok && now.Before(kept.until) {
				best = max(best, i)
				break
			}
		}
	}
	return best
}

// keep begins the lifetime of a prefix.
func (c *Cache) keep(hash [sha256.Size]byte, ttl time.Duration, now time.Time) {
	if c.kept == nil {
		c.kept = map[[sha256.Size]byte]prefix{}
	}
	if _, known := c.kept[hash]; !known && len(c.kept) >= maxKept {
		for h, p := range c.kept {
			if !now.Before(p.until) {
				delete(c.kept, h)
			}
		}
		if len(c.kept) >= maxKept {
			return
		}
	}
	c.kept[hash] = prefix{ttl, now.Add(ttl)}
}

// Forget empties the cache, as if each prefix had been put out for want of room.
func (c *Cache) Forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept = nil
}
