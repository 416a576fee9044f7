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
	"time"

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
	w := newWalk(root, func(name string) (io.ReadCloser, error) { return userfile.Open(name) })
	if err := filepath.WalkDir(root, w.visit); err != nil {
		return nil, err
	}
	return w.found()
}

// newWalk is a walk that has seen nothing.
func newWalk(root string, open func(name string) (io.ReadCloser, error)) *walk {
	return &walk{root: root, open: open, manifests: map[string]manifestFile{}}
}

func isManifest(base string) bool { return strings.TrimSuffix(base, zipEnd) == manifestName }
func isOutput(base string) bool {
	return strings.HasSuffix(strings.TrimSuffix(base, zipEnd), outputEnd)
}

// walk is what was seen of a folder, or below a place in S3.
type walk struct {
	root      string
	open      func(name string) (io.ReadCloser, error)
	manifests map[string]manifestFile // by their folders
	outputs   []string
}

// manifestFile is a manifest that was seen.
type manifestFile struct {
	name    string
	written time.Time
}

// visit sees what a folder has.
func (w *walk) visit(name string, entry fs.DirEntry, err error) error {
	if err == nil && entry.IsDir() {
		return nil
	}
	var info fs.FileInfo
	if err == nil && isManifest(filepath.Base(name)) {
		info, err = os.Stat(name) // of what a link names
	}
	if err != nil {
		return &userfile.Error{Name: name, Why: userfile.Why(name, err), Err: err}
	}
	var written time.Time
	if info != nil {
		written = info.ModTime()
	}
	return w.see(name, written)
}

// see takes in a file.
func (w *walk) see(name string, written time.Time) error {
	dir, base := folderOf(name), filepath.Base(name)
	switch {
	case isManifest(base) && w.manifests[dir].name != "":
		return wrong(dir, "it has %s twice, once gzipped: keep one", manifestName)
	case isManifest(base):
		w.manifests[dir] = manifestFile{name, written}
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
		j, err := w.job(dir, manifest)
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
		dir := folderOf(name)
		j := byDir[dir]
		for up := dir; j == nil && up != w.root && up != folderOf(up); j = byDir[up] {
			up = folderOf(up)
		}
		switch {
		case j != nil:
			j.files = append(j.files, name)
		case !slices.Contains(f.Open, dir):
			f.Open = append(f.Open, dir)
		}
	}
	if len(f.Jobs)+len(f.Open) == 0 {
		return nil, wrong(w.root, "%w", ErrNoJob)
	}
	return f, nil
}

// job reads a job's manifest.
func (w *walk) job(dir string, manifest manifestFile) (*Job, error) {
	j := &Job{Dir: dir, Written: manifest.written.UTC(), open: w.open}
	whole, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	j.ID = filepath.Base(whole)
	file, err := w.open(manifest.name)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // it is only read
	plain, err := userfile.Unzipped(file)
	if err != nil {
		return nil, wrong(manifest.name, "%w", err)
	}
	text, err := io.ReadAll(io.LimitReader(plain, mostManifest))
	if err != nil {
		return nil, wrong(manifest.name, "%w", err)
	}
	if j.Manifest, err = readManifest(text); err != nil {
		return nil, wrong(manifest.name, "%w", err)
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
