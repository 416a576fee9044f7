package heap

import (
	"runtime"
	"runtime/debug"
	"testing"
)

func TestPercent(t *testing.T) {
	for _, c := range []struct{ floor, live, roots, want int64 }{
		{40 << 20, 5 << 20, 0, 700},
		{40 << 20, 6 << 20, 2 << 20, 425},
		{40 << 20, 20 << 20, 0, 100},
		{40 << 20, 15 << 20, 10 << 20, 100},
		{40 << 20, 4000 << 20, 0, 100}, // a large heap grows as ever
		{40 << 20, 0, 0, 1000},
	} {
		if got := percent(c.floor, c.live, c.roots); got != c.want {
			t.Errorf("floor %d, live %d, roots %d: got %d, want %d", c.floor, c.live, c.roots, got, c.want)
		}
	}
	if worthwhile(100, 110) || worthwhile(100, 91) || !worthwhile(100, 111) || !worthwhile(700, 100) {
		t.Error("small changes are not worth stopping everything, others are")
	}
}

// A gateway with little in use collects at the floor, one with much in use not later
// than the runtime would.
func TestKeepFloor(t *testing.T) {
	before := debug.SetGCPercent(standard)
	defer debug.SetGCPercent(before)
	KeepFloor(64 << 20)
	goal := func() int64 {
		var m runtime.MemStats
		for range 3 { // the finalizer runs behind a collection
			runtime.GC()
			runtime.Gosched()
		}
		runtime.ReadMemStats(&m)
		return int64(m.NextGC)
	}
	eventually(t, func() bool { g := goal(); return g > 50<<20 && g < 80<<20 })
	used := make([]byte, 100<<20)
	eventually(t, func() bool { g := goal(); return g > 190<<20 && g < 230<<20 })
	runtime.KeepAlive(used)
}

func eventually(t *testing.T, is func() bool) {
	t.Helper()
	for range 100 {
		if is() {
			return
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	t.Errorf("the next collection comes at %d MB", m.NextGC>>20)
}
