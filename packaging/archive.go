package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"time"
)

// bom makes the list of parts: it reads from a program which modules were linked into it.
const bom = "github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0"

// file is a file of an archive or a layer.
type file struct {
	name  string // slashes, relative
	mode  int64
	owner int // user and group
	data  []byte
	dir   bool
}

// shipped are the files beside the program, by where they are in the repository.
func shipped() [][2]string {
	return [][2]string{
		{"LICENSE", "LICENSE"}, {"NOTICE", "NOTICE"}, {"README.md", "README.md"}, {"CHANGELOG.md", "CHANGELOG.md"},
		{"config/quickstart.yaml", "quickstart.yaml"}, {"config/example.yaml", "example.yaml"},
		{"deploy/systemd/sluice.service", "sluice.service"},
		{"deploy/systemd/sluice@.service", "sluice@.service"},
		{"deploy/systemd/sluice.socket", "sluice.socket"},
	}
}

// archives builds the program for the targets, and writes an archive and a list of parts of each, and the checksums
// of all.
func (r *release) archives(targets []target) error {
	var written []string
	for _, t := range targets {
		if err := r.build(t); err != nil {
			return err
		}
		files, err := r.archived(t)
		if err != nil {
			return err
		}
		var zipped bytes.Buffer
		if err := zip(&zipped, files, r.date); err != nil {
			return err
		}
		name := r.name(t) + ".tar.gz"
		if err := os.WriteFile(filepath.Join(r.dist, name), zipped.Bytes(), 0o644); err != nil {
			return err
		}
		r.say("%s: %.1f MB", name, float64(zipped.Len())/1e6)
		parts, err := r.parts(t)
		if err != nil {
			return err
		}
		written = append(written, name, parts)
	}
	return r.checksums(written)
}

// archived are the files of a target's archive.
func (r *release) archived(t target) ([]file, error) {
	program, err := os.ReadFile(r.program(t))
	if err != nil {
		return nil, err
	}
	folder := r.name(t)
	files := []file{
		{name: folder, mode: 0o755, dir: true}, {name: path.Join(folder, "gateway"), mode: 0o755, data: program},
	}
	for _, f := range shipped() {
		data, err := os.ReadFile(filepath.FromSlash(f[0]))
		if err != nil {
			return nil, err
		}
		files = append(files, file{name: path.Join(folder, f[1]), mode: 0o644, data: data})
	}
	return files, nil
}

// zip writes a compressed archive, the same for the same files.
func zip(w io.Writer, files []file, date time.Time) error {
	z, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		return err
	}
	if err := pack(z, files, date); err != nil {
		return err
	}
	return z.Close()
}

func pack(w io.Writer, files []file, date time.Time) error {
	t := tar.NewWriter(w)
	for _, f := range files {
		head := &tar.Header{Typeflag: tar.TypeReg, Name: f.name, Mode: f.mode, Size: int64(len(f.data)), ModTime: date,
			Uid: f.owner, Gid: f.owner, Format: tar.FormatPAX}
		if f.dir {
			head.Typeflag, head.Name = tar.TypeDir, f.name+"/"
		}
		if err := t.WriteHeader(head); err != nil {
			return err
		}
		if _, err := t.Write(f.data); err != nil {
			return err
		}
	}
	return t.Close()
}

// parts writes a target's list of parts (SBOM) in CycloneDX's form, and returns its name.
func (r *release) parts(t target) (string, error) {
	name := r.name(t) + ".cdx.json"
	r.say("listing the parts of %s", t)
	cmd := exec.Command("go", "run", bom, "bin", "-json", "-noserial", "-licenses=false", "-version", "v"+r.version,
		"-output", filepath.Join(r.dist, name), r.program(t))
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("cyclonedx-gomod for %s: %w", t, err)
	}
	return name, nil
}

// checksums writes checksums.txt, for `sha256sum -c`.
func (r *release) checksums(names []string) error {
	slices.Sort(names)
	var list bytes.Buffer
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join(r.dist, name))
		if err != nil {
			return err
		}
		fmt.Fprintf(&list, "%x  %s\n", sha256.Sum256(data), name)
	}
	r.say("checksums.txt:\n%s", list.String())
	return os.WriteFile(filepath.Join(r.dist, "checksums.txt"), list.Bytes(), 0o644)
}
