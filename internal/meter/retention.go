package meter

import (
	"maps"

	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// indexSize is how many segments' beginnings are remembered.
const indexSize = 64

// index says in which segment a partition's numbers are.
type index struct {
	heads      map[record.Partition]uint64 // as the main reader has seen them
	beginnings []beginning                 // of the newest segments that it has begun
}

// beginning is how far each partition was when a segment began.
type beginning struct {
	segment uint64
	heads   map[record.Partition]uint64
}

func newIndex(through uint64, heads map[record.Partition]uint64) index {
	return index{heads: maps.Clone(heads), beginnings: []beginning{{through + 1, maps.Clone(heads)}}}
}

// begin notes that the main reader is in a segment.
func (x *index) begin(segment uint64) {
	if n := len(x.beginnings); n > 0 && x.beginnings[n-1].segment >= segment {
		return
	}
	x.beginnings = append(x.beginnings, beginning{segment, maps.Clone(x.heads)})
	if len(x.beginnings) > indexSize {
		x.beginnings = append(x.beginnings[:0], x.beginnings[1:]...)
	}
}

// floor returns the latest segment that begins at or before the number behind
// applied.
func (x *index) floor(of record.Partition, applied uint64) (uint64, bool) {
	for i := len(x.beginnings) - 1; i >= 0; i-- {
		if x.beginnings[i].heads[of] <= applied {
			return x.beginnings[i].segment, true
		}
	}
	return 0, false
}

// dropBefore forgets the segments before one.
func (x *index) dropBefore(segment uint64) {
	for len(x.beginnings) > 0 && x.beginnings[0].segment < segment {
		x.beginnings = x.beginnings[1:]
	}
}

// retention writes checkpoints and removes the segments that nobody needs.
type retention struct {
	opts    Options
	journal *journal.Journal
	// heads are those of the checkpoint, at the end of segment through.
	heads   map[record.Partition]uint64
	through uint64
	pending chan checkpointed // the one being written, nil for none
}

// checkpointed is a checkpoint that was written.
type checkpointed struct {
	through uint64
	heads   map[record.Partition]uint64
	err     error
}

// maintain begins a checkpoint when the segments before at are complete, and
// reports whether one that was begun earlier is done.
func (r *retention) maintain(at uint64) (done bool) {
	if r.pending != nil {
		select {
		case c := <-r.pending:
			return r.take(c)
		default:
			return false
		}
	}
	if at < r.through+2 {
		return false
	}
	r.pending = make(chan checkpointed, 1)
	go func(done chan<- checkpointed) {
		heads, err := writeCheckpoint(r.journal, at-1, r.opts.Now())
		done <- checkpointed{at - 1, heads, err}
	}(r.pending)
	return false
}

// finish waits for the checkpoint that is being written, and reports whether
// there was one.
func (r *retention) finish() bool { return r.pending != nil && r.take(<-r.pending) }

func (r *retention) take(c checkpointed) bool {
	r.pending = nil
	if c.err != nil {
		r.opts.Log.Error("checkpoint cannot be written", "error", c.err)
		return false
	}
	r.heads, r.through = c.heads, c.through
	return true
}

// drop removes the old segments below one and returns the oldest that is left,
// 0 when none was removed.
func (r *retention) drop(below uint64) (oldest uint64) {
	n, err := journal.Drop(r.journal.Disk(), below, r.opts.Now().Add(-r.opts.Keep))
	if err != nil {
		r.opts.Log.Error("old segments cannot be removed", "error", err)
	}
	if n == 0 {
		return 0
	}
	segments, err := journal.Segments(r.journal.Disk())
	if err != nil || len(segments) == 0 {
		return 0
	}
	return segments[0]
}
