package heap

import (
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
)

// Limit is how much memory this process may have: the lowest bound of its cgroups
// (v2 or v1, its own or one above it), or the machine's, whichever is less; 0 when none
// is known. root is where the file systems are, "/" in service.
func Limit(root string) int64 {
	l := lowest{root: root, least: math.MaxInt64}
	groups, _ := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	mounts, _ := os.ReadFile(filepath.Join(root, "proc/self/mountinfo"))
	for line := range strings.Lines(string(groups)) {
		part := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(part) != 3 || part[0] != "0" && !slices.Contains(strings.Split(part[1], ","), "memory") {
			continue
		}
		l.group("sys/fs/cgroup", "/", part[2])
		l.group("sys/fs/cgroup/memory", "/", part[2])
		for mount := range strings.Lines(string(mounts)) {
			// 36 35 98:0 /root /mount/point options … - type source superoptions
			if f := strings.Fields(mount); len(f) > 5 && strings.Contains(mount, " - cgroup") {
				l.group(f[4], f[3], part[2])
			}
		}
	}
	machine, _ := os.ReadFile(filepath.Join(root, "proc/meminfo"))
	for line := range strings.Lines(string(machine)) {
		word := strings.Fields(line)
		if len(word) > 1 && word[0] == "MemTotal:" {
			if kib, err := strconv.ParseInt(word[1], 10, 64); err == nil {
				l.least = min(l.least, kib<<10)
			}
		}
	}
	if l.least == math.MaxInt64 {
		return 0
	}
	return l.least
}

// lowest finds the least of many bounds.
type lowest struct {
	root  string
	least int64
}

// group notes the bounds of a group and of those above it, as far as a mount shows
// them: that of a container often begins at the container's own group.
func (l *lowest) group(mount, from, group string) {
	if rest, below := strings.CutPrefix(group, from); below {
		group = rest
	}
	for dir := filepath.Join("/", group); ; dir = filepath.Dir(dir) { // a group has no more than those above it
		for _, name := range [...]string{"memory.max", "memory.high", "memory.limit_in_bytes"} {
			text, err := os.ReadFile(filepath.Join(l.root, mount, dir, name))
			n, bad := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64) // "max" is none
			if err == nil && bad == nil && n > 0 {
				l.least = min(l.least, n)
			}
		}
		if dir == "/" {
			return
		}
	}
}

const (
	// program is what a gateway takes beside what requests hold: measured at rest, with
	// room.
	program = 64 << 20
	// least is what requests may hold in any case: below it, nothing would be served.
	least = 8 << 20
)

// Bound keeps the process below a limit, 0 for none known, and returns what Requests does.
func Bound(limit int64) int64 {
	if below, environment := collects(limit); below > 0 && !environment {
		debug.SetMemoryLimit(below)
	}
	return Requests(limit)
}

// Requests is how many bytes requests may hold in a process below a limit, 0 for any
// number. It is five eighths of what is left beside the program: the rest is for what they
// leave behind until the next collection, and for what nobody counts.
func Requests(limit int64) int64 {
	below, _ := collects(limit)
	if below == 0 || below == math.MaxInt64 {
		return 0
	}
	return max((below-program)/8*5, least)
}

// collects is below what the runtime stays by collecting garbage in time: nine tenths of
// the limit. A GOMEMLIMIT in the environment is somebody's decision, and stays.
func collects(limit int64) (below int64, environment bool) {
	if _, environment = os.LookupEnv("GOMEMLIMIT"); !environment {
		return limit - limit/10, false
	}
	own := debug.SetMemoryLimit(-1) // reads it
	if limit == 0 || own < limit {
		return own, true
	}
	return limit, true
}
