package userfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestWhole refuses what is no file: nobody may ever write into a pipe. U20
func TestWhole(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	packed := filepath.Join(dir, "packed")
	if err := os.WriteFile(packed, []byte("\x1f\x8b\x08\x00"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		pipe: "is a pipe or a device", "/dev/zero": "is a pipe or a device", dir: "is a folder; a file is needed",
		packed: "gunzip", filepath.Join(dir, "none"): "there is no file",
	} {
		if _, err := Text(name); err == nil || !strings.Contains(Why(name, err), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	if text, err := Whole(packed); err != nil || len(text) != 4 {
		t.Errorf("%q %v", text, err)
	}
	if text, err := Text(os.DevNull); err == nil {
		t.Errorf("%q", text)
	}
}

// TestRead reads everything that somebody may name in place of a file of text.
func TestRead(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	put("sluice.yaml", "a: 1\n")
	put("sub.yml", "a: 1\n")
	for _, c := range []struct{ name, path, want string }{
		{"text", put("text", "a: 1\n"), ""},
		{"text with a mark of its order", put("bom", "\ufeffa: 1\n"), ""},
		{"no name", "", "the name of a file is empty"},
		{"missing", filepath.Join(dir, "other.json"), "there is no such file"},
		{"nearly the name", filepath.Join(dir, "sluce.yaml"), `did you mean "sluice.yaml"`},
		{"another ending", filepath.Join(dir, "sluice.yml"), `did you mean "sluice.yaml"`},
		{"of the same kind", filepath.Join(dir, "configuration.yaml"), "that folder has sluice.yaml, sub.yml"},
		{"no folder", filepath.Join(dir, "no/such/a.yaml"), "and no folder " + filepath.Join(dir, "no/such")},
		{"a folder", dir, "is a folder, and a file is needed; that folder has sluice.yaml, sub.yml"},
		{"below a file", filepath.Join(dir, "text/a"), "a part of the path before it is a file"},
		{"a text as a name", strings.Repeat("a: 1\n", 100), "its contents"},
		{"empty", put("empty", ""), "empty"},
		{"blank", put("blank", "\n \t\r\n"), "empty"},
		{"gzip", put("a.gz", "\x1f\x8b\x08\x00"), "gunzip"},
		{"zip", put("a.zip", "PK\x03\x04\x14"), "zip archive"},
		{"program", put("program", "\x7fELF\x02\x01"), "a program"},
		{"Parquet", put("a.parquet", "PAR1\x15\x04"), "Parquet"},
		{"UTF-16", put("utf16le", "\xff\xfea\x00"), "UTF-16"},
		{"UTF-16, the other order", put("utf16be", "\xfe\xff\x00a"), "UTF-16"},
		{"UTF-16 without a mark", put("utf16", "a\x00:\x00"), "zero bytes"},
		{"zero bytes", "/dev/zero", "more than"},
		{"nothing", os.DevNull, "empty"},
	} {
		text, err := read(c.path, 1<<20)
		var of *Error
		switch {
		case c.want == "" && (err != nil || len(text) == 0):
			t.Errorf("%s: %v", c.name, err)
		case c.want != "" && (!errors.As(err, &of) || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	if _, err := read(put("large", strings.Repeat("a", 2<<20)), 1<<20); err == nil ||
		!strings.Contains(err.Error(), "more than 1 MB") {
		t.Errorf("too large: %v", err)
	}
	if _, err := UTF8(put("latin", "a\nb\nM\xfcller\n")); err == nil ||
		!strings.Contains(err.Error(), "line 3 has the byte 0xfc") {
		t.Errorf("Latin-1: %v", err)
	}
}

// TestWhatTheSystemSays: root may read everything, so what others hear is made here.
func TestWhatTheSystemSays(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, nil, 0o200); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, path string
		err        error
		want       string
	}{
		{"forbidden", file, fs.ErrPermission, "may not read it: its mode is --w-------"},
		{"forbidden above", filepath.Join(file, "x"), fs.ErrPermission, "may not look into a folder above it"},
		{"something else", file, &fs.PathError{Op: "read", Path: file, Err: syscall.EIO},
			"cannot be read: input/output error"},
		{"a loop", file, &fs.PathError{Op: "open", Path: file, Err: syscall.ELOOP}, "cannot be read: too many levels"},
	} {
		if err := explain(c.path, c.err); !strings.Contains(err.Error(), c.want) || !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// TestPair waits for neither a certificate nor a key that is a pipe.
func TestPair(t *testing.T) {
	dir := t.TempDir()
	pipe, file := filepath.Join(dir, "pipe"), filepath.Join(dir, "file")
	if err := errors.Join(syscall.Mkfifo(pipe, 0o600), os.WriteFile(file, []byte("PEM"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, f := range []struct{ cert, key, want string }{
		{file, file, ""}, {pipe, file, "certificate: "}, {file, pipe, "key: "}, {dir + "/none", file, "certificate: "},
	} {
		cert, key, err := Pair(f.cert, f.key)
		switch {
		case f.want == "":
			if err != nil || string(cert) != "PEM" || string(key) != "PEM" {
				t.Errorf("%q %q %v", cert, key, err)
			}
		case err == nil || !strings.HasPrefix(err.Error(), f.want):
			t.Errorf("%v: %v", f, err)
		}
	}
}
