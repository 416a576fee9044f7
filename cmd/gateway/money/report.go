package money

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter"
	"github.com/sluice-gateway/sluice/internal/meter/embedded"
	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/report"
	"github.com/sluice-gateway/sluice/internal/saving"
)

func reportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "report --config FILE",
		Short: "Print who used how much of which model, and what it cost",
		Args:  command.Args(cobra.NoArgs),
	}
	file := command.ConfigFlag(cmd)
	from := cmd.Flags().String("from", "", "first `DAY`, UTC; default the first of this month")
	to := cmd.Flags().String("to", "", "`DAY` to stop before, UTC; default the first of next month")
	by := cmd.Flags().String("by", strings.Join(report.DefaultBy, ","), "`COLUMNS` to group by: "+strings.Join(report.Columns(), ", "))
	format := cmd.Flags().String("format", string(report.Table), "table, csv or json")
	command.Complete(cmd, "format", cobra.FixedCompletions([]cobra.Completion{"table", "csv", "json"}, cobra.ShellCompDirectiveNoFileComp))
	command.Complete(cmd, "by", completeColumns)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := command.Load(*file)
		if err != nil {
			return err
		}
		query, err := report.Range(*from, *to, time.Now())
		if err != nil {
			return command.Invalid(err)
		}
		if *by != "" {
			query.By = strings.Split(*by, ",")
		}
		return runReport(cmd, cfg, query, report.Format(*format))
	}
	cmd.AddCommand(savingsCommand())
	return cmd
}

// completeColumns offers the columns that a list of them does not have yet.
func completeColumns(_ *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	before := typed[:strings.LastIndexByte(typed, ',')+1]
	var offers []cobra.Completion
	for _, column := range report.Columns() {
		if !slices.Contains(strings.Split(before, ","), column) {
			offers = append(offers, before+column)
		}
	}
	return offers, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

func runReport(cmd *cobra.Command, cfg *config.Config, query report.Query, format report.Format) error {
	source, done, err := openSource(cfg)
	if err != nil {
		return err
	}
	defer done()
	rows, warnings, err := report.Build(cmd.Context(), source, query)
	for _, w := range warnings {
		fmt.Fprintln(os.Stderr, "warning:", w)
	}
	if err != nil {
		return command.InvalidIf(err, report.ErrQuery)
	}
	layout := report.Layout{Format: format, By: query.By, Width: report.TerminalWidth(os.Stdout)}
	return command.InvalidIf(report.Write(cmd.OutOrStdout(), layout, rows), report.ErrQuery)
}

// openSource opens the ledger for reading. The embedded one is read from its
// journal, so the gateway may run meanwhile.
func openSource(cfg *config.Config) (source report.Source, done func(), err error) {
	if cfg.Ledger.Redis != "" {
		ledger, err := command.OpenRedis(cfg)
		if err != nil {
			return nil, nil, err
		}
		return ledger, func() { ledger.Close() }, nil //nolint:errcheck // it was only read
	}
	state, err := embedded.Load(func(yield func(record.Posting) error) error {
		if err := replay(command.JournalDir(cfg), yield); err != nil {
			return err
		}
		if _, err := os.Stat(string(command.CorrectionsDir(cfg))); errors.Is(err, os.ErrNotExist) {
			return nil // nothing was ever corrected
		}
		return replay(command.CorrectionsDir(cfg), yield)
	})
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil, fmt.Errorf("no journal in %s: has this gateway been started?", cfg.DataDir)
	}
	return state, func() {}, err
}

func replay(dir journal.Dir, yield func(record.Posting) error) error {
	damage, err := meter.Replay(dir, yield)
	for _, d := range damage {
		fmt.Fprintln(os.Stderr, "warning: the journal is damaged:", d)
	}
	return err
}

func savingsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "savings --config FILE",
		Short: "Print what each cascade saved against its escalation model alone",
		Args:  command.Args(cobra.NoArgs),
	}
	file := command.ConfigFlag(cmd)
	from := cmd.Flags().String("from", "", "first `DAY`, UTC; default the first of this month")
	to := cmd.Flags().String("to", "", "`DAY` to stop before, UTC; default the first of next month")
	format := cmd.Flags().String("format", string(report.Table), "table, csv or json")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := command.Load(*file)
		if err != nil {
			return err
		}
		span, err := report.Range(*from, *to, time.Now())
		if err != nil {
			return command.Invalid(err)
		}
		return runSavings(cmd, cfg, span, report.Format(*format))
	}
	return cmd
}

func runSavings(cmd *cobra.Command, cfg *config.Config, span report.Query, format report.Format) error {
	snap, err := command.Compile(cfg)
	if err != nil {
		return err
	}
	source, done, err := openSource(cfg)
	if err != nil {
		return err
	}
	defer done()
	rows, err := saving.Of(cmd.Context(), source, saving.Query{
		From: span.From, To: span.To, Baselines: snap.Baselines(), Prices: snap.Prices,
	})
	if err != nil {
		return err
	}
	for _, w := range report.SavingWarnings(rows) {
		fmt.Fprintln(os.Stderr, "warning:", w)
	}
	return command.InvalidIf(report.WriteSavings(cmd.OutOrStdout(), format, rows), report.ErrQuery)
}
