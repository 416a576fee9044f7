package heap

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestReadOnly(t *testing.T) {
	const file = "/usr/bin/gate way"
	for line, want := range map[string]bool{
		"00400000-01800000 r-xp 00000000 fe:00 1234   " + file:            true,
		"01800000-02a00000 r--p 01400000 fe:00 1234   " + file:            true,
		"02a00000-02b00000 rw-p 02600000 fe:00 1234   " + file:            false, // variables
		"02a00000-02b00000 rwxp 02600000 fe:00 1234   " + file:            false,
		"7f000000-7f100000 r-xp 00000000 fe:00 77   /usr/lib/libc.so.6":   false,
		"7f000000-7f100000 rw-p 00000000 00:00 0 ":                        false,
		"00400000-01800000 r-xp 00000000 fe:00 1234   /else" + file + "2": false,
		"broken": false,
		"00400000-zz r-xp 00000000 fe:00 1234 " + file: false,
	} {
		from, to, ok := readOnly(line, file)
		if ok != want || ok && (from >= to || from == 0) {
			t.Errorf("%s: got %x-%x %v, want %v", line, from, to, ok, want)
		}
	}
}

// What was written to before it was made read-only stays: so the dynamic linker leaves
// the addresses in a position-independent program (-buildmode=pie), which crashed.
func TestReleaseKeepsWhatWasWritten(t *testing.T) {
	name := filepath.Join(t.TempDir(), "program")
	size := 2 * os.Getpagesize()
	if err := os.WriteFile(name, make([]byte, size), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	part, err := syscall.Mmap(int(file.Fd()), 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Munmap(part)
	part[0] = 7
	if err := syscall.Mprotect(part, syscall.PROT_READ); err != nil {
		t.Fatal(err)
	}
	if err := release(name); err != nil {
		t.Fatal(err)
	}
	if part[0] != 7 {
		t.Error("what was written is lost")
	}
}

func TestUnwritten(t *testing.T) {
	for line, want := range map[string]bool{
		"Anonymous:             0 kB": true, "Anonymous:             4 kB": false,
		"Swap:                  0 kB": true, "Swap:                 12 kB": false,
		"SwapPss:               0 kB": false, "AnonHugePages:         0 kB": false, "Anonymous": false,
	} {
		if got := unwritten(line); got != want {
			t.Errorf("%s: got %v", line, got)
		}
	}
}

// After Trim the program still runs, and less of it is resident.
func TestTrim(t *testing.T) {
	resident := func() string {
		status, err := os.ReadFile("/proc/self/status")
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(status), "RssFile:")
		line, _, _ := strings.Cut(rest, "\n")
		return strings.TrimSpace(line)
	}
	before := resident()
	if err := Trim(); err != nil {
		t.Fatal(err)
	}
	t.Logf("pages of files: %s before, %s after", before, resident())
}
