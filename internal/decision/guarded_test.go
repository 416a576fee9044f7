package decision

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/test/harness"
)

// filled is a log with 300 decisions that may not be written yet.
func filled(t *testing.T) (l *Log, c *clock, file string) {
	c, file = &clock{now: start()}, filepath.Join(t.TempDir(), "decisions.db")
	l = open(t, file, c, Options{})
	for n := range uint64(300) {
		d := sample(c.now, n)
		l.Add(&d)
	}
	return l, c, file
}

// TestFileTakenAway does to the file what an operator's shell may do while it is open.
// Later decisions are kept, and the process lives.
func TestFileTakenAway(t *testing.T) {
	truncate := func(to int64) func(string) error {
		return func(file string) error { return os.Truncate(file, to) }
	}
	overwrite := func(file string) error {
		info, err := os.Stat(file)
		if err != nil {
			return err
		}
		return os.WriteFile(file, harness.Noise(int(info.Size())), 0o600)
	}
	replace := func(file string) error {
		old, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		return errors.Join(os.Remove(file), os.WriteFile(file, old, 0o600))
	}
	for name, mishap := range map[string]func(file string) error{
		"removed": os.Remove, "emptied": truncate(0), "cut in its first page": truncate(100), "cut": truncate(9000),
		"grown": truncate(1 << 20), "overwritten": overwrite, "replaced by a copy": replace,
		"replaced by nonsense": func(file string) error {
			return errors.Join(os.Remove(file), os.WriteFile(file, []byte("nonsense"), 0o600))
		},
		"moved": func(file string) error { return os.Rename(file, file+".old") },
	} {
		t.Run(name, func(t *testing.T) {
			l, c, file := filled(t)
			defer l.Close(t.Context())
			if _, err := l.Find(newID(c.now, 7)); err != nil {
				t.Fatal(err)
			}
			if err := mishap(file); err != nil {
				t.Fatal(err)
			}
			for round := range uint64(3) {
				c.now = c.now.Add(time.Second)
				d := sample(c.now, 1000+round)
				l.Add(&d)
				l.Find(newID(c.now, 5)) // this one may meet the damage
			}
			if _, err := l.Find(newID(c.now, 1002)); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestFolderOfTheFileMoved makes no other folder in its place: its owner may bring it back.
func TestFolderOfTheFileMoved(t *testing.T) {
	c := &clock{now: start()}
	dir := filepath.Join(t.TempDir(), "data")
	l := open(t, filepath.Join(dir, "decisions.db"), c, Options{})
	defer l.Close(t.Context())
	if err := os.Rename(dir, dir+".moved"); err != nil {
		t.Fatal(err)
	}
	d := sample(c.now, 1)
	l.Add(&d)
	if _, err := l.Find(newID(c.now, 1)); err == nil {
		t.Error("it was written nowhere, and is found")
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("another folder is in its place")
	}
	if err := os.Rename(dir+".moved", dir); err != nil {
		t.Fatal(err)
	}
	d = sample(c.now, 2)
	l.Add(&d)
	if _, err := l.Find(newID(c.now, 2)); err != nil {
		t.Error(err)
	}
}

// TestCutWhileItIsRead has the file cut behind the back of who looks whether it is whole:
// the system would end the process.
func TestCutWhileItIsRead(t *testing.T) {
	l, c, file := filled(t)
	defer l.Close(t.Context())
	l.flush(false)
	store := l.store.Load()
	if err := os.Truncate(file, 0); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := store.list(&Filter{}, "", 10); !errors.Is(err, errDamaged) {
			t.Errorf("read: %v", err)
		}
		if err := store.write(nil, nil, c.now); !errors.Is(err, errDamaged) {
			t.Errorf("written: %v", err)
		}
	}
	d := sample(c.now, 1000)
	l.Add(&d)
	if _, err := l.Find(newID(c.now, 1000)); err != nil {
		t.Error(err)
	}
}
