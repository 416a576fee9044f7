package journal

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
)

// Identity is who writes a journal. Open draws a new one each time, so a writer
// is one process: processes on copies of one directory share what was written
// before the copy and no number behind it (ADR 0011). Epoch is 1; it rose with
// each Open when a writer could be several processes in turn.
type Identity struct {
	Writer string `json:"writer"`
	Epoch  uint64 `json:"epoch"`
}

const onlyEpoch = 1

// recoveryMark is the first letter of recovery writers' ids. Drawn ids do not
// have it.
const recoveryMark = "0"

// RecoveryWriter is who writes what follows from a journal alone, such as the end
// of attempts that a dead process left open. Its id is a digest of that, so every
// process that finds the same contents writes them as the same writer, and they
// count once.
func RecoveryWriter(contents []byte) Identity {
	sum := sha256.Sum256(contents)
	text := strings.ToLower(base32.StdEncoding.EncodeToString(sum[:10]))
	return Identity{Writer: recoveryMark + text[:writerSize-1], Epoch: onlyEpoch}
}

// IsRecovery reports whether a writer is no process but a RecoveryWriter.
func IsRecovery(writer string) bool { return strings.HasPrefix(writer, recoveryMark) }

// Origin is where a writer's records come from.
type Origin struct {
	Identity
	// Place is that of the directory in which they were first written, see
	// Disk; 0 when it is not known.
	Place uint64
}

// Origins returns every writer that a segment of the journal names, oldest
// first, those without records too.
func Origins(disk Disk) ([]Origin, error) {
	segments, err := Segments(disk)
	if err != nil {
		return nil, err
	}
	var all []Origin
	for _, n := range segments {
		h, err := headerOf(disk, n)
		if errors.Is(err, errHeader) || errors.Is(err, fs.ErrNotExist) {
			continue // damaged, or removed meanwhile
		}
		if err != nil {
			return nil, err
		}
		if o := (Origin{Identity{h.Writer, h.Epoch}, h.Place}); !slices.Contains(all, o) {
			all = append(all, o)
		}
	}
	return all, nil
}

func headerOf(disk Disk, segment uint64) (header, error) {
	f, err := openSegment(disk, segment)
	if err != nil {
		return header{}, err
	}
	defer f.Close() //nolint:errcheck // was only read
	return readHeader(f)
}

const identityName = "identity"

type identityFile struct {
	Format int `json:"format"`
	Identity
}

// nextIdentity draws an identity and stores it for people to read.
func nextIdentity(disk Disk, random io.Reader) (Identity, error) {
	writer, err := newWriter(random)
	if err != nil {
		return Identity{}, err
	}
	id := Identity{writer, onlyEpoch}
	return id, storeIdentity(disk, id)
}

func storeIdentity(disk Disk, id Identity) error {
	b, err := json.Marshal(identityFile{version, id})
	if err != nil {
		return err
	}
	return replace(disk, identityName, func(f File) error {
		_, err := f.WriteAt(append(b, '\n'), 0)
		return err
	})
}

// newWriter returns 80 random bits as 16 letters and digits.
func newWriter(random io.Reader) (string, error) {
	var b [10]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", err
	}
	return strings.ToLower(base32.StdEncoding.EncodeToString(b[:])), nil
}

// replace makes a durable file in one step: it has all its bytes or does not
// exist.
func replace(disk Disk, name string, fill func(File) error) error {
	f, err := disk.Create(name + partSuffix)
	if err != nil {
		return err
	}
	if err := errors.Join(fill(f), f.Sync(), f.Close()); err != nil {
		return err
	}
	return publish(disk, name)
}

// publish gives a finished part file its name, durably.
func publish(disk Disk, name string) error {
	if err := disk.Rename(name+partSuffix, name); err != nil {
		return err
	}
	return disk.SyncDir()
}
