package tools

import (
	"errors"
	"fmt"
	"math/big"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/config/userfile"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/simulate"
)

// simulateFlags are the flags as they were given.
type simulateFlags struct {
	perDay, input, output, days         int64
	usage, usageDays                    string
	light, escalation, partner          string
	escalated, direct, discount, target string
	verbosity                           string
	format                              format
	observe, judge                      string
	prices                              []string
	all                                 bool
	leverFlags
}

func simulateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "simulate --requests-per-day N --input TOKENS --output TOKENS [--light MODEL --escalation MODEL]",
		Short: "Print what a workload would cost on each model, on a mix and on a cascade, and with each lever",
		Example: "  gateway simulate --requests-per-day 50000 --input 4000 --output 600 \\\n" +
			"    --light claude-3.5-haiku --escalation claude-3.5-sonnet --escalated 0.2 --discount 0.35\n" +
			"  gateway simulate --requests-per-day 50000 --input 4000 --output 600 --model claude-3.5-sonnet \\\n" +
			"    --cache-hit 0.7 --cache-write 0.1 --provisioned 39.60,22.00",
		Args: command.Args(cobra.NoArgs),
	}
	var f simulateFlags
	flags := cmd.Flags()
	flags.Int64Var(&f.perDay, "requests-per-day", 0, "`N` requests a day")
	flags.Int64Var(&f.input, "input", 0, "input `TOKENS` of a request")
	flags.Int64Var(&f.output, "output", 0, "output `TOKENS` of a request")
	flags.Int64Var(&f.days, "days", 30, "`DAYS` to simulate")
	flags.StringVar(&f.usage, "usage", "", "workload from a `FILE` that gateway report wrote as csv or json")
	flags.StringVar(&f.usageDays, "usage-days", "", "`DAYS` that the file covers; default its from and to")
	flags.StringVar(&f.light, "light", "", "light `MODEL`, by id or an unambiguous part of it")
	flags.StringVar(&f.escalation, "escalation", "", "escalation `MODEL`")
	flags.StringVar(&f.partner, "partner", "", "partner `MODEL` that is asked beside light")
	flags.StringVar(&f.escalated, "escalated", "0.2", "`SHARE` of requests escalated after a light call")
	flags.StringVar(&f.direct, "direct", "0", "`SHARE` of requests sent to the escalation model at once")
	flags.StringVar(&f.discount, "discount", "0", "`SHARE` off every list price")
	flags.StringVar(&f.verbosity, "verbosity", "1",
		"output tokens of light for each of the escalation model's, a `FACTOR`")
	flags.StringVar(&f.target, "target", "", "saving hoped for, a `SHARE`: warns when it is out of reach")
	flags.StringVar(&f.observe, "observe", "", "what pairs for a certificate cost when this `SHARE` is shadowed")
	flags.StringVar(&f.judge, "judge", "", "`MODEL` that grades the answers of --observe")
	flags.StringSliceVar(&f.prices, "prices", nil, "price `FILE`s that override the shipped books")
	flags.BoolVar(&f.all, "all", false, "show every model with a price, not only the main book's")
	f.format.add(flags)
	f.add(flags)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return f.run(cmd, time.Now()) }
	return cmd
}

func (f *simulateFlags) run(cmd *cobra.Command, now time.Time) error {
	if err := f.format.check(); err != nil {
		return err
	}
	result, err := f.simulate(now)
	if err != nil {
		return command.Invalid(err)
	}
	return f.format.write(cmd.OutOrStdout(), result)
}

func (f *simulateFlags) simulate(now time.Time) (printed, error) {
	if err := f.mistake(); err != nil {
		return nil, err
	}
	work, err := f.workload(now)
	if err != nil {
		return nil, err
	}
	a := &asking{work: work, days: f.days}
	if a.prices, err = loadPrices(f.prices, now); err != nil {
		return nil, err
	}
	if a.tiered = a.prices; f.tier != "" {
		a.tiered = a.prices.InTier(f.tier)
	}
	if a.setup, err = f.setup(a.tiered); err != nil {
		return nil, err
	}
	sheets, err := f.sheets(a)
	if err != nil {
		return nil, err
	}
	if work, err = work.Chained(f.calls); err != nil {
		return nil, err
	}
	if f.light == "" {
		return f.alone(a, work, sheets)
	}
	result, err := simulate.Run(work, a.tiered.Shown(f.all, a.setup), a.setup)
	if err != nil {
		return nil, err
	}
	result.Sheets = sheets
	if result.Observation, err = f.observation(a.tiered, result); err != nil {
		return nil, err
	}
	for _, w := range result.Warnings() {
		fmt.Fprintln(os.Stderr, "warning:", w)
	}
	return result, nil
}

// alone is what is asked without a pair of models: of --model, or of each.
func (f *simulateFlags) alone(a *asking, work simulate.Workload, sheets []simulate.Sheet) (printed, error) {
	models := a.tiered.Shown(f.all, a.setup)
	if f.model != "" {
		m, err := a.tiered.Find(f.model)
		if err != nil {
			return nil, err
		}
		models = []simulate.Model{m}
	}
	result, err := simulate.RunAlone(work, models, a.setup)
	if err != nil {
		return nil, err
	}
	result.Sheets = sheets
	return result, nil
}

// loadPrices reads the shipped price books and the files, which override them.
func loadPrices(files []string, now time.Time) (*simulate.PriceList, error) {
	cfg, table, err := loadBooks(files)
	if err != nil {
		return nil, err
	}
	return simulate.ListPrices(cfg.Prices, table, now), nil
}

func loadBooks(files []string) (*config.Config, *record.PriceBook, error) {
	cfg, err := config.LoadPrices(files, os.Getenv)
	if err != nil {
		return nil, nil, err
	}
	table, problems := record.Compile(cfg)
	if err := cfg.Report(problems); err != nil {
		return nil, nil, err
	}
	if len(problems) > 0 {
		fmt.Fprint(os.Stderr, cfg.Render(problems))
	}
	return cfg, table, nil
}

func (f *simulateFlags) workload(now time.Time) (simulate.Workload, error) {
	if f.days < 1 || f.days > 3660 {
		return simulate.Workload{}, errors.New("--days must be from 1 to 3660")
	}
	if f.usage != "" {
		return f.exported(now)
	}
	for _, n := range []int64{f.perDay, f.input, f.output} {
		if n < 0 || n > simulate.MaxCount {
			return simulate.Workload{}, fmt.Errorf("%d is out of range: "+
				"--requests-per-day, --input and --output go up to %d", n, simulate.MaxCount)
		}
	}
	if f.perDay == 0 && !f.byItself() {
		return simulate.Workload{}, errors.New("--requests-per-day or --usage is needed")
	}
	requests := f.perDay * f.days
	if f.seats > 0 && requests > (1<<62)/f.seats {
		return simulate.Workload{}, simulate.ErrTokens
	}
	return simulate.NewWorkload(requests*max(f.seats, 1), f.input, f.output)
}

// exported reads the workload of --usage and stretches it to --days.
func (f *simulateFlags) exported(now time.Time) (simulate.Workload, error) {
	data, err := userfile.UTF8(f.usage)
	if err != nil {
		return simulate.Workload{}, err
	}
	u, err := simulate.ParseUsage(data)
	if err != nil {
		return simulate.Workload{}, fmt.Errorf("%s: %w", f.usage, err)
	}
	if u.Unknown > 0 {
		fmt.Fprintf(os.Stderr, "warning: %d attempts of %s have no known usage; they get the mean of the others\n",
			u.Unknown, f.usage)
	}
	if u.Repeated > 0 {
		fmt.Fprintf(os.Stderr, "warning: %d legs of %s answered no request of their own; their tokens are left out\n",
			u.Repeated, f.usage)
	}
	covered := u.Covered()
	switch {
	case f.usageDays != "":
		if covered, err = decimal("usage-days", f.usageDays); err != nil {
			return simulate.Workload{}, err
		}
	case u.To.After(now):
		return simulate.Workload{}, fmt.Errorf("%s runs until %s, which is not over: "+
			"give --usage-days, how many days it covers", f.usage, u.To.Format(time.DateOnly))
	}
	if covered.Sign() <= 0 {
		return simulate.Workload{}, fmt.Errorf("%s does not say how many days it covers: give --usage-days", f.usage)
	}
	return u.Over(covered, f.days), nil
}

func (f *simulateFlags) setup(prices *simulate.PriceList) (s simulate.Setup, err error) {
	for _, share := range []struct {
		name, text string
		dst        **big.Rat
	}{
		{"escalated", f.escalated, &s.Escalated}, {"direct", f.direct, &s.Direct}, {"discount", f.discount, &s.Discount},
		{"verbosity", f.verbosity, &s.Verbosity}, {"target", f.target, &s.Target},
	} {
		if share.text == "" {
			continue
		}
		if *share.dst, err = decimal(share.name, share.text); err != nil {
			return s, err
		}
	}
	if s.Levers, err = f.levers(); err != nil || f.light == "" && f.escalation == "" && f.partner == "" {
		return s, err
	}
	var partner simulate.Model
	for _, m := range []struct {
		name, text string
		dst        *simulate.Model
	}{{"light", f.light, &s.Light}, {"escalation", f.escalation, &s.Escalation}, {"partner", f.partner, &partner}} {
		if m.text == "" && m.dst == &partner {
			return s, nil
		}
		if m.text == "" {
			return s, fmt.Errorf("--%s MODEL is needed", m.name)
		}
		if *m.dst, err = prices.Find(m.text); err != nil {
			return s, err
		}
	}
	s.Partner = &partner
	return s, nil
}

// observation is what --observe asks for, nil without it.
func (f *simulateFlags) observation(prices *simulate.PriceList, r *simulate.Result) (*simulate.Observation, error) {
	if f.observe == "" {
		if f.judge != "" {
			return nil, errors.New("--judge needs --observe")
		}
		return nil, nil
	}
	o := simulate.Observing{Days: f.days}
	var err error
	if o.Fraction, err = decimal("observe", f.observe); err != nil {
		return nil, err
	}
	if o.Fraction.Sign() <= 0 || o.Fraction.Cmp(big.NewRat(1, 1)) > 0 {
		return nil, errors.New("--observe must be above 0, and at most 1")
	}
	if f.judge != "" {
		judge, err := prices.Find(f.judge)
		if err != nil {
			return nil, err
		}
		o.Judge = &judge
	}
	return r.Observe(o), nil
}

// decimal reads a plain decimal number that is not negative.
func decimal(flag, text string) (*big.Rat, error) {
	r, ok := new(big.Rat).SetString(text)
	if !ok || len(text) > 20 || strings.Trim(text, "0123456789.") != "" {
		return nil, fmt.Errorf("--%s: %q is not a decimal number such as 0.2", flag, text)
	}
	return r, nil
}
