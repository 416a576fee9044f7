package journal

import (
	"encoding/base32"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
)

// Identity is who writes a journal. Epoch rises at each Open; its lowest 16
// bits are random, so that two processes on copies of one directory differ and
// the ledger can fence one of them. It stays below 2^53.
type Identity struct {
	Writer string `json:"writer"`
	Epoch  uint64 `json:"epoch"`
}

const identityName = "identity"

type identityFile struct {
	Format int `json:"format"`
	Identity
}

// nextIdentity reads the stored identity, raises its epoch, and stores it.
func nextIdentity(disk Disk, random io.Reader) (Identity, error) {
	id, err := readIdentity(disk)
	if errors.Is(err, fs.ErrNotExist) {
		id.Writer, err = newWriter(random)
	}
	if err != nil {
		return Identity{}, err
	}
	var b [2]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return Identity{}, err
	}
	id.Epoch = (id.Epoch>>16+1)<<16 | uint64(binary.LittleEndian.Uint16(b[:]))
	return id, storeIdentity(disk, id)
}

func readIdentity(disk Disk) (Identity, error) {
	f, err := disk.Open(identityName)
	if err != nil {
		return Identity{}, err
	}
	defer f.Close() //nolint:errcheck // was only read
	var b [512]byte
	n, err := f.ReadAt(b[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return Identity{}, err
	}
	var stored identityFile
	if err := json.Unmarshal(b[:n], &stored); err != nil {
		return Identity{}, fmt.Errorf("journal identity: %w", err)
	}
	if stored.Format != version || len(stored.Writer) != writerSize {
		return Identity{}, fmt.Errorf("journal identity: format %d, writer %q", stored.Format, stored.Writer)
	}
	return stored.Identity, nil
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
	if err := disk.Rename(name+partSuffix, name); err != nil {
		return err
	}
	return disk.SyncDir()
}
