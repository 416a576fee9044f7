package doctor

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/heap"
	"github.com/sluice-gateway/sluice/internal/heap/pool"
)

const (
	mib = 1 << 20
	// spareFiles are descriptors for the journal, Redis, listeners and the like.
	spareFiles = 200
)

// Memory checks the edge's limits against what requests may hold in a process that may
// have so much memory: the bound of its container, or what the machine has. 0 is not known.
func Memory(limits *config.EdgeLimits, memory int64) Finding {
	a := about{"memory", ""}
	if memory <= 0 {
		return a.ok("the size of memory is not known")
	}
	requests := heap.Requests(memory)
	left := max(requests-int64(limits.MaxConnections)*pool.PerConnection, 1)
	switch {
	case !pool.New(pool.Limits{Bytes: left}, nil).Holds(limits.MaxBodyBytes, pool.Large):
		return a.fail("give it more memory, or lower limits.max_connections and limits.max_body_bytes",
			"%d MiB, of which requests may hold %d: with limits.max_connections one body of limits.max_body_bytes does not fit",
			memory/mib, requests/mib)
	case left < limits.BufferedBytes:
		return a.warn("set limits.buffered_bytes: "+strconv.FormatInt(left/mib, 10)+"MiB, or give it more memory",
			"%d MiB, of which requests may hold %d: beyond that callers get 503, before limits.buffered_bytes",
			memory/mib, requests/mib)
	}
	return a.ok("%d MiB, of which requests may hold %d", memory/mib, requests/mib)
}

// Files checks the bound on open files against the connections that are allowed: a third
// as many again are for upstreams, the ledger and the journal.
func Files(limits *config.EdgeLimits, most uint64) Finding {
	a := about{"open files", ""}
	need := max(uint64(limits.MaxConnections/3*4), spareFiles)
	way := "raise it to " + strconv.FormatUint(need, 10) + " (LimitNOFILE of systemd, --ulimit nofile of Docker), or " +
		"lower limits.max_connections"
	switch {
	case most >= need:
		return a.ok("%d, and limits.max_connections needs %d", most, need)
	case most < need/4:
		return a.fail(way, "%d, and limits.max_connections needs %d: connections will be refused", most, need)
	}
	return a.warn(way, "%d, and limits.max_connections needs %d", most, need)
}

// FileLimit is how many files this process may have open: the hard limit, to which Go
// raises the other one.
func FileLimit() uint64 {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return math.MaxUint64
	}
	return l.Max
}

const (
	// slowSync is how long an fsync may take before the disk is called slow.
	slowSync = 10 * time.Millisecond
	syncs    = 15
	// leastFree is how much room a journal needs for a day without a ledger.
	leastFree, warnFree = 64 * mib, 1024 * mib
	leastInodes         = 100
)

// Disk checks the data directory: that it can be written, how much room it has, and how
// long an fsync takes. Of what it writes nothing stays.
func Disk(dir, fsync string, now func() time.Time) []Finding {
	a := about{"disk", dir}
	if in := existing(dir); in != dir {
		return []Finding{toBeMade(a, in)}
	}
	took, err := timeSync(dir, now)
	if err != nil {
		return []Finding{a.fail("free or repair the disk, and let the user that runs the gateway write there",
			"it cannot be written: %v", err)}
	}
	all := []Finding{free(a, dir)}
	a.check = "fsync"
	switch {
	case took <= slowSync:
		all = append(all, a.ok("%s", took.Round(time.Microsecond)))
	case fsync == "always":
		all = append(all, a.warn("set journal.fsync: group, or use a disk with a write cache that survives a power loss",
			"%s, and with journal.fsync: always each request waits for it twice", took.Round(time.Microsecond)))
	default:
		all = append(all, a.warn("use a faster disk: a power loss may take what was not synced",
			"%s, which is slow; requests do not wait for it", took.Round(time.Microsecond)))
	}
	return all
}

// existing is the nearest directory above that is there, or the directory itself.
func existing(dir string) string {
	for {
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) || filepath.Dir(dir) == dir {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}

// toBeMade judges a directory that the first start makes in another one.
func toBeMade(a about, in string) Finding {
	if err := unix.Access(in, unix.W_OK); err != nil {
		return a.fail("make the directory, for the user that runs the gateway",
			"it is not there, and cannot be made in %s: %v", in, err)
	}
	found := free(a, in)
	found.Message += "; it is not there yet, the first start makes it"
	return found
}

func free(a about, dir string) Finding {
	var room unix.Statfs_t
	if err := unix.Statfs(dir, &room); err != nil {
		return a.warn("see whether the file system answers", "how much room there is cannot be seen: %v", err)
	}
	if room.Files == 0 { // a file system that has no such bound
		room.Ffree = leastInodes
	}
	return judgeRoom(a, room.Bavail*uint64(room.Bsize), room.Ffree) //nolint:gosec // sizes of blocks are not negative
}

func judgeRoom(a about, left, inodes uint64) Finding {
	const way = "make room: without any, new requests get 503"
	switch {
	case inodes < leastInodes:
		return a.fail("remove files: without any inode, new requests get 503", "%d inodes are free", inodes)
	case left < leastFree:
		return a.fail(way, "%d MiB are free", left/mib)
	case left < warnFree:
		return a.warn(way, "%d MiB are free", left/mib)
	default:
		return a.ok("%d MiB are free", left/mib)
	}
}

// timeSync is the median of some fsyncs of a small file.
func timeSync(dir string, now func() time.Time) (time.Duration, error) {
	f, err := os.CreateTemp(dir, "doctor-*")
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // a later doctor may
	defer f.Close()           //nolint:errcheck // what is in it does not matter
	took := make([]time.Duration, syncs)
	for i := range took {
		if _, err := f.Write(make([]byte, 512)); err != nil {
			return 0, err
		}
		begun := now()
		if err := f.Sync(); err != nil {
			return 0, err
		}
		took[i] = now().Sub(begun)
	}
	slices.Sort(took)
	return took[syncs/2], nil
}
