package promptcache

import (
	"hash/maphash"

	"github.com/sluice-gateway/sluice/internal/wire"
)

// The parts of a prompt, in the order in which a model reads them.
const (
	inTools = iota
	inSystem
	inMessages
)

var partNames = [...]string{inTools: "tools", inSystem: "system", inMessages: "messages"}

// maxEnds is how many prefixes of one prompt are told apart: those that end with the tools,
// with the system prompt, and with the first and the last messages.
const maxEnds = 12

// end is where a prefix of a prompt ends.
type end struct {
	part  int
	span  wire.Span // what it ends with: the tools, the system prompt, a message
	hash  uint64    // of the prefix, in its space
	bytes int       // of the prefix
}

// ends are the prefixes of one prompt, the shortest first.
type ends struct {
	all   [maxEnds]end
	n     int
	bytes int // of the whole prompt
}

func (e *ends) add(x end) {
	if e.n < len(e.all) {
		e.all[e.n] = x
		e.n++
	}
}

// read finds the prefixes of a prompt by its raw bytes, each byte hashed once. What makes a
// model forget its messages, but not what is before them, is hashed between the two.
func (e *ends) read(h *maphash.Hash, f *wire.Facts, body []byte) {
	put := func(part int, s wire.Span) {
		h.Write(body[s.Start:s.End])
		h.WriteByte(byte(part))
		e.bytes += s.End - s.Start
	}
	if s := f.ToolList; s.Present() {
		put(inTools, s)
		e.add(end{inTools, s, h.Sum64(), e.bytes})
	}
	if s := f.SystemSpan; s.Present() {
		put(inSystem, s)
		e.add(end{inSystem, s, h.Sum64(), e.bytes})
	}
	for _, s := range [...]wire.Span{f.ToolChoice, f.ThinkingSpan} {
		h.Write(body[s.Start:s.End])
		h.WriteByte(inMessages)
	}
	from := -1
	for s := range f.Messages.All {
		if from < 0 {
			from = s.Start
		}
		h.Write(body[from:s.End])
		e.bytes += s.End - from
		from = s.End
		e.add(end{inMessages, s, h.Sum64(), e.bytes})
	}
}
