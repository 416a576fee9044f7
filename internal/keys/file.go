package keys

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// FileName is the file of acts in a data directory.
const FileName = "keys.jsonl"

// file is the acts that a data directory has, a line each. Several processes may
// append to it: gateways and commands.
type file struct {
	path    string
	in      *os.File  // what was read of it last, nil for nothing: its inode has no other file meanwhile
	read    int64     // up to here
	changed time.Time // when the file was changed last, as of then
	bad     int       // lines that are no entry
}

// more returns the entries that were appended since the last call. again is whether it
// is another file than before, a shorter one or one that was written over, and these are
// all that it has.
func (f *file) more() (all []Entry, again bool, err error) {
	state, err := os.Stat(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, true, f.close()
	}
	if err != nil {
		return nil, false, err
	}
	if again, err = f.reopen(state); err != nil {
		return nil, again, err
	}
	if f.changed = state.ModTime(); state.Size() <= f.read {
		return nil, again, nil
	}
	text, err := io.ReadAll(io.NewSectionReader(f.in, f.read, state.Size()-f.read))
	if err != nil {
		return nil, again, err
	}
	whole := bytes.LastIndexByte(text, '\n') + 1 // what follows is being written, or was cut
	f.read += int64(whole)
	for line := range bytes.Lines(text[:whole]) {
		e, err := parseLine(line)
		if err != nil {
			f.bad++
			continue
		}
		all = append(all, e)
	}
	return all, again, nil
}

// reopen reports whether the file is another one than before, shorter, or written over.
func (f *file) reopen(now os.FileInfo) (again bool, err error) {
	if f.in != nil {
		before, err := f.in.Stat()
		same := now.Size() > f.read && !f.strange() || now.Size() == f.read && now.ModTime().Equal(f.changed)
		if err == nil && os.SameFile(before, now) && same {
			return false, nil
		}
	}
	if err := f.close(); err != nil {
		return true, err
	}
	f.in, err = os.Open(f.path)
	return true, err
}

// strange reports whether the file begins with what no append leaves there, not even one
// that was cut off: that are zeros where a machine died.
func (f *file) strange() bool {
	if f.in == nil {
		return false
	}
	begin := make([]byte, len(entryBegins))
	n, _ := f.in.ReadAt(begin, 0) // a shorter file is no error
	return !strings.HasPrefix(entryBegins, string(begin[:n])) && strings.Trim(string(begin[:n]), "\x00") != ""
}

func (f *file) close() error {
	in := f.in
	f.in, f.read, f.bad = nil, 0, 0
	if in == nil {
		return nil
	}
	return in.Close()
}

func parseLine(line []byte) (Entry, error) {
	var e Entry
	if err := json.Unmarshal(line, &e); err != nil {
		return e, fmt.Errorf("no line of an act: %w", err)
	}
	return e, nil
}

// append adds entries, whole and on disk or, as far as anybody reads them, not at
// all: when the one before was cut off, its rest becomes a line of its own.
func (f *file) append(all []Entry) (err error) {
	var lines []byte
	for i := range all {
		lines = append(appendEntry(lines, &all[i]), '\n')
	}
	out, made, err := openLocked(f.path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }() // which unlocks it
	state, err := out.Stat()
	if err != nil {
		return err
	}
	size := state.Size()
	if last := make([]byte, 1); size > 0 {
		if _, err := out.ReadAt(last, size-1); err != nil {
			return err
		}
		if last[0] != '\n' {
			lines = append([]byte{'\n'}, lines...)
		}
	}
	if _, err := out.WriteAt(lines, size); err != nil {
		return errors.Join(err, out.Truncate(size))
	}
	if err := out.Sync(); err != nil {
		return err
	}
	if made {
		return syncDir(filepath.Dir(f.path))
	}
	return nil
}

// openLocked opens the file for one process alone.
func openLocked(path string) (out *os.File, made bool, err error) {
	_, err = os.Stat(path)
	made = errors.Is(err, fs.ErrNotExist)
	out, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, false, err
	}
	if made && os.Geteuid() == 0 { // a command of root's must not keep the gateway's user out
		if dir, err := os.Stat(filepath.Dir(path)); err == nil {
			if of, ok := dir.Sys().(*syscall.Stat_t); ok {
				_ = out.Chown(int(of.Uid), int(of.Gid)) // the gateway says when it cannot read it
			}
		}
	}
	if err := syscall.Flock(int(out.Fd()), syscall.LOCK_EX); err != nil {
		return nil, false, errors.Join(fmt.Errorf("lock %s: %w", path, err), out.Close())
	}
	return out, made, nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
