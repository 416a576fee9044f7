package journal

import (
	"cmp"
	"crypto/rand"
	"errors"
	"io"
	"runtime"
	"strings"
	"sync"
	"time"
)

// Fsync is when a record reaches the disk.
type Fsync uint8

// The settings. The zero value is FsyncGroup.
const (
	// FsyncGroup lets the operating system have a record before Append returns
	// and the disk within Options.Every. The death of the machine can lose the
	// records of that time.
	FsyncGroup Fsync = iota
	// FsyncAlways makes Append wait for the disk.
	FsyncAlways
	// FsyncOS leaves it to the operating system. The death of the machine can
	// lose the records of half a minute.
	FsyncOS
)

// Options say how a journal is kept. Zero values take the defaults.
type Options struct {
	Fsync        Fsync
	Every        time.Duration // longest wait of a group, default 5ms
	SegmentBytes int64         // when a segment is closed, default 64 MiB
	ReserveBytes int64         // kept free for a full disk, default 1 MiB
	HealEvery    time.Duration // between attempts to recover, default 1s
	Stamper      Stamper       // nil: none
	Random       io.Reader     // default crypto/rand
	Now          func() time.Time
}

// Stamper numbers records in the order in which they are written. Calls are
// never concurrent.
type Stamper interface {
	// Stamp may overwrite bytes of a payload that is about to be written.
	Stamp(kind byte, payload []byte)
	// Settle says whether the payloads stamped since the last Settle were
	// written; if not, they never will be and their numbers are free again.
	Settle(written bool)
}

// Priority says which records are still taken after a disk fault.
type Priority uint8

// The priorities.
const (
	// Refusable records start something new; a journal with a fault refuses them.
	Refusable Priority = iota
	// Reserved records end something; they may use up the reserve.
	Reserved
)

// Recovery is what Open found in the newest segment.
type Recovery struct {
	TornBytes int64 // cut from its end
	Damage    []Damage
}

// Journal is an open journal. Its methods may be called concurrently.
type Journal struct {
	disk Disk
	opts Options
	lock io.Closer
	// id and place are who writes, and where; id is guarded by mu.
	id     Identity
	place  uint64
	oldest uint64 // segment that there was at the start

	recovery Recovery

	mu       sync.Mutex
	pending  *batch // collects records while the one before is written
	free     *batch
	leading  bool // somebody is writing a batch
	closed   bool
	fault    error // why Refusable records are refused, nil when healthy
	missing  error // which older segment is gone, nil for none
	doubt    error // why the newest segment cannot be synced, nil when it can
	written  mark
	synced   mark
	syncFile File      // the file that written is in
	progress sync.Cond // on mu: synced or fault has changed

	// tail is guarded by writing; whoever holds both took writing first.
	writing sync.Mutex
	tail    tail

	syncing sync.Mutex // held while tail.file is synced or closed
	dirty   chan struct{}
	stop    chan struct{}
	done    chan struct{}
}

// mark is a position with the chain up to it.
type mark struct {
	Position
	chain uint32
}

// ErrClosed is returned by Append after Close.
var ErrClosed = errors.New("journal is closed")

// Open locks the directory, takes a new identity, cuts a torn tail and starts a
// new segment. It fails with ErrLocked when another process has it open.
func Open(disk Disk, opts Options) (*Journal, error) {
	lock, err := disk.Lock()
	if err != nil {
		return nil, err
	}
	j := &Journal{
		disk: disk, opts: withDefaults(opts), lock: lock,
		dirty: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	j.progress.L = &j.mu
	j.pending, j.free = newBatch(&j.mu), newBatch(&j.mu)
	if err := j.start(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	go j.syncLoop()
	return j, nil
}

func withDefaults(o Options) Options {
	o.Every, o.HealEvery = cmp.Or(o.Every, 5*time.Millisecond), cmp.Or(o.HealEvery, time.Second)
	o.SegmentBytes, o.ReserveBytes = cmp.Or(o.SegmentBytes, 64<<20), cmp.Or(o.ReserveBytes, 1<<20)
	o.Random = cmp.Or(o.Random, rand.Reader)
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

func (j *Journal) start() error {
	if err := removeParts(j.disk); err != nil {
		return err
	}
	last, err := j.recoverNewest() // first: a journal of a later format is left as it is
	if err != nil {
		return err
	}
	if j.id, err = nextIdentity(j.disk, j.opts.Random); err != nil {
		return err
	}
	if j.place, err = j.disk.Place(); err != nil {
		return err
	}
	if err := j.fillReserve(); err != nil {
		return err
	}
	if err := j.roll(last); err != nil {
		return err
	}
	all, err := Segments(j.disk)
	if err == nil && len(all) > 0 {
		j.oldest = all[0]
	}
	return err
}

// recoverNewest reads the newest segment to its end, cuts what a crash left
// half written there, and returns where the journal goes on.
func (j *Journal) recoverNewest() (mark, error) {
	all, err := Segments(j.disk)
	if err != nil || len(all) == 0 {
		return mark{}, err
	}
	newest := all[len(all)-1]
	r := NewReader(j.disk, Position{newest, 0})
	defer r.Close()
	for {
		for r.Next() {
		}
		if r.err != nil || r.file == nil || r.end == 0 {
			break
		}
		size, err := r.file.Size()
		if err != nil {
			return mark{}, err
		}
		next := r.resync(size)
		if r.err != nil {
			break
		}
		if next < size { // good records behind: not a torn tail
			r.damage = append(r.damage, Damage{At: r.pos, Bytes: next - r.pos.Offset})
			r.pos.Offset = next
			continue
		}
		if err := j.recovery.cut(j.disk, r, size); err != nil {
			return mark{}, err
		}
		break
	}
	j.recovery.Damage = r.damage
	if len(r.damage) > 0 && r.err == nil {
		err = Quarantine(j.disk, newest)
	}
	return mark{Position{newest, r.pos.Offset}, r.chain}, errors.Join(r.Err(), err)
}

// cut removes the torn tail of a reader's segment. The next header says where
// the segment ends, so a quarantined one can keep its bytes.
func (found *Recovery) cut(disk Disk, r *Reader, size int64) error {
	found.TornBytes = size - r.pos.Offset
	if found.TornBytes <= 0 || len(r.damage) > 0 {
		return nil
	}
	f, err := disk.Edit(segmentName(r.pos.Segment))
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(r.pos.Offset), f.Sync(), f.Close())
}

func removeParts(disk Disk) error {
	names, err := disk.List()
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasSuffix(name, partSuffix) {
			if err := disk.Remove(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// Append adds a record and returns where it is. It fails with a
// *RefusedError while the disk is at fault, and with the disk's error when even
// a Reserved record finds no room; the record is then not in the journal. An
// error together with a position means that it is there but not durable.
func (j *Journal) Append(kind byte, payload []byte, p Priority) (Position, error) {
	if len(payload) > MaxRecord {
		return Position{}, errTooLong
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return Position{}, ErrClosed
	}
	if j.fault != nil && p == Refusable {
		return Position{}, &RefusedError{j.fault}
	}
	b := j.pending
	i := b.add(kind, payload, p)
	for !b.done && j.leading {
		b.turn.Wait()
	}
	if !b.done {
		j.lead(b)
	}
	at, err := b.items[i].at, b.items[i].err
	if b.leave() {
		j.free = b
	}
	if err != nil {
		return Position{}, err
	}
	if j.opts.Fsync == FsyncAlways {
		err = j.waitSynced(at)
	}
	return at, err
}

// lead writes a batch for everybody who waits in it. Before that it lets those
// run who can: whoever has a record by then is in the same write. The caller
// holds mu.
func (j *Journal) lead(b *batch) {
	j.leading = true
	j.mu.Unlock()
	runtime.Gosched()
	j.mu.Lock()
	j.pending, j.free = j.free, nil
	if j.pending == nil {
		j.pending = newBatch(&j.mu)
	}
	j.mu.Unlock()
	j.writeBatch(b)
	j.mu.Lock()
	j.leading = false
	b.done = true
	b.turn.Broadcast()
	j.pending.turn.Signal()
	if j.closed {
		j.progress.Broadcast()
	}
}

// waitSynced waits until the record that starts at the position is on disk. The
// caller holds mu.
func (j *Journal) waitSynced(at Position) error {
	for !at.Before(j.synced.Position) {
		if j.fault != nil {
			return &RefusedError{j.fault}
		}
		j.progress.Wait()
	}
	return nil
}

// Identity returns who writes this journal.
func (j *Journal) Identity() Identity {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.id
}

// Place returns where the journal is written: see Disk.
func (j *Journal) Place() uint64 { return j.place }

// WriteAs starts a segment under another identity. Nothing may be appended
// meanwhile.
func (j *Journal) WriteAs(id Identity) error {
	j.writing.Lock()
	defer j.writing.Unlock()
	j.mu.Lock()
	j.id = id
	j.mu.Unlock()
	return j.roll(j.tail.mark())
}

// Recovered returns what Open had to cut or found damaged.
func (j *Journal) Recovered() Recovery { return j.recovery }

// Synced returns the position up to which records are as durable as the setting
// promises; only these may be acted on.
func (j *Journal) Synced() Position {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.synced.Position
}

// Sync makes durable what was written so far, without waiting for its group.
// After an error the journal is at fault and recovers by itself.
func (j *Journal) Sync() error {
	err := j.syncOnce()
	if err != nil {
		j.setFault(err)
	}
	return err
}

// Written returns the position behind the last record.
func (j *Journal) Written() Position {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.written.Position
}

// Fault returns why new records are refused, nil when they are not.
func (j *Journal) Fault() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.fault
}

// Disk returns the directory, for readers.
func (j *Journal) Disk() Disk { return j.disk }

// Close waits for the callers of Append, syncs what they wrote, and unlocks the
// directory.
func (j *Journal) Close() error {
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return nil
	}
	j.closed = true
	for j.leading || len(j.pending.items) > 0 {
		j.progress.Wait()
	}
	j.mu.Unlock()
	close(j.stop)
	<-j.done
	err := j.Sync()
	return errors.Join(err, j.tail.file.Close(), j.lock.Close())
}
