package money

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter/audit"
	"github.com/sluice-gateway/sluice/internal/meter/budget"
	"github.com/sluice-gateway/sluice/internal/meter/prices"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/report"
)

func pricesCommand() *cobra.Command {
	cmd := command.Group(&cobra.Command{
		Use:   "prices",
		Short: "Look at the prices of models, import them, and apply new ones to what was metered",
	})
	cmd.AddCommand(pricesList(), pricesShow(), pricesDiff(), pricesImport(), pricesRerate())
	return cmd
}

// priced runs a command with the configuration that --config names, or without one
// with the prices that ship with the program.
func priced(
	cmd *cobra.Command, run func(*cobra.Command, *config.Config, *record.PriceBook, []string) error,
) *cobra.Command {
	path := cmd.Flags().String("config", "", "configuration `FILE`; default the prices in the program alone")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, err := config.LoadPrices(nil, os.Getenv)
		if *path != "" {
			cfg, err = command.LoadToRead(*path)
		}
		if err != nil {
			return command.Invalid(err)
		}
		table, err := command.Prices(cfg)
		if err != nil {
			return err
		}
		return run(cmd, cfg, table, args)
	}
	return cmd
}

func pricesList() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list [MODEL...]",
		Short: "Print what is charged for each model, scope, region, tier and length, and which have no price",
		Long: "Print what is charged now: dollars per million tokens, and for one query, image and\n" +
			"second of video. MODEL is a part of an id; without one all are printed.",
	}
	format := cmd.Flags().String("format", "table", "table or csv")
	return priced(cmd, func(cmd *cobra.Command, cfg *config.Config, table *record.PriceBook, args []string) error {
		lines := slices.DeleteFunc(prices.Lines(cfg, table, time.Now()), func(l prices.Line) bool {
			return len(args) > 0 && !slices.ContainsFunc(args, func(part string) bool { return strings.Contains(l.Model, part) })
		})
		switch *format {
		case "table":
			return prices.WriteTable(cmd.OutOrStdout(), lines)
		case "csv":
			return prices.WriteCSV(cmd.OutOrStdout(), lines)
		}
		return command.Invalidf("--format must be table or csv, not %q", *format)
	})
}

func pricesShow() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show VERSION",
		Short: "Print the rates of a price version that a record or report names",
		Args:  command.Args(cobra.ExactArgs(1)),
	}
	return priced(cmd, func(cmd *cobra.Command, cfg *config.Config, table *record.PriceBook, args []string) error {
		m, err := prices.Show(cfg.DataDir, table, args[0])
		if err != nil {
			return command.InvalidIf(err, prices.ErrNoVersion)
		}
		w := cmd.OutOrStdout()
		fmt.Fprintf(w, "version    %s\neffective  %s\nsource     %s\n", m.Version, m.Effective, m.Source)
		writeRates(w, "", m.Rates)
		if m.List != nil {
			fmt.Fprintln(w, "list price")
			writeRates(w, "  ", m.List)
		}
		return nil
	})
}

func writeRates(w io.Writer, indent string, r *config.Rates) {
	line := prices.Line{Rates: r}
	for i, c := range r.Classes() {
		if c.Listed {
			fmt.Fprintf(w, "%s%-15s %s\n", indent, c.Name, line.Cells()[5+i])
		}
	}
	for _, policy := range slices.Sorted(maps.Keys(r.Guardrail)) {
		fmt.Fprintf(w, "%sguardrail %s: %s for a million text units\n", indent, policy, prices.Dollars(r.Guardrail[policy]))
	}
}

func pricesDiff() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "diff FILE...",
		Short: "Print what would change if the price files were added to those in use",
		Args:  command.Args(cobra.MinimumNArgs(1)),
	}
	return priced(cmd, func(cmd *cobra.Command, cfg *config.Config, table *record.PriceBook, args []string) error {
		added, err := config.LoadPrices(args, os.Getenv)
		if err != nil {
			return command.Invalid(err)
		}
		return writeChanges(cmd.OutOrStdout(), cfg, table, added.Prices[len(added.Prices)-len(args):])
	})
}

// writeChanges prints what would change if books were added to those in use.
func writeChanges(w io.Writer, cfg *config.Config, table *record.PriceBook, added []config.PriceBook) error {
	next := *cfg
	next.Prices = append(slices.Clip(cfg.Prices), added...)
	after, err := command.Prices(&next)
	if err != nil {
		return err
	}
	now := time.Now()
	changes := prices.Diff(prices.Lines(cfg, table, now), prices.Lines(&next, after, now))
	for i := range changes {
		fmt.Fprintln(w, changes[i].String())
	}
	_, err = fmt.Fprintf(w, "%d prices change\n", len(changes))
	return err
}

// importFlags are the flags of prices import as they were given.
type importFlags struct {
	version, effective, out string
	force, all              bool
}

func pricesImport() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Make a price file from LiteLLM's price map or an offer of AWS's price list",
		Long: "Make a price file from LiteLLM's model_prices_and_context_window, as JSON or in the\n" +
			"wheel of its package, or from an offer of AWS's price list: index.json of AmazonBedrock,\n" +
			"AmazonBedrockFoundationModels or AmazonBedrockService. What is no price of tokens is left\n" +
			"out and counted. A rate that is more than ten times off the one in use is refused, because\n" +
			"lists are per thousand and per million. What would change is printed before the file is\n" +
			"written; name it in `prices:` to use it.",
		Args: command.Args(cobra.ExactArgs(1)),
	}
	var f importFlags
	flags := cmd.Flags()
	flags.StringVar(&f.version, "list-version", "", "`VERSION` of LiteLLM, where the file does not say it")
	flags.StringVar(&f.effective, "effective", "", "`DAY` from which the prices hold; default today")
	flags.StringVar(&f.out, "out", "", "`FILE` to write; default the price file is printed, and what changes to stderr")
	flags.BoolVar(&f.force, "force", false, "take also what is more than ten times off the prices in use")
	flags.BoolVar(&f.all, "all", false, "also what the first book in the program has a price for")
	return priced(cmd, func(cmd *cobra.Command, cfg *config.Config, table *record.PriceBook, args []string) error {
		return f.run(cmd, cfg, table, args[0])
	})
}

func (f *importFlags) run(cmd *cobra.Command, cfg *config.Config, table *record.PriceBook, file string) error {
	now := time.Now()
	day := now.UTC()
	if f.effective != "" {
		var err error
		if day, err = time.Parse(time.DateOnly, f.effective); err != nil {
			return command.Invalidf("--effective: %w", err)
		}
	}
	list, err := prices.Read(&prices.Reading{File: file, Version: f.version, Day: day, IDs: prices.IDs(cfg, table)})
	if err != nil {
		return command.Invalid(err)
	}
	if err := list.Check(table, now); err != nil && !f.force {
		return command.Invalid(fmt.Errorf("%w\n--force takes them all the same", err))
	}
	if !f.all {
		first, _ := record.CompilePrices(cfg.Prices[:1])
		list.Without(first, now)
	}
	text := list.Book(day)
	book, err := config.ParseBook("the price file", text)
	if err != nil {
		return fmt.Errorf("what was read makes no price file: %w", err)
	}
	if f.out == "" {
		if err := writeChanges(cmd.ErrOrStderr(), cfg, table, []config.PriceBook{*book}); err != nil {
			return err
		}
		_, err = cmd.OutOrStdout().Write(text)
	} else {
		if err := writeChanges(cmd.OutOrStdout(), cfg, table, []config.PriceBook{*book}); err != nil {
			return err
		}
		err = os.WriteFile(f.out, text, 0o644)
	}
	summarize(cmd.ErrOrStderr(), list)
	return err
}

func pricesRerate() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rerate --config FILE",
		Short: "Price anew what was metered without a price, as corrections",
		Long: "Price anew the rows of which something had no price, by the prices of their time as\n" +
			"they are now. No record is changed: each row gets two corrections, which name the\n" +
			"price versions before and after. It may be repeated. The gateway may run.",
		Args: command.Args(cobra.NoArgs),
	}
	var from, to string
	r := audit.Rerating{}
	flags := cmd.Flags()
	flags.StringVar(&from, "from", "", "first `DAY`, UTC; default the first of this month")
	flags.StringVar(&to, "to", "", "`DAY` to stop before, UTC; default the hour that runs")
	flags.BoolVar(&r.All, "all", false, "also rows whose price has another version now")
	flags.StringVar(&r.Reason, "reason", "", "`TEXT` for whoever reads the records")
	return command.Configured(cmd, func(cmd *cobra.Command, cfg *config.Config) error {
		now := time.Now().UTC()
		span, err := report.Range(from, to, now)
		if err != nil {
			return command.Invalid(err)
		}
		r.From, r.To, r.By = span.From, span.To, signature()
		if hour := now.Truncate(time.Hour); r.To.After(hour) {
			r.To = hour
		}
		return rerate(cmd, cfg, &r)
	})
}

func rerate(cmd *cobra.Command, cfg *config.Config, r *audit.Rerating) error {
	policies, err := budget.Compile(cfg.Tenants)
	if err != nil {
		return command.Invalid(err)
	}
	snap, err := command.Compile(cfg)
	if err != nil {
		return err
	}
	source, done, err := openSource(cfg)
	if err != nil {
		return err
	}
	defer done()
	r.Budgets = policies.Budgets
	r.SKU = func(model string) record.SKU { return snap.SKU(model, "", "", "") }
	return correct(cmd, cfg, func(c *audit.Corrections) error {
		made, err := c.Rerate(cmd.Context(), source, r)
		fmt.Fprintf(cmd.OutOrStdout(), "%d rows priced anew: $%s before, $%s now; %d rows still without a price\n",
			made.Rows, made.Before.String(), made.After.String(), made.StillUnpriced)
		return err
	})
}

func summarize(w io.Writer, l *prices.List) {
	fmt.Fprintf(w, "%d prices from %s\n", len(l.Prices), l.Source)
	for _, reason := range slices.Sorted(maps.Keys(l.Skipped)) {
		fmt.Fprintf(w, "%d left out: %s\n", l.Skipped[reason], reason)
	}
	if len(l.Unnamed) > 0 {
		fmt.Fprintf(w, "names without an id: %s\n", strings.Join(l.Unnamed, ", "))
	}
	if len(l.Doubts) > 0 {
		fmt.Fprintln(w, (&config.Error{Faults: l.Doubts}).Error())
	}
}
