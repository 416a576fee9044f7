package watch

import (
	"io/fs"
	"syscall"
	"time"
)

// changedAt is when the file or its state changed last, which no program can set:
// some keep the time of modification when they copy.
func changedAt(state fs.FileInfo) time.Time {
	if s, ok := state.Sys().(*syscall.Stat_t); ok {
		return time.Unix(s.Ctim.Unix())
	}
	return time.Time{}
}
