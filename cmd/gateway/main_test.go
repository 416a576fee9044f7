package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/test/harness"
)

func TestExitCodes(t *testing.T) {
	t.Chdir(t.TempDir())
	f := func(want int, args ...string) {
		t.Helper()
		if got := run(args); got != want {
			t.Errorf("%q: exit code %d, want %d", args, got, want)
		}
	}
	f(exitDone, "--version")
	f(exitDone)
	f(exitDone, "keys")
	f(exitInvalid, "nonsense")
	f(exitInvalid, "--nonsense")
	f(exitInvalid, "serve", "--nonsense")
	f(exitInvalid, "check", "more")
	f(exitInvalid, "check", "--config", "none.yaml")
	f(exitFailed, "report", "--config", harness.File(t, "sluice.yaml", "upstream: {endpoint: sandbox}\ndata_dir: none\n"))
}

// TestWrongWords: what people type before they have read the help is answered with what they meant.
func TestWrongWords(t *testing.T) {
	f := func(args, want string) {
		t.Helper()
		cmd := root()
		cmd.SetArgs(strings.Fields(args))
		if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", args, err, want)
		}
	}
	f("start", `did you mean "serve"?`)
	f("start --config x", `unknown command "start" for "gateway"; did you mean "serve"?`)
	f("run", `did you mean "serve"?`)
	f("kyes list --config x", `did you mean "keys"?`)
	f("serve -config x", "it has two dashes: --config")
	f("sandbox --listen 80", "--listen 80: want HOST:PORT, such as 127.0.0.1:8081")
}

// TestHelp prints the help of every command: commands and flags are a contract.
func TestHelp(t *testing.T) {
	var b strings.Builder
	var write func(cmd *cobra.Command)
	write = func(cmd *cobra.Command) {
		b.WriteString("# " + cmd.CommandPath() + "\n\n" + cmd.Short + "\n")
		if cmd.Long != "" {
			b.WriteString("\n" + cmd.Long + "\n")
		}
		b.WriteString("\n" + cmd.UsageString() + "\n")
		for _, below := range cmd.Commands() {
			write(below)
		}
	}
	write(root())
	harness.Golden(t, "help.txt", b.String())
}
