package journal

import (
	"cmp"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Disk is one directory, as much of it as the journal uses. It exists so that
// tests can inject faults below; Dir is the real one. Names have no slashes.
type Disk interface {
	Create(name string) (File, error) // empty, for reading and writing
	Open(name string) (File, error)   // for reading; fs.ErrNotExist when absent
	Edit(name string) (File, error)   // an existing one, for writing too
	Rename(from, to string) error
	Remove(name string) error
	List() ([]string, error)
	SyncDir() error           // makes creations and renames durable
	Lock() (io.Closer, error) // ErrLocked when another process has it
	// Place distinguishes the directory from its copies: it stays the same while the
	// directory is not copied, and a copy has another one. Never 0.
	Place() (uint64, error)
}

// File is one open file.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Sync() error
	Truncate(size int64) error
	Size() (int64, error)
}

// ErrLocked is returned by Lock and Open when another process owns the journal.
var ErrLocked = errors.New("another process has the journal open")

// Dir is a Disk in the directory of that path, which must exist.
type Dir string

// Beside are the further folders of journals next to the first one: those called as it is, with
// a dash and more behind, of processes that served beside another one. They are sorted.
func (d Dir) Beside() (all []Dir, err error) {
	in, name := filepath.Split(filepath.Clean(string(d)))
	entries, err := os.ReadDir(cmp.Or(in, "."))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), name+"-") {
			continue
		}
		beside := filepath.Join(in, e.Name())
		if info, err := os.Stat(beside); err == nil && info.IsDir() {
			all = append(all, Dir(beside))
		}
	}
	return all, err
}

// Create makes an empty file that only its owner may read, because records
// name tenants.
func (d Dir) Create(name string) (File, error) {
	f, err := os.OpenFile(d.path(name), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

// Open opens an existing file for reading.
func (d Dir) Open(name string) (File, error) {
	f, err := os.Open(d.path(name))
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

// Edit opens an existing file for writing.
func (d Dir) Edit(name string) (File, error) {
	f, err := os.OpenFile(d.path(name), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

// Rename replaces to.
func (d Dir) Rename(from, to string) error { return os.Rename(d.path(from), d.path(to)) }

// Remove deletes a file.
func (d Dir) Remove(name string) error { return os.Remove(d.path(name)) }

// List returns all names, sorted.
func (d Dir) List() ([]string, error) {
	entries, err := os.ReadDir(string(d))
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, err
}

// SyncDir syncs the directory.
func (d Dir) SyncDir() error {
	f, err := os.Open(string(d))
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Lock takes an exclusive lock that the kernel drops with the process.
func (d Dir) Lock() (io.Closer, error) {
	f, err := os.OpenFile(d.path("lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close() // nothing was written
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = ErrLocked
		}
		return nil, fmt.Errorf("lock %s: %w", d.path("lock"), err)
	}
	return f, nil
}

// Place is made of the device and inode of the lock, which must exist: a copy
// has another inode. A copy of a whole device has not; nothing distinguishes
// those.
func (d Dir) Place() (uint64, error) {
	var st syscall.Stat_t
	if err := syscall.Stat(d.path("lock"), &st); err != nil {
		return 0, fmt.Errorf("stat %s: %w", d.path("lock"), err)
	}
	h := fnv.New64a()
	h.Write(fmt.Appendf(nil, "%d %d", st.Dev, st.Ino))
	return h.Sum64() | 1, nil
}

func (d Dir) path(name string) string { return filepath.Join(string(d), name) }

type osFile struct{ *os.File }

func (f osFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}
