package main

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

const (
	nobody       = 65532 // the user that distroless images have as nonroot
	mostImage    = 20e6  // compressed, of one platform
	programPath  = "usr/local/bin/gateway"
	imageConfig  = "/etc/sluice/sluice.yaml"
	imageLicense = "Apache-2.0"
	imageSource  = "https://github.com/sluice-gateway/sluice"
)

// image writes an image for all targets as one file in the form of the OCI, which `docker load`, podman, skopeo and
// crane read.
func (r *release) image(targets []target) error {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, t := range targets {
		if err := r.build(t); err != nil {
			return err
		}
		program, err := os.ReadFile(r.program(t))
		if err != nil {
			return err
		}
		img, err := r.imageOf(t, program)
		if err != nil {
			return err
		}
		size, err := compressed(img)
		if err != nil {
			return err
		}
		r.say("image for %s: %.1f MB compressed", t, float64(size)/1e6)
		if size > mostImage {
			return fmt.Errorf("the image for %s has %d bytes compressed, at most %d are wanted", t, size, int(mostImage))
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{
			Platform: &v1.Platform{OS: t.os, Architecture: t.arch},
		}})
	}
	return r.writeLayout(index)
}

// writeLayout writes an index to dist/sluice_VERSION.oci.tar.
func (r *release) writeLayout(index v1.ImageIndex) error {
	dir, err := os.MkdirTemp("", "sluice-oci-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // it is in the folder of what may go
	at, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	if err := at.AppendIndex(index, layout.WithAnnotations(map[string]string{
		"io.containerd.image.name": "docker.io/library/sluice:" + r.version, "org.opencontainers.image.ref.name": r.version,
	})); err != nil {
		return err
	}
	files, err := folder(dir)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := pack(&out, files, r.date); err != nil {
		return err
	}
	name := "sluice_" + r.version + ".oci.tar"
	r.say("%s: %.1f MB", name, float64(out.Len())/1e6)
	return os.WriteFile(filepath.Join(r.dist, name), out.Bytes(), 0o644)
}

// folder are the files below a directory, in order.
func folder(dir string) (files []file, err error) {
	err = filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if err != nil || name == dir {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		f := file{name: filepath.ToSlash(rel), mode: 0o644, dir: d.IsDir()}
		if f.dir {
			f.mode = 0o755
		} else if err == nil {
			f.data, err = os.ReadFile(name)
		}
		files = append(files, f)
		return err
	})
	return files, err
}

// imageOf is an image from scratch: the program, whom it trusts, and a folder that it may write to.
func (r *release) imageOf(t target, program []byte) (v1.Image, error) {
	base := []file{
		{name: "data", mode: 0o700, owner: nobody, dir: true},
		{name: "etc", mode: 0o755, dir: true},
		{name: "etc/group", mode: 0o644, data: fmt.Appendf(nil, "root:x:0:\nnonroot:x:%d:\n", nobody)},
		{name: "etc/passwd", mode: 0o644, data: fmt.Appendf(nil,
			"root:x:0:0:root:/:/sbin/nologin\nnonroot:x:%d:%[1]d:nonroot:/data:/sbin/nologin\n", nobody)},
		{name: "etc/sluice", mode: 0o755, dir: true},
		{name: "etc/ssl/certs/ca-certificates.crt", mode: 0o644, data: authorities()},
		{name: "tmp", mode: 0o1777, dir: true},
	}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	for _, files := range [][]file{base, {{name: programPath, mode: 0o755, data: program}}} {
		var plain bytes.Buffer
		if err := pack(&plain, files, r.date); err != nil {
			return nil, err
		}
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(plain.Bytes())), nil
		}, tarball.WithCompressionLevel(9), tarball.WithMediaType(types.OCILayer))
		if err != nil {
			return nil, err
		}
		if img, err = mutate.Append(img, mutate.Addendum{Layer: layer, MediaType: types.OCILayer,
			History: v1.History{Created: v1.Time{Time: r.date}, CreatedBy: "packaging"}}); err != nil {
			return nil, err
		}
	}
	return r.configured(img, t)
}

// configured says how an image is run. The Dockerfile says the same.
func (r *release) configured(img v1.Image, t target) (v1.Image, error) {
	c, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	c = c.DeepCopy()
	c.OS, c.Architecture, c.Created = t.os, t.arch, v1.Time{Time: r.date}
	c.Config = v1.Config{
		User: fmt.Sprintf("%d:%[1]d", nobody), Env: []string{"PATH=/usr/local/bin"}, WorkingDir: "/data",
		Entrypoint: []string{"/" + programPath}, Cmd: []string{"serve", "--config", imageConfig},
		ExposedPorts: map[string]struct{}{"8080/tcp": {}, "9090/tcp": {}}, Volumes: map[string]struct{}{"/data": {}},
		StopSignal: "SIGTERM",
		Healthcheck: &v1.HealthConfig{
			Test:     []string{"CMD", "/" + programPath, "health"},
			Interval: 10 * time.Second, Timeout: 5 * time.Second, StartPeriod: time.Minute, Retries: 3,
		},
		Labels: map[string]string{
			"org.opencontainers.image.title":       "sluice",
			"org.opencontainers.image.description": "A gateway in front of Amazon Bedrock",
			"org.opencontainers.image.source":      imageSource,
			"org.opencontainers.image.licenses":    imageLicense,
			"org.opencontainers.image.version":     r.version,
			"org.opencontainers.image.revision":    r.revision,
			"org.opencontainers.image.created":     r.date.Format(time.RFC3339),
		},
	}
	return mutate.ConfigFile(img, c)
}

// authorities are Mozilla's, as the Go project keeps them. Those with conditions that a file of certificates cannot
// say are left out.
func authorities() []byte {
	var all bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			pem.Encode(&all, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}) //nolint:errcheck // to memory
		}
	}
	return all.Bytes()
}

// compressed is what a registry would send of an image.
func compressed(img v1.Image) (int64, error) {
	manifest, err := img.Manifest()
	if err != nil {
		return 0, err
	}
	n := manifest.Config.Size
	for _, layer := range manifest.Layers {
		n += layer.Size
	}
	return n, nil
}
