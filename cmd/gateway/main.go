// Command gateway is Sluice: a gateway in front of Amazon Bedrock.
//
// The packages below it hold the subcommands by audience: serving runs and
// operates gateways, keys issues and revokes keys, money reads and corrects what was spent, cascade certifies
// cascades, tools answers questions beforehand.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	_ "time/tzdata" // budgets name time zones, and a distroless image has none

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/gateway/cascade"
	"github.com/sluice-gateway/sluice/cmd/gateway/check"
	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/cmd/gateway/keys"
	"github.com/sluice-gateway/sluice/cmd/gateway/money"
	"github.com/sluice-gateway/sluice/cmd/gateway/serving"
	"github.com/sluice-gateway/sluice/cmd/gateway/tools"
	"github.com/sluice-gateway/sluice/config/userfile"
)

// version is set by the linker, in builds of the Makefile.
var version string //nolint:gochecknoglobals // written by the linker, read once

// ownVersion is the program's version: that of the linker, else that of the module as `go install` took it.
func ownVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "dev"
}

// Exit codes.
const (
	exitDone    = 0
	exitFailed  = 1
	exitInvalid = 2
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	cmd := root()
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(ctx)
	var bad command.InvalidError
	var file *userfile.Error
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &bad), errors.As(err, &file):
		fmt.Fprintln(os.Stderr, err)
		return exitInvalid
	default:
		fmt.Fprintln(os.Stderr, "gateway:", err)
		return exitFailed
	}
}

func root() *cobra.Command {
	cmd := command.Group(&cobra.Command{
		Use:           "gateway",
		Short:         "Sluice: a gateway in front of Amazon Bedrock",
		Version:       ownVersion(),
		SilenceUsage:  true,
		SilenceErrors: true,
	})
	cmd.SetFlagErrorFunc(command.BadFlag)
	cmd.AddCommand(serving.Commands(ownVersion())...)
	cmd.AddCommand(check.Command(ownVersion()))
	cmd.AddCommand(keys.Commands()...)
	cmd.AddCommand(money.Commands()...)
	cmd.AddCommand(cascade.Commands()...)
	cmd.AddCommand(tools.Commands()...)
	cmd.AddCommand(versionCommand())
	return cmd
}

// versionCommand is for those who try the word before the flag.
func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version, as --version does",
		Args:  command.Args(cobra.NoArgs),
		Run: func(cmd *cobra.Command, _ []string) {
			fmt.Fprintf(cmd.OutOrStdout(), "gateway version %s\n", ownVersion())
		},
	}
}
