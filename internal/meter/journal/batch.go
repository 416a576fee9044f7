package journal

import (
	"errors"
	"fmt"
	"sync"
)

var errTooLong = fmt.Errorf("record is longer than %d bytes", MaxRecord)

// batch is the records of callers who wait for one write. Its fields are
// guarded by the journal's mu, but buf and items belong to the leader while it
// writes.
type batch struct {
	buf     []byte // frames, heads still empty
	items   []item
	waiters int
	done    bool
	turn    sync.Cond
}

type item struct {
	start, end int // in buf
	priority   Priority
	at         Position
	err        error
}

func newBatch(mu *sync.Mutex) *batch {
	b := &batch{}
	b.turn.L = mu
	return b
}

func (b *batch) add(kind byte, payload []byte, p Priority) int {
	start := len(b.buf)
	b.buf = append(b.buf, 0, 0, 0, 0, 0, 0, 0, 0, kind)
	b.buf = append(b.buf, payload...)
	b.items = append(b.items, item{start: start, end: len(b.buf), priority: p})
	b.waiters++
	return len(b.items) - 1
}

// leave empties the batch when the last waiter goes, and reports that.
func (b *batch) leave() bool {
	if b.waiters--; b.waiters > 0 {
		return false
	}
	b.buf, b.items, b.done = b.buf[:0], b.items[:0], false
	return true
}

// tail is the end of the newest segment.
type tail struct {
	file  File
	seg   uint64
	size  int64
	chain uint32
	// first is where this segment's records begin.
	first mark
	// spoilt is whether a failed write left bytes behind size that could not be
	// cut; the next write must start a new segment.
	spoilt bool
}

func (t *tail) mark() mark { return mark{Position{t.seg, t.size}, t.chain} }

// writeBatch writes a batch, and after a fault once more the reserved records
// alone, with the reserve given up.
func (j *Journal) writeBatch(b *batch) {
	j.writing.Lock()
	defer j.writing.Unlock()
	err := j.writeItems(b, Refusable)
	if err == nil {
		return
	}
	j.setFault(err)
	reserved := b.fail(Refusable, &RefusedError{err})
	if reserved == 0 {
		return
	}
	// Whether or not there is a reserve to give up, these few may fit.
	_ = j.disk.Remove(reserveName)
	if err := j.writeItems(b, Reserved); err != nil {
		b.fail(Reserved, err)
	}
}

// fail gives the error to every item of at least that priority and returns how
// many Reserved ones there are.
func (b *batch) fail(least Priority, err error) (reserved int) {
	for i := range b.items {
		if b.items[i].priority >= least {
			b.items[i].err = err
		}
		if b.items[i].priority == Reserved {
			reserved++
		}
	}
	return reserved
}

// writeItems writes the items of at least that priority in one call, and fills
// in where they are.
func (j *Journal) writeItems(b *batch, least Priority) error {
	t := &j.tail
	if t.spoilt || t.size >= j.opts.SegmentBytes {
		if err := j.roll(t.mark()); err != nil {
			return err
		}
	}
	chain, size := t.chain, 0
	for i := range b.items {
		it := &b.items[i]
		if it.priority < least {
			continue
		}
		frame := b.buf[it.start:it.end]
		if j.opts.Stamper != nil {
			j.opts.Stamper.Stamp(frame[8], frame[frameHead:])
		}
		sealFrame(frame)
		chain = extendChain(chain, frame)
		it.at, it.err = Position{t.seg, t.size + int64(size)}, nil
		if size < it.start {
			copy(b.buf[size:], frame) // over records that were refused
		}
		size += len(frame)
	}
	out := b.buf[:size]
	err := t.write(out)
	if j.opts.Stamper != nil {
		j.opts.Stamper.Settle(err == nil)
	}
	if err != nil || len(out) == 0 {
		return err
	}
	t.size, t.chain = t.size+int64(len(out)), chain
	j.markWritten()
	return nil
}

// write puts the bytes behind the last record, or nothing at all.
func (t *tail) write(out []byte) error {
	if len(out) == 0 {
		return nil
	}
	_, err := t.file.WriteAt(out, t.size)
	if err == nil {
		return nil
	}
	if cut := t.file.Truncate(t.size); cut != nil {
		t.spoilt = true
		return errors.Join(err, cut)
	}
	return err
}

func (j *Journal) markWritten() {
	j.mu.Lock()
	j.written = j.tail.mark()
	if j.opts.Fsync == FsyncOS {
		j.synced = j.written
	}
	j.mu.Unlock()
	select {
	case j.dirty <- struct{}{}:
	default:
	}
}
