package journal

import (
	"fmt"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// BenchmarkRequests is what a record costs when so many requests are under way on
// one processor. Between two records each of them waits for somebody else, as
// requests wait for their upstream.
func BenchmarkRequests(b *testing.B) {
	for _, requests := range []int{1, 64} {
		b.Run(fmt.Sprint(requests), func(b *testing.B) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
			writes := &counted{Disk: Dir(b.TempDir())}
			j, err := Open(writes, Options{Fsync: FsyncOS})
			if err != nil {
				b.Fatal(err)
			}
			defer j.Close()
			payload := make([]byte, 400)
			b.SetParallelism(requests)
			b.ReportAllocs()
			before, first := cpuTime(b), writes.n
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := j.Append(1, payload, Refusable); err != nil {
						b.Fatal(err)
					}
					runtime.Gosched()
				}
			})
			b.StopTimer()
			b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op")
			b.ReportMetric(float64(writes.n-first)/float64(b.N), "writes/op")
		})
	}
}

// counted counts writes.
type counted struct {
	Disk
	n int
}

func (d *counted) Create(name string) (File, error) {
	f, err := d.Disk.Create(name)
	return &countedFile{f, d}, err
}

type countedFile struct {
	File
	disk *counted
}

func (f *countedFile) WriteAt(p []byte, at int64) (int, error) {
	f.disk.n++
	return f.File.WriteAt(p, at)
}

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
