package wholefile

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// TestReplace: a file is made and replaced, also one that may not be written, and where
// that fails nothing is left behind.
func TestReplace(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	for _, one := range []struct {
		text string
		mode fs.FileMode
	}{{"one", 0o400}, {"", 0o600}, {"three", 0o600}} {
		if err := Replace(path, []byte(one.text), one.mode); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		info, _ := os.Stat(path)
		if err != nil || string(got) != one.text || info.Mode() != one.mode {
			t.Errorf("%q %v %v, want %+v", got, info.Mode(), err, one)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "folder", "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{filepath.Join(dir, "none", "a"), filepath.Join(dir, "folder")} {
		if err := Replace(bad, []byte("x"), 0o600); err == nil {
			t.Errorf("%s is replaced", bad)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 2 {
		t.Error(left, err)
	}
}
