package report

import (
	"os"

	"golang.org/x/sys/unix"
)

// TerminalWidth is how many columns f shows, 0 when it is no terminal.
func TerminalWidth(f *os.File) int {
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	return int(size.Col)
}
