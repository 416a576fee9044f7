package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"time"
)

// Reader reads records in the order in which they were appended. It also
// follows a journal that another goroutine or process is writing: Next returns
// false at the end and may be called again later. It is not safe for
// concurrent use. Close releases its file.
type Reader struct {
	disk  Disk
	limit Position // zero: none
	pos   Position // of the next frame

	file    File
	head    header
	end     int64 // where the next segment says that this one ends; -1 unknown
	chain   uint32
	whole   bool // a checkpoint: one file, no damage allowed
	checked bool // whether chain covers the segment from its first frame on

	buf    []byte
	bufAt  int64
	frame  []byte
	at     Position
	damage []Damage
	err    error
}

const readSize = 256 << 10

// NewReader returns a reader whose first record is the one at from; the zero
// position means the oldest one.
func NewReader(disk Disk, from Position) *Reader { return &Reader{disk: disk, pos: from, end: -1} }

// Limit makes the reader stop before the position, as if the journal ended
// there. The zero position is no limit.
func (r *Reader) Limit(p Position) { r.limit = p }

// Next moves to the next record. It returns false at the end and on an error.
func (r *Reader) Next() bool {
	for r.err == nil {
		if r.limit != (Position{}) && !r.pos.Before(r.limit) {
			return false
		}
		if r.file == nil {
			if !r.open() {
				return false
			}
			continue
		}
		if r.end < 0 && r.limit.Segment > r.pos.Segment {
			r.findEnd()
		}
		if r.end >= 0 && r.pos.Offset >= r.end {
			if r.whole || !r.advance() {
				return false
			}
			continue
		}
		if r.take() {
			return true
		}
		if r.err != nil || !r.pastDamage() {
			return false
		}
	}
	return false
}

// Kind returns the current record's kind.
func (r *Reader) Kind() byte { return r.frame[8] }

// Payload returns the current record's bytes, valid until the next call of Next.
func (r *Reader) Payload() []byte { return r.frame[frameHead:] }

// Writer returns the writer id of the current record.
func (r *Reader) Writer() string { return r.head.Writer }

// Epoch returns the epoch of the current record.
func (r *Reader) Epoch() uint64 { return r.head.Epoch }

// Began returns when the segment of the current record was begun.
func (r *Reader) Began() time.Time { return r.head.Created }

// At returns where the current record starts.
func (r *Reader) At() Position { return r.at }

// Offset returns where the next record will start.
func (r *Reader) Offset() Position { return r.pos }

// Err returns the first error. The end of the journal is none, nor is damage.
func (r *Reader) Err() error { return r.err }

// Damage returns what was found damaged so far.
func (r *Reader) Damage() []Damage { return r.damage }

// Close releases the file. The reader must not be used after it.
func (r *Reader) Close() error {
	if r.file == nil {
		return nil
	}
	err := r.file.Close()
	r.file = nil
	return err
}

// open opens the segment of pos, or the first one behind it that exists.
func (r *Reader) open() bool {
	file, err := openSegment(r.disk, r.pos.Segment)
	if r.pos.Segment == 0 || errors.Is(err, fs.ErrNotExist) {
		return r.skipToExisting()
	}
	if err != nil {
		r.err = err
		return false
	}
	r.file, r.buf, r.end = file, r.buf[:0], -1
	r.head, err = readHeader(file)
	if errors.Is(err, errHeader) {
		size, _ := file.Size()
		r.damage = append(r.damage, Damage{At: Position{r.pos.Segment, 0}, Bytes: size})
		r.end, r.checked = 0, false
		return true
	}
	if err != nil {
		r.err = err
		return false
	}
	if r.pos.Offset < headerSize {
		r.pos.Offset = headerSize
	}
	r.checked = r.pos.Offset == headerSize
	r.chain = r.head.PreviousChain
	r.findEnd()
	return true
}

// skipToExisting moves to the oldest segment behind pos and reports those
// between as missing, unless the reader asked for the oldest one.
func (r *Reader) skipToExisting() bool {
	all, err := Segments(r.disk)
	if err != nil {
		r.err = err
		return false
	}
	i, _ := slices.BinarySearch(all, r.pos.Segment)
	if i == len(all) {
		return false
	}
	if r.pos.Segment == all[i] {
		return true // it was quarantined between two looks
	}
	for n := r.pos.Segment; n != 0 && n < all[i]; n++ {
		r.damage = append(r.damage, Damage{At: Position{n, 0}, Missing: true})
	}
	r.pos = Position{all[i], 0}
	return true
}

// findEnd asks the next segment where this one ends.
func (r *Reader) findEnd() {
	next, err := openSegment(r.disk, r.pos.Segment+1)
	if err == nil {
		defer next.Close() //nolint:errcheck // was only read
		if h, err := readHeader(next); err == nil {
			r.end = h.PreviousEnd
			return
		}
	} else if !r.newerExists() {
		return
	}
	if size, err := r.file.Size(); err == nil { // the next one is damaged or missing
		r.end = size
	}
}

func (r *Reader) newerExists() bool {
	all, err := Segments(r.disk)
	return err == nil && len(all) > 0 && all[len(all)-1] > r.pos.Segment
}

// advance goes on to the next segment. False means that there is none yet.
func (r *Reader) advance() bool {
	next, err := openSegment(r.disk, r.pos.Segment+1)
	if err == nil {
		h, headErr := readHeader(next)
		_ = next.Close() // was only read
		if headErr == nil && r.checked && h.PreviousChain != r.chain && !r.damagedHere() {
			r.damage = append(r.damage, Damage{At: Position{r.pos.Segment, 0}, Bytes: r.end})
		}
	} else if !r.newerExists() {
		return false
	}
	_ = r.file.Close() // was only read
	r.file = nil
	r.pos = Position{r.pos.Segment + 1, 0}
	return true
}

func (r *Reader) damagedHere() bool {
	return len(r.damage) > 0 && r.damage[len(r.damage)-1].At.Segment == r.pos.Segment
}

// take reads the frame at pos when it is good.
func (r *Reader) take() bool {
	b := r.window()
	n, state := parseFrame(b)
	if state == frameShort && r.fill() {
		b = r.window()
		n, state = parseFrame(b)
	}
	if state != frameGood {
		return false
	}
	r.frame, r.at = b[:n], r.pos
	r.chain = extendChain(r.chain, b)
	r.pos.Offset += int64(n)
	return true
}

func (r *Reader) window() []byte {
	if skip := r.pos.Offset - r.bufAt; skip >= 0 && skip <= int64(len(r.buf)) {
		return r.buf[skip:]
	}
	return nil
}

// fill reads a window at pos and reports whether it has any bytes.
func (r *Reader) fill() bool {
	if cap(r.buf) == 0 {
		r.buf = make([]byte, readSize)
	}
	want := int64(cap(r.buf))
	if r.end >= 0 {
		want = min(want, r.end-r.pos.Offset)
	}
	n, err := r.file.ReadAt(r.buf[:want], r.pos.Offset)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
		return false
	}
	r.buf, r.bufAt = r.buf[:n], r.pos.Offset
	return n > 0
}

// pastDamage decides what bytes that are no frame mean. In the newest segment
// they may be a write in progress or a torn tail: the end. Before that they are
// damage, reported, and reading goes on at the next good frame.
func (r *Reader) pastDamage() bool {
	if r.whole {
		r.err = fmt.Errorf("checkpoint is damaged at %s", r.pos)
		return false
	}
	if r.end < 0 {
		r.buf = r.buf[:0] // the frame may be completed since it was read
		r.findEnd()
		return r.end >= 0
	}
	r.buf = r.buf[:0]
	next := r.resync(r.end)
	r.damage = append(r.damage, Damage{At: r.pos, Bytes: next - r.pos.Offset})
	r.pos.Offset = next
	return r.err == nil
}

// resync returns the offset of the next good frame behind pos and before end,
// or end.
func (r *Reader) resync(end int64) int64 {
	buf := make([]byte, end-r.pos.Offset)
	n, err := r.file.ReadAt(buf, r.pos.Offset)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
		return end
	}
	for i := 1; i < n; i++ {
		if _, state := parseFrame(buf[i:n]); state == frameGood {
			return r.pos.Offset + int64(i)
		}
	}
	return end
}

// Segments returns the numbers of all segments, ascending, damaged ones too.
func Segments(disk Disk) ([]uint64, error) {
	names, err := disk.List()
	if err != nil {
		return nil, err
	}
	var all []uint64
	for _, name := range names {
		n, ok := numberIn(name, segmentSuffix)
		if !ok {
			n, ok = numberIn(name, segmentSuffix+damagedSuffix)
		}
		if ok {
			all = append(all, n)
		}
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

func openSegment(disk Disk, n uint64) (File, error) {
	f, err := disk.Open(segmentName(n))
	if errors.Is(err, fs.ErrNotExist) {
		f, err = disk.Open(segmentName(n) + damagedSuffix)
	}
	return f, err
}

func readHeader(f File) (header, error) {
	var b [headerSize]byte
	if _, err := f.ReadAt(b[:], 0); err != nil && !errors.Is(err, io.EOF) {
		return header{}, err
	}
	return parseHeader(b[:])
}
