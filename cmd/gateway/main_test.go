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
