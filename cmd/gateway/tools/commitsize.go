package tools

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/internal/decision"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/rightsize"
)

// sizeFlags are the flags of commit-size as they were given.
type sizeFlags struct {
	minutesFlags
	prices, terms                 []string
	tenant, model                 string
	unitInput, unitOutput         int64
	reservedInput, reservedOutput string
	format                        format
}

func commitSizeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "commit-size (--config FILE | --admin ADDR... | --minutes FILE) --model MODEL",
		Short: "Print how much capacity to buy, out of what was used in each minute of a month",
		Long: "Print how many model units, or reserved tokens a minute, save more than they cost. It\n" +
			"reads the sums of each minute that gateways keep (decisions.keep), and prices each\n" +
			"minute at what it did cost: the tenant's own mix of input, output and cache. Beside the\n" +
			"best choice it shows those by percentile and by the rule of 70 to 80 % of the peak,\n" +
			"and why they differ. AWS publishes no capacity of a model unit: give yours.",
		Example: "  gateway commit-size --config sluice.yaml --model nova-pro --tenant acme \\\n" +
			"    --unit-input 200000 --unit-output 20000 --term none=39.60 --term 6-months=22.00\n" +
			"  gateway commit-size --config sluice.yaml --model claude-sonnet-4-5 \\\n" +
			"    --reserved-input 90 --reserved-output 450",
		Args: command.Args(cobra.NoArgs),
	}
	f := &sizeFlags{}
	f.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.tenant, "tenant", "", "of root `TENANT` alone")
	flags.StringVar(&f.model, "model", "", "`MODEL`, by a part of its id that fits one model")
	flags.Int64Var(&f.unitInput, "unit-input", 0, "input `TOKENS` that a model unit serves in a minute")
	flags.Int64Var(&f.unitOutput, "unit-output", 0, "output `TOKENS` that it serves in a minute")
	flags.StringArrayVar(&f.terms, "term", nil, "`NAME=USD` of a model unit for an hour; repeatable")
	flags.StringVar(&f.reservedInput, "reserved-input", "", "`USD` of 1,000 reserved input tokens a minute for a month")
	flags.StringVar(&f.reservedOutput, "reserved-output", "", "`USD` of 1,000 reserved output tokens a minute for a month")
	flags.StringSliceVar(&f.prices, "prices", nil, "price `FILE`s that override the shipped books")
	f.format.add(flags)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return f.run(cmd, time.Now()) }
	return cmd
}

func (f *sizeFlags) run(cmd *cobra.Command, now time.Time) error {
	if err := f.format.check(); err != nil {
		return err
	}
	offers, err := f.offers()
	if err != nil {
		return command.Invalid(err)
	}
	prices, err := loadPrices(f.prices, now)
	if err != nil {
		return command.Invalid(err)
	}
	load := rightsize.NewLoad(f.tenant, f.model, prices.Find)
	from, to, err := f.read(cmd, now, func(r *decision.Row) { load.Add(rowOf(r)) })
	if err != nil {
		return err
	}
	report, err := load.Report(from, to, offers)
	if err != nil {
		return command.Invalid(err)
	}
	return f.format.write(cmd.OutOrStdout(), report)
}

// offers are what can be bought.
func (f *sizeFlags) offers() (all []rightsize.Offer, err error) {
	if f.unitInput < 0 || f.unitOutput < 0 || max(f.unitInput, f.unitOutput) > 1<<30 {
		return nil, fmt.Errorf("--unit-input and --unit-output are from 0 to %d", 1<<30)
	}
	if len(f.terms) > 0 {
		if f.unitInput+f.unitOutput == 0 {
			return nil, errors.New("--term needs --unit-input or --unit-output: what a model unit serves in a minute")
		}
		units := rightsize.ModelUnits(rightsize.Unit{Input: f.unitInput, Output: f.unitOutput})
		for _, text := range f.terms {
			name, amount, _ := strings.Cut(text, "=")
			price, err := money.ParseDollars(amount)
			if err != nil || price <= 0 || name == "" {
				return nil, fmt.Errorf("--term is NAME=USD as none=39.60, not %q", text)
			}
			units.Terms = append(units.Terms, rightsize.Hourly(name, price))
		}
		all = append(all, units)
	}
	for _, side := range []struct {
		flag, text string
		offer      func(money.Pico) rightsize.Offer
	}{
		{"reserved-input", f.reservedInput, rightsize.ReservedInput},
		{"reserved-output", f.reservedOutput, rightsize.ReservedOutput},
	} {
		if side.text == "" {
			continue
		}
		price, err := money.ParseDollars(side.text)
		if err != nil || price <= 0 {
			return nil, fmt.Errorf("--%s: %q is no amount of dollars", side.flag, side.text)
		}
		all = append(all, side.offer(price))
	}
	if len(all) == 0 {
		return nil, errors.New("--term, --reserved-input or --reserved-output is needed: what capacity costs")
	}
	return all, nil
}

// rowOf is a row of the decisions as rightsize takes it.
func rowOf(r *decision.Row) rightsize.Row {
	return rightsize.Row{
		At: r.Minute, Root: r.Root, Model: r.Model, Tier: r.Tier, Input: r.Input, Output: r.Output,
		CacheRead: r.CacheRead, CacheWrite5m: r.CacheWrite5m, CacheWrite1h: r.CacheWrite1h, Cost: money.Pico(r.Cost),
	}
}
