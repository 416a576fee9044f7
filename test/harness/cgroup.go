package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Confined is a control group with a bound of memory, for one gateway.
type Confined struct {
	// Program starts the gateway inside the group: Config.Program.
	Program string
	// Kind is how the bound is made, in words.
	Kind string

	dir, usage string // of a real group; "" where none can be made
	limit      int64
}

// Confine makes a group of limit bytes of memory for a gateway. Where the test may not
// make groups, the gateway gets a GOMEMLIMIT of nine tenths instead, and Passed looks at
// its size: that is a weaker test, and Kind says so.
func Confine(t testing.TB, limit int64) *Confined {
	t.Helper()
	c := &Confined{limit: limit}
	script := "#!/bin/sh\nexec " + Binary(t) + " \"$@\"\n"
	if c.group(t) {
		script = strings.Replace(script, "exec", "echo $$ > "+filepath.Join(c.dir, "cgroup.procs")+" && exec", 1)
	} else {
		c.Kind = "GOMEMLIMIT and resident size"
		script = strings.Replace(script, "exec", fmt.Sprintf("GOMEMLIMIT=%d exec", limit/10*9), 1)
	}
	c.Program = filepath.Join(t.TempDir(), "confined")
	if err := os.WriteFile(c.Program, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return c
}

// group makes a control group below the test's own, of version 1 or 2.
func (c *Confined) group(t testing.TB) bool {
	own, _ := os.ReadFile("/proc/self/cgroup")
	for line := range strings.Lines(string(own)) {
		part := strings.SplitN(strings.TrimSpace(line), ":", 3)
		for _, v := range []struct{ controller, root, bound, usage, kind string }{
			{"memory", "/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.max_usage_in_bytes", "cgroup v1"},
			{"", "/sys/fs/cgroup", "memory.max", "memory.peak", "cgroup v2"},
		} {
			if len(part) != 3 || part[1] != v.controller {
				continue
			}
			dir := filepath.Join(v.root, part[2], fmt.Sprintf("sluice-test-%d-%d", os.Getpid(), time.Now().UnixNano()))
			if os.Mkdir(dir, 0o755) != nil {
				continue
			}
			t.Cleanup(func() { // the kernel lets it go when the gateway is gone
				for range 100 {
					if os.Remove(dir) == nil {
						return
					}
					time.Sleep(20 * time.Millisecond)
				}
			})
			bound := strconv.FormatInt(c.limit, 10)
			if os.WriteFile(filepath.Join(dir, v.bound), []byte(bound), 0o600) == nil {
				c.dir, c.usage, c.Kind = dir, v.usage, v.kind
				return true
			}
		}
	}
	return false
}

// Most is how many bytes the group, or the gateway g, has held at most.
func (c *Confined) Most(t testing.TB, g *Gateway) int64 {
	t.Helper()
	if c.dir != "" {
		text, err := os.ReadFile(filepath.Join(c.dir, c.usage))
		if err != nil {
			t.Fatal(err)
		}
		n, _ := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		return n
	}
	return g.Size("VmHWM")
}

// Size is how many bytes of memory the process has by a line of its status: VmRSS now, VmHWM
// at most.
func (g *Gateway) Size(line string) int64 {
	g.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", g.Pid()))
	if err != nil {
		g.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "\n"+line+":")
	var kib int64
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		g.t.Fatalf("%s: %v", line, err)
	}
	return kib << 10
}

// Passed reports whether the gateway was killed for its memory, or, without a group,
// had more than it may.
func (c *Confined) Passed(t testing.TB, g *Gateway) bool {
	t.Helper()
	if g.Exited() {
		return true
	}
	return c.dir == "" && c.Most(t, g) > c.limit
}
