package record

import (
	"encoding/binary"
	"fmt"
	"time"
)

// Partition is one sequence of numbers: what one writer posts to one root tenant.
type Partition struct{ Writer, Root string }

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

// AppendRelease appends a RELEASE record: the call of the START with this id
// never left.
func AppendRelease(b []byte, id string) []byte {
	c := coder{b: b}
	c.version()
	c.str(&id)
	return c.b
}

// ReadID reads the id at the beginning of a START or RELEASE record.
func ReadID(b []byte) (string, error) {
	c, id := reader(b), ""
	c.version()
	c.str(&id)
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

// ReadPosting reads the posting of any record that posts, and of an END or
// UNKNOWN the id behind it.
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

// AppendResolve appends a RESOLVE record.
func AppendResolve(b []byte, p *Posting, r *Resolution) []byte {
	c := coder{b: b}
	c.resolve(p, r)
	return c.b
}

// ReadResolve reads a RESOLVE record.
func ReadResolve(b []byte) (p Posting, r *Resolution, err error) {
	c := reader(b)
	r = &Resolution{}
	c.resolve(&p, r)
	return p, r, c.err()
}

// AppendAdjust appends an ADJUST record.
func AppendAdjust(b []byte, p *Posting, a *Adjustment) []byte {
	c := coder{b: b}
	c.adjust(p, a)
	return c.b
}

// ReadAdjust reads an ADJUST record.
func ReadAdjust(b []byte) (p Posting, a *Adjustment, err error) {
	c := reader(b)
	a = &Adjustment{}
	c.adjust(&p, a)
	return p, a, c.err()
}

// AppendRetire appends a RETIRE record: the writer posts no more.
func AppendRetire(b []byte, writer string, how Ending) []byte {
	c := coder{b: b}
	c.version()
	c.str(&writer)
	c.byte((*uint8)(&how))
	return c.b
}

// ReadRetire reads a RETIRE record. Those of version 1 are all of fenced writers.
func ReadRetire(b []byte) (writer string, how Ending, err error) {
	c := reader(b)
	how = Fenced
	c.version()
	c.str(&writer)
	if c.v >= 2 {
		c.byte((*uint8)(&how))
	}
	return writer, how, c.err()
}

// AppendHead appends a checkpoint's record of a partition's last number.
func AppendHead(b []byte, of Partition, seq uint64) []byte {
	c := coder{b: b}
	c.partition(&of)
	c.uint(&seq)
	return c.b
}

// ReadHead reads what AppendHead wrote.
func ReadHead(b []byte) (of Partition, seq uint64, err error) {
	c := reader(b)
	c.partition(&of)
	c.uint(&seq)
	return of, seq, c.err()
}

// AppendTotal appends a checkpoint's record of one row's sums in a partition.
func AppendTotal(b []byte, of Partition, row RowKey, sum Counters) []byte {
	c := coder{b: b}
	c.partition(&of)
	c.row(&row)
	c.counters(&sum)
	return c.b
}

// ReadTotal reads what AppendTotal wrote, as a posting without a number.
func ReadTotal(b []byte) (of Partition, p Posting, err error) {
	c := reader(b)
	c.partition(&of)
	c.row(&p.Row)
	c.counters(&p.Add)
	p.Root = of.Root
	return of, p, c.err()
}

// AppendCharges appends a checkpoint's record of one window's sum in a partition.
func AppendCharges(b []byte, of Partition, sum Charge) []byte {
	c := coder{b: b}
	c.partition(&of)
	c.charge(of.Root, &sum)
	return c.b
}

// ReadCharges reads what AppendCharges wrote, as a posting without a number that
// adds to a window and to no row. Its row says when and whose the window is,
// because a posting has one.
func ReadCharges(b []byte) (of Partition, p Posting, err error) {
	c := reader(b)
	var sum Charge
	c.partition(&of)
	c.charge(of.Root, &sum)
	p = Posting{Root: of.Root, Charges: []Charge{sum}}
	p.Row = RowKey{Hour: sum.Window.Start.UTC().Truncate(time.Hour), Tenant: sum.Window.Tenant}
	if sum.Window.Start.IsZero() {
		p.Row.Hour = time.Unix(0, 0).UTC()
	}
	return of, p, c.err()
}

// AppendSuspended appends a checkpoint's record of an attempt that ended as
// unknown: its START, empty when it is lost, and its UNKNOWN record.
func AppendSuspended(b []byte, writer string, start, end []byte) []byte {
	c := coder{b: b}
	c.version()
	c.str(&writer)
	c.bytes(&start)
	c.bytes(&end)
	return c.b
}

// ReadSuspended reads what AppendSuspended wrote. A lost START is nil.
func ReadSuspended(b []byte) (writer string, start, end []byte, err error) {
	c := reader(b)
	c.version()
	c.str(&writer)
	c.bytes(&start)
	c.bytes(&end)
	return writer, start, end, c.err()
}

func (c *coder) partition(of *Partition) {
	c.version()
	c.str(&of.Writer)
	c.str(&of.Root)
}
