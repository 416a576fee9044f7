package statement

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/internal/wholefile"
)

// Dir is where statements are: a folder per root, and in it MONTH.json,
// MONTH.csv and MONTH.sha256, which sha256sum -c reads. Their folder need not be there.
type Dir string

// ErrExists is returned for a month that has another statement.
var ErrExists = errors.New("the month has a statement, which never changes")

// File is a statement that was written.
type File struct {
	Root, Month string
	Path        string // of the JSON
	SHA256      string // of the JSON
}

func (d Dir) path(root, month, kind string) string {
	return filepath.Join(string(d), root, month+"."+kind)
}

// Write writes a statement once. One that is there is kept, and must be of the same
// usage, else Write fails with ErrExists. The checksums come last: without them the
// month has no statement.
func (d Dir) Write(st *Statement) (File, error) {
	if had, err := d.Load(st.Root, st.Month); err == nil {
		return d.same(had, st)
	} else if !errors.Is(err, os.ErrNotExist) {
		return File{}, err
	}
	data, err := st.JSON()
	if err != nil {
		return File{}, err
	}
	table, err := st.CSV()
	if err != nil {
		return File{}, err
	}
	if err := os.MkdirAll(filepath.Join(string(d), st.Root), 0o700); err != nil {
		return File{}, err
	}
	for _, part := range []struct {
		kind string
		data []byte
	}{{"json", data}, {"csv", table}, {"sha256", []byte(checksums(st.Month, data, table))}} {
		if err := wholefile.Replace(d.path(st.Root, st.Month, part.kind), part.data, 0o400); err != nil {
			return File{}, err
		}
	}
	return File{Root: st.Root, Month: st.Month, Path: d.path(st.Root, st.Month, "json"), SHA256: hash(data)}, nil
}

// same compares the usage of a statement with that of the one that is there. Who closed
// it, and the shared costs, are those of the first.
func (d Dir) same(had, st *Statement) (File, error) {
	again := *had
	again.Lines, again.UpTo = st.Lines, st.UpTo
	again.Totals.MeteredUSD, again.Totals.CorrectionsUSD = st.Totals.MeteredUSD, st.Totals.CorrectionsUSD
	a, err := had.JSON()
	if err != nil {
		return File{}, err
	}
	b, err := again.JSON()
	if err == nil && string(a) != string(b) {
		err = fmt.Errorf("%w: %s differs from what the ledger has now", ErrExists, d.path(st.Root, st.Month, "json"))
	}
	return File{Root: st.Root, Month: st.Month, Path: d.path(st.Root, st.Month, "json"), SHA256: hash(a)}, err
}

// checksums are those of a month's files, as sha256sum writes them.
func checksums(month string, data, table []byte) string {
	return fmt.Sprintf("%s  %s.json\n%s  %s.csv\n", hash(data), month, hash(table), month)
}

// Load reads a statement and checks its files against their checksums. Without a
// statement it fails with os.ErrNotExist.
func (d Dir) Load(root, month string) (*Statement, error) {
	st, _, err := d.load(root, month)
	return st, err
}

// load is Load with the files, by kind.
func (d Dir) load(root, month string) (*Statement, map[string][]byte, error) {
	sums, err := os.ReadFile(d.path(root, month, "sha256"))
	if err != nil {
		return nil, nil, err
	}
	files := map[string][]byte{}
	for _, kind := range [...]string{"json", "csv"} {
		if files[kind], err = os.ReadFile(d.path(root, month, kind)); err != nil {
			return nil, nil, d.damaged(root, month, err.Error())
		}
	}
	if string(sums) != checksums(month, files["json"], files["csv"]) {
		return nil, nil, d.damaged(root, month, "it was changed: its checksums differ")
	}
	st := &Statement{}
	if err := json.Unmarshal(files["json"], st); err != nil {
		return nil, nil, d.damaged(root, month, err.Error())
	}
	if st.Format != format || st.Root != root || st.Month != month {
		return nil, nil, d.damaged(root, month, "it is no statement of this root and month")
	}
	return st, files, nil
}

func (d Dir) damaged(root, month, why string) error {
	return fmt.Errorf("statement %s: %s", d.path(root, month, "json"), why)
}

// Hash is the SHA-256 of a month's statement, "" without one.
func (d Dir) Hash(root, month string) string {
	data, err := os.ReadFile(d.path(root, month, "json"))
	if err != nil {
		return ""
	}
	return hash(data)
}

// Months are those of which a root has statements, oldest first.
func (d Dir) Months(root string) []string {
	found, err := filepath.Glob(d.path(root, "*", "sha256"))
	if err != nil {
		return nil // a root whose name is a pattern that cannot be
	}
	for i, path := range found {
		found[i] = strings.TrimSuffix(filepath.Base(path), ".sha256")
	}
	slices.Sort(found)
	return found
}

// Read returns a file of a month, json or csv, as it was written. It fails like Load.
func (d Dir) Read(root, month, kind string) ([]byte, error) {
	_, files, err := d.load(root, month)
	return files[kind], err
}

// List returns the statements of a root, oldest first.
func (d Dir) List(root string) ([]File, error) {
	var all []File
	for _, month := range d.Months(root) {
		all = append(all, File{Root: root, Month: month, Path: d.path(root, month, "json"), SHA256: d.Hash(root, month)})
	}
	return all, nil
}

func hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
