package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// reloading is a folder of files that is loaded again and again.
type reloading struct {
	t   *testing.T
	dir string
	now *Config
}

func (r *reloading) write(name, text string) {
	r.t.Helper()
	file := filepath.Join(r.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// reload takes what the files say, and returns why not, and what was shortened.
func (r *reloading) reload() (refused, shortened string) {
	r.t.Helper()
	next, err := Reload(r.now, filepath.Join(r.dir, "sluice.yaml"), testEnv)
	if err == nil && r.now != nil {
		shortened, err = next.Shortened(r.now), next.Report(Losses(r.now, next))
	}
	if err != nil {
		return err.Error(), ""
	}
	r.now = next
	return "", shortened
}

const wholeFile = `upstream: {endpoint: sandbox}
include: ["teams/*.yaml"]
tenants:
  - id: a
    keys: [ka]
  - id: b
    keys: [kb]
aliases: {auto: x}
cascades:
  - {name: c, match: "true", light: l, escalation: e}
`

// TestReloadEmptiesNothing loads files as crashes, full disks, editors and mounts leave
// them: what cannot be read is refused, what may be meant is taken and told. U20
func TestReloadEmptiesNothing(t *testing.T) {
	r := &reloading{t: t, dir: t.TempDir()}
	whole := func() {
		t.Helper()
		r.write("sluice.yaml", wholeFile)
		r.write("teams/one.yaml", "tenants:\n  - id: one\n  - id: two\n")
		r.write("teams/three.yaml", "tenants: [{id: three}]\n")
		if refused, _ := r.reload(); refused != "" {
			t.Fatal(refused)
		}
	}
	f := func(change func(), refused, shortened string) {
		t.Helper()
		whole()
		change()
		gotRefused, gotShortened := r.reload()
		if refused == "" && gotRefused != "" || !strings.Contains(gotRefused, refused) || gotShortened != shortened {
			t.Errorf("refused %q and shortened %q,\nwant %q and %q", gotRefused, gotShortened, refused, shortened)
		}
		if again, shortened := r.reload(); refused == "" && (again != "" || shortened != "") {
			t.Errorf("the same once more: %q, %q", again, shortened)
		}
	}
	cutBefore := func(text string) func() {
		return func() { r.write("sluice.yaml", wholeFile[:strings.Index(wholeFile, text)]) }
	}
	noInclude := strings.Replace(wholeFile, "include: [\"teams/*.yaml\"]\n", "", 1)

	f(func() {}, "", "")
	f(func() { r.write("sluice.yaml", "") }, "the file is empty, and was not", "")
	f(func() { r.write("sluice.yaml", "\n\n") }, "the file is empty, and was not", "")
	f(cutBefore("tenants:"), "", "the main file ends where it had aliases, cascades")
	f(func() {
		r.write("sluice.yaml", noInclude)
		if refused, _ := r.reload(); refused != "" {
			t.Fatal(refused)
		}
		r.write("sluice.yaml", noInclude[:strings.Index(noInclude, "tenants:")])
	}, "no tenants are left of 2", "")
	f(cutBefore("aliases:"), "", "the main file ends where it had aliases, cascades")
	f(cutBefore("  - id: b"), "", "the main file ends where it had aliases, cascades")
	f(cutBefore(", match:"), "is not closed", "")
	f(cutBefore("s:\n  - {name"), "wanted here", "")
	f(func() { r.write("sluice.yaml", wholeFile[:strings.Index(wholeFile, "[kb]")+3]) }, "is not closed", "")
	f(func() { r.write("sluice.yaml", "upstream: {endpoint: sandbox}\ntenants: []\n") }, "", "")
	f(func() { r.write("sluice.yaml", strings.Replace(wholeFile, "  - id: b\n    keys: [kb]\n", "", 1)) }, "", "")

	f(func() { r.write("teams/one.yaml", "") }, "is empty, and had 2 tenants", "")
	f(func() { r.write("teams/one.yaml", "# nothing\n") }, "is empty, and had", "")
	f(func() { r.write("teams/one.yaml", "tenants: []\n") }, "", "")
	f(func() { r.write("teams/one.yaml", "tenants:\n  - id: one") }, "ends without a newline", "")
	f(func() { r.write("teams/one.yaml", "tenants:\n  - id: one\n") }, "",
		"an included file ends where it had more: 1 fewer")
	f(func() { r.write("teams/one.yaml", "tenants:\n  - id: two\n") }, "", "")
	f(func() { os.Remove(filepath.Join(r.dir, "teams/one.yaml")) }, "", "")
	f(func() { os.RemoveAll(filepath.Join(r.dir, "teams")) }, "is gone, and had 2 files", "")
	f(func() {
		if err := os.Rename(filepath.Join(r.dir, "teams"), filepath.Join(r.dir, "moved")); err != nil {
			t.Fatal(err)
		}
	}, "is gone, and had 2 files", "")
	f(func() {
		os.RemoveAll(filepath.Join(r.dir, "teams"))
		r.write("teams", "a file in place of the folder")
	}, "include: ", "")
	os.Remove(filepath.Join(r.dir, "teams"))
	f(func() {
		os.Remove(filepath.Join(r.dir, "teams/one.yaml"))
		if err := os.Symlink("nowhere", filepath.Join(r.dir, "teams/one.yaml")); err != nil {
			t.Fatal(err)
		}
	}, "there is no file", "")
}

// TestReloadKeepsPrices empties a price file under a running gateway, and puts other programs' files in its place: each
// is one mistake, and the prices stay. U20
func TestReloadKeepsPrices(t *testing.T) {
	r := &reloading{t: t, dir: t.TempDir()}
	const book = "effective: 2026-01-01\nsource: me\nper: million\nregions: [us-east-1]\n" +
		"prices: [{models: [x.y-v1:0], input: 1, output: 2}]\n"
	r.write("sluice.yaml", "upstream: {endpoint: sandbox}\nprices: [mine.yaml]\ntenants: [{id: a}]\n")
	f := func(text, want string) {
		t.Helper()
		r.write("mine.yaml", text)
		refused, _ := r.reload()
		if (refused == "") != (want == "") || !strings.Contains(refused, want) || strings.Count(refused, "error: ") > 1 {
			t.Errorf("%q: %s, want %q", text, refused, want)
		}
	}
	f(book, "")
	f("", "mine.yaml is empty")
	f("# nothing\n", "mine.yaml is empty")
	f("{}\n", `needs the key "prices"`)
	f(`{"a": {"input_cost_per_token": 1}, "b": {"input_cost_per_token": 1}, "c": {}}`, "gateway prices import")
	f("upstream: {region: us-east-1}\ntenants: []\n", "this is a configuration")
	f(book, "")
}

// TestReloadThroughLinks swaps a link as Kubernetes does with a mounted ConfigMap: each
// state is a whole one.
func TestReloadThroughLinks(t *testing.T) {
	r := &reloading{t: t, dir: t.TempDir()}
	link := func(target string) {
		t.Helper()
		next := filepath.Join(r.dir, "..data_tmp")
		if err := os.Symlink(target, next); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, filepath.Join(r.dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	r.write("..1/sluice.yaml", "upstream: {endpoint: sandbox}\ninclude: [\"*.tenants\"]\n")
	r.write("..1/a.tenants", "tenants: [{id: a}]\n")
	r.write("..2/sluice.yaml", "upstream: {endpoint: sandbox}\ninclude: [\"*.tenants\"]\n")
	r.write("..2/a.tenants", "tenants: [{id: a}, {id: b}]\n")
	link("..1")
	for _, name := range []string{"sluice.yaml", "a.tenants"} {
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(r.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for i, target := range []string{"..1", "..2", "..1"} {
		link(target)
		refused, _ := r.reload()
		if want := 1 + i%2; refused != "" || len(r.now.Tenants) != want {
			t.Errorf("%s: %s, %d tenants", target, refused, len(r.now.Tenants))
		}
	}
}

// TestReloadWaitsForNoPipe has another thing where the main file was, or one that it
// includes: a reload that waits for a pipe would hold up all later ones, and the stop. U20
func TestReloadWaitsForNoPipe(t *testing.T) {
	to := func(target string) func(string) error {
		return func(name string) error { return os.Symlink(target, name) }
	}
	const noFile = "is a pipe or a device, and a file is needed"
	for _, c := range []struct {
		want string
		put  func(name string) error
	}{
		{noFile, func(name string) error { return syscall.Mkfifo(name, 0o600) }},
		{noFile, to("/dev/zero")},
		{noFile, to("/dev/null")},
		{noFile, to("/dev/ptmx")},
		{"is a folder", func(name string) error { return os.Mkdir(name, 0o700) }},
		{"too many levels of symbolic links", func(name string) error { return os.Symlink(name, name) }},
		{"there is no", to("nowhere")},
	} {
		for _, name := range []string{"sluice.yaml", "teams/one.yaml"} {
			r := &reloading{t: t, dir: t.TempDir()}
			r.write("sluice.yaml", wholeFile)
			r.write("teams/one.yaml", "tenants:\n  - id: one\n")
			if refused, _ := r.reload(); refused != "" {
				t.Fatal(refused)
			}
			file := filepath.Join(r.dir, name)
			if err := errors.Join(os.Remove(file), c.put(file)); err != nil {
				t.Fatal(err)
			}
			if refused, _ := r.reload(); !strings.Contains(refused, c.want) {
				t.Errorf("%s: %q, want %q", name, refused, c.want)
			}
		}
	}
}
