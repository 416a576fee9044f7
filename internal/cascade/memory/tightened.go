package memory

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"

	"github.com/sluice-gateway/sluice/internal/wholefile"
)

// Tightened keeps on disk how far the watches of cascades have stepped back and which
// routes have shifted, so that a restart does not undo it. It is safe for concurrent
// use; two processes must not share a file.
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
		state := m.Of(cascade)
		for _, s := range back {
			state.Watch.StepBack(s.Stepped)
			if len(s.Shifted) > 0 {
				state.Traffic.Restore(s.Certificate, s.Shifted)
			}
		}
		m.ShareWatch(cascade)
	}
	return err
}

// Keep writes what has become of the certificates of a cascade. When it returns, the
// file is synced.
func (t *Tightened) Keep(cascade string, s *State) error {
	if t.File == "" {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	all, err := t.read()
	if err != nil {
		return err
	}
	all[cascade] = s.kept()
	data, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	return wholefile.Replace(t.File, append(data, '\n'), 0o600)
}

// kept is what a restart must know of a certificate.
type kept struct {
	Stepped
	Shifted []string `json:"shifted_routes,omitempty"`
}

func (s *State) kept() (all []kept) {
	for _, back := range s.Watch.Stepped() {
		all = append(all, kept{Stepped: back})
	}
	hash, routes := s.Traffic.Shifted()
	if len(routes) == 0 {
		return all
	}
	i := slices.IndexFunc(all, func(k kept) bool { return k.Certificate == hash })
	if i < 0 {
		i, all = len(all), append(all, kept{Stepped: Stepped{Certificate: hash}})
	}
	all[i].Shifted = routes
	return all
}

// read returns the contents of the file, by cascade.
func (t *Tightened) read() (map[string][]kept, error) {
	all := map[string][]kept{}
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
