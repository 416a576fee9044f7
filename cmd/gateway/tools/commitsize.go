package tools

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/config/userfile"
	"github.com/sluice-gateway/sluice/internal/decision"
	"github.com/sluice-gateway/sluice/internal/decision/api"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/rightsize"
)

// sizeFlags are the flags of commit-size as they were given.
type sizeFlags struct {
	asked
	minutes, prices, terms        []string
	since, until, tenant, model   string
	unitInput, unitOutput         int64
	reservedInput, reservedOutput string
	format                        string
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
	f.file = command.ConfigFlag(cmd)
	f.flag(cmd)
	flags := cmd.Flags()
	flags.StringArrayVar(&f.minutes, "minutes", nil, "`FILE` with an answer of /api/v1/minutes, not a gateway; repeatable")
	flags.StringVar(&f.since, "since", "30d", "from `TIME` on: 30d, or 2026-11-01T00:00:00Z")
	flags.StringVar(&f.until, "until", "", "before `TIME`")
	flags.StringVar(&f.tenant, "tenant", "", "of root `TENANT` alone")
	flags.StringVar(&f.model, "model", "", "`MODEL`, by a part of its id that fits one model")
	flags.Int64Var(&f.unitInput, "unit-input", 0, "input `TOKENS` that a model unit serves in a minute")
	flags.Int64Var(&f.unitOutput, "unit-output", 0, "output `TOKENS` that it serves in a minute")
	flags.StringArrayVar(&f.terms, "term", nil, "`NAME=USD` of a model unit for an hour; repeatable")
	flags.StringVar(&f.reservedInput, "reserved-input", "", "`USD` of 1,000 reserved input tokens a minute for a month")
	flags.StringVar(&f.reservedOutput, "reserved-output", "", "`USD` of 1,000 reserved output tokens a minute for a month")
	flags.StringSliceVar(&f.prices, "prices", nil, "price `FILE`s that override the shipped books")
	flags.StringVar(&f.format, "format", "table", "table or json")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return f.run(cmd, time.Now()) }
	return cmd
}

func (f *sizeFlags) run(cmd *cobra.Command, now time.Time) error {
	if f.format != "table" && f.format != "json" {
		return command.Invalidf("there is no format %q; there are table and json", f.format)
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
	from, to, err := f.read(cmd, now, load)
	if err != nil {
		return err
	}
	report, err := load.Report(from, to, offers)
	if err != nil {
		return command.Invalid(err)
	}
	if f.format == "json" {
		return report.WriteJSON(cmd.OutOrStdout())
	}
	return report.WriteTable(cmd.OutOrStdout())
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

// read adds the minutes to a load and returns which time they cover.
func (f *sizeFlags) read(cmd *cobra.Command, now time.Time, load *rightsize.Load) (from, to time.Time, err error) {
	if from, err = moment("since", f.since, now); err != nil {
		return from, to, err
	}
	if to, err = moment("until", f.until, now); err != nil {
		return from, to, err
	}
	if len(f.minutes) > 0 {
		from, to, err = f.readFiles(cmd, load)
		return from, to, command.Invalid(err)
	}
	if to.IsZero() {
		to = now
	}
	from, to = from.Truncate(time.Minute), to.Truncate(time.Minute)
	ctx, cancel := context.WithTimeout(cmd.Context(), 12*askWithin)
	defer cancel()
	client, err := f.client(ctx)
	if err != nil {
		return from, to, err
	}
	kept, silent := client.Minutes(ctx, from, to, func(r *decision.Row) { load.Add(rowOf(r)) })
	warnSilent(cmd.ErrOrStderr(), silent)
	if len(silent) == len(client.Gateways) {
		return from, to, errSilent
	}
	if kept.After(from) {
		fmt.Fprintf(cmd.ErrOrStderr(), "minutes of all gateways are kept since %s; what is before is left out\n",
			kept.UTC().Format(time.RFC3339))
		from = kept
	}
	return from, to, nil
}

// readFiles reads saved answers. They cover what they have, or what --since and --until say.
func (f *sizeFlags) readFiles(cmd *cobra.Command, load *rightsize.Load) (from, to time.Time, err error) {
	var rows []decision.Row
	for _, name := range f.minutes {
		data, err := userfile.UTF8(name)
		if err != nil {
			return from, to, err
		}
		var sums api.MinuteSums
		if err := json.Unmarshal(data, &sums); err != nil {
			return from, to, fmt.Errorf("%s is no answer of %s: %w", name, api.Minutes, err)
		}
		rows = append(rows, sums.Minutes...)
	}
	if len(rows) == 0 {
		return from, to, fmt.Errorf("%s: there is no minute", strings.Join(f.minutes, ", "))
	}
	oldest := func(a, b decision.Row) int { return a.Minute.Compare(b.Minute) }
	from, to = slices.MinFunc(rows, oldest).Minute, slices.MaxFunc(rows, oldest).Minute.Add(time.Minute)
	for _, bound := range []struct {
		flag, text string
		dst        *time.Time
	}{{"since", f.since, &from}, {"until", f.until, &to}} {
		if !cmd.Flags().Changed(bound.flag) {
			continue
		}
		if *bound.dst, err = moment(bound.flag, bound.text, to); err != nil {
			return from, to, err
		}
	}
	for i := range rows {
		load.Add(rowOf(&rows[i]))
	}
	return from, to, nil
}

// rowOf is a row of the decisions as rightsize takes it.
func rowOf(r *decision.Row) rightsize.Row {
	return rightsize.Row{
		At: r.Minute, Root: r.Root, Model: r.Model, Tier: r.Tier, Input: r.Input, Output: r.Output,
		CacheRead: r.CacheRead, CacheWrite5m: r.CacheWrite5m, CacheWrite1h: r.CacheWrite1h, Cost: money.Pico(r.Cost),
	}
}
