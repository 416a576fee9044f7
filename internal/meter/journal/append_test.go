package journal

import (
	"runtime"
	"sync"
	"testing"
)

// Records that are due at one moment go into one write, also where only one
// goroutine runs at a time.
func TestRecordsDueTogetherAreOneWrite(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	disk := &counted{Disk: Dir(t.TempDir())}
	j, err := Open(disk, Options{Fsync: FsyncOS})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	before := disk.n
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			if _, err := j.Append(1, []byte("due"), Refusable); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if writes := disk.n - before; writes > 8 {
		t.Errorf("%d writes for 64 records", writes)
	}
}
