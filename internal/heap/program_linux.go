package heap

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"unicode"
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
	return release(self)
}

// release does that for the parts of a file.
func release(file string) error {
	maps, err := os.Open("/proc/self/smaps")
	if err != nil {
		return fmt.Errorf("memory of the program: %w", err)
	}
	defer maps.Close() //nolint:errcheck // was only read
	lines := bufio.NewScanner(maps)
	var from, to uintptr
	wanted, facts := false, 0
	for lines.Scan() {
		line := lines.Text()
		if line != "" && unicode.IsUpper(rune(line[0])) { // about the part whose line came last
			if wanted && unwritten(line) {
				facts++
			}
		} else {
			from, to, wanted = readOnly(line, file)
			facts = 0
		}
		if facts < len(writtenTo) {
			continue
		}
		wanted, facts = false, 0
		if _, _, errno := syscall.Syscall(syscall.SYS_MADVISE, from, to-from, syscall.MADV_DONTNEED); errno != 0 {
			return fmt.Errorf("give back pages of the program: %w", errno)
		}
	}
	return lines.Err()
}

// writtenTo is what a part has of pages that were written to while that was allowed,
// in memory and swapped out. They are not what the file has: the dynamic linker puts
// addresses into a position-independent program, and a debugger its breakpoints.
var writtenTo = [...]string{"Anonymous", "Swap"}

// unwritten reports whether a line of /proc/self/smaps says that there are none of
// one kind of such pages.
func unwritten(line string) bool {
	name, size, _ := strings.Cut(line, ":")
	return slices.Contains(writtenTo[:], name) && strings.TrimSpace(size) == "0 kB"
}

// readOnly reads the first line of a part in /proc/self/smaps and reports whether it
// is one of the file that the process cannot write to. Parts that it can, such as its
// variables, would be lost.
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
