package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"time"
)

const reserveName = "reserve"

// syncLoop syncs what was written, in groups, and tries to recover from faults.
func (j *Journal) syncLoop() {
	defer close(j.done)
	heal := time.NewTicker(j.opts.HealEvery)
	defer heal.Stop()
	for {
		select {
		case <-j.stop:
			return
		case <-heal.C:
			j.heal()
		case <-j.dirty:
			if j.opts.Fsync == FsyncOS {
				continue
			}
			if j.opts.Fsync == FsyncGroup && !j.pause(j.opts.Every) {
				return
			}
			if err := j.syncOnce(); err != nil {
				j.setFault(err)
			}
		}
	}
}

// pause waits and reports whether the journal is still open.
func (j *Journal) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-j.stop:
		return false
	case <-timer.C:
		return true
	}
}

// syncOnce makes durable what was written before it began. After a failed sync
// the system may have dropped the pages, so the segment is never synced again;
// heal copies what is in doubt to a new one.
func (j *Journal) syncOnce() error {
	j.syncing.Lock()
	defer j.syncing.Unlock()
	j.mu.Lock()
	target, file, doubt := j.written, j.syncFile, j.doubt
	j.mu.Unlock()
	if doubt != nil {
		return doubt
	}
	if err := file.Sync(); err != nil {
		return j.setDoubt(fmt.Errorf("fsync: %w", err))
	}
	j.markSynced(target)
	return nil
}

func (j *Journal) markSynced(m mark) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.synced.Before(m.Position) {
		j.synced = m
	}
	j.progress.Broadcast()
}

func (j *Journal) setFault(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.fault == nil {
		j.fault = err
	}
	j.progress.Broadcast()
}

// setDoubt records that the newest segment can no longer be synced.
func (j *Journal) setDoubt(err error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.doubt = err
	return err
}

// heal looks whether the journal is in its place, and tries to leave a fault behind: it
// fills the reserve again and moves the records that are not known to be durable to a new
// segment.
func (j *Journal) heal() {
	if err := present(j); err != nil {
		j.setFault(err)
		return
	}
	if j.Fault() == nil {
		lookForSegments(j)
		return
	}
	j.writing.Lock()
	defer j.writing.Unlock()
	if err := j.fillReserve(); err != nil {
		return
	}
	j.mu.Lock()
	from := j.synced
	j.mu.Unlock()
	if from.Segment != j.tail.seg {
		from = j.tail.first
	}
	if j.opts.Fsync == FsyncOS {
		from = j.tail.mark()
	}
	if err := j.roll(from); err != nil {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.fault, j.doubt = nil, nil
	j.progress.Broadcast()
}

// roll starts the next segment. It says that the current one ends at from and
// begins with a copy of what follows that. The caller holds writing.
func (j *Journal) roll(from mark) error {
	j.syncing.Lock()
	defer j.syncing.Unlock()
	t := &j.tail
	rest, err := t.readFrom(from)
	if err != nil {
		return err
	}
	if t.file != nil && len(rest) == 0 && j.opts.Fsync != FsyncOS && j.Fault() == nil {
		if err := t.file.Sync(); err != nil {
			return j.setDoubt(fmt.Errorf("fsync: %w", err))
		}
	}
	h := j.nextHeader(from)
	file, err := createSegment(j.disk, &h, rest)
	if file == nil {
		return err
	}
	chain := t.chain
	if t.file == nil {
		chain = from.chain
	} else {
		_ = t.file.Close() // synced, or given up
	}
	*t = tail{
		file: file, seg: h.Segment, size: headerSize + int64(len(rest)), chain: chain,
		first: mark{Position{h.Segment, headerSize}, from.chain},
	}
	j.mu.Lock()
	j.syncFile, j.written = t.file, t.mark()
	j.mu.Unlock()
	if err != nil {
		return j.setDoubt(err)
	}
	j.markSynced(t.mark())
	return nil
}

func (j *Journal) nextHeader(from mark) header {
	id := j.Identity()
	return header{
		Writer: id.Writer, Epoch: id.Epoch, Segment: from.Segment + 1,
		PreviousEnd: from.Offset, PreviousChain: from.chain, Created: j.opts.Now(), Place: j.place,
	}
}

// readFrom returns the whole frames between a mark and the tail, checked.
func (t *tail) readFrom(from mark) ([]byte, error) {
	if t.file == nil || from.Offset >= t.size {
		return nil, nil
	}
	rest := make([]byte, t.size-from.Offset)
	if _, err := t.file.ReadAt(rest, from.Offset); err != nil {
		return nil, err
	}
	for at := 0; at < len(rest); {
		n, state := parseFrame(rest[at:])
		if state != frameGood {
			return nil, errors.New("records that were not synced can no longer be read")
		}
		at += n
	}
	return rest, nil
}

// createSegment makes a segment that has all these bytes or does not exist, and
// returns it open. A file with an error means that it exists and that only its
// name may not be durable: readers already take it for the newest.
func createSegment(disk Disk, h *header, rest []byte) (File, error) {
	name := segmentName(h.Segment)
	f, err := disk.Create(name + partSuffix)
	if err != nil {
		return nil, err
	}
	_, err = f.WriteAt(append(h.encode(), rest...), 0)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = disk.Rename(name+partSuffix, name)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, disk.SyncDir()
}

// fillReserve makes the file that is given up when the disk is full, so that
// the records of calls in flight still find room.
func (j *Journal) fillReserve() error {
	f, err := j.disk.Open(reserveName)
	if err == nil {
		size, err := f.Size()
		_ = f.Close() // was only read
		if err == nil && size == j.opts.ReserveBytes {
			return nil
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return replace(j.disk, reserveName, func(f File) error {
		_, err := f.WriteAt(make([]byte, j.opts.ReserveBytes), 0)
		return err
	})
}
