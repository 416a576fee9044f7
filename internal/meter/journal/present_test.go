package journal

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestGone removes, moves and replaces the journal while it is written: new records are
// refused until it is back. U21
func TestGone(t *testing.T) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	open := func() (*Journal, string) {
		t.Helper()
		dir := filepath.Join(t.TempDir(), "data", "journal")
		must(os.MkdirAll(dir, 0o700))
		j, err := Open(Dir(dir), Options{HealEvery: time.Millisecond})
		must(err)
		t.Cleanup(func() { j.Close() })
		_, err = j.Append(1, []byte("x"), Refusable)
		must(err)
		return j, dir
	}
	refused := func(what string, j *Journal) {
		t.Helper()
		eventually(t, what, func() bool { return errors.Is(j.Fault(), ErrGone) })
		var refusal *RefusedError
		if _, err := j.Append(1, []byte("x"), Refusable); !errors.As(err, &refusal) {
			t.Errorf("%s: %v", what, err)
		}
	}
	taken := func(what string, j *Journal) {
		t.Helper()
		eventually(t, what, func() bool { return j.Fault() == nil })
		if _, err := j.Append(1, []byte("x"), Refusable); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}

	j, dir := open()
	data := filepath.Dir(dir)
	must(os.Rename(data, data+".moved"))
	refused("the data directory moved", j)
	must(os.MkdirAll(dir, 0o700))
	refused("an empty one in its place", j)
	must(os.RemoveAll(data))
	must(os.Rename(data+".moved", data))
	taken("moved back", j)

	j, dir = open()
	must(os.Rename(dir, dir+".moved"))
	refused("the journal moved", j)
	must(os.CopyFS(dir, os.DirFS(dir+".moved")))
	refused("a copy in its place", j)
	must(os.RemoveAll(dir))
	must(os.WriteFile(dir, nil, 0o600))
	refused("a file in its place", j)

	j, dir = open()
	must(os.Remove(filepath.Join(dir, segmentName(j.Written().Segment))))
	refused("the newest segment removed", j)

	j, dir = open()
	must(os.RemoveAll(filepath.Dir(dir)))
	refused("all removed", j)

	newest := func(j *Journal, dir string) string { return filepath.Join(dir, segmentName(j.Written().Segment)) }
	for what, size := range map[string]int64{"emptied": 0, "cut in its header": 40, "cut in its records": headerSize + 4} {
		j, dir = open()
		must(os.Truncate(newest(j, dir), size))
		refused("the newest segment "+what, j)
	}

	j, dir = open()
	must(os.Truncate(newest(j, dir), 0))
	_, err := j.Append(1, []byte("written behind a hole"), Reserved)
	must(err)
	refused("the newest segment emptied, and written to", j)

	j, dir = open()
	copied, err := os.ReadFile(newest(j, dir))
	must(err)
	_, err = j.Append(1, []byte("after the copy"), Refusable)
	must(err)
	must(os.Remove(newest(j, dir)))
	must(os.WriteFile(newest(j, dir), copied, 0o600))
	refused("an older copy of the newest segment in its place", j)
}

// TestMissing notes older segments that somebody removed, and goes on.
func TestMissing(t *testing.T) {
	dir := t.TempDir()
	j, err := Open(Dir(dir), Options{HealEvery: time.Millisecond, SegmentBytes: 200})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	for range 50 {
		if _, err := j.Append(1, make([]byte, 50), Refusable); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "several segments", func() bool { return j.Written().Segment > 3 })
	if err := j.Missing(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, segmentName(2))); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is noticed", func() bool { return j.Missing() != nil })
	if err := j.Fault(); err != nil {
		t.Error(err)
	}
}
