package heap

import (
	"os"
	"strings"
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
