package watch

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestHash changes a file in the ways that mounts, editors and copying programs
// do, each of which must be seen, and looks again, which must show nothing.
func TestHash(t *testing.T) {
	dir := t.TempDir()
	name, target := filepath.Join(dir, "a"), filepath.Join(dir, "target")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	write := func(name, text string) { t.Helper(); must(os.WriteFile(name, []byte(text), 0o600)) }
	old := time.Now().Add(-time.Hour)
	var f Files
	// later is long after every change, so that states are trusted. Only the time of
	// the change can then show a second one.
	later := time.Now().Add(time.Hour)
	names := []string{name, filepath.Join(dir, "b"), name}
	last := f.Hash(names, later)
	for _, step := range []struct {
		what   string
		change func()
	}{
		{"appears", func() { write(name, "one") }},
		{"other size", func() { write(name, "three") }},
		{"in place, same size", func() { write(name, "seven") }},
		{"replaced, same size and time", func() {
			write(target, "eight")
			info, err := os.Stat(name)
			must(err)
			must(os.Chtimes(target, info.ModTime(), info.ModTime()))
			must(os.Rename(target, name))
		}},
		{"in place, same size, time set back", func() {
			must(os.Chtimes(name, old, old))
			f.Hash(names, later)
			write(name, "fifty")
			must(os.Chtimes(name, old, old))
		}},
		{"a link instead", func() {
			write(target, "sixty")
			must(os.Remove(name))
			must(os.Symlink(target, name))
		}},
		{"the link's target", func() { write(target, "forty") }},
		{"gone", func() { must(os.Remove(name)) }},
	} {
		time.Sleep(20 * time.Millisecond) // more than the resolution of the file system's clock
		step.change()
		next := f.Hash(names, later)
		if next == last {
			t.Errorf("%s: not seen", step.what)
		}
		if f.Hash(names, later) != next {
			t.Errorf("%s: seen twice", step.what)
		}
		last = next
	}
	if f.Hash(names[:1], later) == last {
		t.Error("other files have the same hash")
	}
}

// TestFresh reads a file again while a second change may have the same time.
func TestFresh(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a")
	if err := os.WriteFile(name, []byte("one"), 0o600); err != nil {
		t.Fatal(err)
	}
	var f Files
	f.Hash([]string{name}, time.Now())
	if f.known[name].trusted {
		t.Error("a change of this moment is trusted")
	}
	f.Hash([]string{name}, time.Now().Add(time.Minute))
	if !f.known[name].trusted {
		t.Error("an old change is not trusted")
	}
}
