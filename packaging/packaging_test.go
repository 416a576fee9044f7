package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/x509"
	"errors"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

func testRelease(t *testing.T) *release {
	t.Helper()
	return &release{
		version: "1.2.3", revision: "abc", date: time.Unix(1_800_000_000, 0).UTC(), dist: t.TempDir(), out: io.Discard,
	}
}

// unpack reads a tar archive.
func unpack(t *testing.T, r io.Reader) map[string]*tar.Header {
	t.Helper()
	found := map[string]*tar.Header{}
	for in := tar.NewReader(r); ; {
		head, err := in.Next()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		found[head.Name] = head
	}
}

// TestArchive: an archive has what a user needs, and is the same each time.
func TestArchive(t *testing.T) {
	t.Chdir("..")
	r, at := testRelease(t), target{"linux", "amd64"}
	program := r.program(at)
	must(0, os.MkdirAll(filepath.Dir(program), 0o755))
	must(0, os.WriteFile(program, []byte("ELF"), 0o755))
	files, err := r.archived(at)
	if err != nil {
		t.Fatal(err)
	}
	var first, second bytes.Buffer
	if err := errors.Join(zip(&first, files, r.date), zip(&second, files, r.date)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("two archives of the same files differ")
	}
	z, err := gzip.NewReader(&first)
	if err != nil {
		t.Fatal(err)
	}
	found := unpack(t, z)
	const folder = "sluice_1.2.3_linux_amd64/"
	for _, name := range []string{
		"LICENSE", "README.md", "quickstart.yaml", "example.yaml",
		"sluice.service", "sluice@.service", "sluice.socket",
	} {
		if found[folder+name] == nil {
			t.Errorf("%s is not in %v", name, slices.Collect(maps.Keys(found)))
		}
	}
	if h := found[folder+"gateway"]; h == nil || h.Mode != 0o755 || !h.ModTime.Equal(r.date) {
		t.Errorf("%+v", h)
	}
}

// TestImage: an image has the program, whom to trust and where to write, runs as nobody, and names its health check.
func TestImage(t *testing.T) {
	r := testRelease(t)
	img, err := r.imageOf(target{"linux", "arm64"}, []byte("ELF"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := r.imageOf(target{"linux", "arm64"}, []byte("ELF"))
	if err != nil {
		t.Fatal(err)
	}
	if one, _ := img.Digest(); again == nil || one.String() != must(again.Digest()).String() {
		t.Error("two images of the same program differ")
	}
	c := must(img.ConfigFile())
	if c.Architecture != "arm64" || c.Config.User != "65532:65532" ||
		c.Config.Labels["org.opencontainers.image.version"] != "1.2.3" ||
		!slices.Equal(c.Config.Healthcheck.Test, []string{"CMD", "/usr/local/bin/gateway", "health"}) {
		t.Errorf("%+v", c)
	}
	files := map[string]*tar.Header{}
	for _, layer := range must(img.Layers()) {
		maps.Copy(files, unpack(t, must(layer.Uncompressed())))
	}
	for name, mode := range map[string]int64{
		"data/": 0o700, "tmp/": 0o1777, "usr/local/bin/gateway": 0o755, "etc/ssl/certs/ca-certificates.crt": 0o644,
	} {
		if h := files[name]; h == nil || h.Mode != mode {
			t.Errorf("%s: %+v", name, h)
		}
	}
	if h := files["data/"]; h.Uid != nobody || h.Gid != nobody {
		t.Errorf("%+v", h)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authorities()) || bytes.Count(authorities(), []byte("BEGIN")) < 100 {
		t.Error("few authorities")
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestImageRuns takes the image that SLUICE_IMAGE names apart, and runs its program with nothing else around it, as
// the user and with the command of the image. A container engine does the same and more; none was here.
func TestImageRuns(t *testing.T) {
	name := os.Getenv("SLUICE_IMAGE")
	if name == "" || os.Getuid() != 0 {
		t.Skip("SKIPPED: SLUICE_IMAGE names no image, or this is not root, who alone may change the root directory")
	}
	root := t.TempDir()
	must(0, os.Chmod(root, 0o755))
	c := extract(t, name, root)
	settings := "listen: 127.0.0.1:0\nadmin: {listen: \"127.0.0.1:9090\"}\ndata_dir: /data\n" +
		"upstream: {region: us-east-1, endpoint: sandbox}\ntenants: [{id: a}]\n"
	must(0, os.WriteFile(filepath.Join(root, "etc/sluice/sluice.yaml"), []byte(settings), 0o644))
	inside := func(args ...string) *exec.Cmd {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		cmd.Dir, cmd.Env = c.WorkingDir, c.Env
		return cmd
	}
	var log bytes.Buffer
	gateway := inside(append(c.Entrypoint, c.Cmd...)...)
	gateway.Stderr = &log
	if err := gateway.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- gateway.Wait() }()
	health := errors.New("not asked")
	for range 200 {
		if health = inside(c.Healthcheck.Test[1:]...).Run(); health == nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if _, err := http.Get("http://127.0.0.1:9090/readyz"); err != nil {
		t.Error(err)
	}
	gateway.Process.Signal(syscall.SIGTERM)
	if err := errors.Join(health, <-ended); err != nil {
		t.Errorf("%v\n%s", err, &log)
	}
	if _, err := os.Stat(filepath.Join(root, "data/journal")); err != nil {
		t.Error(err)
	}
}

// extract writes the files of this machine's image below root, and returns how it is run.
func extract(t *testing.T, name, root string) v1.Config {
	t.Helper()
	at := t.TempDir()
	if out, err := exec.Command("tar", "-xf", name, "-C", at).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	outer := must(layout.ImageIndexFromPath(at))
	index := must(outer.ImageIndex(must(outer.IndexManifest()).Manifests[0].Digest))
	for _, m := range must(index.IndexManifest()).Manifests {
		if m.Platform.Architecture != runtime.GOARCH {
			continue
		}
		img := must(index.Image(m.Digest))
		for _, layer := range must(img.Layers()) {
			cmd := exec.Command("tar", "-x", "-C", root, "--same-owner", "-p")
			cmd.Stdin = must(layer.Uncompressed())
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
		}
		return must(img.ConfigFile()).Config
	}
	t.Fatalf("no image for %s in %s", runtime.GOARCH, strings.TrimSpace(name))
	return v1.Config{}
}
