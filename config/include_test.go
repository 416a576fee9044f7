package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sluice-gateway/sluice/config/userfile"
)

// TestReload changes included files in every way and compares what Reload makes
// of them with what Load does: values, places and mistakes.
func TestReload(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	main := file("sluice.yaml")
	write := func(name, text string) {
		t.Helper()
		if text == "" {
			if err := os.Remove(file(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
		} else if err := os.WriteFile(file(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const head = "upstream: {region: r}\ninclude: [\"*.d.yaml\"]\n"
	const first = "# one\ntenants:\n  - {id: a, keys: [ka], budgets: [{period: day, usd: 1}]}\n  - {id: a/b}\n"
	const second = "cascades: [{name: c, match: m, light: l, escalation: e}]\n" +
		"tenants:\n  - id: b\n    models: [\"x*\"]\n"
	write("sluice.yaml", head)
	write("1.d.yaml", first)
	write("2.d.yaml", second)
	last, err := Load(main, testEnv)
	if err != nil {
		t.Fatal(err)
	}
	for i, step := range []struct{ name, text string }{
		{"1.d.yaml", first}, // nothing
		{"2.d.yaml", second + "  - {id: c}\n"},
		{"1.d.yaml", first + "  - {id: d, on_ledger_loss: deny}\n"},
		{"1.d.yaml", "# moved\n\n" + first},
		{"0.d.yaml", "tenants: [{id: zero}]\n"},
		{"0.d.yaml", "tenants: [{id: b}]\n"},          // twice
		{"0.d.yaml", "tenants: [{id: b, keyz: 1}]\n"}, // unknown
		{"0.d.yaml", "tenants: [{id: b"},
		{"0.d.yaml", "# empty\n"},
		{"2.d.yaml", second + "    upstream: nowhere\n"},
		{"2.d.yaml", second},
		{"sluice.yaml", "# down\n" + head + "tenants: [{id: z}]\n"},
		{"sluice.yaml", head + "tenants: [{id: a}]\n"}, // twice
		{"1.d.yaml", ""},
		{"sluice.yaml", head},
	} {
		write(step.name, step.text)
		want, wantErr := Load(main, testEnv)
		got, err := Reload(last, main, testEnv)
		if fmt.Sprint(err) != fmt.Sprint(wantErr) {
			t.Fatalf("step %d: got\n%v\nwant\n%v", i, err, wantErr)
		}
		if err != nil {
			continue
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Config{})); diff != "" {
			t.Errorf("step %d: %s", i, diff)
		}
		comparePlaces(t, want, got)
		last = got
	}
}

// comparePlaces compares where two configurations say that things are.
func comparePlaces(t *testing.T, want, got *Config) {
	t.Helper()
	paths := []string{
		"", "tenants", "cascades", "tenants[99].id", "tenants[x]", "tenants[0", "cascades[1]", "upstream.region",
	}
	for i := range want.Tenants {
		for _, below := range []string{"", ".id", ".keys[0]", ".budgets[0].usd", ".webhook", ".models"} {
			paths = append(paths, fmt.Sprintf("tenants[%d]%s", i, below))
		}
	}
	paths = append(paths, "cascades[0].match")
	for _, path := range paths {
		if w, g := want.At(path), got.At(path); w != g {
			t.Errorf("At(%q) = %+v, want %+v", path, g, w)
		}
	}
	if diff := cmp.Diff(want.Files(), got.Files()); diff != "" {
		t.Error(diff)
	}
}

// TestReloadShares decodes nothing again but the file that changed.
func TestReloadShares(t *testing.T) {
	dir := t.TempDir()
	main := filepath.Join(dir, "sluice.yaml")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("sluice.yaml", "upstream: {region: r}\ninclude: [\"*.d.yaml\"]\n")
	write("1.d.yaml", "tenants: [{id: a, keys: [ka]}]")
	write("2.d.yaml", "tenants: [{id: b, keys: [kb]}]")
	old, err := Load(main, testEnv)
	if err != nil {
		t.Fatal(err)
	}
	write("1.d.yaml", "tenants: [{id: a, keys: [kc]}]")
	c, err := Reload(old, main, testEnv)
	if err != nil {
		t.Fatal(err)
	}
	if c.Tenants[0].Keys[0] != "kc" || &c.Tenants[1].Keys[0] != &old.Tenants[1].Keys[0] {
		t.Errorf("%+v", c.Tenants)
	}
	if old.Tenants[0].Keys[0] != "ka" {
		t.Error("the old configuration changed")
	}
}

// TestIncludedText shows the lines of included files in messages about values
// that are right by themselves, and none of a file that has changed since.
func TestIncludedText(t *testing.T) {
	dir := t.TempDir()
	main, part := filepath.Join(dir, "sluice.yaml"), filepath.Join(dir, "part.yaml")
	for name, text := range map[string]string{
		main: "upstream: {region: r}\ninclude: [part.yaml]\n", part: "tenants:\n  - id: a\n    keys: [k]\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := Load(main, testEnv)
	if err != nil {
		t.Fatal(err)
	}
	if at := c.At("tenants"); at.Text != "  - id: a" {
		t.Errorf("%+v", at)
	}
	problem := []Problem{{Path: "tenants[0].keys[0]", Message: "bad"}}
	if got := c.Render(problem); !strings.Contains(got, "part.yaml:3:12: error") || !strings.Contains(got, "keys: [k]") {
		t.Error(got)
	}
	if c, err = Load(main, testEnv); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(part, []byte("tenants: []"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := c.Render(problem); !strings.Contains(got, "part.yaml:1:1: error: tenants[0].keys[0]: bad\n1 error") {
		t.Error(got)
	}
}

// TestUnreadFiles names each kind of file that cannot be read, wherever a configuration names one, in the words of its
// user and without those of the system (U12).
func TestUnreadFiles(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "plain"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"none.yaml":    "there is no file " + filepath.Join(dir, "none.yaml"),
		"no/none.yaml": "there is no file " + filepath.Join(dir, "no/none.yaml"),
		".":            dir + " is a folder; a file is needed",
		"plain/below.yaml": filepath.Join(dir, "plain/below.yaml") +
			" cannot be there: a part of the path before it is a file",
	} {
		for _, key := range []string{"prices", "price_locks", "models"} {
			file := filepath.Join(dir, "sluice.yaml")
			if err := os.WriteFile(file, fmt.Appendf(nil, "%s: [%q]\n", key, name), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Load(file, testEnv)
			var faults *Error
			if !errors.As(err, &faults) || len(faults.Faults) != 1 || faults.Faults[0].Message != want {
				t.Errorf("%s of %q: %v, want %q", key, name, err, want)
			}
		}
	}
	for err, want := range map[error]string{
		&fs.PathError{Op: "open", Path: "x", Err: syscall.EACCES}: "this user may not read x",
		&fs.PathError{Op: "read", Path: "x", Err: syscall.EIO}:    "read x: input/output error",
	} {
		if got := userfile.Why("x", err); got != want {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
}

// TestFilesThatAreNamed: what stands in place of a file is refused at the name, once, in a second:
// no load waits for a pipe. U13, U20
func TestFilesThatAreNamed(t *testing.T) {
	dir := t.TempDir()
	main := filepath.Join(dir, "main.yaml")
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"packed":  "\x1f\x8b\x08\x00",
		"cr.yaml": "tenants:\r- id: b\r  limit: 1\r", "screen.yaml": "tenants: [{id: \u202e\u2028}]\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for text, want := range map[string]string{
		"include: [pipe]":      "main.yaml:2:11: error: include: pipe: is a pipe or a device, and a file is needed",
		"include: [/dev/zero]": "main.yaml:2:11: error: include: /dev/zero: is a pipe or a device, and a file is needed",
		"include: [packed]":    "main.yaml:2:11: error: include: packed: is gzipped; unpack it with gunzip",
		"include: ['*.yaml']":  "main.yaml:2:11: error: include: this file would include itself",
		"include: [main.yaml]": "main.yaml:2:11: error: include: this file would include itself",
		"prices: [pipe]":       "main.yaml:2:10: error: prices[0]: pipe: is a pipe or a device, and a file is needed",
		"prices: [a, b]":       "main.yaml:2:13: error: prices[1]: there is no file b",
		"models: [packed]":     "main.yaml:2:10: error: models[0]: packed: is gzipped; unpack it with gunzip",
		"include: [cr.yaml]": "cr.yaml:3:3: error: tenants[0]: unknown key \"limit\"; did you mean \"limits\"?\n" +
			"    3 |   limit: 1",
		"include: [screen.yaml]":  "    1 | tenants: [{id: \ufffd\ufffd}]",
		"prices: [{}]\nlisten: 8": "main.yaml:2:10: error: prices[0]: must be text, not a mapping",
	} {
		if err := os.WriteFile(main, []byte("upstream: {region: us-east-1}\n"+text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Load(main, testEnv)
		if err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), dir+"/", ""), want) {
			t.Errorf("%s:\n%v\nwant %s", text, err, want)
		}
	}
}
