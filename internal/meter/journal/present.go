package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

// ErrGone is the fault of a journal whose directory or newest segment was removed, moved,
// cut or replaced under it: what is written would be lost. It ends when they are back.
var ErrGone = errors.New("the journal is gone: somebody removed, moved, cut or replaced it while it was in use")

// present fails with ErrGone when what the journal writes to is not in its place. Other
// faults of the disk show when it is written to.
func present(j *Journal) error {
	place, err := j.disk.Place()
	switch {
	case isGone(err):
		return fmt.Errorf("%w: %w", ErrGone, err)
	case err == nil && place != j.place:
		return fmt.Errorf("%w: another directory is in its place", ErrGone)
	}
	written := j.Written()
	f, err := openSegment(j.disk, written.Segment)
	switch {
	case isGone(err):
		return fmt.Errorf("%w: there is no segment %d", ErrGone, written.Segment)
	case err != nil:
		return nil // it shows when it is written to
	}
	defer f.Close() //nolint:errcheck // was only read
	if !holds(f, written) {
		return fmt.Errorf("%w: segment %d has lost records that were written to it", ErrGone, written.Segment)
	}
	return nil
}

// holds reports whether the file of a segment can have all that was written to it: a copy
// put in its place lacks what came after, and one that was cut lacks its header as soon as
// more is written.
func holds(f File, written Position) bool {
	size, err := f.Size()
	if err == nil && size < written.Offset {
		return false
	}
	_, err = readHeader(f)
	return !errors.Is(err, errHeader)
}

func isGone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// lookForSegments notes which segments are missing between the newest checkpoint, or the
// oldest that was there at the start, and the newest.
func lookForSegments(j *Journal) {
	all, err := Segments(j.disk)
	if err != nil || len(all) == 0 {
		return
	}
	first := j.oldest
	if r, through, err := OpenCheckpoint(j.disk); err == nil && r != nil {
		r.Close()
		first = max(first, through+1)
	}
	there := make(map[uint64]bool, len(all))
	for _, n := range all {
		there[n] = true
	}
	var missing error
	for n := first; n < all[len(all)-1]; n++ {
		if !there[n] {
			missing = fmt.Errorf("segment %d of the journal is missing: somebody removed it", n)
			break
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.missing = missing
}

// Missing is which segment somebody removed that is needed to count anew, nil for none.
func (j *Journal) Missing() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.missing
}
