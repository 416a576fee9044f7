package batchjob

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/config/userfile"
)

// The names of files that a job writes, and what is behind them where a mirror zips.
const (
	manifestName = "manifest.json.out"
	outputEnd    = ".jsonl.out"
	zipEnd       = ".gz"
)

// Bounds of what is looked for and read at once.
const (
	mostJobs     = 10_000
	mostFiles    = 1_000_000
	mostManifest = 1 << 20
)

// Found is what a folder has.
type Found struct {
	Jobs []*Job // in the order of their folders
	// Open are folders with output and without a manifest: their jobs have not ended, or the
	// mirror is not complete.
	Open []string
}

// Find looks for jobs in a folder and below it, or in that of a file of output. It fails with a
// *userfile.Error, or ErrInput.
func Find(path string) (*Found, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, &userfile.Error{Name: path, Why: userfile.Why(path, err), Err: err}
	}
	root := path
	if !info.IsDir() {
		if base := filepath.Base(path); !isManifest(base) && !isOutput(base) {
			return nil, wrong(path, "its name is not %s, and does not end in %s", manifestName, outputEnd)
		}
		root = filepath.Dir(path)
	}
	w := walk{root: root, manifests: map[string]string{}}
	if err := filepath.WalkDir(root, w.see); err != nil {
		return nil, err
	}
	found, err := w.found()
	if err == nil && len(found.Jobs)+len(found.Open) == 0 {
		err = wrong(path, "there is no %s in it or below it", manifestName)
	}
	return found, err
}

func isManifest(base string) bool { return strings.TrimSuffix(base, zipEnd) == manifestName }
func isOutput(base string) bool {
	return strings.HasSuffix(strings.TrimSuffix(base, zipEnd), outputEnd)
}

// walk is what was seen of a folder.
type walk struct {
	root      string
	manifests map[string]string // by their folders
	outputs   []string
}

func (w *walk) see(name string, entry fs.DirEntry, err error) error {
	dir, base := filepath.Dir(name), filepath.Base(name)
	switch {
	case err != nil:
		return &userfile.Error{Name: name, Why: userfile.Why(name, err), Err: err}
	case entry.IsDir():
	case isManifest(base) && w.manifests[dir] != "":
		return wrong(dir, "it has %s twice, once gzipped: keep one", manifestName)
	case isManifest(base):
		w.manifests[dir] = name
	case isOutput(base):
		w.outputs = append(w.outputs, name)
	}
	if len(w.manifests) > mostJobs || len(w.outputs) > mostFiles {
		return wrong(w.root, "it has more than %d jobs or %d files: name a folder with fewer", mostJobs, mostFiles)
	}
	return nil
}

// found gives each file of output to the nearest folder above it that has a manifest.
func (w *walk) found() (*Found, error) {
	f, byDir := &Found{}, map[string]*Job{}
	for dir, manifest := range w.manifests {
		j, err := openJob(dir, manifest)
		if err != nil {
			return nil, err
		}
		byDir[dir] = j
		f.Jobs = append(f.Jobs, j)
	}
	slices.SortFunc(f.Jobs, func(a, b *Job) int { return strings.Compare(a.Dir, b.Dir) })
	slices.Sort(w.outputs)
	for i, name := range w.outputs {
		if i > 0 && strings.TrimSuffix(name, zipEnd) == w.outputs[i-1] {
			return nil, wrong(name, "it is there twice, once gzipped: keep one")
		}
		dir := filepath.Dir(name)
		j := byDir[dir]
		for up := dir; j == nil && up != w.root && up != filepath.Dir(up); j = byDir[up] {
			up = filepath.Dir(up)
		}
		switch {
		case j != nil:
			j.files = append(j.files, name)
		case !slices.Contains(f.Open, dir):
			f.Open = append(f.Open, dir)
		}
	}
	return f, nil
}

// openJob reads a job's manifest.
func openJob(dir, manifest string) (*Job, error) {
	j := &Job{Dir: dir}
	whole, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	j.ID = filepath.Base(whole)
	file, err := userfile.Open(manifest)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // it is only read
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	j.Written = info.ModTime().UTC()
	plain, err := userfile.Unzipped(file)
	if err != nil {
		return nil, wrong(manifest, "%w", err)
	}
	text, err := io.ReadAll(io.LimitReader(plain, mostManifest))
	if err != nil {
		return nil, wrong(manifest, "%w", err)
	}
	if j.Manifest, err = readManifest(text); err != nil {
		return nil, wrong(manifest, "%w", err)
	}
	return j, nil
}

func readManifest(text []byte) (m Manifest, err error) {
	var counts map[string]json.RawMessage
	if err := json.Unmarshal(text, &counts); err != nil {
		return m, fmt.Errorf("it is no whole JSON object: %w", err)
	}
	for _, c := range []struct {
		name string
		to   *int64
	}{
		{"totalRecordCount", &m.Total}, {"processedRecordCount", &m.Processed}, {"successRecordCount", &m.Success},
		{"errorRecordCount", &m.Error}, {"inputTokenCount", &m.Input}, {"outputTokenCount", &m.Output},
	} {
		text, given := counts[c.name]
		if !given && strings.HasSuffix(c.name, "TokenCount") {
			*c.to = -1
			continue
		}
		if err := json.Unmarshal(text, c.to); err != nil || *c.to < 0 || *c.to > mostCount {
			return m, fmt.Errorf("%s is missing, or no count", c.name)
		}
	}
	return m, m.check()
}
