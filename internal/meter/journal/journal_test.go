package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, d Disk, o Options) *Journal {
	t.Helper()
	if o.ReserveBytes == 0 {
		o.ReserveBytes = 1024
	}
	j, err := Open(d, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

func add(t *testing.T, j *Journal, texts ...string) {
	t.Helper()
	for _, s := range texts {
		if _, err := j.Append(1, []byte(s), Refusable); err != nil {
			t.Fatalf("append %q: %v", s, err)
		}
	}
}

func read(t *testing.T, d Disk, from Position) ([]string, []Damage) {
	t.Helper()
	r := NewReader(d, from)
	defer r.Close()
	var got []string
	for r.Next() {
		got = append(got, string(r.Payload()))
	}
	if r.Err() != nil {
		t.Fatal(r.Err())
	}
	return got, r.Damage()
}

func wantRecords(t *testing.T, d Disk, want ...string) {
	t.Helper()
	got, damage := read(t, d, Position{})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	if len(damage) > 0 {
		t.Errorf("damage %v", damage)
	}
}

func TestAppendAndRead(t *testing.T) {
	for _, fsync := range []Fsync{FsyncGroup, FsyncAlways, FsyncOS} {
		d := Dir(t.TempDir())
		j := open(t, d, Options{Fsync: fsync, SegmentBytes: 200})
		var want []string
		for i := range 50 {
			want = append(want, fmt.Sprintf("record %d", i))
		}
		add(t, j, want...)
		wantRecords(t, d, want...)
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		wantRecords(t, d, want...)
		if all, _ := Segments(d); len(all) < 5 {
			t.Errorf("%d segments", len(all))
		}
		if fsync != FsyncOS && j.Synced() != j.Written() {
			t.Errorf("synced %v, written %v", j.Synced(), j.Written())
		}
	}
}

func TestIdentity(t *testing.T) {
	d := Dir(t.TempDir())
	j := open(t, d, Options{})
	if _, err := Open(d, Options{}); !errors.Is(err, ErrLocked) {
		t.Errorf("second open: %v", err)
	}
	first := j.Identity()
	j.Close()
	j = open(t, d, Options{})
	second := j.Identity()
	if first.Writer == second.Writer || IsRecovery(first.Writer) || first.Epoch != 1 || second.Epoch != 1 {
		t.Errorf("%v then %v", first, second)
	}
	add(t, j, "a")
	recovery := RecoveryWriter([]byte("what a dead process left"))
	if err := j.WriteAs(recovery); err != nil {
		t.Fatal(err)
	}
	add(t, j, "b")
	if err := j.WriteAs(second); err != nil {
		t.Fatal(err)
	}
	add(t, j, "c")
	j.Close()
	r := NewReader(d, Position{})
	defer r.Close()
	var writers []string
	for r.Next() {
		writers = append(writers, r.Writer())
	}
	if want := []string{second.Writer, recovery.Writer, second.Writer}; !slices.Equal(writers, want) {
		t.Errorf("writers %v, want %v", writers, want)
	}
	place, err := d.Place()
	if err != nil {
		t.Fatal(err)
	}
	want := []Origin{{first, place}, {second, place}, {recovery, place}}
	if got, err := Origins(d); err != nil || !slices.Equal(got, want) {
		t.Errorf("origins %v, %v, want %v", got, err, want)
	}
}

// TestRecoveryWriter: the same contents are the same writer, others are another one.
func TestRecoveryWriter(t *testing.T) {
	a, b := RecoveryWriter([]byte("a")), RecoveryWriter([]byte("b"))
	if a != RecoveryWriter([]byte("a")) || a == b || !IsRecovery(a.Writer) || len(a.Writer) != writerSize {
		t.Errorf("%v and %v", a, b)
	}
}

// TestPlace: a copy is somewhere else, however it was made.
func TestPlace(t *testing.T) {
	d, copied := t.TempDir(), t.TempDir()
	j := open(t, Dir(d), Options{})
	j.Close()
	if err := os.CopyFS(copied, os.DirFS(d)); err != nil {
		t.Fatal(err)
	}
	again := open(t, Dir(d), Options{})
	defer again.Close()
	there := open(t, Dir(copied), Options{})
	defer there.Close()
	if again.Place() != j.Place() || there.Place() == j.Place() {
		t.Errorf("places %d, %d again, %d of the copy", j.Place(), again.Place(), there.Place())
	}
}

func TestConcurrentAppend(t *testing.T) {
	for _, fsync := range []Fsync{FsyncGroup, FsyncAlways} {
		d := Dir(t.TempDir())
		s := &counter{}
		j := open(t, d, Options{Fsync: fsync, SegmentBytes: 4096, Stamper: s})
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				for k := range 50 {
					if _, err := j.Append(1, fmt.Appendf(nil, "........%d/%d", i, k), Reserved); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		j.Close()
		got, damage := read(t, d, Position{})
		if len(got) != 800 || len(damage) > 0 {
			t.Fatalf("%d records, damage %v", len(got), damage)
		}
		next := map[string]int{}
		for i, rec := range got {
			if n := int(rec[0]) | int(rec[1])<<8; n != i+1 {
				t.Fatalf("record %d is stamped %d", i, n)
			}
			who, k, _ := strings.Cut(rec[8:], "/")
			if k != fmt.Sprint(next[who]) {
				t.Fatalf("record %s of %s, want %d", k, who, next[who])
			}
			next[who]++
		}
	}
}

// counter stamps records 1, 2, … without holes.
type counter struct{ n, open int }

func (c *counter) Stamp(_ byte, p []byte) {
	c.n++
	c.open++
	p[0], p[1] = byte(c.n), byte(c.n>>8)
}

func (c *counter) Settle(written bool) {
	if !written {
		c.n -= c.open
	}
	c.open = 0
}

func TestReaderFollows(t *testing.T) {
	d := Dir(t.TempDir())
	j := open(t, d, Options{SegmentBytes: 150})
	r := NewReader(d, Position{})
	defer r.Close()
	for i := range 30 {
		if r.Next() {
			t.Fatalf("record %q too early", r.Payload())
		}
		want := fmt.Sprintf("record %d", i)
		add(t, j, want)
		if !r.Next() || string(r.Payload()) != want {
			t.Fatalf("record %d: not there (%v)", i, r.Err())
		}
	}
	if len(r.Damage()) > 0 {
		t.Error(r.Damage())
	}
	l := NewReader(d, Position{})
	defer l.Close()
	l.Limit(r.At())
	n := 0
	for l.Next() {
		n++
	}
	if n != 29 {
		t.Errorf("%d records below the limit, want 29", n)
	}
}

func newestFile(t *testing.T, d *memDisk) *memFile {
	t.Helper()
	all, err := Segments(d)
	if err != nil {
		t.Fatal(err)
	}
	for n := len(all) - 1; n >= 0; n-- {
		if f := d.files[segmentName(all[n])]; len(f.data) > headerSize {
			return f
		}
	}
	t.Fatal("no records")
	return nil
}

// TestTornTail cuts the newest segment at every byte of its last record.
func TestTornTail(t *testing.T) {
	d := newMemDisk()
	j := open(t, d, Options{})
	add(t, j, "first", "second", "the last one")
	j.Close()
	size := len(newestFile(t, d).data)
	last := frameHead + len("the last one")
	for cut := 1; cut <= last; cut++ {
		c := d.killed()
		f := newestFile(t, c)
		f.data = f.data[:size-cut]
		j := open(t, c, Options{})
		want := int64(last - cut)
		if got := j.Recovered(); got.TornBytes != want || len(got.Damage) > 0 {
			t.Fatalf("cut %d: recovered %+v, want %d torn bytes", cut, got, want)
		}
		add(t, j, "after")
		j.Close()
		wantRecords(t, c, "first", "second", "after")
	}
}

// TestBitFlips flips every bit of a segment in turn. No flip may go unnoticed
// and none may cost more than the record that it hit.
func TestBitFlips(t *testing.T) {
	texts := []string{"first", "second", "third", "fourth"}
	f := func(closed bool) {
		t.Helper()
		d := newMemDisk()
		j := open(t, d, Options{})
		add(t, j, texts...)
		name := newestFile(t, d).name
		size := len(newestFile(t, d).data)
		if closed { // another segment behind it
			j.Close()
			j = open(t, d, Options{})
			add(t, j, "behind")
		}
		j.Close()
		for bit := headerSize * 8; bit < size*8; bit++ {
			c := d.killed()
			c.files[name].data[bit/8] ^= 1 << (bit % 8)
			j := open(t, c, Options{})
			rec := j.Recovered()
			j.Close()
			got, damage := read(t, c, Position{})
			lost := 0
			for _, s := range texts {
				if !slices.Contains(got, s) {
					lost++
				}
			}
			noticed := len(damage) > 0 || rec.TornBytes > 0
			if lost != 1 || !noticed {
				t.Fatalf("closed %v, bit %d: got %q, damage %v, recovered %+v", closed, bit, got, damage, rec)
			}
		}
	}
	f(false)
	f(true)
}

func TestDamagedHeader(t *testing.T) {
	d := newMemDisk()
	j := open(t, d, Options{})
	add(t, j, "lost")
	name := newestFile(t, d).name
	j.Close()
	j = open(t, d, Options{})
	add(t, j, "kept")
	j.Close()
	for bit := range headerSize * 8 {
		c := d.killed()
		c.files[name].data[bit/8] ^= 1 << (bit % 8)
		got, damage := read(t, c, Position{})
		if !slices.Equal(got, []string{"kept"}) || len(damage) != 1 {
			t.Fatalf("bit %d: %q, %v", bit, got, damage)
		}
	}
}

func TestMissingSegment(t *testing.T) {
	d := newMemDisk()
	for _, s := range []string{"a", "b", "c"} {
		j := open(t, d, Options{})
		add(t, j, s)
		j.Close()
	}
	d.Remove(segmentName(2))
	got, damage := read(t, d, Position{})
	want := []Damage{{At: Position{2, 0}, Missing: true}}
	if !slices.Equal(got, []string{"a", "c"}) || !slices.Equal(damage, want) {
		t.Errorf("%q, %v", got, damage)
	}
}

func TestQuarantine(t *testing.T) {
	d := newMemDisk()
	j := open(t, d, Options{})
	add(t, j, "a", "b", "c")
	j.Close()
	f := newestFile(t, d)
	f.data[headerSize+frameHead+1+frameHead] ^= 1 // "b"
	j = open(t, d, Options{})
	if len(j.Recovered().Damage) != 1 {
		t.Fatalf("%+v", j.Recovered())
	}
	add(t, j, "d")
	j.Close()
	if _, ok := d.files[segmentName(1)+damagedSuffix]; !ok {
		t.Error("not quarantined")
	}
	got, damage := read(t, d, Position{})
	if !slices.Equal(got, []string{"a", "c", "d"}) || len(damage) != 1 {
		t.Errorf("%q, %v", got, damage)
	}
	j = open(t, d, Options{})
	defer j.Close()
	if n, err := Drop(j.Disk(), 100, time.Now().Add(time.Hour)); n != 1 || err != nil { // 2, but neither 1 nor the newest
		t.Errorf("dropped %d, %v", n, err)
	}
	if all, _ := Segments(d); !slices.Equal(all, []uint64{1, 3}) {
		t.Errorf("segments %v", all)
	}
}

// TestGolden pins the bytes that docs/format/journal.md describes.
func TestGolden(t *testing.T) {
	h := header{
		Writer: "abcdefghijklmnop", Epoch: 65537, Segment: 2, PreviousEnd: 80,
		PreviousChain: 7, Created: time.Unix(1_700_000_000, 0),
	}
	b := h.encode()
	frame := append(make([]byte, 8), 1)
	frame = append(frame, "hello"...)
	sealFrame(frame)
	got := fmt.Sprintf("%x\n%x\n", b, frame)
	path := filepath.Join("testdata", "segment.golden")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func FuzzReader(f *testing.F) {
	d := newMemDisk()
	j, err := Open(d, Options{})
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{"a", "", "hello"} {
		if _, err := j.Append(1, []byte(s), Refusable); err != nil {
			f.Fatal(err)
		}
	}
	j.Close()
	f.Add(d.files[segmentName(1)].data, true)
	f.Add(d.files[segmentName(1)].data, false)
	f.Add([]byte{}, true)
	f.Fuzz(func(t *testing.T, data []byte, sealed bool) {
		c := newMemDisk()
		c.files[segmentName(1)] = &memFile{disk: c, data: data}
		if sealed {
			h := header{Writer: "abcdefghijklmnop", Segment: 2, PreviousEnd: int64(len(data))}
			c.files[segmentName(2)] = &memFile{disk: c, data: h.encode()}
		}
		r := NewReader(c, Position{})
		defer r.Close()
		n, bytes := 0, 0
		for r.Next() {
			n++
			bytes += len(r.Payload())
		}
		if n > len(data)/frameHead || bytes > len(data) {
			t.Errorf("%d records of %d bytes in %d", n, bytes, len(data))
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	j, err := Open(Dir(b.TempDir()), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer j.Close()
	p := make([]byte, 300)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := j.Append(1, p, Refusable); err != nil {
				b.Fatal(err)
			}
		}
	})
}
