// Command gateway is Sluice: a gateway in front of Amazon Bedrock.
//
// This package is the only place that wires the others together. Each
// subcommand has a file of its own name.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// version is set by the linker.
var version = "dev" //nolint:gochecknoglobals // written by the linker, read once

// Exit codes (design.md 4.1).
const (
	exitDone    = 0
	exitFailed  = 1
	exitInvalid = 2
)

// invalid marks an error as the user's: bad usage or bad configuration.
type invalid struct{ error }

func (e invalid) Unwrap() error { return e.error }

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	cmd := root()
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(ctx)
	var bad invalid
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &bad):
		fmt.Fprintln(os.Stderr, err)
		return exitInvalid
	default:
		fmt.Fprintln(os.Stderr, "gateway:", err)
		return exitFailed
	}
}

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:           "gateway",
		Short:         "Sluice: a gateway in front of Amazon Bedrock",
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          usage(cobra.NoArgs),
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return invalid{fmt.Errorf("%w\nSee '%s --help'", err, cmd.CommandPath())}
	})
	cmd.AddCommand(serveCommand(), checkCommand(), keysCommand(), reportCommand(), sandboxCommand(), quickstartCommand(), simulateCommand(), explainCommand())
	cmd.AddCommand(verifyCommand(), rebuildCommand(), adjustCommand(), resolveCommand(), calibrateCommand())
	return cmd
}

// usage marks what args refuses as bad usage.
func usage(args cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, given []string) error {
		if err := args(cmd, given); err != nil {
			return invalid{fmt.Errorf("%w\nSee '%s --help'", err, cmd.CommandPath())}
		}
		return nil
	}
}

// complete says how a shell completes the values of a flag.
func complete(cmd *cobra.Command, flag string, f cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, f); err != nil {
		panic("BUG: " + err.Error())
	}
}

// configFlag adds --config and returns where its value goes.
func configFlag(cmd *cobra.Command) *string {
	file := cmd.Flags().String("config", "", "configuration `FILE`")
	cmd.MarkFlagFilename("config", "yaml", "yml") //nolint:errcheck // the flag was just added
	return file
}
