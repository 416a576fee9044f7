package record

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// Ending is how a writer came to post no more. Numbers are part of the format.
type Ending uint8

// The endings. The zero value is a writer that still posts.
const (
	_ Ending = iota
	// Fenced: another process posts under the same id. What the ledger does not
	// have of it stays in the journal.
	Fenced
	// Settled: everything was posted and given back. A ledger that loses it later
	// gets it again.
	Settled
)

// AppendStart appends a START record.
func AppendStart(b []byte, s *Start) []byte {
	c := coder{b: b}
	c.start(s)
	return c.b
}

// ReadStart reads a START record.
func ReadStart(b []byte) (*Start, error) {
	c, s := reader(b), &Start{}
	c.start(s)
	return s, c.err()
}

// ReadID reads the id at the beginning of a START or RELEASE record. It is a part
// of b.
func ReadID(b []byte) ([]byte, error) {
	c := reader(b)
	c.version()
	id := c.text()
	return id, c.err()
}

// AppendEnd appends an END or UNKNOWN record.
func AppendEnd(b []byte, p *Posting, e *End) []byte {
	c := coder{b: b}
	c.posting(p)
	c.end(e)
	return c.b
}

// AppendUnknown appends the UNKNOWN record of an attempt that holder, a dead
// writer, had begun.
func AppendUnknown(b []byte, p *Posting, e *End, holder string) []byte {
	c := coder{b: AppendEnd(b, p, e)}
	c.str(&holder)
	return c.b
}

// ReadEnd reads an END or UNKNOWN record.
func ReadEnd(b []byte) (*Posting, *End, error) {
	c, p, e := reader(b), &Posting{}, &End{}
	c.posting(p)
	c.end(e)
	return p, e, c.err()
}

// ReadHolder reads the holder of a record that AppendUnknown wrote.
func ReadHolder(b []byte) (string, error) {
	c, holder := reader(b), ""
	c.posting(&Posting{})
	c.end(&End{})
	c.str(&holder)
	return holder, c.err()
}

// ReadPosting reads the posting of any record that posts, and the id behind it: of
// the attempt, or of an ADJUST its own.
func ReadPosting(b []byte) (p Posting, id string, err error) {
	at, err := (*Decoder)(nil).Posting(b, &p)
	return p, string(at), err
}

// Decoder reads the postings of many records without allocating: most name texts
// that were read before, and their charges are in memory that is used again. A nil
// one, and the zero value, are ready; it belongs to one goroutine.
type Decoder struct {
	texts   map[string]string
	charges []Charge
}

// What a decoder keeps at most: a few hundred kilobytes.
const (
	maxTexts   = 4096
	maxCharges = 4096
)

// Posting reads into p the posting of any record that posts, and returns the id
// behind it, which is a part of b. The charges are valid until Forget.
func (d *Decoder) Posting(b []byte, p *Posting) (id []byte, err error) {
	c := reader(b)
	c.seen = d
	*p = Posting{}
	c.posting(p)
	id = c.text()
	if err := c.err(); err != nil {
		return nil, fmt.Errorf("posting: %w", err)
	}
	return id, nil
}

// Forget makes the memory of all charges so far be used again.
func (d *Decoder) Forget() {
	if cap(d.charges) > maxCharges {
		d.charges = nil
	}
	d.charges = d.charges[:0]
}

// text is bytes as a string, perhaps one that was made before.
func (d *Decoder) text(b []byte) string {
	if d == nil || len(b) == 0 {
		return string(b)
	}
	s, ok := d.texts[string(b)]
	switch {
	case ok:
		return s
	case d.texts == nil || len(d.texts) >= maxTexts:
		d.texts = make(map[string]string)
	}
	s = string(b)
	d.texts[s] = s
	return s
}

// room is memory for n charges.
func (d *Decoder) room(n int) []Charge {
	if d == nil {
		return make([]Charge, n)
	}
	start := len(d.charges)
	d.charges = slices.Grow(d.charges, n)[:start+n]
	room := d.charges[start : start+n : start+n]
	clear(room)
	return room
}

// PostingRoot returns the root in a posting record's bytes, nil when it posts
// nothing.
func PostingRoot(b []byte) []byte {
	if len(b) < seqAt+8 {
		return nil
	}
	n, w := binary.Uvarint(b[seqAt+8:])
	if w <= 0 || n > uint64(len(b)-seqAt-8-w) {
		return nil
	}
	return b[seqAt+8+w:][:n]
}

// SetSeq fills in the sequence number of a posting record of which PostingRoot
// returned a root.
func SetSeq(b []byte, seq uint64) { binary.LittleEndian.PutUint64(b[seqAt:], seq) }
