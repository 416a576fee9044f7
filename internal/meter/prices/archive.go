package prices

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

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
		if version := unmarked(p.Version); !known[version] {
			known[version] = true
			line, err := json.Marshal(meaning(version, p))
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

// unmarked is a version without what it says about who else's price it is.
func unmarked(version string) string {
	version, _, _ = strings.Cut(version, "+")
	return version
}

func appendTo(name string, lines []byte) (err error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.Write(lines); err != nil {
		return err
	}
	return f.Sync()
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

// Show finds what a version says in the archive of a data directory, or in a table.
// It fails with ErrNoVersion.
func Show(dataDir string, table *record.PriceBook, version string) (*Meaning, error) {
	wanted := unmarked(version)
	for _, p := range table.Prices() {
		if unmarked(p.Version) == wanted {
			return meaning(wanted, p), nil
		}
	}
	var found *Meaning
	err := each(dataDir, func(m *Meaning) {
		if m.Version == wanted {
			found = m
		}
	})
	switch {
	case found != nil:
		return found, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	return nil, fmt.Errorf("%w: %s is neither in the price files nor in %s", ErrNoVersion, version, archiveFile(dataDir))
}
