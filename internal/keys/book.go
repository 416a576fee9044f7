package keys

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Options say where acts are kept. DataDir, Sealer, Log and Now must be set.
type Options struct {
	DataDir string
	Sealer  Sealer
	Board   Board // nil: the gateway shares its keys with nobody
	// ReadOnly keeps Refresh from writing anything, to the disk and the board.
	ReadOnly bool
	Random   io.Reader
	Log      *slog.Logger
	Now      func() time.Time
	// Ahead is by how much this machine's clock is behind the one that keys expire by;
	// nil: by nothing.
	Ahead func() time.Duration
}

// Book is all acts that a process knows. It is safe for concurrent use.
type Book struct {
	opts  Options
	state atomic.Pointer[State]
	turn  sync.Mutex // held by Refresh

	mu     sync.Mutex // guards the following
	file   file
	acts   map[string]*known // by hash
	sorted []*known
	writer string // of this process
	number uint64 // of its last act
	prev   string // and its hash
	cursor Cursor
	health health
	used   used
}

// health is what is wrong between a book and where its acts are kept and carried.
type health struct {
	heard   time.Time // when the board last answered, zero for never
	board   error     // why it did not the last time
	file    error     // why the file does not have all acts
	foreign int       // acts that nobody can read
}

// ErrNoActs is of a file that no gateway wrote, where acts should be.
var ErrNoActs = errors.New("this is no file of acts on keys")

// Open reads the acts of a data directory. It fails with ErrNoActs when something else is in their
// place: which keys were revoked is not known then. The board is asked by Refresh.
func Open(o Options) (*Book, error) {
	if o.Random == nil {
		o.Random = rand.Reader
	}
	if o.Ahead == nil {
		o.Ahead = func() time.Duration { return 0 }
	}
	b := &Book{opts: o, acts: map[string]*known{}, file: file{path: filepath.Join(o.DataDir, FileName)}}
	b.used.open(o.DataDir)
	b.state.Store(&State{})
	b.mu.Lock()
	defer b.mu.Unlock()
	err := b.readFile()
	if err == nil && len(b.sorted) == 0 && b.file.strange() {
		err = fmt.Errorf("%w: %s; put back a copy of it, as another gateway of the ledger has one, or remove it",
			ErrNoActs, b.file.path)
	}
	return b, err
}

// Join makes the book share its acts with others by a board, and go by the board's
// clock, which is ahead of this machine's by so much. It must be called before the
// first Refresh.
func (b *Book) Join(board Board, ahead func() time.Duration) {
	b.opts.Board, b.opts.Ahead = board, ahead
}

// Close writes down which keys were used and which acts the file lacks, unless the book is
// read only, and lets go of the file.
func (b *Book) Close(ctx context.Context) (err error) {
	if !b.opts.ReadOnly {
		err = b.NoteUsed(ctx)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.opts.ReadOnly {
		b.keep()
		err = errors.Join(err, b.health.file)
	}
	return errors.Join(err, b.file.close())
}

// State is what all known acts come to. A nil book has none.
func (b *Book) State() *State {
	if b == nil {
		return nil
	}
	return b.state.Load()
}

// Len is how many acts the book knows.
func (b *Book) Len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.sorted)
}

// Clock is the time that keys expire by. That of a nil book is this machine's.
func (b *Book) Clock(now time.Time) time.Time {
	if b == nil {
		return now
	}
	return now.Add(b.opts.Ahead())
}

// readFile takes in what was appended to the file. The caller holds mu.
func (b *Book) readFile() error {
	all, again, err := b.file.more()
	if err != nil {
		return err
	}
	if again {
		for _, k := range b.sorted {
			k.kept = false
		}
	}
	before := len(b.sorted)
	for _, e := range all {
		if k := b.take(e, true); k != nil {
			k.kept = true
		}
	}
	if len(b.sorted) > before {
		b.merge()
	}
	return nil
}

// take adds an entry and returns it, nil for what cannot be read. What a data
// directory has was checked when it was written: the secret may be gone since. The
// caller holds mu.
func (b *Book) take(e Entry, own bool) *known {
	if k := b.acts[e.Hash()]; k != nil {
		if !k.verified && b.trusts(&e, own) { // its secret may be loaded again
			k.Seal, k.verified = e.Seal, true
			b.merge()
		}
		return k
	}
	k, err := open(e)
	if err != nil {
		b.health.foreign++
		b.opts.Log.Error("an act about keys cannot be read", "err", err)
		return nil
	}
	k.verified = b.trusts(&e, own)
	b.acts[k.hash] = k
	at, _ := slices.BinarySearchFunc(b.sorted, k, before)
	b.sorted = slices.Insert(b.sorted, at, k)
	return k
}

func (b *Book) trusts(e *Entry, own bool) bool {
	ok, loaded := b.opts.Sealer.Sealed(e.Act, e.Seal)
	return ok || own && !loaded
}

// merge makes the state anew. The caller holds mu.
func (b *Book) merge() { b.state.Store(merge(b.sorted, b.state.Load())) }

// ErrNotKept is wrapped by the error of an act that could not be written to disk, and
// was not done therefore.
var ErrNotKept = errors.New("the act is not done, because it could not be written to disk")

// Do does one act, or all of several: they are on disk, and in effect here, when it
// returns. Whoever wants it to be known elsewhere calls Refresh. decide makes the acts
// from the state of that moment; its error is returned.
func (b *Book) Do(decide func(*State) ([]Act, error)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.readFile(); err != nil {
		return fmt.Errorf("%w: %w", ErrNotKept, err)
	}
	acts, err := decide(b.state.Load())
	if err != nil || len(acts) == 0 {
		return err
	}
	if b.writer == "" {
		if b.writer, err = newWriter(b.opts.Random); err != nil {
			return err
		}
	}
	entries, err := b.chain(acts)
	if err != nil {
		return err
	}
	if err := b.file.append(entries); err != nil {
		return fmt.Errorf("%w: %w", ErrNotKept, err)
	}
	b.number += uint64(len(entries))
	b.prev = entries[len(entries)-1].Hash()
	for _, e := range entries {
		b.take(e, true).kept = true
	}
	b.merge()
	return nil
}

// chain makes the entries of acts that follow what is known.
func (b *Book) chain(acts []Act) ([]Entry, error) {
	prev, after, clock := b.prev, "", uint64(0)
	if n := len(b.sorted); n > 0 {
		after, clock = b.sorted[n-1].hash, b.sorted[n-1].Act.Clock
	}
	var all []Entry
	for i := range acts {
		a := acts[i]
		clock++
		a.V, a.Writer, a.Number, a.Clock = actVersion, b.writer, b.number+uint64(i)+1, clock
		a.Prev, a.After, a.At = prev, after, b.opts.Now().UTC().Truncate(time.Millisecond)
		e, err := seal(&a, b.opts.Sealer)
		if err != nil {
			return nil, err
		}
		prev, after = e.Hash(), e.Hash()
		all = append(all, e)
	}
	return all, nil
}

func newWriter(random io.Reader) (string, error) {
	const letters = "abcdefghijklmnopqrstuvwxyz234567"
	var b [16]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", err
	}
	var text strings.Builder
	for _, c := range b {
		text.WriteByte(letters[c%byte(len(letters))])
	}
	return text.String(), nil
}

// keep writes to the file what it does not have. The caller holds mu.
func (b *Book) keep() {
	err := b.readFile()
	var lacks []*known
	for _, k := range b.sorted {
		if !k.kept && k.verified && !b.opts.ReadOnly {
			lacks = append(lacks, k)
		}
	}
	if err == nil && len(lacks) > 0 {
		entries := make([]Entry, len(lacks))
		for i, k := range lacks {
			entries[i] = k.Entry
		}
		if err = b.file.append(entries); err == nil {
			for _, k := range lacks {
				k.kept = true
			}
		}
	}
	if err != nil && b.health.file == nil {
		b.opts.Log.Error("acts about keys are not kept on disk", "err", err)
	}
	b.health.file = err
}

// Refresh takes in what others have written to the file and the board, and gives both
// what they lack. Acts of others are in effect when it returns, also those that the
// file does not take.
func (b *Book) Refresh(ctx context.Context) error {
	b.turn.Lock()
	defer b.turn.Unlock()
	b.mu.Lock()
	b.keep()
	b.mu.Unlock()
	err := b.exchange(ctx)
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil {
		b.health.heard = b.opts.Now()
	}
	b.health.board = err
	b.keep()
	return err
}
