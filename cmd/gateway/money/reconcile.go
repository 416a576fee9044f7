package money

import (
	"cmp"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/celltext"
	"github.com/sluice-gateway/sluice/internal/meter/audit"
	"github.com/sluice-gateway/sluice/internal/meter/prices"
	"github.com/sluice-gateway/sluice/internal/reconcile"
	"github.com/sluice-gateway/sluice/internal/report"
)

func reconcileCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reconcile",
		Short: "Compare what was metered with what AWS bills",
	}
	cmd.AddCommand(reconcileBillCommand(), reconcileCallsCommand())
	return command.Group(cmd)
}

func reconcileBillCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cur --config FILE BILL",
		Short: "Compare with an export of AWS's bill; exit 1 on any difference",
		Long: "Compare tokens by usage type and day (UTC) with an export of AWS's bill for one month: CUR\n" +
			"2.0 or FOCUS, as CSV, gzipped CSV or Parquet. Each difference above 0.1 % is named with its\n" +
			"reason, and so is what the bill has beside calls through the gateway. Where lines or calls are of\n" +
			"application inference profiles, the shares of these are compared; with --tag, those of a tag. It\n" +
			"changes no ledger.",
		Example: "  gateway reconcile cur --config sluice.yaml --month 2026-11 cur-2026-11.parquet",
		Args:    command.Args(cobra.ExactArgs(1)),
	}
	month := cmd.Flags().String("month", "", "`MONTH` that the bill must be of, as 2026-11; default its own")
	tag := cmd.Flags().String("tag", "", "session `TAG` to compare the shares of, in place of application profiles")
	keep := cmd.Flags().Bool("keep", false, "keep what it came to in data_dir, for the page")
	return command.Configured(cmd, func(cmd *cobra.Command, cfg *config.Config) error {
		table, err := command.Prices(cfg)
		if err != nil {
			return err
		}
		bill, err := reconcile.ReadBill(cmd.Flags().Arg(0), *month, prices.NewBill(prices.IDs(cfg, table)),
			reconcile.Attribution{Tag: *tag, Of: func(tenant string) string { return sessionTag(cfg, tenant, *tag) }})
		if err != nil {
			return command.InvalidIf(command.InvalidIf(err, reconcile.ErrInput), fs.ErrNotExist)
		}
		source, done, err := openSource(cfg)
		if err != nil {
			return err
		}
		defer done()
		r, err := reconcile.Compare(cmd.Context(), bill, source, cfg.Behind)
		if err != nil {
			return err
		}
		if *keep {
			if err := command.ReconciledDir(cfg).Keep(r, time.Now()); err != nil {
				return err
			}
		}
		if err := writeOwners(cmd.OutOrStdout(), r.Bill.Owners(), cmp.Or(*tag, "profile")); err != nil {
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

// sessionTag is what calls of a tenant have in a session tag: its own, or that of their upstream.
func sessionTag(cfg *config.Config, tenant, tag string) string {
	role := cfg.Upstream.Role
	for i := range cfg.Tenants {
		if t := &cfg.Tenants[i]; t.ID == tenant && t.Role != nil {
			role = t.Role.Over(&role)
		}
	}
	return role.SessionTags()[tag]
}

// writeOwners prints whose the usage is, if anything says it of any.
func writeOwners(out io.Writer, all []reconcile.Owner, what string) error {
	if len(all) == 0 || len(all) == 1 && all[0].Name == "" {
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%s\tTENANTS\tBILL\tGATEWAY\tDIFFERENCE\tUSD\n", strings.ToUpper(what))
	named, billed := int64(0), int64(0)
	for _, o := range all {
		if billed += o.Bill; o.Name != "" {
			named += o.Bill
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%s\n", cmp.Or(celltext.Printable(o.Name), "(none)"),
			cmp.Or(strings.Join(o.Tenants, " "), "-"), o.Bill, o.Gateway, o.Bill-o.Gateway, o.USD)
	}
	if billed > 0 {
		fmt.Fprintf(w, "%.1f %% of what is billed says its %s\n\n", 100*float64(named)/float64(billed), what)
	}
	return w.Flush()
}

func reconcileCallsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "invocation-log --config FILE LOG...",
		Short: "Compare Bedrock's model invocation log with the journals, call by call; exit 1 on any difference",
		Long: "Compare each call of Bedrock's model invocation log with its record: by the request id that\n" +
			"AWS gave it, or by the record's id in its request metadata. Files are JSON lines, gzipped or\n" +
			"not. The log is taken to be whole from its first line to its last, unless --from and --to say\n" +
			"otherwise. It only reads: gateway resolve posts what the log knows of unknown attempts.",
		Example: "  gateway reconcile invocation-log --config sluice.yaml logs/2026/11/*.json.gz",
		Args:    command.Args(cobra.MinimumNArgs(1)),
	}
	var f auditFlags
	f.add(cmd)
	from := cmd.Flags().String("from", "", "first `TIME` of which the log is whole; default its first line's")
	to := cmd.Flags().String("to", "", "last `TIME` of which the log is whole; default its last line's")
	return command.Configured(cmd, func(cmd *cobra.Command, cfg *config.Config) error {
		r := audit.CallReading{All: f.all}
		for text, t := range map[*string]*time.Time{from: &r.From, to: &r.To} {
			if *text == "" {
				continue
			}
			var err error
			if *t, err = report.ParseTime(*text); err != nil {
				return command.Invalid(err)
			}
		}
		var err error
		if r.Journals, err = f.journals(cfg); err != nil {
			return err
		}
		logs, done, err := openLogs(cmd.Flags().Args())
		if err != nil {
			return err
		}
		defer done()
		r.Files = logs
		calls, err := audit.CompareCalls(&r)
		if err != nil {
			return command.InvalidIf(err, audit.ErrLog)
		}
		if err := writeCalls(cmd.OutOrStdout(), calls); err != nil || len(calls.Differences) > 0 {
			return cmp.Or(err, fmt.Errorf("there are %d differences", len(calls.Differences)))
		}
		return nil
	})
}

// writeCalls prints a comparison of calls.
func writeCalls(out io.Writer, c *audit.Calls) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if len(c.Differences) > 0 {
		fmt.Fprintln(w, "AWS REQUEST\tRECORD\tMODEL\tLINE\tWHY\tDETAIL")
	}
	for i := range c.Differences {
		d := &c.Differences[i]
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", cmp.Or(d.RequestID, "-"), cmp.Or(d.Record, "-"),
			cmp.Or(celltext.Printable(d.Model), "-"), cmp.Or(d.Where, "-"), d.Kind, d.Detail)
	}
	at := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	fmt.Fprintf(w, "%d calls from %s to %s, %d with their record; %d lines twice; %d older than records are kept; "+
		"%d tagged without a record here; %d differences\n", c.Logged, at(c.From), at(c.To), c.Matched, c.Twice, c.Older,
		c.Elsewhere, len(c.Differences))
	return w.Flush()
}
