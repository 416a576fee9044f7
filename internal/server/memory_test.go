package server

import (
	"runtime"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/heap/pool"
)

// The memory of large bodies is back with the system soon after they are gone, and
// nothing is collected for small ones.
func TestMemoryOfLargeBodiesGoesBack(t *testing.T) {
	s := start(t, Options{Handler: handlerFunc(echo)})
	hold := func(n int64) {
		t.Helper()
		var a pool.Account
		s.pool.Open(&a)
		if !a.Take(n, pool.Large) {
			t.Fatal("no room for bodies")
		}
		big := make([]byte, n)
		for i := 0; i < len(big); i += 4096 {
			big[i] = 1
		}
		runtime.KeepAlive(big)
		a.Give(n, pool.Large)
	}
	forced := func() uint32 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.NumForcedGC
	}
	before := forced()
	hold(worthReturning - 1)
	time.Sleep(3 * memoryInterval)
	if forced() != before {
		t.Error("a collection for a body that is not worth it")
	}
	hold(worthReturning)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(memoryInterval) {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		kept := m.HeapIdle - m.HeapReleased
		if m.NumForcedGC > before && kept < worthReturning/2 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d MB are kept, after %d collections", kept>>20, m.NumForcedGC-before)
		}
	}
}
