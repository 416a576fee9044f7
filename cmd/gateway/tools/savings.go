package tools

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/internal/advice"
	"github.com/sluice-gateway/sluice/internal/decision"
	"github.com/sluice-gateway/sluice/internal/meter/record"
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
		Short: "Print which levers would have saved which tenant how much, by what was used",
		Long: "Print what the recorded use of each tenant would have cost with a lever that nobody has\n" +
			"pulled: the global profile, flex, batch. Each minute's tokens are priced anew. A saving is\n" +
			"exact where all of the use can take the lever, else it lies between nothing and the\n" +
			"amount. Calls could have waited for a batch job when they came in bursts, the same each\n" +
			"day, by one key and without streams. Savings of several levers do not add up. --prove\n" +
			"shows what a time would have cost with the line of configuration that pulls a lever.\n" +
			"Nothing is changed.",
		Example: "  gateway savings --config sluice.yaml\n  gateway savings --config sluice.yaml --prove 7d",
		Args:    command.Args(cobra.NoArgs),
	}
	f := &savingsFlags{}
	f.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.tenant, "tenant", "", "of root `TENANT` alone")
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
	table, err := f.table()
	if err != nil {
		return err
	}
	book := advice.NewBook(table, now)
	from, to, err := f.read(cmd, now, func(r *decision.Row) {
		if f.tenant == "" || r.Root == f.tenant {
			book.Add(r)
		}
	})
	if err != nil {
		return err
	}
	waiting, err := f.waiting(cmd, book, from, to)
	if err != nil {
		return command.Invalid(err)
	}
	report := advice.Report{
		From: from, To: to, Findings: append(book.Findings(), waiting...), Unpriced: book.Unpriced,
		Proof: f.prove != "",
	}
	return f.format.write(cmd.OutOrStdout(), &report)
}

// table is the prices of --config, which has the tenants' discounts, or of the program and --prices.
func (f *savingsFlags) table() (*record.PriceBook, error) {
	if *f.file == "" {
		_, table, err := loadBooks(f.prices)
		return table, command.Invalid(err)
	}
	cfg, err := command.LoadToRead(*f.file)
	if err != nil {
		return nil, err
	}
	return command.Prices(cfg)
}
