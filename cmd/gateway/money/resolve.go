package money

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/config/userfile"
	"github.com/sluice-gateway/sluice/internal/batchjob/settle"
	"github.com/sluice-gateway/sluice/internal/meter/audit"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/router"
)

// truthFlags are what an operator or an invocation log knows about attempts.
type truthFlags struct {
	auditFlags
	logs          []string
	id            string // "" for none
	input, output int64
	given         [2]bool // input, output
	note          string
}

func resolveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "resolve --config FILE [ID --input N --output N | --invocation-log FILE …]",
		Short: "List attempts of unknown outcome, or post what they really used",
		Long: "Without more, list the attempts of which nobody knows what they used. With files\n" +
			"of Bedrock's model invocation log, post what it has on those that it identifies for\n" +
			"certain, and with --all enter the tagged calls of which no journal has a record: a\n" +
			"machine or disk died before it was synced. With an ID, post what an operator knows.\n" +
			"The gateway may run.",
		Args: command.Args(cobra.MaximumNArgs(1)),
	}
	var f truthFlags
	f.add(cmd)
	flags := cmd.Flags()
	flags.StringArrayVar(&f.logs, "invocation-log", nil,
		"`FILE` of Bedrock's model invocation log, JSON lines, may be gzipped; may be repeated")
	flags.Int64Var(&f.input, "input", 0, "input `TOKENS` that the attempt used")
	flags.Int64Var(&f.output, "output", 0, "output `TOKENS` that the attempt used")
	flags.StringVar(&f.note, "note", "", "`TEXT`: where this was found")
	return command.Configured(cmd, func(cmd *cobra.Command, cfg *config.Config) error {
		f.id = cmd.Flags().Arg(0)
		f.given = [...]bool{flags.Changed("input"), flags.Changed("output")}
		if err := f.check(); err != nil {
			return command.Invalid(err)
		}
		return f.run(cmd, cfg)
	})
}

func (f *truthFlags) check() error {
	switch {
	case f.id != "" && len(f.logs) > 0:
		return errors.New("give an ID or --invocation-log, not both")
	case f.id != "" && f.given != [2]bool{true, true}:
		return errors.New("an ID needs --input and --output")
	case f.id == "" && f.given != [2]bool{}:
		return errors.New("--input and --output need the ID of an attempt")
	case f.input < 0 || f.output < 0:
		return errors.New("--input and --output must not be negative")
	case len(f.logs) == 0 && (f.all || len(f.others) > 0):
		return errors.New("--all and --data-dir need an --invocation-log")
	}
	return nil
}

func (f *truthFlags) run(cmd *cobra.Command, cfg *config.Config) error {
	all, err := settle.Held(cfg.DataDir)
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	if f.id == "" && len(f.logs) == 0 {
		return listUnknown(cfg, all, out)
	}
	logs, done, err := openLogs(f.logs) // before anything is opened to be written
	if err != nil {
		return err
	}
	defer done()
	return correct(cmd, cfg, func(c *audit.Corrections) error {
		if f.id != "" {
			return f.byHand(c, all, out)
		}
		return f.fromLogs(cfg, c, audit.LogReading{Suspended: all, Files: logs, All: f.all, By: signature()}, out)
	})
}

// openLogs opens files of an invocation log; the caller calls done.
func openLogs(names []string) (all []audit.LogFile, done func(), err error) {
	var files []*os.File
	done = func() {
		for _, file := range files {
			_ = file.Close() // it was only read
		}
	}
	for _, name := range names {
		file, err := userfile.Open(name)
		if err != nil {
			done()
			return nil, nil, command.Invalid(err)
		}
		files, all = append(files, file), append(all, audit.LogFile{Name: name, Data: file})
	}
	return all, done, nil
}

// listUnknown reads which were resolved from the journal of corrections, and
// writes nothing.
func listUnknown(cfg *config.Config, all []record.Suspended, out io.Writer) error {
	made, err := corrected(cfg)
	if err != nil {
		return err
	}
	return audit.ListUnknown(audit.Unresolved(all, made), out)
}

func (f *truthFlags) byHand(c *audit.Corrections, all []record.Suspended, out io.Writer) error {
	made, err := c.ResolveByHand(all, f.id, f.input, f.output, f.note, signature())
	if err != nil {
		return err
	}
	if !made {
		fmt.Fprintf(out, "%s was resolved before in the same way; nothing added\n", f.id)
		return nil
	}
	fmt.Fprintf(out, "%s resolved: %d input and %d output tokens\n", f.id, f.input, f.output)
	return nil
}

func (f *truthFlags) fromLogs(cfg *config.Config, c *audit.Corrections, r audit.LogReading, out io.Writer) error {
	var err error
	if r.Journals, err = f.journals(cfg); err != nil {
		return err
	}
	routes, problems := router.Compile(cfg)
	if err := cfg.Report(problems); err != nil {
		return command.Invalid(err)
	}
	r.SKU = func(model string) record.SKU {
		id := routes.Priced(model)
		sku := record.SKUOf(id.Foundation, id.Scope, "", "")
		sku.Region = cmp.Or(id.Region, cfg.Upstream.Region)
		return sku
	}
	_, err = c.ResolveLog(r, out)
	return err
}
