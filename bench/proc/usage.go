//go:build linux

package proc

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of times in /proc/PID/stat, USER_HZ of every Linux port that
// Go runs on.
const tick = 10 * time.Millisecond

// Usage is what a process and its children have used so far.
type Usage struct {
	CPU    time.Duration // user and system
	Reads  int64         // calls that read, from sockets and files
	Writes int64
}

// Minus is what was used since an earlier moment.
func (u Usage) Minus(before Usage) Usage {
	return Usage{CPU: u.CPU - before.CPU, Reads: u.Reads - before.Reads, Writes: u.Writes - before.Writes}
}

// Usage reads what the process, its children, and those that have ended used.
func (p *Process) Usage() (Usage, error) {
	var sum Usage
	for _, pid := range tree(p.Pid) {
		u, err := usageOf(pid)
		if err != nil {
			return Usage{}, err
		}
		sum.CPU += u.CPU
		sum.Reads += u.Reads
		sum.Writes += u.Writes
	}
	return sum, nil
}

// tree is a process and its descendants.
func tree(pid int) []int {
	out := []int{pid}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return out
	}
	for _, f := range strings.Fields(string(text)) {
		if child, err := strconv.Atoi(f); err == nil {
			out = append(out, tree(child)...)
		}
	}
	return out
}

func usageOf(pid int) (Usage, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Usage{}, err
	}
	cpu, err := parseCPU(string(stat))
	if err != nil {
		return Usage{}, err
	}
	u := Usage{CPU: cpu}
	calls, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
	if err != nil {
		return u, nil //nolint:nilerr // not every kernel counts them
	}
	u.Reads, u.Writes = field(string(calls), "syscr:"), field(string(calls), "syscw:")
	return u, nil
}

// parseCPU reads user and system time from a line of /proc/PID/stat, those of
// children that were waited for included.
func parseCPU(stat string) (time.Duration, error) {
	// The name of the program may contain spaces and brackets.
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 15 {
		return 0, fmt.Errorf("unexpected line in /proc/PID/stat: %q", stat)
	}
	var sum time.Duration
	for _, f := range fields[11:15] { // utime, stime, cutime, cstime
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("unexpected line in /proc/PID/stat: %q", stat)
		}
		sum += time.Duration(n) * tick
	}
	return sum, nil
}

// field reads the number behind a name, 0 when it is not there.
func field(text, name string) int64 {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			if f := strings.Fields(rest); len(f) > 0 {
				n, _ := strconv.ParseInt(f[0], 10, 64)
				return n
			}
		}
	}
	return 0
}

// Resident is the resident memory of the process and its children, and the most
// that it ever was, in bytes.
func (p *Process) Resident() (now, most int64, err error) {
	for _, pid := range tree(p.Pid) {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			return 0, 0, err
		}
		now += field(string(status), "VmRSS:") << 10
		most += field(string(status), "VmHWM:") << 10
	}
	return now, most, nil
}

// Load is the load average of the last minute.
func Load() float64 {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	load, _ := strconv.ParseFloat(strings.Fields(string(text))[0], 64)
	return load
}
