package heap

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// releaseProgram takes the pages of the program file out of the process that
// cannot be written to. Start reads most of a Go program once: types and functions
// are checked and registered, a configuration is parsed. Requests then
// need a third of it.
func releaseProgram() error {
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("name of the program: %w", err)
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return fmt.Errorf("memory of the program: %w", err)
	}
	defer maps.Close() //nolint:errcheck // was only read
	lines := bufio.NewScanner(maps)
	for lines.Scan() {
		from, to, ok := readOnly(lines.Text(), self)
		if !ok {
			continue
		}
		if _, _, errno := syscall.Syscall(syscall.SYS_MADVISE, from, to-from, syscall.MADV_DONTNEED); errno != 0 {
			return fmt.Errorf("give back pages of the program: %w", errno)
		}
	}
	return lines.Err()
}

// readOnly reads a line of /proc/self/maps and reports whether it is a part of the
// file that the process cannot write to. Parts that it can, such as its variables,
// would be lost.
func readOnly(line, file string) (from, to uintptr, ok bool) {
	var mode string
	if !strings.HasSuffix(line, " "+file) {
		return 0, 0, false
	}
	if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &mode); err != nil {
		return 0, 0, false
	}
	return from, to, mode == "r--p" || mode == "r-xp"
}
