package decision

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"sync/atomic"
	"syscall"

	"go.etcd.io/bbolt"
)

// errDamaged is of a file whose pages are not what was written there.
var errDamaged = errors.New("the file of decisions is damaged")

// guarded is an open file whose damage is an error. bbolt reads the file as memory: where
// somebody cut it, the system ends the whole process, and where its pages make no sense,
// bbolt panics.
type guarded struct {
	db *bbolt.DB
	// damaged is set for good by the first damage: bbolt may hold its locks from then on.
	damaged *atomic.Bool
}

func openGuarded(name string) (g guarded, err error) {
	g.damaged = new(atomic.Bool)
	err = g.look(func() (err error) {
		g.db, err = bbolt.Open(name, 0o600, &bbolt.Options{
			Timeout: openWait, NoFreelistSync: true, FreelistType: bbolt.FreelistMapType,
		})
		return err
	})
	return g, err
}

func (g guarded) view(f func(*bbolt.Tx) error) error {
	return g.look(func() error { return g.db.View(f) })
}

func (g guarded) update(f func(*bbolt.Tx) error) error {
	return g.look(func() error { return g.db.Update(f) })
}

func (g guarded) look(f func() error) (err error) {
	if g.damaged.Load() {
		return errDamaged
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if cause := recover(); cause != nil {
			g.damaged.Store(true)
			err = fmt.Errorf("%w: %v", errDamaged, cause)
		}
	}()
	return f()
}

// close closes the file. One that is damaged stays open: closing may wait for ever.
func (g guarded) close() {
	if !g.damaged.Load() {
		g.db.Close() //nolint:errcheck,gosec // all that was to be written is
	}
}

// whole says why the file is not the one any more that was opened, nil when it is.
func (s *store) whole() error {
	now, err := os.Stat(s.name)
	switch {
	case s.damaged.Load():
		return errDamaged
	case s.is == nil:
		return errors.New("it is closed, and no other could be opened")
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return errors.New("somebody removed or moved it")
	case err != nil:
		return nil //nolint:nilerr // it is open, and may be written
	case !os.SameFile(now, s.is):
		return errors.New("somebody replaced it")
	case now.Size() < s.is.Size():
		return errors.New("somebody cut it")
	}
	s.is = now
	return nil
}

// renew takes the file that is there now in place of one that is not whole any more, or
// begins a new one. The caller holds turn.
func (l *Log) renew(why error) error {
	old := l.store.Load()
	was := old.is
	old.close()
	old.is = nil
	if now, err := os.Stat(old.name); old.damaged.Load() && err == nil && os.SameFile(now, was) {
		if err := setAside(l.opts, why); err != nil { // the one that is open has its lock
			return err
		}
	}
	s, err := openStore(l.opts)
	if err != nil {
		return fmt.Errorf("%w: %w", why, err)
	}
	l.store.Store(s)
	l.opts.Log.Warn("the file of decisions was opened anew", "because", why)
	return nil
}
