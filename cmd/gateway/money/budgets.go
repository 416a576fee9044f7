package money

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/forecast"
	"github.com/sluice-gateway/sluice/internal/keys"
	"github.com/sluice-gateway/sluice/internal/meter/budget"
	"github.com/sluice-gateway/sluice/internal/meter/redis"
	"github.com/sluice-gateway/sluice/internal/meter/redis/acts"
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
		all, err := readBudgets(cmd.Context(), cfg, *tenant)
		if err != nil {
			return err
		}
		return forecast.Write(cmd.OutOrStdout(), *format, all)
	})
}

// readBudgets reads the states of the budgets below a tenant, "" for all.
func readBudgets(ctx context.Context, cfg *config.Config, tenant string) ([]forecast.State, error) {
	policies, err := budget.Compile(cfg.Tenants)
	if err != nil {
		return nil, err
	}
	source, done, err := openSource(cfg)
	if err != nil {
		return nil, err
	}
	defer done()
	if err := warnLost(ctx, source); err != nil {
		return nil, err
	}
	of := forecast.Source{Policies: policies, Late: true}
	of.Ledger, _ = source.(forecast.Ledger) // both ledgers are
	shared, is := source.(*redis.Ledger)
	of.HeldKnown = is
	if of.Keys, err = readKeys(ctx, cfg, shared); err != nil {
		return nil, err
	}
	return of.Read(ctx, tenant, time.Now())
}

// readKeys reads which keys have budgets of their own. What was sealed counts as it is:
// gateways have checked it.
func readKeys(ctx context.Context, cfg *config.Config, shared *redis.Ledger) (*keys.State, error) {
	secrets, err := command.ExistingSecrets(cfg.DataDir)
	var sealer keys.Sealer = keys.Nobody{}
	if err == nil {
		sealer = secrets
	}
	book, err := keys.Open(keys.Options{
		DataDir: cfg.DataDir, Sealer: sealer, ReadOnly: true, Log: slog.New(slog.DiscardHandler), Now: time.Now,
	})
	if err != nil {
		return nil, err
	}
	if shared != nil {
		book.Join(acts.NewBoard(shared), func() time.Duration { return 0 })
	}
	if err := book.Refresh(ctx); err != nil {
		return nil, err
	}
	return book.State(), book.Close(ctx)
}
