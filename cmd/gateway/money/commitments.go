package money

import (
	"context"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/commitment"
	"github.com/sluice-gateway/sluice/internal/report"
)

func commitmentsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "commitments --config FILE",
		Short: "Print how far what was promised to AWS is spent, and what capacity cost this month",
		Args:  command.Args(cobra.NoArgs),
	}
	format := cmd.Flags().String("format", "markdown", "markdown, html or json")
	formats := cobra.FixedCompletions([]cobra.Completion{"markdown", "html", "json"}, cobra.ShellCompDirectiveNoFileComp)
	command.Complete(cmd, "format", formats)
	return command.Configured(cmd, func(cmd *cobra.Command, cfg *config.Config) error {
		if err := commitment.Write(io.Discard, *format, nil); err != nil {
			return command.Invalid(err)
		}
		if len(cfg.Commitments) == 0 && len(cfg.Capacity) == 0 {
			return command.Invalidf("the configuration has no commitments: [{usd, from, to}], and no capacity")
		}
		source, done, err := openSource(cfg)
		if err != nil {
			return err
		}
		defer done()
		now := time.Now().UTC()
		pages, err := pagesOf(cmd.Context(), cfg, source, now)
		if err != nil {
			return err
		}
		month := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
		bills, err := commitment.Bills(cmd.Context(), source, cfg.Capacity, commitment.Query{
			From: month, To: now, Now: now, Models: cfg.Behind,
		})
		if err != nil {
			return err
		}
		return commitment.Write(cmd.OutOrStdout(), *format, pages, bills...)
	})
}

// pagesOf are those of all commitments, with what capacity costs in their terms.
func pagesOf(
	ctx context.Context, cfg *config.Config, source report.Source, now time.Time,
) (pages []*commitment.Page, err error) {
	for i := range cfg.Commitments {
		p, err := commitment.Read(ctx, source, &cfg.Commitments[i], cfg.Behind, now)
		if err != nil {
			return nil, err
		}
		bills, err := commitment.Bills(ctx, source, cfg.Capacity, commitment.Query{
			From: p.From, To: p.To, Now: now, Models: cfg.Behind,
		})
		if err != nil {
			return nil, err
		}
		p.AddFixed(bills)
		pages = append(pages, p)
	}
	return pages, nil
}
