// Package command has what the subcommands share: errors of usage, the flag
// --config, and opening what a configuration names.
package command

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

// InvalidError marks an error as the user's: bad usage or bad configuration.
type InvalidError struct{ Err error }

func (e InvalidError) Error() string { return e.Err.Error() }

// Unwrap returns the error that was marked.
func (e InvalidError) Unwrap() error { return e.Err }

// Invalid marks err as the user's. Nil stays nil.
func Invalid(err error) error {
	if err == nil {
		return nil
	}
	return InvalidError{err}
}

// Invalidf is Invalid for a new error, made as fmt.Errorf makes it.
func Invalidf(format string, args ...any) error { return InvalidError{fmt.Errorf(format, args...)} }

// InvalidIf marks err as the user's when it is of the given kind.
func InvalidIf(err, kind error) error {
	if errors.Is(err, kind) {
		return InvalidError{err}
	}
	return err
}

// BadUsage marks err as the user's and points to the help of cmd.
func BadUsage(cmd *cobra.Command, err error) error {
	return Invalidf("%w%s\nSee '%s --help'", err, dashes(cmd, err), cmd.CommandPath())
}

// dashes names the flag that was given with one dash in place of two, "" for none.
func dashes(cmd *cobra.Command, err error) string {
	_, given, ok := strings.Cut(err.Error(), " in -") // unknown shorthand flag: 'c' in -config
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(given, "=")
	if cmd.Flags().Lookup(name) == nil {
		return ""
	}
	return fmt.Sprintf("; it has two dashes: --%s", name)
}

// Args marks what args refuses as bad usage.
func Args(args cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, given []string) error {
		if err := args(cmd, given); err != nil {
			return BadUsage(cmd, fmt.Errorf("%s; the command is: %s", tooFewOrMany(given), cmd.UseLine()))
		}
		return nil
	}
}

// tooFewOrMany says what was given that a command does not take so.
func tooFewOrMany(given []string) string {
	switch len(given) {
	case 0:
		return "something is missing behind the command's name"
	case 1:
		if ext := filepath.Ext(given[0]); ext == ".yaml" || ext == ".yml" {
			return fmt.Sprintf("%q is not taken here; is --config %[1]s meant?", given[0])
		}
		return fmt.Sprintf("%q is not taken here, or not alone", given[0])
	}
	return fmt.Sprintf("%q are not taken here together", given)
}

// NeedsConfig is the error of a command without its configuration. It names the one that
// the quickstart wrote here.
func NeedsConfig() error {
	const first = "data/quickstart.yaml"
	if _, err := os.Stat(first); err == nil {
		return Invalidf("--config FILE is needed, as in --config %s", first)
	}
	return Invalidf("--config FILE is needed: the gateway's configuration")
}

// Group makes cmd one that only has subcommands: alone it prints its help.
func Group(cmd *cobra.Command) *cobra.Command {
	cmd.Args = noSuchCommand
	cmd.SuggestionsMinimumDistance = 2
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	return cmd
}

// noSuchCommand refuses what is no subcommand of cmd, and names the one that was probably meant.
func noSuchCommand(cmd *cobra.Command, given []string) error {
	if len(given) == 0 {
		return nil
	}
	meant := ""
	if near := cmd.SuggestionsFor(given[0]); len(near) > 0 {
		meant = fmt.Sprintf("; did you mean %q?", near[0])
	}
	return BadUsage(cmd, fmt.Errorf("unknown command %q for %q%s", given[0], cmd.CommandPath(), meant))
}

// BadFlag marks err, of a flag, as bad usage. A word before it that is no subcommand of cmd is the first mistake.
func BadFlag(cmd *cobra.Command, err error) error {
	if given := cmd.Flags().Args(); cmd.HasSubCommands() && len(given) > 0 {
		return noSuchCommand(cmd, given)
	}
	return BadUsage(cmd, err)
}

// Complete sets how a shell completes the values of a flag.
func Complete(cmd *cobra.Command, flag string, f cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, f); err != nil {
		panic("BUG: " + err.Error())
	}
}

// AdminToken is the environment variable that has the token of a gateway's admin port. A command
// line has none: others on the machine can read it.
const AdminToken = "SLUICE_ADMIN_TOKEN"

// ConfigFlag adds --config and returns where its value goes.
func ConfigFlag(cmd *cobra.Command) *string {
	file := cmd.Flags().String("config", "", "configuration `FILE`")
	cmd.MarkFlagFilename("config", "yaml", "yml") //nolint:errcheck // the flag was just added
	return file
}
