package memory

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// Tightened keeps on disk how far the watches of cascades have stepped back, so
// that a restart does not undo it. It is safe for concurrent use; two processes
// must not share a file.
type Tightened struct {
	File string // "" keeps nothing

	mu sync.Mutex // one writer at a time
}

// Restore steps the watches of m back as far as they were, and shares that with
// other gateways. A missing file is no error.
func (t *Tightened) Restore(m *Store) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	all, err := t.read()
	for cascade, back := range all {
		for _, s := range back {
			m.Of(cascade).Watch.StepBack(s)
		}
		m.ShareWatch(cascade)
	}
	return err
}

// Keep writes how far the watch of a cascade has stepped back. When it returns, the
// file is synced.
func (t *Tightened) Keep(cascade string, w *Watch) error {
	if t.File == "" {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	all, err := t.read()
	if err != nil {
		return err
	}
	all[cascade] = w.Stepped()
	data, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	return replaceFile(t.File, append(data, '\n'))
}

// read returns the contents of the file, by cascade.
func (t *Tightened) read() (map[string][]Stepped, error) {
	all := map[string][]Stepped{}
	if t.File == "" {
		return all, nil
	}
	data, err := os.ReadFile(t.File)
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &all)
	}
	if err != nil {
		return all, fmt.Errorf("cannot read from %s how far certificates were stepped back from: %w", t.File, err)
	}
	return all, nil
}

// replaceFile replaces a file's contents; a crash leaves the old or the new ones.
func replaceFile(path string, data []byte) error {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close() //nolint:errcheck // nothing is written to it
	f, err := os.CreateTemp(dir.Name(), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return dir.Sync()
}
