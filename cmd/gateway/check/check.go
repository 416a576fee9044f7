// Package check has the command that looks through a configuration before a gateway
// runs on it.
package check

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/doctor"
	"github.com/sluice-gateway/sluice/internal/review"
	"github.com/sluice-gateway/sluice/internal/snapshot"
)

// formats are how findings can be printed.
var formats = []string{"text", "json", "sarif"}

// Command is gateway check. Findings in SARIF name version as the program's.
func Command(version string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check --config FILE",
		Short: "Check configuration, rules and prices; print every mistake with its place",
		Long: "Check configuration, rules, prices and the files that they name, and print every\n" +
			"mistake with its place; exit 2 when there is one. Warnings name what is probably\n" +
			"not meant. --format json and sarif print to standard output for programs.",
		Args: command.Args(cobra.NoArgs),
	}
	file := command.ConfigFlag(cmd)
	format := cmd.Flags().String("format", "text", "text, json or sarif")
	command.Complete(cmd, "format", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
	limits := cmd.Flags().Bool("explain-limits", false, "print each limit of the edge, its value and where it came from")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if !slices.Contains(formats, *format) {
			return command.BadUsage(cmd, fmt.Errorf("--format %s is none of text, json, sarif", *format))
		}
		if *file == "" {
			return command.NeedsConfig()
		}
		found := look(*file, time.Now())
		if err := found.print(cmd.OutOrStdout(), *format, version); err != nil {
			return err
		}
		if *limits && found.err == nil && *format == "text" {
			return explainLimits(cmd.OutOrStdout(), found.config, doctor.FileLimit())
		}
		return command.Invalid(found.err)
	}
	return cmd
}

// findings are what is to be said of a file.
type findings struct {
	file   string
	faults []config.Fault // sorted by their places
	notes  []string
	err    error          // why the configuration cannot be used, nil when it can
	config *config.Config // nil with err
}

// look finds everything that is wrong with a file, also what only the packages find
// that compile it, and what it names.
func look(file string, now time.Time) findings {
	found := findings{file: file}
	cfg, err := command.Read(file)
	var faulty *config.Error
	switch {
	case errors.As(err, &faulty):
		s, _ := snapshot.Compile(faulty.Partial, nil, now)
		faulty = faulty.With(review.Of(s, now))
		found.faults, found.err = faulty.Faults, faulty
	case err != nil:
		found.faults = []config.Fault{{Position: config.Position{File: file}, Message: err.Error()}}
		found.err = err
	default:
		s, problems := snapshot.Compile(cfg, nil, now)
		problems = append(problems, review.Of(s, now)...)
		found.faults, found.err = cfg.Faults(problems), cfg.Report(problems)
		found.config, found.notes = cfg, append(s.Refusals(), observing(s, now)...)
	}
	return found
}

func (f *findings) print(out io.Writer, format, version string) error {
	switch format {
	case "json":
		return f.json(out)
	case "sarif":
		return f.sarif(out, version)
	}
	if f.err != nil {
		return nil //nolint:nilerr // the command fails with it
	}
	if len(f.faults) > 0 {
		fmt.Fprintln(os.Stderr, (&config.Error{Faults: f.faults}).Error())
	}
	fmt.Fprintf(out, "%s is valid: %d tenants, %d cascades, %d aliases\n",
		f.file, len(f.config.Tenants), len(f.config.Cascades), len(f.config.Aliases))
	for _, note := range f.notes {
		fmt.Fprintln(out, "note:", note)
	}
	return nil
}
