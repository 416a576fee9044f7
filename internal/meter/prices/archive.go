package prices

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// An archive keeps the rates of every price version that a gateway had, so that
// whoever finds a version in a record finds its rates, also when the price files
// are long gone. It is one file that only grows: a line of JSON for each version.

// Meaning is what a version of a price says, as an archive keeps it.
type Meaning struct {
	Version   string
	Effective string
	Source    string        `json:",omitempty"`
	Rates     *config.Rates // charged, pico-dollars per million
	// List are the rates of the list price, where they differ.
	List *config.Rates `json:",omitempty"`
}

// archiveFile is the file of an archive in a gateway's data directory.
func archiveFile(dataDir string) string { return filepath.Join(dataDir, "prices.jsonl") }

// ErrNoVersion is wrapped by the error about a version that an archive lacks.
var ErrNoVersion = errors.New("no such price version")

// Keep adds the versions of a table that the archive in a data directory does not
// have yet, and returns when they are on the disk.
func Keep(dataDir string, table *record.PriceBook) error {
	known := map[string]bool{}
	err := each(dataDir, func(m *Meaning) { known[m.Version] = true })
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var lines []byte
	for _, p := range table.Prices() {
		if !known[p.Version] {
			known[p.Version] = true
			line, err := json.Marshal(meaning(p.Version, p))
			if err != nil {
				return err
			}
			lines = append(append(lines, line...), '\n')
		}
	}
	if len(lines) == 0 {
		return nil
	}
	return appendTo(archiveFile(dataDir), lines)
}

func meaning(version string, p *record.Price) *Meaning {
	m := &Meaning{Version: version, Effective: p.Effective().Format("2006-01-02"), Source: p.Source(), Rates: p.Rates()}
	if p.Discounted() {
		m.List = p.List()
	}
	return m
}

func appendTo(name string, lines []byte) (err error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if cut, err := isCut(f); err != nil {
		return err
	} else if cut {
		lines = append([]byte{'\n'}, lines...)
	}
	if _, err := f.Write(lines); err != nil {
		return err
	}
	return f.Sync()
}

// isCut reports whether a crash cut off the last line of a file.
func isCut(f *os.File) (bool, error) {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return false, err
	}
	last := make([]byte, 1)
	_, err = f.ReadAt(last, info.Size()-1)
	return last[0] != '\n', err
}

// each calls f for every version in an archive. A line that a crash cut off is
// passed over: its version was in no record yet.
func each(dataDir string, f func(m *Meaning)) error {
	file, err := os.Open(archiveFile(dataDir))
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // only read
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var m Meaning
		if json.Unmarshal(lines.Bytes(), &m) == nil {
			f(&m)
		}
	}
	return lines.Err()
}

// Show finds what a version says in the archive of a data directory, or in a table:
// as it is there, or worked out of the list price and the guaranteed price that it
// names. It fails with ErrNoVersion.
func Show(dataDir string, table *record.PriceBook, version string) (*Meaning, error) {
	v, err := ReadVersions(dataDir, table)
	if err != nil {
		return nil, err
	}
	return v.Show(version)
}

// Versions are what is known of price versions, for who asks for many.
type Versions struct {
	all  meanings
	file string
}

// ReadVersions reads the archive of a data directory, and what a table has.
func ReadVersions(dataDir string, table *record.PriceBook) (*Versions, error) {
	all, err := known(dataDir, table)
	return &Versions{all, archiveFile(dataDir)}, err
}

// Show is Show of what was read.
func (v *Versions) Show(version string) (*Meaning, error) {
	m, missing, err := v.all.find(version)
	if missing {
		err = fmt.Errorf("%w: %w, nor in %s", ErrNoVersion, err, v.file)
	}
	return m, err
}

// meanings are what is known of versions. A list price is there without what its
// version says about whose price it is, too.
type meanings map[string]*Meaning

func known(dataDir string, table *record.PriceBook) (meanings, error) {
	all := meanings{}
	add := func(m *Meaning) {
		all[m.Version] = m
		if t, ok := record.ParseVersion(m.Version); ok && t.Lock == "" && t.PPM == 0 {
			all[t.List] = m
		}
	}
	if err := each(dataDir, add); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, p := range table.Prices() {
		add(meaning(p.Version, p))
	}
	return all, nil
}

func (all meanings) find(version string) (_ *Meaning, missing bool, _ error) {
	if found := all[version]; found != nil {
		m := *found
		m.Version = version
		return &m, false, nil
	}
	terms, ok := record.ParseVersion(version)
	if !ok {
		return nil, true, fmt.Errorf("%q is in no price file", version)
	}
	for _, needed := range []string{terms.List, terms.Lock} {
		if needed != "" && all[needed] == nil {
			return nil, true, fmt.Errorf("%s is in no price file", needed)
		}
	}
	m, err := charged(version, all[terms.List], all[terms.Lock], &terms)
	return m, false, err
}

// charged is a version of a list price, and of what is charged instead of it.
func charged(version string, list, lock *Meaning, terms *record.Terms) (*Meaning, error) {
	m := *list
	m.Version = version
	if terms.PPM == 0 && lock == nil {
		return &m, nil
	}
	var guaranteed *config.Rates
	if lock != nil {
		guaranteed = lock.Rates
	}
	var err error
	m.List = list.Rates
	m.Rates, err = terms.Charged(list.Rates, guaranteed)
	return &m, err
}
