package test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/test/harness"
)

// alone is a folder in which a user who is not root runs commands.
type alone struct {
	t       *testing.T
	program string
	dir     string // the working directory
	secret  string // SLUICE_ROOT_SECRET, "" for none
}

// nobody is the user of alone's commands where the test is run by root, who may do everything.
const nobody = 65534

func newAlone(t *testing.T, program string) *alone {
	t.Helper()
	dir, err := os.MkdirTemp("", "sluice-alone-")
	if err != nil {
		t.Fatal(err)
	}
	a := &alone{t: t, dir: dir, program: program}
	t.Cleanup(func() {
		_ = os.Chmod(a.dir+"/data", 0o700)
		_ = os.RemoveAll(dir)
	})
	a.mode(".", 0o755)
	return a
}

// give makes a file or, with a slash at the end, a folder of the user's.
func (a *alone) give(name, text string) *alone {
	a.t.Helper()
	path := filepath.Join(a.dir, name)
	var err error
	if strings.HasSuffix(name, "/") {
		err = os.MkdirAll(path, 0o700)
	} else {
		err = os.WriteFile(path, []byte(text), 0o600)
	}
	if err != nil {
		a.t.Fatal(err)
	}
	return a.mode(name, 0)
}

// mode sets the mode of a file, unless it is 0, and makes it the user's.
func (a *alone) mode(name string, mode fs.FileMode) *alone {
	a.t.Helper()
	path := filepath.Join(a.dir, name)
	var err error
	if mode != 0 {
		err = os.Chmod(path, mode)
	}
	if os.Geteuid() == 0 {
		err = errors.Join(err, os.Chown(path, nobody, nobody))
	}
	if err != nil {
		a.t.Fatal(err)
	}
	return a
}

// run runs a command in the folder.
func (a *alone) run(args ...string) (code int, out, errs string) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, a.program, args...)
	cmd.Dir, cmd.Env = a.dir, []string{"SLUICE_ROOT_SECRET=" + a.secret, "HOME=" + a.dir}
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); cmd.ProcessState == nil {
		a.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()
}

// files are all files of the folder with what is in them, as far as root can tell.
func (a *alone) files() []string {
	a.t.Helper()
	var all []string
	err := filepath.WalkDir(a.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // unreadable: nothing can have been written there
		}
		text := ""
		if e.Type().IsRegular() {
			b, _ := os.ReadFile(path)
			text = string(b)
		}
		all = append(all, strings.TrimPrefix(path, a.dir)+" "+text)
		return nil
	})
	if err != nil {
		a.t.Fatal(err)
	}
	return all
}

// TestKeyCommandsWriteNothingInPassing runs every command on keys where there is no gateway:
// in an empty folder, without and with a configuration, with a data directory that is
// missing, empty, unreadable or read-only, without and with a root secret. What cannot work
// is refused with the way out, and what only reads writes nothing. U14
func TestKeyCommandsWriteNothingInPassing(t *testing.T) {
	program := sharedProgram(t)
	const (
		id   = "SLKC7UDJAAAAAAAAAAAAAAAA" // of harness.RootSecret
		yaml = "upstream: {region: us-east-1, endpoint: sandbox}\ndata_dir: ./data\n" +
			"tenants: [{id: acme, keys: [" + id + "]}]\n"
	)
	commands := map[string][]string{
		"new": {"new", "--tenant", "acme"}, "new --live": {"new", "--tenant", "acme", "--live"},
		"new --name": {"new", "--tenant", "acme", "--name", "n"}, "show": {"show", id}, "show --json": {"show", id, "--json"},
		"list": {"list"}, "audit": {"audit"}, "set": {"set", id, "--name", "n"}, "rotate": {"rotate", id},
		"freeze": {"freeze", id}, "freeze --tenant": {"freeze", "--tenant", "acme"}, "unfreeze": {"unfreeze", id},
		"revoke": {"revoke", id},
	}
	acting := []string{"new --live", "new --name", "set", "rotate", "freeze", "freeze --tenant", "unfreeze", "revoke"}
	// A row names what each command says where it is refused; the others work.
	type row struct {
		make    func(*alone)
		config  bool
		secret  string
		refused map[string]string
		writes  []string // commands that may write
	}
	all := func(text string, names ...string) map[string]string {
		m := map[string]string{}
		for _, name := range names {
			m[name] = text
		}
		return m
	}
	every := make([]string, 0, len(commands))
	for name := range commands {
		every = append(every, name)
	}
	plus := func(a, b map[string]string) map[string]string {
		for k, v := range b {
			a[k] = v
		}
		return a
	}
	without := func(names ...string) []string {
		return slices.DeleteFunc(slices.Clone(every), func(n string) bool { return slices.Contains(names, n) })
	}
	const root, way = harness.RootSecret, "root.secret does not exist"
	rows := map[string]row{
		"empty folder, no configuration": {refused: all("--config FILE", every...)},
		"a secret, no configuration": {secret: root,
			refused: all("--config FILE", without("new", "show", "show --json")...)},
		"no data directory": {config: true, writes: []string{"new"},
			refused: all(way, append(acting, "show", "show --json")...)},
		"no data directory, a secret": {config: true, secret: root, refused: all("run this where a gateway", acting...)},
		"an empty data directory": {config: true, make: func(a *alone) { a.give("data/", "") }, writes: []string{"new"},
			refused: all(way, append(acting, "show", "show --json")...)},
		"an empty data directory, a secret": {config: true, secret: root, make: func(a *alone) { a.give("data/", "") },
			writes: acting},
		"a data directory whose secret is elsewhere": {config: true,
			refused: all(way, append(acting, "new", "show", "show --json")...),
			make:    func(a *alone) { a.give("data/", "").give("data/journal/", "") }},
		"a data directory with its secret": {config: true, writes: acting,
			make: func(a *alone) { a.give("data/", "").give("data/root.secret", root+"\n") }},
		"a secret that others can read": {config: true, refused: all("chmod 600", every...),
			make: func(a *alone) { a.give("data/", "").give("data/root.secret", root).mode("data/root.secret", 0o644) }},
		"an unreadable data directory": {config: true, refused: all("permission denied", every...),
			make: func(a *alone) { a.give("data/", "").mode("data", 0o200) }},
		"an unreadable file of acts, a secret": {config: true, secret: root,
			refused: all("permission denied", without("new")...),
			make:    func(a *alone) { a.give("data/", "").give("data/keys.jsonl", "").mode("data/keys.jsonl", 0o200) }},
		"a read-only data directory": {config: true, make: func(a *alone) { a.give("data/", "").mode("data", 0o500) },
			refused: plus(all(way, append(acting, "show", "show --json")...), all("permission denied", "new"))},
		"a read-only data directory, a secret": {config: true, secret: root,
			make:    func(a *alone) { a.give("data/", "").mode("data", 0o500) },
			refused: all("could not be written", without("new", "show", "show --json", "list", "audit", "unfreeze")...)},
	}
	for name, r := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for what, args := range commands {
				a := newAlone(t, program)
				a.secret = r.secret
				args = append([]string{"keys"}, args...)
				if r.config {
					a.give("sluice.yaml", yaml)
					args = append(args, "--config", "sluice.yaml")
				}
				if r.make != nil {
					r.make(a)
				}
				a.check(what, args, r.refused, slices.Contains(r.writes, what))
			}
		})
	}
}

func (a *alone) check(what string, args []string, refused map[string]string, mayWrite bool) {
	a.t.Helper()
	before := a.files()
	code, out, errs := a.run(args...)
	text, no := refused[what]
	switch {
	case !no && code != 0:
		a.t.Errorf("%s: exit code %d\n%s", what, code, errs)
	case no && (code == 0 || out != "" || errs == "" || !strings.Contains(errs, text)):
		a.t.Errorf("%s: exit code %d, %q, want %q\n%s", what, code, errs, text, out)
	}
	after := a.files()
	if !mayWrite && !slices.Equal(before, after) {
		a.t.Errorf("%s has written:\n%q\n%q", what, before, after)
	}
	for _, file := range after {
		if strings.HasPrefix(file, "/data/root.secret ") && !slices.Contains(before, file) &&
			(what != "new" || !strings.Contains(errs, "made the root secret")) {
			a.t.Errorf("%s has made a root secret: %s", what, errs)
		}
	}
}

// sharedProgram is the program where every user can run it.
func sharedProgram(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sluice-shared-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(dir, "gateway")
	in, err := os.Open(harness.Binary(t))
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(fmt.Errorf("copy the program: %w", err))
	}
	return to
}
