package record

import "time"

// Entry is a journal record of the rarer kinds, with one list of fields for both
// ways.
type Entry interface {
	code(c *coder) (kind byte)
}

// Encode returns the kind and the bytes of an entry, for a journal.
func Encode(e Entry) (kind byte, payload []byte) {
	var c coder
	kind = e.code(&c)
	return kind, c.b
}

// Read reads what Encode wrote into an empty entry. It fails with ErrRecord.
func Read(b []byte, e Entry) error {
	c := reader(b)
	e.code(&c)
	return c.err()
}

// ResolveEntry is what became of an attempt that had ended as unknown, and what
// that adds.
type ResolveEntry struct {
	Posting Posting
	Resolution
}

// correction is the posting of a record that corrects a row: one without a mark has
// none.
func (c *coder) correction(p *Posting) {
	marked := *p
	if !c.reading && p.Row.Held == "" {
		marked.Row.Held = heldUnknown
	}
	c.posting(&marked)
	if c.reading {
		*p = marked
	}
}

func (e *ResolveEntry) code(c *coder) byte {
	c.correction(&e.Posting)
	if c.reading {
		e.End = &End{}
	}
	c.end(e.End)
	c.byte((*uint8)(&e.Source))
	c.str(&e.Actor)
	c.str(&e.Note)
	c.time(&e.At)
	return KindResolve
}

// AdjustEntry is a correction and what it adds.
type AdjustEntry struct {
	Posting Posting
	Adjustment
}

func (e *AdjustEntry) code(c *coder) byte {
	p, a := &e.Posting, &e.Adjustment
	c.correction(p)
	c.str(&a.ID)
	c.str(&a.RefersTo)
	c.str(&a.Reason)
	c.str(&a.Actor)
	c.time(&a.At)
	if c.reading {
		a.Root, a.Row, a.Add, a.Charges = p.Root, p.Row, p.Add, p.Charges
	}
	return KindAdjust
}

// Release says that the call of the START with this id never left.
type Release struct{ ID string }

func (e *Release) code(c *coder) byte {
	c.version()
	c.str(&e.ID)
	return KindRelease
}

// Retirement says that a writer posts no more.
type Retirement struct {
	Writer string
	How    Ending
}

func (e *Retirement) code(c *coder) byte {
	c.version()
	c.str(&e.Writer)
	if c.v >= 2 {
		c.byte((*uint8)(&e.How))
	} else {
		e.How = Fenced // the only ending there was
	}
	return KindRetire
}

// Partition is one sequence of numbers: what one writer posts to one root tenant.
type Partition struct{ Writer, Root string }

func (of *Partition) code(c *coder) {
	c.version()
	c.str(&of.Writer)
	c.str(&of.Root)
}

// Head is a partition's last number, in a checkpoint.
type Head struct {
	Partition
	Seq uint64
}

func (e *Head) code(c *coder) byte {
	e.Partition.code(c)
	c.uint(&e.Seq)
	return KindCheckpoint
}

// RowTotal is one row's sums in a partition, in a checkpoint.
type RowTotal struct {
	Partition
	Row RowKey
	Add Counters
}

func (e *RowTotal) code(c *coder) byte {
	e.Partition.code(c)
	c.row(&e.Row)
	c.counters(&e.Add)
	return KindTotal
}

// Posting returns the sums as a posting without a number.
func (e *RowTotal) Posting() *Posting { return &Posting{Root: e.Root, Row: e.Row, Add: e.Add} }

// WindowTotal is one of a window's sums in a partition, in a checkpoint.
type WindowTotal struct {
	Partition
	Sum Charge
}

func (e *WindowTotal) code(c *coder) byte {
	e.Partition.code(c)
	c.charge(e.Root, &e.Sum)
	return KindCharges
}

// Posting returns the sum as a posting without a number, which adds to no row.
// Its row says when and whose the window is, because a posting has one.
func (e *WindowTotal) Posting() *Posting {
	w := e.Sum.Window
	row := RowKey{Hour: w.Start.UTC().Truncate(time.Hour), Tenant: w.Tenant}
	if w.Start.IsZero() {
		row.Hour = time.Unix(0, 0).UTC()
	}
	return &Posting{Root: e.Root, Row: row, Charges: []Charge{e.Sum}}
}

// SuspendedEntry is an attempt that ended as unknown, in a checkpoint: the bytes
// of its START, nil when that is lost, and of its UNKNOWN record.
type SuspendedEntry struct {
	Writer     string
	Start, End []byte
}

func (e *SuspendedEntry) code(c *coder) byte {
	c.version()
	c.str(&e.Writer)
	c.bytes(&e.Start)
	c.bytes(&e.End)
	return KindSuspended
}
