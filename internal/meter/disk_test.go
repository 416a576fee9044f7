package meter

import (
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/sluice-gateway/sluice/internal/meter/journal"
)

// faultDisk is a directory that can fail, fill up, and lose power.
type faultDisk struct {
	journal.Dir
	state *diskState
}

type diskState struct {
	mu sync.Mutex
	// fail returns the error of an operation ("create", "write", "sync",
	// "truncate") on a file, nil for none.
	fail func(op, name string) error
	// room is how many more bytes fit, negative for no bound.
	room int64
	// synced are the bytes of each file that survive a loss of power.
	synced map[string][]byte
	// lies makes Sync do nothing and say that it did.
	lies bool
}

func newFaultDisk(dir string) faultDisk {
	return faultDisk{journal.Dir(dir), &diskState{room: -1, synced: map[string][]byte{}}}
}

func (d faultDisk) set(change func(*diskState)) {
	d.state.mu.Lock()
	defer d.state.mu.Unlock()
	change(d.state)
}

// always fails every operation of that kind.
func always(op string, err error) func(string, string) error {
	return func(o, _ string) error {
		if o == op {
			return err
		}
		return nil
	}
}

func (s *diskState) check(op, name string) error {
	if s.fail == nil {
		return nil
	}
	return s.fail(op, name)
}

func (d faultDisk) Create(name string) (journal.File, error) {
	d.state.mu.Lock()
	defer d.state.mu.Unlock()
	if err := d.state.check("create", name); err != nil {
		return nil, err
	}
	f, err := d.Dir.Create(name)
	if err != nil {
		return nil, err
	}
	delete(d.state.synced, name)
	return &faultFile{f, d, name}, nil
}

func (d faultDisk) Edit(name string) (journal.File, error) {
	f, err := d.Dir.Edit(name)
	if err != nil {
		return nil, err
	}
	return &faultFile{f, d, name}, nil
}

func (d faultDisk) Rename(from, to string) error {
	d.state.mu.Lock()
	defer d.state.mu.Unlock()
	if b, ok := d.state.synced[from]; ok {
		delete(d.state.synced, from)
		d.state.synced[to] = b
	}
	return d.Dir.Rename(from, to)
}

func (d faultDisk) Remove(name string) error {
	d.state.mu.Lock()
	defer d.state.mu.Unlock()
	if st, err := os.Stat(filepath.Join(string(d.Dir), name)); err == nil && d.state.room >= 0 {
		d.state.room += st.Size()
	}
	delete(d.state.synced, name)
	return d.Dir.Remove(name)
}

// unplugged is the directory as the next boot finds it: what was synced.
func (d faultDisk) unplugged(t testing.TB) string {
	t.Helper()
	d.state.mu.Lock()
	defer d.state.mu.Unlock()
	to := t.TempDir()
	for name, b := range d.state.synced {
		if err := os.WriteFile(filepath.Join(to, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// faultFile knows its name at the time it was opened; segments are made under
// another one, so it follows renames by what the system calls the file now.
type faultFile struct {
	journal.File
	d    faultDisk
	name string
}

// current is the file's name after renames: a .part that is gone was renamed.
func (f *faultFile) current() string {
	const part = ".part"
	if filepath.Ext(f.name) == part {
		if _, err := os.Stat(filepath.Join(string(f.d.Dir), f.name)); os.IsNotExist(err) {
			return f.name[:len(f.name)-len(part)]
		}
	}
	return f.name
}

func (f *faultFile) WriteAt(p []byte, off int64) (int, error) {
	s := f.d.state
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.check("write", f.current()); err != nil {
		return 0, err
	}
	size, err := f.Size()
	if err != nil {
		return 0, err
	}
	if grow := off + int64(len(p)) - size; s.room >= 0 && grow > 0 {
		if grow > s.room {
			n, _ := f.File.WriteAt(p[:max(0, int64(len(p))-(grow-s.room))], off)
			s.room = 0
			return n, syscall.ENOSPC
		}
		s.room -= grow
	}
	return f.File.WriteAt(p, off)
}

func (f *faultFile) Truncate(size int64) error {
	s := f.d.state
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.check("truncate", f.current()); err != nil {
		return err
	}
	before, err := f.Size()
	if err == nil && s.room >= 0 {
		s.room += max(0, before-size)
	}
	return f.File.Truncate(size)
}

func (f *faultFile) Sync() error {
	s := f.d.state
	s.mu.Lock()
	defer s.mu.Unlock()
	name := f.current()
	if err := s.check("sync", name); err != nil {
		return err
	}
	if s.lies {
		return nil
	}
	size, err := f.Size()
	if err != nil {
		return err
	}
	b := make([]byte, size)
	if _, err := f.ReadAt(b, 0); err != nil && size > 0 {
		return err
	}
	s.synced[name] = b
	return nil
}

var _ journal.Disk = faultDisk{}

var errBadDisk, errReadOnly error = syscall.EIO, &fs.PathError{Op: "create", Path: "x", Err: syscall.EROFS}
