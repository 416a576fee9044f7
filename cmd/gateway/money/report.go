package money

import (
	"cmp"
	"context"
	"errors"
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
	"github.com/sluice-gateway/sluice/internal/commitment"
	"github.com/sluice-gateway/sluice/internal/decision"
	"github.com/sluice-gateway/sluice/internal/heap"
	"github.com/sluice-gateway/sluice/internal/meter/exact"
	"github.com/sluice-gateway/sluice/internal/meter/redis"
	"github.com/sluice-gateway/sluice/internal/report"
	"github.com/sluice-gateway/sluice/internal/report/focus"
	"github.com/sluice-gateway/sluice/internal/saving"
)

// reportFlags are the flags of both reports as they were given.
type reportFlags struct {
	from, to, format, zone string
	gateways               command.Asked // whose sessions requests were
}

// add adds the flags to cmd.
func (f *reportFlags) add(cmd *cobra.Command, names []string) {
	cmd.Flags().StringVar(&f.from, "from", "", "first `DAY` or time, UTC; default the first of this month")
	cmd.Flags().StringVar(&f.to, "to", "", "`DAY` or time to stop before, UTC; default the first of next month")
	cmd.Flags().StringVar(&f.format, "format", string(report.Table), strings.Join(names, ", "))
	formats := cobra.FixedCompletions(names, cobra.ShellCompDirectiveNoFileComp)
	command.Complete(cmd, "format", formats)
}

// query is what the flags ask for, and the ledger to ask; the caller calls done.
func (f *reportFlags) query(cfg *config.Config) (q report.Query, source report.Source, done func(), err error) {
	if q, err = report.Range(f.from, f.to, time.Now()); err != nil {
		return q, nil, nil, command.Invalid(err)
	}
	source, done, err = openSource(cfg)
	return q, source, done, err
}

// rows is query for who adds rows up. Bounds may be within hours where records are kept.
func (f *reportFlags) rows(cfg *config.Config) (q report.Query, source *exact.Source, done func(), err error) {
	if err := report.Format(f.format).Known(); err != nil && !strings.HasPrefix(f.format, focusPrefix) {
		return q, nil, nil, command.Invalid(err)
	}
	asked := report.Asked{From: f.from, To: f.to, Since: &time.Time{}}
	if asked.Zone, err = zoneNamed(cfg, f.zone); err != nil {
		return q, nil, nil, command.Invalid(err)
	}
	now := time.Now()
	if q, err = asked.Query(now); err != nil {
		return q, nil, nil, command.Invalid(err) // whatever is kept
	}
	source, since, done, err := command.OpenRows(cfg)
	if err != nil {
		return q, nil, nil, err
	}
	asked.Since = since
	if q, err = asked.Query(now); err != nil {
		done()
		return q, nil, nil, command.Invalid(err)
	}
	source.Edges = q.Midnights()
	return q, source, done, nil
}

// billingZone is the name for the zone that months are closed in.
const billingZone = "billing"

// zoneNamed is a time zone, nil for none. That of bills must be the same for all roots.
func zoneNamed(cfg *config.Config, name string) (zone *time.Location, err error) {
	if name != billingZone {
		return report.Zone(name)
	}
	names := map[string]bool{}
	for i := range cfg.Tenants {
		if t := &cfg.Tenants[i]; !strings.Contains(t.ID, "/") {
			if zone, err = report.Zone(t.BillingTimeZone); err != nil {
				return nil, err
			}
			names[cmp.Or(t.BillingTimeZone, "UTC")] = true
		}
	}
	if len(names) > 1 {
		return nil, fmt.Errorf("%w: root tenants have different billing_time_zones: %s; name one of them in --zone",
			report.ErrQuery, strings.Join(slices.Sorted(maps.Keys(names)), ", "))
	}
	return zone, nil
}

func reportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "report --config FILE",
		Short: "Print who used how much of which model, and what it cost",
		Args:  command.Args(cobra.NoArgs),
	}
	var f reportFlags
	f.add(cmd, append(report.Formats(), focusPrefix+string(focus.V12), focusPrefix+string(focus.V14)))
	layout, billing := report.Layout{}, focus.Options{}
	addBilling(cmd, &billing)
	cmd.Flags().StringSliceVar(&layout.Columns, "columns", nil, "`COLUMNS` to show beside those grouped by; default all, "+
		"in a table those that say something")
	cmd.Flags().BoolVar(&layout.Summary, "summary", false, "add totals, period and coverage to csv")
	f.gateways.Flag(cmd)
	within := cmd.Flags().String("tenant", "", "only this `TENANT` and those below it")
	by := cmd.Flags().String("by", strings.Join(report.DefaultBy, ","),
		"`COLUMNS` to group by: "+strings.Join(report.Columns(), ", ")+
			", tag:NAME")
	command.Complete(cmd, "by", completeColumns)
	cmd.Flags().StringVar(&f.zone, "zone", "", "time `ZONE` of days, months and dates, as Europe/Berlin, or "+billingZone+
		" for the billing_time_zone; default UTC")
	cmd.AddCommand(savingsCommand())
	return command.Configured(cmd, func(cmd *cobra.Command, cfg *config.Config) error {
		heap.Spare()
		query, source, done, err := f.rows(cfg)
		if err != nil {
			return err
		}
		defer done()
		if err := warnLost(cmd.Context(), source.Ledger); err != nil {
			return err
		}
		version, isFocus := strings.CutPrefix(f.format, focusPrefix)
		billing.Version = focus.Version(version)
		switch {
		case isFocus && query.Zone != nil:
			return command.Invalidf("files of FOCUS are of days in UTC: --zone does not go with them")
		case isFocus:
			query.By = focus.By()
		case *by != "":
			query.By = strings.Split(*by, ",")
		}
		if err := command.CompleteQuery(cmd.Context(), cfg, source.Ledger, &query); err != nil {
			return err
		}
		query.Within = *within
		addSessions(cmd, cfg, &f.gateways, &query)
		if err := errors.Join(addSavings(cfg, &query), addFixed(cmd.Context(), cfg, source, &query)); err != nil {
			return err
		}
		r, err := built(cmd.Context(), source, query)
		if err != nil {
			return err
		}
		warn(r.Warnings)
		if isFocus {
			return writeFocus(cmd.OutOrStdout(), &billing, r)
		}
		layout.Format, layout.Width = report.Format(f.format), report.TerminalWidth(os.Stdout)
		return command.InvalidIf(report.Write(cmd.OutOrStdout(), &layout, r), report.ErrQuery)
	})
}

// built makes a report, and shows on a terminal how far it is.
func built(ctx context.Context, source report.Source, q report.Query) (*report.Report, error) {
	if report.TerminalWidth(os.Stderr) > 0 {
		source = &progress{source, os.Stderr, time.Now}
	}
	r, err := report.Build(ctx, source, q)
	return r, command.InvalidIf(command.InvalidIf(err, report.ErrQuery), exact.ErrMissing)
}

// addSavings has a report by cascades say what they saved.
func addSavings(cfg *config.Config, q *report.Query) error {
	if !slices.Contains(q.By, "cascade") {
		return nil
	}
	snap, err := command.Compile(cfg)
	if err != nil {
		return err
	}
	q.Savings = &saving.Query{From: q.From, To: q.To, Baselines: snap.Baselines(), Prices: snap.Prices,
		Models: snap.Config.Behind}
	return nil
}

// mostCalls bounds the single requests that a report by sessions looks at, of each gateway.
const mostCalls = 1_000_000

// addSessions has a report by sessions ask the gateways whose sessions requests were.
func addSessions(cmd *cobra.Command, cfg *config.Config, gateways *command.Asked, q *report.Query) {
	if !slices.Contains(q.By, report.SessionColumn) {
		return
	}
	of := decision.Filter{Since: q.From.Add(-longest), Until: q.To, Tenant: q.Within}
	q.Sessions = func(ctx context.Context, yield func(*decision.Decision)) error {
		client, err := gateways.ClientOf(ctx, cfg)
		if err != nil {
			return err
		}
		since, silent := client.Each(ctx, of, mostCalls, yield)
		command.WarnSilent(cmd.ErrOrStderr(), silent)
		if since.After(q.From) {
			fmt.Fprintf(cmd.ErrOrStderr(), "warning: requests are kept since %s; those before are %s\n",
				since.UTC().Format(time.RFC3339), report.Unattributed)
		}
		return nil
	}
}

// longest is how long before a time a request can have come that ended within it: timeouts.request is less.
const longest = time.Hour

// addFixed has a report say what capacity cost, used or not.
func addFixed(ctx context.Context, cfg *config.Config, source report.Source, q *report.Query) error {
	bills, err := commitment.Bills(ctx, source, cfg.Capacity, commitment.Query{
		From: q.From, To: q.To, Now: q.Now, Models: cfg.Behind,
	})
	q.Fixed = commitment.Fixed(bills)
	return command.InvalidIf(err, exact.ErrMissing)
}

// focusPrefix is that of the formats of FOCUS, before their version.
const focusPrefix = "focus-"

// addBilling adds the flags that only files of FOCUS have.
func addBilling(cmd *cobra.Command, o *focus.Options) {
	cmd.Flags().StringVar(&o.Account, "account", "", "billing `ACCOUNT` in focus files; default the root tenant")
	cmd.Flags().StringVar(&o.Issuer, "issuer", "", "`NAME` of who bills it, in focus files")
	cmd.Flags().BoolVar(&o.Billed, "billed", false, "bill the cost in focus files; without it BilledCost is 0, so that "+
		"a file beside AWS's own counts nothing twice")
}

// writeFocus writes a file of FOCUS, and warns of what it lacks.
func writeFocus(out io.Writer, o *focus.Options, r *report.Report) error {
	unpriced, err := focus.Write(out, o, r)
	if unpriced > 0 {
		fmt.Fprintf(os.Stderr, "warning: %d rows of usage have no price and are not in the file\n", unpriced)
	}
	return command.InvalidIf(err, report.ErrQuery)
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

func savingsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "savings --config FILE",
		Short: "Print what each cascade saved against its escalation model alone",
		Args:  command.Args(cobra.NoArgs),
	}
	var f reportFlags
	f.add(cmd, []string{string(report.Table), string(report.CSV), string(report.JSON)})
	return command.Configured(cmd, func(cmd *cobra.Command, cfg *config.Config) error {
		snap, err := command.Compile(cfg)
		if err != nil {
			return err
		}
		span, source, done, err := f.query(cfg)
		if err != nil {
			return err
		}
		defer done()
		rows, err := saving.Of(cmd.Context(), source, saving.Query{
			From: span.From, To: span.To, Baselines: snap.Baselines(), Prices: snap.Prices, Models: cfg.Behind,
		})
		if err != nil {
			return err
		}
		warn(report.SavingWarnings(rows))
		return command.InvalidIf(report.WriteSavings(cmd.OutOrStdout(), report.Format(f.format), rows), report.ErrQuery)
	})
}

// warnLost warns of counters that a shared ledger has lost, and that no gateway has
// restored yet.
func warnLost(ctx context.Context, source report.Source) error {
	shared, is := source.(*redis.Ledger)
	if !is {
		return nil
	}
	found, err := redis.NewMender(shared).Inspect(ctx, time.Now(), true)
	for i := range found.Lost {
		d := &found.Lost[i]
		what := "counters of " + d.Hour.Format("2006-01-02 15:04")
		if d.Hour.IsZero() {
			what = "a budget of " + d.Window.Tenant
		}
		fmt.Fprintf(os.Stderr, "warning: the ledger lost %s of root %s; parts of %d writers are missing: gateways restore "+
			"theirs while they run, gateway rebuild all\n", what, d.Root, len(d.UpTo))
	}
	return err
}

func warn(warnings []report.Warning) {
	for _, w := range warnings {
		fmt.Fprintln(os.Stderr, "warning:", w)
	}
}

// openSource opens the ledger for reading.
func openSource(cfg *config.Config) (report.Source, func(), error) { return command.OpenBooks(cfg) }
