package heap

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"
)

const mib = 1 << 20

// TestLimit reads the bounds where container engines of both versions of cgroups
// put them.
func TestLimit(t *testing.T) {
	f := func(name string, files map[string]string, want int64) {
		t.Helper()
		root := t.TempDir()
		for file, text := range files {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(root, file)), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(root, file), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := Limit(root); got != want {
			t.Errorf("%s: %d", name, got)
		}
	}
	const machine = "MemTotal:       16000000 kB\nMemFree: 1 kB\n"
	f("nothing is known", nil, 0)
	f("a machine", map[string]string{"proc/meminfo": machine}, 16000000<<10)
	f("v2, in a namespace of its own", map[string]string{
		"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "268435456\n", "proc/meminfo": machine,
	}, 256*mib)
	f("v2, none", map[string]string{
		"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n", "proc/meminfo": machine,
	}, 16000000<<10)
	f("v2, of a unit, less above it", map[string]string{
		"proc/self/cgroup": "0::/system.slice/sluice.service\n",
		"sys/fs/cgroup/system.slice/sluice.service/memory.max": "1073741824\n",
		"sys/fs/cgroup/system.slice/memory.max":                "536870912\n",
	}, 512*mib)
	f("v1", map[string]string{
		"proc/self/cgroup":                           "5:cpu,cpuacct:/docker/x\n4:memory:/docker/x\n",
		"sys/fs/cgroup/memory/memory.limit_in_bytes": "268435456\n", "proc/meminfo": machine,
	}, 256*mib)
	f("v2, high below max", map[string]string{
		"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "268435456\n",
		"sys/fs/cgroup/a/memory.high": "134217728\n",
	}, 128*mib)
	f("v2 beside v1, where the mounts say", map[string]string{
		"proc/self/cgroup":                   "4:cpu:/x\n0::/a/b\n",
		"proc/self/mountinfo":                "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n",
		"sys/fs/cgroup/unified/a/memory.max": "268435456\n", "proc/meminfo": machine,
	}, 256*mib)
	const container = "35 31 0:32 /docker/x /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
	f("v1, the mount begins at the container, and the process is in a group of it", map[string]string{
		"proc/self/cgroup":                               "4:memory:/docker/x/app\n",
		"proc/self/mountinfo":                            container,
		"sys/fs/cgroup/memory/app/memory.limit_in_bytes": "134217728\n",
		"sys/fs/cgroup/memory/memory.limit_in_bytes":     "268435456\n", "proc/meminfo": machine,
	}, 128*mib)
	f("what is no number", map[string]string{
		"proc/self/cgroup":         "0::/\nbroken\n::\n0::/../..\n",
		"sys/fs/cgroup/memory.max": "-1\n",
		"proc/meminfo":             machine,
	}, 16000000<<10)
	f("v1, unbounded", map[string]string{
		"proc/self/cgroup": "4:memory:/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
		"proc/meminfo": machine,
	}, 16000000<<10)
}

// TestRequests: what requests may hold follows from the limit, or from a GOMEMLIMIT below
// it, and only Bound sets anything.
func TestRequests(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	t.Setenv("GOMEMLIMIT", "") // puts back what there was
	if err := os.Unsetenv("GOMEMLIMIT"); err != nil {
		t.Fatal(err)
	}
	f := func(limit, want int64) {
		t.Helper()
		if got := Requests(limit); got != want {
			t.Errorf("%d of %d, want %d", got, limit, want)
		}
	}
	f(0, 0)
	f(640*mib, 320*mib)
	f(10*mib, 8*mib)
	if debug.SetMemoryLimit(-1) != before {
		t.Error("asking has set the limit of the process")
	}
	if got := Bound(640 * mib); got != 320*mib || debug.SetMemoryLimit(-1) != 576*mib {
		t.Errorf("%d, and the process is kept below %d", got, debug.SetMemoryLimit(-1))
	}
	f(640*mib, 320*mib)
	t.Setenv("GOMEMLIMIT", "192MiB") // which the runtime has read at its start
	debug.SetMemoryLimit(192 * mib)
	f(640*mib, 80*mib)
	f(0, 80*mib)
	f(128*mib, 40*mib)
	if Bound(640 * mib); debug.SetMemoryLimit(-1) != 192*mib {
		t.Error("what the environment says is overruled")
	}
}
