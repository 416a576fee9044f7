package journal

import (
	"errors"
	"io/fs"
	"time"
)

// Quarantine renames a damaged segment. It stays
// readable where it is good, and is never removed.
func Quarantine(disk Disk, segment uint64) error {
	name := segmentName(segment)
	err := disk.Rename(name, name+damagedSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // done before
	}
	if err != nil {
		return err
	}
	return disk.SyncDir()
}

// Drop removes the segments below the given one that were closed before the
// given time, oldest first, and returns how many. Quarantined ones stay.
func Drop(disk Disk, below uint64, before time.Time) (int, error) {
	all, err := Segments(disk)
	if err != nil {
		return 0, err
	}
	dropped := 0
	for i, n := range all {
		if n >= below || i+1 == len(all) || !createdBefore(disk, all[i+1], before) {
			break
		}
		err := disk.Remove(segmentName(n))
		if errors.Is(err, fs.ErrNotExist) {
			continue // quarantined
		}
		if err != nil {
			return dropped, err
		}
		dropped++
	}
	return dropped, nil
}

func createdBefore(disk Disk, segment uint64, t time.Time) bool {
	h, err := headerOf(disk, segment)
	return err == nil && h.Created.Before(t)
}

// Checkpoint is a file of records that stands for all segments up to and with
// its number. Only a whole one exists.
type Checkpoint struct {
	disk Disk
	file File
	seg  uint64
	size int64
	buf  []byte
}

// CreateCheckpoint starts a checkpoint that covers the segments up to through.
// It exists after Commit and replaces those before it.
func (j *Journal) CreateCheckpoint(through uint64) (*Checkpoint, error) {
	f, err := j.disk.Create(checkpointName(through) + partSuffix)
	if err != nil {
		return nil, err
	}
	id := j.Identity()
	h := header{Writer: id.Writer, Epoch: id.Epoch, Segment: through, Created: j.opts.Now()}
	return &Checkpoint{disk: j.disk, file: f, seg: through, buf: h.encode()}, nil
}

// Add appends a record.
func (c *Checkpoint) Add(kind byte, payload []byte) error {
	if len(payload) > MaxRecord {
		return errTooLong
	}
	start := len(c.buf)
	c.buf = append(c.buf, 0, 0, 0, 0, 0, 0, 0, 0, kind)
	c.buf = append(c.buf, payload...)
	sealFrame(c.buf[start:])
	if len(c.buf) < readSize {
		return nil
	}
	return c.flush()
}

func (c *Checkpoint) flush() error {
	n, err := c.file.WriteAt(c.buf, c.size)
	c.size += int64(n)
	c.buf = c.buf[:0]
	return err
}

// Commit makes the checkpoint durable and removes the older ones.
func (c *Checkpoint) Commit() error {
	if err := errors.Join(c.flush(), c.file.Sync(), c.file.Close()); err != nil {
		return err
	}
	if err := publish(c.disk, checkpointName(c.seg)); err != nil {
		return err
	}
	names, err := c.disk.List()
	if err != nil {
		return err
	}
	for _, other := range names {
		if n, ok := numberIn(other, checkpointSuffix); ok && n < c.seg {
			err = errors.Join(err, c.disk.Remove(other))
		}
	}
	return err
}

// Abort gives the checkpoint up.
func (c *Checkpoint) Abort() error {
	return errors.Join(c.file.Close(), c.disk.Remove(checkpointName(c.seg)+partSuffix))
}

// ErrNoCheckpoint is returned by OpenCheckpoint when there is none.
var ErrNoCheckpoint = errors.New("the journal has no checkpoint")

// OpenCheckpoint returns a reader of the newest checkpoint and the last segment
// that it covers. Damage in a checkpoint is an error of the reader.
func OpenCheckpoint(disk Disk) (*Reader, uint64, error) {
	r, through, err := openCheckpoint(disk)
	if errors.Is(err, fs.ErrNotExist) { // replaced by a newer one in between
		return openCheckpoint(disk)
	}
	return r, through, err
}

func openCheckpoint(disk Disk) (*Reader, uint64, error) {
	names, err := disk.List()
	if err != nil {
		return nil, 0, err
	}
	var through uint64
	for _, name := range names {
		if n, ok := numberIn(name, checkpointSuffix); ok {
			through = max(through, n)
		}
	}
	if through == 0 {
		return nil, 0, ErrNoCheckpoint
	}
	f, err := disk.Open(checkpointName(through))
	if err != nil {
		return nil, 0, err
	}
	r, err := checkpointReader(f, through)
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return r, through, nil
}

func checkpointReader(f File, through uint64) (*Reader, error) {
	h, err := readHeader(f)
	if err != nil {
		return nil, err
	}
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	return &Reader{file: f, head: h, end: size, whole: true, pos: Position{through, headerSize}}, nil
}
