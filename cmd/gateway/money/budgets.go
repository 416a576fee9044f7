package money

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/forecast"
)

func budgetsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "budgets --config FILE",
		Short: "Print what is spent, held and left of each budget, and when it runs out",
		Long: "Print what is spent, held and left of each budget in its period, how fast it goes, what\n" +
			"it will come to at the end of the period (in 8 of 10 cases between the two bounds), and\n" +
			"when it runs out: those first that run out first. It only reads, and the gateway may run.",
		Args: command.Args(cobra.NoArgs),
	}
	tenant := cmd.Flags().String("tenant", "", "only budgets of tenant `ID` and of those below it")
	format := cmd.Flags().String("format", "table", "table, csv or json")
	formats := cobra.FixedCompletions([]cobra.Completion{"table", "csv", "json"}, cobra.ShellCompDirectiveNoFileComp)
	command.Complete(cmd, "format", formats)
	return command.Configured(cmd, func(cmd *cobra.Command, cfg *config.Config) error {
		if err := forecast.Write(io.Discard, *format, nil); err != nil {
			return command.Invalid(err)
		}
		books, done, err := command.OpenBooks(cfg)
		if err != nil {
			return err
		}
		defer done()
		if err := warnLost(cmd.Context(), books); err != nil {
			return err
		}
		all, _, err := command.ReadBudgets(cmd.Context(), cfg, books, *tenant)
		if err != nil {
			return err
		}
		return forecast.Write(cmd.OutOrStdout(), *format, all)
	})
}
