// Package journal is an append-only log of opaque records on disk: checked
// segments, one appender, grouped fsync, and readers that may follow it from
// another process. docs/format/journal.md gives every byte.
//
// What it promises: a record that Append has returned for survives the death of
// the process; one at or below Synced survives the death of the machine. Bytes
// that were damaged are reported and never returned. When the disk fails, new
// records are refused and those of calls in flight are still taken if there is
// any room, until the disk works again.
//
// What it does not know: what records mean, and when they may be deleted. It
// does no deletion on its own.
package journal

import "fmt"

// Position is a place in the log: a segment, counted from 1, and a byte offset
// in it. The zero value is before everything.
type Position struct {
	Segment uint64
	Offset  int64
}

// Before reports whether p comes before q.
func (p Position) Before(q Position) bool {
	return p.Segment < q.Segment || p.Segment == q.Segment && p.Offset < q.Offset
}

// String returns segment and offset with a colon between.
func (p Position) String() string { return fmt.Sprintf("%d:%d", p.Segment, p.Offset) }

// Damage is a range of bytes that should have held records and did not.
type Damage struct {
	At    Position
	Bytes int64 // 0 for a whole segment that is missing
	// Missing is whether the segment does not exist at all.
	Missing bool
}

// String says what is damaged.
func (d Damage) String() string {
	if d.Missing {
		return fmt.Sprintf("segment %d is missing", d.At.Segment)
	}
	return fmt.Sprintf("%d bytes at %s are damaged", d.Bytes, d.At)
}

// RefusedError says that the journal takes no new records because of a disk
// fault. The caller should answer 503; the journal tries to recover by itself.
type RefusedError struct{ Cause error }

// Error names the cause.
func (e *RefusedError) Error() string { return "journal refuses new records: " + e.Cause.Error() }

// Unwrap returns the cause.
func (e *RefusedError) Unwrap() error { return e.Cause }
