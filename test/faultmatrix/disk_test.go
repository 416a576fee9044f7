package faultmatrix

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
	"github.com/sluice-gateway/sluice/test/harness"
)

// newestSegment is the file that a stopped gateway wrote last, and the places
// where its records begin, with the end behind them.
func (g *gate) newestSegment() (file string, places []int64) {
	g.w.t.Helper()
	r := journal.NewReader(journal.Dir(g.data("journal")), journal.Position{})
	defer r.Close()
	var last uint64
	for r.Next() {
		if at := r.At(); at.Segment != last {
			last, places = at.Segment, nil
		}
		places = append(places, r.At().Offset)
		if r.Offset().Segment == last {
			places = append(places, r.Offset().Offset)
		}
	}
	if r.Err() != nil || last == 0 {
		g.w.t.Fatalf("segment %d: %v", last, r.Err())
	}
	slices.Sort(places)
	files, err := filepath.Glob(g.data("journal", fmt.Sprintf("*%d*", last)))
	if err != nil || len(files) == 0 {
		g.w.t.Fatalf("no file of segment %d: %v", last, err)
	}
	return files[len(files)-1], slices.Compact(places)
}

// copyOf is a gateway on a copy of g's data, in a case of its own.
func (g *gate) copyOf(w *world) *gate {
	w.t.Helper()
	c := w.gate()
	if out, err := exec.Command("cp", "-a", filepath.Join(g.dir, "data"), c.dir).CombinedOutput(); err != nil {
		w.t.Fatalf("cp: %v %s", err, out)
	}
	return c
}

// TestRow9TornTail cuts the journal at places inside its last record, as a power
// cut in the middle of a write does: the tail is cut off and counted, and the
// attempt whose END it was becomes unknown and is resolved.
func TestRow9TornTail(t *testing.T) {
	var y tally
	s := startStandIn(t)
	w := newWorld(t, 9, s, "")
	w.run(1)
	g := w.gates[0]
	g.traffic(6, 1, saying(""))
	w.equal(10 * time.Second)
	g.kill()
	file, places := g.newestSegment()
	begin, end := places[len(places)-2], places[len(places)-1]
	cuts := 6
	if _, long := seeds(); long {
		cuts = int(end - begin - 1)
	}
	for i := range cuts {
		cut := begin + 1 + (end-begin-1)*int64(i)/int64(cuts)
		t.Run(fmt.Sprintf("byte%d", cut-begin), func(t *testing.T) {
			began := time.Now()
			torn := w.fork(t)
			torn.broken = 1
			c := g.copyOf(torn)
			if err := os.Truncate(c.data("journal", filepath.Base(file)), cut); err != nil {
				t.Fatal(err)
			}
			c.start("")
			if !strings.Contains(c.log(), `"torn_bytes":`) || !strings.Contains(c.log(), `"unknown_attempts":1`) {
				t.Errorf("the torn tail was not reported:\n%s", c.log())
			}
			o := torn.prove()
			if o.unknown != 1 || o.resolved != 1 {
				t.Errorf("%d unknown, %d resolved", o.unknown, o.resolved)
			}
			y.done(o, time.Since(began))
		})
	}
	t.Logf("row 9: %s", &y)
}

// TestRow9Damage flips bits in the middle: the gateway says so, keeps the
// damaged segment, counts the lost numbers as unknown and serves on; the audit
// finds it.
func TestRow9Damage(t *testing.T) {
	s := startStandIn(t)
	w := newWorld(t, 9, s, "")
	w.run(1)
	g := w.gates[0]
	g.traffic(12, 1, saying(""))
	w.equal(10 * time.Second)
	g.kill()
	file, places := g.newestSegment()
	for i := range 4 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			spoilt := w.fork(t)
			c := g.copyOf(spoilt)
			path := c.data("journal", filepath.Base(file))
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			at := len(places) / 2
			data[(places[at-i]+places[at-i+1])/2] ^= 1 << i
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			c.start("")
			if got := c.traffic(4, 1, saying("")); got[200] != 4 {
				t.Errorf("answers %v", got)
			}
			c.stop()
			if !strings.Contains(c.log(), "journal is damaged") {
				t.Errorf("the damage was not reported:\n%s", c.log())
			}
			out, code := c.audited("verify")
			if found, n := differencesIn(out); code != 1 || n == 0 || len(found) != n {
				t.Errorf("verify: exit code %d, %d differences\n%s", code, n, out)
			}
		})
	}
}

// TestRow8DiskFull fills the journal's disk under load and takes it away from
// writing: new requests get 503, calls in flight are recorded all the same, and
// service comes back with the room.
func TestRow8DiskFull(t *testing.T) {
	var y tally
	began := time.Now()
	s, r := startStandIn(t), redistest.NewServer(t)
	w := newWorld(t, 8, s, r.URL())
	w.journal = "{fsync: group, every: 2ms, segment_bytes: 1MiB}"
	g := w.gate()
	mount(t, g.data(), "size=16m")
	g.start("")
	if got := g.traffic(10, 4, saying("")); got[200] != 10 {
		t.Fatalf("answers %v before the fault", got)
	}
	ballast := g.data("ballast")
	refused, served := 0, 0
	w.during(func() {
		for range 3 {
			fill(t, ballast)
			time.Sleep(300 * time.Millisecond)
			got := g.traffic(400, 8, saying(""))
			refused, served = refused+got[503], served+got[200]
			if err := os.Remove(ballast); err != nil {
				t.Fatal(err)
			}
			g.serves()
		}
	})
	t.Logf("row 8: %d served and %d refused while the disk was full", served, refused)
	w.healed(&y, began)
	t.Logf("row 8: %s", &y)
}

// TestRow8NoWrites makes every write of the gateway fail, and later none.
func TestRow8NoWrites(t *testing.T) {
	var y tally
	began := time.Now()
	s, r := startStandIn(t), redistest.NewServer(t)
	w := newWorld(t, 8, s, r.URL())
	w.journal = "{fsync: group, every: 2ms, segment_bytes: 1MiB}"
	g := w.gate()
	g.start("")
	g.traffic(10, 4, saying(""))
	limitFiles(t, g, 0)
	got := g.traffic(3000, 8, saying(""))
	limitFiles(t, g, 1<<40)
	t.Logf("row 8: %v while no byte could be written", got)
	if got[503] == 0 {
		t.Errorf("answers %v", got)
	}
	g.serves()
	w.healed(&y, began)
	t.Logf("row 8: %s", &y)
}

// TestRow8FsyncFails has fsync fail, on a file system that promises more room than
// there is below it: new requests get 503, and what was not synced is written
// again elsewhere. What such a disk keeps is not looked at: on Linux its fsync
// tells of a lost page one call too late.
func TestRow8FsyncFails(t *testing.T) {
	var y tally
	began := time.Now()
	s, r := startStandIn(t), redistest.NewServer(t)
	w := newWorld(t, 8, s, r.URL())
	w.journal = "{fsync: group, every: 2ms, segment_bytes: 1MiB}"
	g := w.gate()
	thin := thinDisk(t, g.data())
	g.start("")
	if got := g.traffic(10, 4, saying("")); got[200] != 10 {
		t.Fatalf("answers %v before the fault", got)
	}
	refused, served, rounds := 0, 0, 1
	if _, long := seeds(); long {
		rounds = 5
	}
	for range rounds {
		fill(t, thin.ballast)
		got := g.traffic(500, 8, saying(""))
		refused, served = refused+got[503], served+got[200]
		if err := os.Remove(thin.ballast); err != nil {
			t.Fatal(err)
		}
		g.serves()
	}
	if refused == 0 {
		t.Error("nothing was refused: no fsync failed")
	}
	t.Logf("row 8: %d served and %d refused while fsync failed", served, refused)
	w.healed(&y, began)
	t.Logf("row 8: %s", &y)
}

// thin is a file system on an image that does not fit into what it lies on:
// writes are taken, and fail when they reach the disk.
type thin struct{ image, ballast string }

// thinDisk mounts one at dir, for the time of the test.
func thinDisk(t *testing.T, dir string) *thin {
	t.Helper()
	below := t.TempDir()
	mount(t, below, "size=8m")
	d := &thin{image: filepath.Join(below, "image"), ballast: filepath.Join(below, "ballast")}
	if err := os.WriteFile(d.image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(d.image, 64<<20); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	// What the file system itself needs is written now, so that only contents fail.
	d.run(t, "mke2fs", "-q", "-F", "-t", "ext2", "-N", "256", "-E", "nodiscard,lazy_itable_init=0", d.image)
	d.run(t, "mount", "-t", "ext2", "-o", "loop", d.image, dir)
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return d
}

func (d *thin) run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: a failing fsync needs a file system on a loop device: %s: %v %s", name, err, out)
	}
}

// serves waits until the gateway takes requests again: it looks at its disk
// every second.
func (g *gate) serves() {
	g.w.t.Helper()
	harness.Eventually(g.w.t, time.Minute, func() (bool, string) {
		got := g.traffic(1, 1, saying(""))
		return got[200] == 1, fmt.Sprint("answers ", got)
	})
}

// limitFiles bounds the size of files that a process may write, in bytes: writes
// beyond it fail.
func limitFiles(t *testing.T, g *gate, size int64) {
	t.Helper()
	out, err := exec.Command("prlimit", "--pid", fmt.Sprint(g.cmd.Process.Pid),
		fmt.Sprintf("--fsize=%d:%d", size, int64(1)<<40)).CombinedOutput()
	if err != nil {
		t.Skipf("SKIPPED: prlimit: %v %s", err, out)
	}
}

// mount puts a small file system in memory at dir, for the time of the test.
func mount(t *testing.T, dir, options string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Skipf("SKIPPED: a full disk needs a small file system, and mounting one fails: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) }) // it goes with the test's directory otherwise
}

// fill takes all the room that is left.
func fill(t *testing.T, file string) {
	t.Helper()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
}
