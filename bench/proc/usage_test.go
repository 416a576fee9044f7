//go:build linux

package proc

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

func TestParseCPU(t *testing.T) {
	f := func(stat string, want time.Duration, ok bool) {
		t.Helper()
		got, err := parseCPU(stat)
		if got != want || (err == nil) != ok {
			t.Errorf("%q: got %v, %v", stat, got, err)
		}
	}
	f("7 (a) b) S 1 7 7 0 -1 4194304 100 0 0 0 11 22 3 4 20 0 8 0 9", 400*time.Millisecond, true)
	f("7 (a) S 1 7 7 0 -1 4194304 100 0 0 0 x 22 3 4 20 0 8 0 9", 0, false)
	f("7 (a) S 1", 0, false)
	f("", 0, false)
}

func TestField(t *testing.T) {
	text := "rchar: 5\nsyscr: 10\nVmRSS:\t  2048 kB\n"
	if got := field(text, "syscr:"); got != 10 {
		t.Errorf("syscr: %d", got)
	}
	if got := field(text, "VmRSS:"); got != 2048 {
		t.Errorf("VmRSS: %d", got)
	}
	if got := field(text, "none:"); got != 0 {
		t.Errorf("none: %d", got)
	}
}

func TestUsageCountsChildren(t *testing.T) {
	cmd := exec.Command("sh", "-c", "sleep 30 & wait")
	p, err := Start(cmd, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	for range 500 {
		if len(tree(p.Pid)) == 2 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	pids := tree(p.Pid)
	if len(pids) != 2 {
		t.Fatalf("got the processes %v", pids)
	}
	if u, err := p.Usage(); err != nil || u.CPU < 0 {
		t.Errorf("got %+v, %v", u, err)
	}
	if now, most, err := p.Resident(); err != nil || now <= 0 || most < now {
		t.Errorf("resident %d, at most %d, %v", now, most, err)
	}
	if child, err := os.FindProcess(pids[1]); err == nil {
		child.Kill()
	}
}
