package promptcache

import (
	"bytes"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/internal/money"
)

const (
	// maxHead is how much of the beginning of a prompt is compared, maxHeads how many of
	// them are remembered, and maxDiffering how many kinds of differences of a tenant.
	maxHead, maxHeads, maxDiffering = 16 << 10, 256, 16
	// alike is how many bytes have to be the same before and behind what differs.
	alike = 64
)

// head is the beginning of a prompt that began as none before. It never leaves the process.
type head struct {
	tenant *tenant
	model  string
	part   int
	bytes  []byte
}

// Differing is what keeps prompts from having the beginning in common: they differ at a byte
// of a part, by a kind of text, and are alike behind it.
type Differing struct {
	Model string
	Part  string // tools, system, messages
	Byte  int    // of the part's JSON, from 0
	Kind  string // timestamp, uuid, number, other
	Seen  int64
	Since time.Time
	// Lost is what reading the part would have spared since then.
	Lost money.Pico
}

// Weekly is what is lost in a week, judged by at least a day.
func (d *Differing) Weekly(now time.Time) money.Pico {
	hours := max(int64(now.Sub(d.Since)/time.Hour), 24)
	return d.Lost / money.Pico(hours) * money.Pico(week/time.Hour)
}

// differs looks whether a prompt that began as none before is nearly like another one, and
// remembers its head.
func (s *Store) differs(at *Placed, p *Prompt, now time.Time) {
	if at.ends.n == 0 {
		return
	}
	e := &at.ends.all[0]
	if !has(p.Cache.In, e.part) || int64(e.bytes)/4 < p.Cache.Minimum {
		return
	}
	h := head{at.tenant, p.Model, e.part, p.Body[e.span.Start:min(e.span.End, e.span.Start+maxHead)]}
	for i := range s.heads {
		old := &s.heads[i]
		if old.tenant != h.tenant || old.model != h.model || old.part != h.part {
			continue
		}
		if offset, kind, near := difference(old.bytes, h.bytes); near {
			spared := at.rates.spared(int64(e.span.End-e.span.Start) / 4)
			at.tenant.differ(Differing{h.model, partNames[h.part], offset, kind, 1, now, spared})
			return
		}
	}
	h.bytes = bytes.Clone(h.bytes)
	if len(s.heads) < maxHeads {
		s.heads = append(s.heads, h)
		return
	}
	s.heads[s.oldest] = h
	s.oldest = (s.oldest + 1) % maxHeads
}

// differ counts a difference. Without room it takes the place of the one that cost least.
func (t *tenant) differ(d Differing) {
	i := slices.IndexFunc(t.differing, func(o Differing) bool {
		return o.Model == d.Model && o.Part == d.Part && o.Byte == d.Byte && o.Kind == d.Kind
	})
	switch {
	case i >= 0:
		t.differing[i].Seen++
		t.differing[i].Lost += d.Lost
	case len(t.differing) < maxDiffering:
		t.differing = append(t.differing, d)
	default:
		least := 0
		for k := range t.differing {
			if t.differing[k].Lost < t.differing[least].Lost {
				least = k
			}
		}
		t.differing[least] = d
	}
}

// difference finds the first byte in which two beginnings differ, where they are nearly alike.
// The offset is that of the word that it is in.
func difference(a, b []byte) (offset int, kind string, near bool) {
	at := 0
	for at < min(len(a), len(b)) && a[at] == b[at] {
		at++
	}
	if at == min(len(a), len(b)) {
		return 0, "", false
	}
	from := wordAt(b, at)
	restA, restB := a[at+wordLen(a[at:]):], b[at+wordLen(b[at:]):]
	n := min(len(restA), len(restB), alike)
	if n == 0 || at < alike && n < alike || !bytes.Equal(restA[:n], restB[:n]) {
		return 0, "", false
	}
	return from, kindOf(b[from : at+wordLen(b[at:])]), true
}

// inWord reports whether a byte can be in the middle of a number, a time or an id.
func inWord(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-' || c == ':' || c == '.' ||
		c == '+' || c == '_'
}

func wordAt(b []byte, at int) int {
	for at > 0 && inWord(b[at-1]) {
		at--
	}
	return at
}

func wordLen(b []byte) int {
	n := 0
	for n < len(b) && inWord(b[n]) {
		n++
	}
	return n
}

// kindOf names the kind of a word, by its shape.
func kindOf(word []byte) string {
	word = bytes.TrimRight(word, ".:-")
	digits, hex, dashes, colons := 0, 0, 0, 0
	for _, c := range word {
		switch {
		case c >= '0' && c <= '9':
			digits, hex = digits+1, hex+1
		case c >= 'a' && c <= 'f', c >= 'A' && c <= 'F':
			hex++
		case c == '-':
			dashes++
		case c == ':':
			colons++
		}
	}
	switch {
	case len(word) == 36 && dashes == 4 && hex == 32, len(word) == 32 && hex == 32 && digits < 32:
		return "uuid"
	case digits >= 6 && dashes >= 2, digits >= 4 && colons >= 1 && digits+colons+dashes >= len(word)-8:
		return "timestamp"
	case len(word) == digits && (digits == 10 || digits == 13) && word[0] == '1':
		return "timestamp" // seconds or milliseconds since 1970
	case digits > 0 && bytes.IndexFunc(word, isLetter) < 0:
		return "number"
	}
	return "other"
}

func isLetter(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' }
