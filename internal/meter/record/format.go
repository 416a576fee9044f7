package record

import (
	"encoding/binary"
	"fmt"
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

// ReadID reads the id at the beginning of a START or RELEASE record.
func ReadID(b []byte) (string, error) {
	var r Release
	err := Read(b, &r)
	return r.ID, err
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
func ReadPosting(b []byte) (Posting, string, error) {
	c := reader(b)
	var p Posting
	var id string
	c.posting(&p)
	c.str(&id)
	if err := c.err(); err != nil {
		return p, "", fmt.Errorf("posting: %w", err)
	}
	return p, id, nil
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
