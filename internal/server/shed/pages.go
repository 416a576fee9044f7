package shed

import (
	"bytes"
	"sync"
	"time"
)

// Placeholder is the request's id in an answer that is kept. It is of an id's length.
const Placeholder = "00000000000000000000000000"

const (
	// fresh is how long an answer is kept: it has a date in it.
	fresh    = time.Second
	maxPages = 256
)

// Pages are answers to refused requests, as they go over the wire: made once in a while, and then
// only given the id of each request. The zero value has none; it is safe for concurrent use.
type Pages struct {
	mu    sync.Mutex // guards the following
	made  time.Time  // the first of them
	pages map[string]page
}

type page struct {
	text []byte
	ids  []int // where the ids begin
}

// Append appends the answer to a request: that of its kind, or what fill makes for Placeholder.
func (p *Pages) Append(to []byte, kind []byte, id string, now time.Time, fill func() []byte) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Sub(p.made) >= fresh || len(p.pages) >= maxPages {
		p.made, p.pages = now, map[string]page{}
	}
	known, ok := p.pages[string(kind)]
	if !ok {
		known = newPage(fill())
		p.pages[string(kind)] = known
	}
	begin := len(to)
	to = append(to, known.text...)
	for _, at := range known.ids {
		copy(to[begin+at:], id)
	}
	return to
}

func newPage(text []byte) page {
	p := page{text: text}
	for at := 0; ; at += len(Placeholder) {
		next := bytes.Index(text[at:], []byte(Placeholder))
		if next < 0 {
			return p
		}
		at += next
		p.ids = append(p.ids, at)
	}
}
