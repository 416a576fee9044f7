package journal

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"slices"
	"sync"
	"syscall"
)

// memDisk is a directory in memory that can fail and lose power.
type memDisk struct {
	mu     sync.Mutex
	files  map[string]*memFile
	locked bool
	// fail returns the error of an operation ("write", "sync", "create",
	// "rename", "syncdir", "truncate", "remove") on a file, nil for none.
	fail func(op, name string) error
	// room is how many more bytes fit, negative for no bound.
	room int64
	// torn makes a failing write leave half of its bytes behind.
	torn bool
}

type memFile struct {
	disk   *memDisk
	name   string
	data   []byte
	synced []byte
}

func newMemDisk() *memDisk { return &memDisk{files: map[string]*memFile{}, room: -1} }

func (d *memDisk) check(op, name string) error {
	if d.fail == nil {
		return nil
	}
	return d.fail(op, name)
}

func (d *memDisk) setFail(f func(op, name string) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail = f
}

func (d *memDisk) setRoom(n int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.room = n
}

func (d *memDisk) Create(name string) (File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.check("create", name); err != nil {
		return nil, err
	}
	f := &memFile{disk: d, name: name}
	d.files[name] = f
	return f, nil
}

func (d *memDisk) Open(name string) (File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f, ok := d.files[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return f, nil
}

func (d *memDisk) Edit(name string) (File, error) { return d.Open(name) }

func (d *memDisk) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.check("rename", from); err != nil {
		return err
	}
	f, ok := d.files[from]
	if !ok {
		return fs.ErrNotExist
	}
	delete(d.files, from)
	f.name, d.files[to] = to, f
	return nil
}

func (d *memDisk) Remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.check("remove", name); err != nil {
		return err
	}
	f, ok := d.files[name]
	if !ok {
		return fs.ErrNotExist
	}
	if d.room >= 0 {
		d.room += int64(len(f.data))
	}
	delete(d.files, name)
	return nil
}

func (d *memDisk) List() ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(maps.Keys(d.files)), nil
}

func (d *memDisk) SyncDir() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.check("syncdir", "")
}

func (d *memDisk) Place() (uint64, error) { return 1, nil }

func (d *memDisk) Lock() (io.Closer, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.locked {
		return nil, ErrLocked
	}
	d.locked = true
	return unlocker{d}, nil
}

type unlocker struct{ d *memDisk }

func (u unlocker) Close() error {
	u.d.mu.Lock()
	defer u.d.mu.Unlock()
	u.d.locked = false
	return nil
}

// killed returns the disk as the next process finds it: everything written.
func (d *memDisk) killed() *memDisk {
	return d.copy(func(f *memFile) []byte { return f.data })
}

// unplugged returns the disk as the next boot finds it: only what was synced.
func (d *memDisk) unplugged() *memDisk {
	return d.copy(func(f *memFile) []byte { return f.synced })
}

func (d *memDisk) copy(content func(*memFile) []byte) *memDisk {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := newMemDisk()
	for name, f := range d.files {
		b := slices.Clone(content(f))
		c.files[name] = &memFile{disk: c, name: name, data: b, synced: slices.Clone(b)}
	}
	return c
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if off >= int64(len(f.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.disk.check("write", f.name); err != nil {
		if f.disk.torn {
			f.put(p[:len(p)/2], off)
		}
		return 0, err
	}
	grow := off + int64(len(p)) - int64(len(f.data))
	if f.disk.room >= 0 && grow > f.disk.room {
		fits := max(0, int64(len(p))-(grow-f.disk.room))
		f.put(p[:fits], off)
		f.disk.room = 0
		return int(fits), syscall.ENOSPC
	}
	if f.disk.room >= 0 && grow > 0 {
		f.disk.room -= grow
	}
	f.put(p, off)
	return len(p), nil
}

func (f *memFile) put(p []byte, off int64) {
	if need := off + int64(len(p)); need > int64(len(f.data)) {
		f.data = append(f.data, make([]byte, need-int64(len(f.data)))...)
	}
	copy(f.data[off:], p)
}

func (f *memFile) Sync() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.disk.check("sync", f.name); err != nil {
		return err
	}
	f.synced = slices.Clone(f.data)
	return nil
}

func (f *memFile) Truncate(size int64) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.disk.check("truncate", f.name); err != nil {
		return err
	}
	if freed := int64(len(f.data)) - size; freed > 0 && f.disk.room >= 0 {
		f.disk.room += freed
	}
	f.data = f.data[:size]
	return nil
}

func (f *memFile) Size() (int64, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return int64(len(f.data)), nil
}

func (f *memFile) Close() error { return nil }

var errDisk = errors.New("injected disk error")
