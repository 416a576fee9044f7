package journal

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"strings"
	"testing"
	"time"
)

func TestUnplugged(t *testing.T) {
	d := newMemDisk()
	j := open(t, d, Options{Fsync: FsyncAlways})
	add(t, j, "a", "b")
	wantRecords(t, d.unplugged(), "a", "b")
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		if ok() {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
	t.Fatal("never: " + what)
}

func refused(err error) bool {
	var r *RefusedError
	return errors.As(err, &r)
}

// TestDiskFaults: new records are refused, those in flight kept when there is
// any way, nothing appears that was refused, and it recovers by itself.
func TestDiskFaults(t *testing.T) {
	f := func(name string, inject func(d *memDisk), endFits bool) {
		t.Helper()
		for _, torn := range []bool{false, true} {
			d := newMemDisk()
			d.torn = torn
			j := open(t, d, Options{HealEvery: 5 * time.Millisecond, Every: time.Millisecond, ReserveBytes: 4096})
			add(t, j, "before")
			inject(d)
			var want []string
			want = append(want, "before")
			eventually(t, name+": refused", func() bool {
				_, err := j.Append(1, []byte("new"), Refusable)
				if err == nil {
					want = append(want, "new") // accepted before the fault was seen
				} else if !refused(err) {
					t.Fatalf("%s: %v", name, err)
				}
				return err != nil
			})
			_, err := j.Append(2, []byte("end"), Reserved)
			if (err == nil) != endFits {
				t.Fatalf("%s: reserved: %v", name, err)
			}
			if err == nil {
				want = append(want, "end")
			}
			wantRecords(t, d.killed(), want...)
			d.setFail(nil)
			d.setRoom(-1)
			eventually(t, name+": healed", func() bool { return j.Fault() == nil })
			add(t, j, "after")
			want = append(want, "after")
			eventually(t, name+": synced", func() bool { return j.Synced() == j.Written() })
			wantRecords(t, d, want...)
			wantRecords(t, d.unplugged(), want...)
			j.Close()
		}
	}
	failing := func(op string) func(*memDisk) {
		return func(d *memDisk) {
			d.setFail(func(o, name string) error {
				if o == op && name != reserveName {
					return errDisk
				}
				return nil
			})
		}
	}
	f("write", failing("write"), false)
	f("sync", failing("sync"), true)
	f("write and truncate", func(d *memDisk) {
		d.setFail(func(o, _ string) error {
			if o == "write" || o == "truncate" {
				return errDisk
			}
			return nil
		})
	}, false)
	f("full", func(d *memDisk) { d.setRoom(5) }, true)
	f("read-only", func(d *memDisk) { d.setFail(func(string, string) error { return errDisk }) }, false)
}

// TestRollFaults: a segment that cannot be made, or whose name may not be
// durable, loses nothing and hides nothing.
func TestRollFaults(t *testing.T) {
	for _, op := range []string{"create", "rename", "syncdir"} {
		d := newMemDisk()
		j := open(t, d, Options{HealEvery: 5 * time.Millisecond, SegmentBytes: headerSize + 30})
		var want []string
		d.setFail(func(o, _ string) error {
			if o == op {
				return errDisk
			}
			return nil
		})
		eventually(t, op, func() bool {
			_, err := j.Append(1, []byte("new"), Refusable)
			if err == nil {
				want = append(want, "new")
			}
			return err != nil
		})
		wantRecords(t, d.killed(), want...)
		d.setFail(nil)
		eventually(t, op+" healed", func() bool { return j.Fault() == nil })
		add(t, j, "after")
		wantRecords(t, d, append(want, "after")...)
		j.Close()
	}
}

func TestAlwaysReportsFailedSync(t *testing.T) {
	d := newMemDisk()
	j := open(t, d, Options{Fsync: FsyncAlways, HealEvery: time.Hour})
	d.setFail(func(op, _ string) error {
		if op == "sync" {
			return errDisk
		}
		return nil
	})
	if _, err := j.Append(1, []byte("a"), Refusable); !refused(err) {
		t.Errorf("got %v", err)
	}
}

func TestCheckpoint(t *testing.T) {
	d := newMemDisk()
	j := open(t, d, Options{})
	if _, _, err := OpenCheckpoint(d); !errors.Is(err, ErrNoCheckpoint) {
		t.Error(err)
	}
	long := strings.Repeat("x", 60_000)
	for n := uint64(1); n <= 2; n++ {
		c, err := j.CreateCheckpoint(n)
		if err != nil {
			t.Fatal(err)
		}
		for range 10 {
			if err := c.Add(7, []byte(long)); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	r, through, err := OpenCheckpoint(d)
	if err != nil || through != 2 {
		t.Fatal(through, err)
	}
	n := 0
	for r.Next() {
		n++
		if r.Kind() != 7 || string(r.Payload()) != long {
			t.Error("other contents")
		}
	}
	if n != 10 || r.Err() != nil {
		t.Errorf("%d records, %v", n, r.Err())
	}
	d.files[checkpointName(2)].data[1000] ^= 1
	r, _, err = OpenCheckpoint(d)
	if err != nil {
		t.Fatal(err)
	}
	for r.Next() {
	}
	if r.Err() == nil {
		t.Error("damage is no error")
	}
	if _, ok := d.files[checkpointName(1)]; ok {
		t.Error("the older checkpoint is still there")
	}
}

func TestNewerFormatIsNoDamage(t *testing.T) {
	d := newMemDisk()
	j := open(t, d, Options{})
	j.Close()
	f := d.files[segmentName(1)]
	f.data[8] = version + 1
	binary.LittleEndian.PutUint32(f.data[headerSize-4:], crc32.Checksum(f.data[:headerSize-4], castagnoli))
	if _, err := Open(d, Options{}); err == nil {
		t.Error("opened")
	}
}
