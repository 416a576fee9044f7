package money

import (
	"cmp"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter/prices"
	"github.com/sluice-gateway/sluice/internal/reconcile"
)

func reconcileCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reconcile",
		Short: "Compare what was metered with what AWS bills",
	}
	cmd.AddCommand(reconcileBillCommand())
	return command.Group(cmd)
}

func reconcileBillCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cur --config FILE BILL",
		Short: "Compare with an export of AWS's bill; exit 1 on any difference",
		Long: "Compare tokens by usage type and day (UTC) with an export of AWS's bill for one month: CUR\n" +
			"2.0 or FOCUS, as CSV, gzipped CSV or Parquet. Each difference above 0.1 % is named with its\n" +
			"reason, and so is what the bill has beside calls through the gateway. It only reads.",
		Example: "  gateway reconcile cur --config sluice.yaml --month 2026-11 cur-2026-11.parquet",
		Args:    command.Args(cobra.ExactArgs(1)),
	}
	month := cmd.Flags().String("month", "", "`MONTH` that the bill must be of, as 2026-11; default its own")
	return command.Configured(cmd, func(cmd *cobra.Command, cfg *config.Config) error {
		table, err := command.Prices(cfg)
		if err != nil {
			return err
		}
		bill, err := reconcile.ReadBill(cmd.Flags().Arg(0), *month, prices.NewBill(prices.IDs(cfg, table)))
		if err != nil {
			return command.InvalidIf(err, reconcile.ErrInput)
		}
		source, done, err := openSource(cfg)
		if err != nil {
			return err
		}
		defer done()
		r, err := reconcile.Compare(cmd.Context(), bill, source, cfg.ModelMap)
		if err != nil {
			return err
		}
		if n, err := writeComparison(cmd.OutOrStdout(), r); err != nil || n > 0 {
			return cmp.Or(err, fmt.Errorf("there are %d differences", n))
		}
		return nil
	})
}

// writeComparison prints a comparison, and returns how many faults it has.
func writeComparison(out io.Writer, r *reconcile.Result) (faults int, err error) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if len(r.Findings) > 0 {
		fmt.Fprintln(w, "DAY\tMODEL\tCLASS\tTIER\tBILL\tGATEWAY\tWHY\tDETAIL")
	}
	for i := range r.Findings {
		f := &r.Findings[i]
		if f.Kind.Fault() {
			faults++
		}
		if f.Day == "" {
			fmt.Fprintf(w, "-\t-\t-\t-\t-\t-\t%s\t%s\n", f.Kind, f.Detail)
			continue
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%d\t%s\t%s\n", f.Day, f.Key.Model, f.Key.Class, f.Key.Name(), f.Bill, f.Gateway,
			f.Kind, f.Detail)
	}
	fmt.Fprintf(w, "%s of %s: %d lines of Bedrock, %d usage types and days compared; %d tokens billed, %d metered; "+
		"%d differences\n", r.Bill.Format, r.Bill.Month, r.Bill.Lines, r.Compared, r.Billed, r.Known, faults)
	return faults, w.Flush()
}
