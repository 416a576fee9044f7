package decision

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/klauspost/compress/zstd"
	"go.etcd.io/bbolt"
)

// The buckets of the file. Decisions are in blocks, compressed: one key for each would cost
// the writer many times as much. index has the head of each block, by the same key; minutes
// has the sums of each minute.
const (
	bucketIndex   = "index"
	bucketBlocks  = "blocks"
	bucketMinutes = "minutes"
)

const (
	// blockBytes is how large a block becomes before it is compressed, and blockSpan how
	// long it is added to.
	blockBytes = 128 << 10
	blockSpan  = 10 * time.Minute
	// openWait is how long another process may still have the file.
	openWait = 2 * time.Second
)

// head is what the index has of a block.
type head struct {
	least, most [idSize]byte // ids
	last        int64        // when it was added to last, in milliseconds since 1970
	count, size uint32       // decisions, bytes on disk
}

const headSize = 2*idSize + 8 + 4 + 4

func (h *head) append(b []byte) []byte {
	b = append(append(b, h.least[:]...), h.most[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(h.last))
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, h.count), h.size)
}

func readHead(b []byte) (h head, err error) {
	if len(b) < headSize {
		return h, errCoded
	}
	copy(h.least[:], b)
	copy(h.most[:], b[idSize:])
	b = b[2*idSize:]
	h.last = int64(binary.BigEndian.Uint64(b))
	h.count, h.size = binary.BigEndian.Uint32(b[8:]), binary.BigEndian.Uint32(b[12:])
	return h, nil
}

// store is the file. write and whole belong to one goroutine at a time.
type store struct {
	guarded
	name     string
	is       os.FileInfo // how the file was when it was looked at last, nil once closed
	keep     time.Duration
	maxBytes int64

	pack   *zstd.Encoder
	unpack *zstd.Decoder

	// The block that is added to, and the size of all blocks and minutes.
	key   uint64
	head  head
	raw   []byte
	bytes int64
	room  []byte // for what compress writes
}

// openStore opens the file, or begins one in a directory that is there.
func openStore(o Options) (*store, error) {
	s := &store{name: o.File, keep: o.Keep, maxBytes: o.MaxBytes}
	err := s.open()
	//nolint:staticcheck // its own name
	if err != nil && !errors.Is(err, bbolt.ErrTimeout) && !os.IsPermission(err) && !os.IsNotExist(err) {
		if err = setAside(o, err); err == nil {
			err = s.open()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", o.File, err)
	}
	return s, nil
}

// setAside moves a file out of the way that cannot be used.
func setAside(o Options, why error) error {
	bad := fmt.Sprintf("%s.%s.bad", o.File, o.Now().UTC().Format("20060102T150405.000Z"))
	o.Log.Warn("the file of decisions cannot be used; a new one is begun", "err", why, "moved_to", bad)
	return os.Rename(o.File, bad)
}

// open opens the file, makes its buckets and looks how large all is.
func (s *store) open() (err error) {
	if s.pack, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(blockBytes), zstd.WithLowerEncoderMem(true)); err != nil {
		return err
	}
	if s.unpack, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20)); err != nil {
		return err
	}
	if s.guarded, err = openGuarded(s.name); err != nil {
		return err
	}
	if s.is, err = os.Stat(s.name); err != nil {
		return errors.Join(err, s.db.Close())
	}
	err = s.update(func(tx *bbolt.Tx) error {
		for _, name := range [...]string{bucketIndex, bucketBlocks, bucketMinutes} {
			if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
				return err
			}
		}
		return s.weigh(tx)
	})
	if err != nil {
		s.close()
	}
	return err
}

// weigh adds up what is stored.
func (s *store) weigh(tx *bbolt.Tx) error {
	s.bytes = 0
	err := tx.Bucket([]byte(bucketIndex)).ForEach(func(k, v []byte) error {
		h, err := readHead(v)
		s.bytes += int64(h.size)
		s.key = max(s.key, binary.BigEndian.Uint64(k))
		return err
	})
	if err != nil {
		return err
	}
	return tx.Bucket([]byte(bucketMinutes)).ForEach(func(_, v []byte) error {
		s.bytes += int64(len(v))
		return nil
	})
}

func (s *store) close() {
	s.guarded.close()
	s.unpack.Close()
}

// write adds decisions to the blocks, and sums to the minutes, all or nothing.
func (s *store) write(batch []byte, minutes []minute, now time.Time) error {
	key, bytes := s.key, s.bytes
	err := s.update(func(tx *bbolt.Tx) error {
		for len(batch) > 0 {
			var err error
			if batch, err = s.take(tx, batch, now); err != nil {
				return err
			}
		}
		for i := range minutes {
			if err := s.putMinute(tx, &minutes[i]); err != nil {
				return err
			}
		}
		return s.forget(tx, now)
	})
	if err != nil {
		s.key, s.bytes, s.head = key, bytes, head{} // the next one goes into another block
	}
	return err
}

// take adds as many decisions to one block as it may hold, and returns the others.
func (s *store) take(tx *bbolt.Tx, batch []byte, now time.Time) (rest []byte, err error) {
	s.begin(now)
	for len(batch) > 0 && len(s.raw) < blockBytes {
		one, after, err := next(batch)
		if err != nil {
			return nil, err
		}
		s.raw = append(s.raw, batch[:len(batch)-len(after)]...)
		s.head.add(one)
		batch = after
	}
	s.head.last = now.UnixMilli()
	packed := s.compress(s.raw)
	s.bytes += int64(len(packed)) - int64(s.head.size)
	s.head.size = uint32(len(packed)) //nolint:gosec // a block is small
	key := binary.BigEndian.AppendUint64(nil, s.key)
	if err := tx.Bucket([]byte(bucketBlocks)).Put(key, packed); err != nil {
		return nil, err
	}
	return batch, tx.Bucket([]byte(bucketIndex)).Put(key, s.head.append(nil))
}

// compress returns what raw is compressed to, in memory of its own. Compressing takes as
// much memory as raw has, unless it is given some; what is stored is a fraction of that.
func (s *store) compress(raw []byte) []byte {
	s.room = s.pack.EncodeAll(raw, s.room[:0])
	return slices.Clone(s.room)
}

// begin begins a block, unless there is one that may grow. Keys are times, and grow also
// where a clock is set back.
func (s *store) begin(now time.Time) {
	began := time.UnixMilli(int64(s.key >> keyBits)) //nolint:gosec // a time
	if s.head.count > 0 && len(s.raw) < blockBytes && now.Sub(began) < blockSpan {
		return
	}
	s.key = max(s.key+1, keyAt(now))
	s.head, s.raw = head{}, s.raw[:0]
}

// keyBits are for blocks of one millisecond.
const keyBits = 16

// keyAt is the least key of a block that was begun at that time.
func keyAt(t time.Time) uint64 { return uint64(max(0, t.UnixMilli())) << keyBits }

func (h *head) add(one []byte) {
	id := [idSize]byte(one)
	if h.count == 0 || string(id[:]) < string(h.least[:]) {
		h.least = id
	}
	if string(id[:]) > string(h.most[:]) {
		h.most = id
	}
	h.count++
}

// forgetAtOnce bounds how much one write deletes.
const forgetAtOnce = 1000

// forget deletes what is too old, and the oldest as long as there is too much.
func (s *store) forget(tx *bbolt.Tx, now time.Time) error {
	oldest := now.Add(-s.keep)
	blocks := tx.Bucket([]byte(bucketBlocks))
	cursor := tx.Bucket([]byte(bucketIndex)).Cursor()
	n := 0
	for k, v := cursor.First(); k != nil && n < forgetAtOnce; k, v = cursor.First() {
		h, err := readHead(v)
		if err != nil {
			return err
		}
		if s.bytes <= s.maxBytes && !time.UnixMilli(h.last).Before(oldest) || binary.BigEndian.Uint64(k) == s.key {
			break
		}
		if err := errors.Join(blocks.Delete(k), cursor.Delete()); err != nil {
			return err
		}
		s.bytes -= int64(h.size)
		n++
	}
	return s.forgetMinutes(tx, oldest)
}
