// Package heap decides how much memory the process keeps: how large the heap may
// grow before it is collected, and when what the process needs no more goes back to
// the system. docs/adr/0020-memory-settings.md says what each setting costs.
package heap

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// Floor is the size up to which the heap grows before it is collected, however
// little of it is in use. A gateway uses some 6 MB, and the runtime's own rule,
// twice of that, would have it collect a hundred times as many bytes as it saves.
const Floor = 26 << 20

// standard is the share of what is in use, in per cent, that the runtime lets be
// allocated between two collections.
const standard = 100

// KeepFloor lets the heap grow to floor bytes before each collection. Above half
// of the floor in use it is the runtime's own rule again, so a large heap is not
// made larger. A GOGC in the environment is somebody's decision, and stays.
func KeepFloor(floor int64) {
	if _, set := os.LookupEnv("GOGC"); set {
		return
	}
	f := &keeper{floor: floor, percent: standard}
	for _, name := range []string{"/gc/heap/live:bytes", "/gc/scan/stack:bytes", "/gc/scan/globals:bytes"} {
		f.sizes = append(f.sizes, metrics.Sample{Name: name})
	}
	f.collected(&cycle{})
}

// thrifty is the share for a command that holds very much for a short while.
const thrifty = 20

// Spare has the process collect more often than the runtime would, so that the heap is not twice what is in use: for
// commands that build up one large thing and end. A GOGC in the environment stays.
func Spare() {
	if _, set := os.LookupEnv("GOGC"); !set {
		debug.SetGCPercent(thrifty)
	}
}

// keeper sets the runtime's percentage anew after each collection.
type keeper struct {
	floor   int64
	percent int64
	sizes   []metrics.Sample // what is in use in the heap; stacks; globals
}

// cycle is what nobody holds: it is finalized once in each collection.
type cycle struct{ _ *byte }

func (f *keeper) collected(c *cycle) {
	metrics.Read(f.sizes)
	var sizes [3]int64
	for i := range sizes {
		sizes[i] = int64(f.sizes[i].Value.Uint64())
	}
	if next := percent(f.floor, sizes[0], sizes[1]+sizes[2]); worthwhile(f.percent, next) {
		f.percent = next
		debug.SetGCPercent(int(next)) // stops all goroutines for some 20 µs
	}
	runtime.SetFinalizer(c, f.collected)
}

// percent solves the runtime's formula, goal = live + (live + roots) * percent / 100,
// for the floor as the goal. The goal is never below percent / 100 times 4 MB, which
// must not be above the floor either.
func percent(floor, live, roots int64) int64 {
	wanted := (floor - live) * 100 / max(live+roots, 1)
	return max(standard, min(wanted, floor*100/(4<<20)))
}

// worthwhile reports whether two percentages differ by more than a tenth.
func worthwhile(now, next int64) bool { return 10*max(now-next, next-now) > now }

// Trim gives back to the system what the process does not need: free memory of
// the heap, and the pages of the program that were only read so far. What is read
// again comes back from the system's cache, in pieces of 64 KB and some
// microseconds each. It takes some 20 ms of a processor. An error says that
// the program's pages stay, which does no harm.
func Trim() error {
	runtime.GC() // pools keep what they hold over one collection
	debug.FreeOSMemory()
	return releaseProgram()
}
