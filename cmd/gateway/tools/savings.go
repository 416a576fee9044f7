package tools

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/internal/advice"
	"github.com/sluice-gateway/sluice/internal/decision"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/snapshot"
	"github.com/sluice-gateway/sluice/internal/tenant"
	"github.com/sluice-gateway/sluice/internal/views"
)

// savingsFlags are the flags of savings as they were given.
type savingsFlags struct {
	minutesFlags
	tenant, prove string
	prices        []string
	requests      []string
	format        format
}

func savingsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "savings (--config FILE | --admin ADDR... | --minutes FILE) [--prove 7d]",
		Short: "Print which levers would save which tenant how much, and what those saved that are pulled",
		Long: "Print what the recorded use of each tenant would have cost with a lever that nobody has\n" +
			"pulled: the global profile, flex, batch, the prompt cache. With --config it is the ledger's\n" +
			"use, as in the view Levers of the page, with what cascades, tiers, caches and caps saved;\n" +
			"levers that a tenant's policy forbids are left out. A saving is exact where all of the use\n" +
			"can take the lever, else it lies between nothing and the amount. Calls could have waited\n" +
			"for a batch job when they came in bursts, the same each day, by one key and without\n" +
			"streams. Savings of several levers do not add up. --prove shows what a time would have\n" +
			"cost with the line of configuration that pulls a lever. Nothing is changed.",
		Example: "  gateway savings --config sluice.yaml\n  gateway savings --config sluice.yaml --prove 7d",
		Args:    command.Args(cobra.NoArgs),
	}
	f := &savingsFlags{}
	f.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.tenant, "tenant", "", "of `TENANT` and those below it")
	flags.StringVar(&f.prove, "prove", "", "what the use since `TIME`, such as 7d, would have cost with each line")
	flags.StringSliceVar(&f.prices, "prices", nil, "price `FILE`s that override the shipped books, without --config")
	flags.StringArrayVar(&f.requests, "requests", nil,
		"`FILE` with an answer of /api/v1/requests, beside --minutes; repeatable")
	f.format.add(flags)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return f.run(cmd, time.Now()) }
	return cmd
}

func (f *savingsFlags) run(cmd *cobra.Command, now time.Time) error {
	if err := f.format.check(); err != nil {
		return err
	}
	if f.prove != "" {
		if _, err := moment("prove", f.prove, now); err != nil {
			return err
		}
		if err := cmd.Flags().Set("since", f.prove); err != nil {
			return err
		}
	}
	report, err := f.report(cmd, now)
	if err != nil {
		return err
	}
	report.Proof = f.prove != ""
	return f.format.write(cmd.OutOrStdout(), report)
}

// report is by the ledger of --config, else by minutes.
func (f *savingsFlags) report(cmd *cobra.Command, now time.Time) (*advice.Report, error) {
	if *f.File == "" || len(f.files) > 0 {
		return f.byMinutes(cmd, now)
	}
	cfg, err := command.LoadToRead(*f.File)
	if err != nil {
		return nil, err
	}
	snap, err := command.Compile(cfg)
	if err != nil {
		return nil, err
	}
	r, err := f.byLedger(cmd, snap, now)
	if err != nil {
		return nil, err
	}
	if f.prove == "" {
		f.ofGateways(cmd, r, now)
	}
	waiting, err := f.waiting(cmd, advice.NewBook(snap.Prices, now, snap), r.From, r.To)
	r.Findings = append(r.Findings, waiting...)
	return r, command.Invalid(err)
}

// everybody sees all tenants: whoever may read the ledger.
type everybody struct{}

// Sees implements views.Viewer.
func (everybody) Sees(string) bool { return true }

// Home implements views.Viewer.
func (everybody) Home() string { return "" }

// byLedger is what the view of levers shows, of whole hours.
func (f *savingsFlags) byLedger(cmd *cobra.Command, snap *snapshot.Snapshot, now time.Time) (*advice.Report, error) {
	from, err := moment("since", f.since, now)
	if err != nil {
		return nil, err
	}
	to, err := moment("until", f.until, now)
	if err != nil {
		return nil, err
	}
	if to.IsZero() {
		to = now.Add(time.Hour)
	}
	books, done, err := command.OpenBooks(snap.Config)
	if err != nil {
		return nil, err
	}
	defer done()
	shelf := views.New(views.Sources{
		Ledger: books, Now: func() time.Time { return now }, Tenants: func() *tenant.Directory { return snap.Tenants },
		Baselines: snap.Baselines, Prices: func() *record.PriceBook { return snap.Prices },
		Models: func() map[string]string { return snap.Config.Behind }, Policy: func() advice.Policy { return snap },
	})
	r, err := shelf.Levers(cmd.Context(), everybody{}, map[string][]string{
		"from": {bound(from, now)}, "to": {bound(to, now)}, "tenant": {f.tenant},
	})
	return r, command.InvalidIf(err, views.ErrQuery)
}

// bound is the hour that a time is in, or the day where the ledger has no hours any more.
func bound(t, now time.Time) string {
	step := time.Hour
	if t.Before(now.Add(-record.KeepHours).Add(24 * time.Hour)) {
		step = 24 * time.Hour
	}
	return t.UTC().Truncate(step).Format(time.RFC3339)
}

// ofGateways adds what gateways know by themselves.
func (f *savingsFlags) ofGateways(cmd *cobra.Command, r *advice.Report, now time.Time) {
	ctx, cancel := context.WithTimeout(cmd.Context(), 3*command.AskWithin)
	defer cancel()
	client, err := f.Client(ctx)
	if err != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "warning: no gateway is asked for headroom and cache points: %v\n", err)
		return
	}
	query := url.Values{"from": {now.UTC().Format(time.DateOnly)}, "tenant": {f.tenant}}
	silent := client.Tables(ctx, "levers", "?"+query.Encode(), func(gateway, table string, rows json.RawMessage) error {
		switch table {
		case "headroom":
			var all []advice.Headroom
			err := json.Unmarshal(rows, &all)
			for i := range all {
				all[i].Gateway = gateway
			}
			r.Headroom = append(r.Headroom, all...)
			return err
		case "injected":
			var all []advice.Injected
			err := json.Unmarshal(rows, &all)
			for i := range all {
				all[i].Gateway = gateway
			}
			r.Injected = append(r.Injected, all...)
			return err
		}
		return nil
	})
	if len(f.requests) > 0 { // else they are asked for requests, too, and are warned of there
		command.WarnSilent(cmd.ErrOrStderr(), silent)
	}
}

// byMinutes is by the sums of minutes, of root tenants. What policies allow is known with --config alone.
func (f *savingsFlags) byMinutes(cmd *cobra.Command, now time.Time) (*advice.Report, error) {
	table, policy, err := f.table()
	if err != nil {
		return nil, err
	}
	if policy == nil {
		fmt.Fprintln(cmd.ErrOrStderr(), "policies of tenants are not known without --config: some may forbid a lever")
	}
	book := advice.NewBook(table, now, policy)
	from, to, err := f.read(cmd, now, func(r *decision.Row) {
		if f.tenant == "" || record.Within(r.Root, f.tenant) {
			book.Add(r)
		}
	})
	if err != nil {
		return nil, err
	}
	waiting, err := f.waiting(cmd, book, from, to)
	return &advice.Report{
		From: from, To: to, Findings: append(book.Findings(), waiting...), Unpriced: book.Unpriced,
	}, command.Invalid(err)
}

// table is the prices of --config, which has the tenants' discounts, and its policies, or the prices of the program and
// --prices.
func (f *savingsFlags) table() (*record.PriceBook, advice.Policy, error) {
	if *f.File == "" {
		_, table, err := loadBooks(f.prices)
		return table, nil, command.Invalid(err)
	}
	cfg, err := command.LoadToRead(*f.File)
	if err != nil {
		return nil, nil, err
	}
	snap, err := command.Compile(cfg)
	if err != nil {
		return nil, nil, err
	}
	return snap.Prices, snap, nil
}
