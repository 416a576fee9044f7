package test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/test/harness"
)

// quickstarted is a running `gateway quickstart` on ports of its own.
type quickstarted struct {
	t           *testing.T
	dir         string
	key         harness.Key
	addr, admin string
	out, log    harness.Buffer
	ended       chan error
	cmd         *exec.Cmd
}

// quickstart runs the command in a new folder, whose configuration is the shipped one with other ports and changes.
func quickstart(t *testing.T, change func(yaml string) string, flags ...string) *quickstarted {
	t.Helper()
	q := &quickstarted{t: t, dir: t.TempDir(), key: harness.NewKey(t, "demo"), addr: harness.FreeAddr(t),
		admin: harness.FreeAddr(t), ended: make(chan error, 1)}
	own := strings.NewReplacer("127.0.0.1:8080", q.addr, "127.0.0.1:9090", q.admin, "data_dir: ./data", "data_dir: .",
		"${SLUICE_DEMO_KEY}", q.key.KeyID)
	data := filepath.Join(q.dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"demo-key": q.key.KeyID, "quickstart.yaml": own.Replace(change(string(config.Quickstart()))),
	} {
		if err := os.WriteFile(filepath.Join(data, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	q.cmd = exec.Command(harness.Binary(t), append([]string{"quickstart"}, flags...)...)
	q.cmd.Dir = q.dir
	q.cmd.Env = []string{"SLUICE_ROOT_SECRET=" + harness.RootSecret, "HOME=" + q.dir, "PATH=" + os.Getenv("PATH"),
		"AWS_ACCESS_KEY_ID=AKIDNOBODY", "AWS_SECRET_ACCESS_KEY=none"}
	q.cmd.Stdout, q.cmd.Stderr = &q.out, &q.log
	if err := q.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { q.ended <- q.cmd.Wait() }()
	t.Cleanup(func() {
		q.cmd.Process.Signal(syscall.SIGTERM)
		<-q.ended
		if t.Failed() {
			t.Logf("%s\n%s", &q.out, &q.log)
		}
	})
	return q
}

// tour is what the command printed, once it did.
func (q *quickstarted) tour() string {
	q.t.Helper()
	harness.Eventually(q.t, time.Minute, func() (bool, string) {
		return strings.Contains(q.out.String(), "/metrics"), q.out.String() + q.log.String()
	})
	return q.out.String()
}

// shell runs lines as a user would who pastes them, with the clients on the PATH, in a shell whose environment is
// another AWS account's.
func (q *quickstarted) shell(lines string) string {
	q.t.Helper()
	ctx, cancel := context.WithTimeout(q.t.Context(), time.Minute)
	defer cancel()
	l := theLane(q.t)
	cmd := exec.CommandContext(ctx, "sh", "-c", "set -e\n"+lines)
	cmd.Dir = l.js()
	cmd.Env = []string{
		"PATH=" + strings.Join([]string{l.bin("boto3"), l.bin("awscli"), filepath.Dir(l.node()), os.Getenv("PATH")}, ":"),
		"HOME=" + q.dir,
		"SLUICE_ROOT_SECRET=" + harness.RootSecret, "AWS_EC2_METADATA_DISABLED=true",
		"AWS_PROFILE=work", "AWS_SESSION_TOKEN=of-another-account", "AWS_BEARER_TOKEN_BEDROCK=of-another-account",
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		q.t.Errorf("%v\n%s\n%s", err, lines, out)
	}
	return string(out)
}

// blocks are the tour's commands by the title above them: the lines that are moved in.
func blocks(tour string) map[string]string {
	found, title := map[string]string{}, ""
	for line := range strings.Lines(tour) {
		if command, ok := strings.CutPrefix(line, "  "); ok {
			found[title] += command
		} else if text := strings.TrimSpace(line); text != "" {
			title, _, _ = strings.Cut(strings.TrimSuffix(text, ":"), ",")
		}
	}
	return found
}

// TestPrintedCallsWork (U7, U8): each call that quickstart prints works as it is, in a shell that is set up for
// another account, over HTTP and with a certificate of its own.
func TestPrintedCallsWork(t *testing.T) {
	for _, flags := range [][]string{nil, {"--tls"}} {
		t.Run(strings.Join(append(flags, "quickstart"), ""), func(t *testing.T) {
			q := quickstart(t, func(yaml string) string { return yaml }, flags...)
			printed := blocks(q.tour())
			environment := printed["For the AWS SDKs and the AWS CLI"]
			const canned = "canned answer from the Sluice sandbox"
			for title, before := range map[string]string{
				"curl": "", "boto3": environment, "AWS CLI": environment, "JavaScript": environment,
			} {
				if printed[title] == "" {
					t.Errorf("no call for %s", title)
				} else if got := q.shell(before + printed[title]); !strings.Contains(got, canned) {
					t.Errorf("%s: %s", title, got)
				}
			}
			wantText(t, q.shell(printed["What it cost"]), "amazon.nova-lite-v1:0", `"ready":true`, "sluice_")
		})
	}
}

// TestReadmeTour runs the tour of README against the quickstart, with what differs on each machine put in: the key
// and the ports.
func TestReadmeTour(t *testing.T) {
	q := quickstart(t, func(yaml string) string { return yaml })
	q.tour()
	own := strings.NewReplacer("127.0.0.1:8080", q.addr, "127.0.0.1:9090", q.admin,
		"bin/gateway", harness.Binary(t), "data/quickstart.yaml", filepath.Join(q.dir, "data/quickstart.yaml"))
	key := regexp.MustCompile(`slk_SLK4…`)
	_, text, _ := strings.Cut(string(readFile(t, "README.md")), "## A tour of 60 seconds")
	text, _, _ = strings.Cut(text, "\n## ")
	commands := regexp.MustCompile(`(?m)^\$ (.*(?:\n    .*)*)$`).FindAllStringSubmatch(text, -1)
	if len(commands) < 3 {
		t.Fatalf("README's tour has %d commands: the test reads it wrongly", len(commands))
	}
	var got strings.Builder
	for _, m := range commands {
		got.WriteString(q.shell(own.Replace(key.ReplaceAllString(m[1], q.key.Bearer))))
	}
	shown := regexp.MustCompile(`(?m)^x-sluice-(?:path|reason|model|capped): .*$`).FindAllString(text, -1)
	if len(shown) < 6 {
		t.Fatalf("README's tour shows %q: the test reads it wrongly", shown)
	}
	wantText(t, strings.ReplaceAll(got.String(), "\r", ""), append(shown,
		"canned answer", "0.00000756", "0.0005313", "0.00053886")...)
}

// TestQuickstartSaysWhatIsWrong (U15): a port that is taken, and a file that was changed, end in words and without a
// tour.
func TestQuickstartSaysWhatIsWrong(t *testing.T) {
	f := func(name string, code int, change func(q *quickstarted, yaml string) string, want ...string) {
		t.Helper()
		first := quickstart(t, func(yaml string) string { return yaml })
		first.tour()
		q := quickstart(t, func(yaml string) string { return change(first, yaml) })
		select {
		case <-q.ended:
			close(q.ended)
		case <-time.After(20 * time.Second):
			t.Fatalf("%s: it goes on\n%s", name, &q.log)
		}
		if got := q.cmd.ProcessState.ExitCode(); got != code {
			t.Errorf("%s: exit code %d", name, got)
		}
		if q.out.String() != "" {
			t.Errorf("%s: %s", name, &q.out)
		}
		wantText(t, q.log.String(), want...)
		if strings.Contains(q.log.String(), "panic") || strings.Contains(q.log.String(), "goroutine ") {
			t.Errorf("%s: %s", name, &q.log)
		}
	}
	f("port", 1, func(q *quickstarted, yaml string) string { return strings.Replace(yaml, "127.0.0.1:8080", q.addr, 1) },
		"another program listens at", "change listen (", "quickstart.yaml:3)")
	f("admin port", 1,
		func(q *quickstarted, yaml string) string { return strings.Replace(yaml, "127.0.0.1:9090", q.admin, 1) },
		"another program listens at", "change admin.listen (", "quickstart.yaml:4)")
	f("address", 1, func(_ *quickstarted, yaml string) string {
		return regexp.MustCompile(`(?m)^listen: 127\.0\.0\.1`).ReplaceAllString(yaml, "listen: 192.0.2.7") // nobody's
	}, "change listen (", "quickstart.yaml:3)", "no address 192.0.2.7:")
	f("mistake", 2, func(_ *quickstarted, yaml string) string { return strings.Replace(yaml, "light:", "lite:", 1) },
		`unknown key "lite"`)
}
