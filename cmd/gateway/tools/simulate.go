package tools

import (
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/simulate"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// simulateFlags are the flags as they were given.
type simulateFlags struct {
	perDay, input, output, days         int64
	usage, usageDays                    string
	light, escalation, partner          string
	escalated, direct, discount, target string
	verbosity, format                   string
	prices                              []string
	all                                 bool
}

func simulateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "simulate --requests-per-day N --input TOKENS --output TOKENS --light MODEL --escalation MODEL",
		Short: "Print what a workload would cost on each model, on a mix and on a cascade",
		Example: "  gateway simulate --requests-per-day 50000 --input 4000 --output 600 \\\n" +
			"    --light claude-3.5-haiku --escalation claude-3.5-sonnet --escalated 0.2 --discount 0.35",
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
	flags.StringVar(&f.verbosity, "verbosity", "1", "output tokens of light for each of the escalation model's, a `FACTOR`")
	flags.StringVar(&f.target, "target", "", "saving hoped for, a `SHARE`: warns when it is out of reach")
	flags.StringSliceVar(&f.prices, "prices", nil, "price `FILE`s that override the shipped books")
	flags.BoolVar(&f.all, "all", false, "show every model with a price, not only the main book's")
	flags.StringVar(&f.format, "format", "table", "table or json")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return runSimulate(cmd, &f, time.Now()) }
	return cmd
}

func runSimulate(cmd *cobra.Command, f *simulateFlags, now time.Time) error {
	if f.format != "table" && f.format != "json" {
		return command.Invalidf("there is no format %q; there are table and json", f.format)
	}
	work, err := f.workload(now)
	if err != nil {
		return err
	}
	books, err := loadBooks(f.prices, now)
	if err != nil {
		return err
	}
	setup, err := f.setup(books)
	if err != nil {
		return err
	}
	result, err := simulate.Run(work, books.shown(f.all, setup), setup)
	if err != nil {
		return command.Invalid(err)
	}
	for _, w := range result.Warnings() {
		fmt.Fprintln(os.Stderr, "warning:", w)
	}
	if f.format == "json" {
		return result.WriteJSON(cmd.OutOrStdout())
	}
	return result.WriteTable(cmd.OutOrStdout())
}

// maxSimulated bounds each number of a workload, so that their product fits.
const maxSimulated = 1 << 30

func (f *simulateFlags) workload(now time.Time) (simulate.Workload, error) {
	if f.days < 1 || f.days > 3660 {
		return simulate.Workload{}, command.Invalidf("--days must be from 1 to 3660")
	}
	if f.usage != "" {
		return f.exported(now)
	}
	for _, n := range []int64{f.perDay, f.input, f.output} {
		if n < 0 || n > maxSimulated {
			return simulate.Workload{}, command.Invalidf("%d is out of range: --requests-per-day, --input and --output go up to %d", n, maxSimulated)
		}
	}
	if f.perDay == 0 {
		return simulate.Workload{}, command.Invalidf("--requests-per-day or --usage is needed")
	}
	requests := f.perDay * f.days
	most := max(f.input, f.output, 1)
	if requests > (1<<62)/most {
		return simulate.Workload{}, command.Invalidf("the workload has more tokens than can be counted")
	}
	return simulate.Workload{Requests: requests, Input: requests * f.input, Output: requests * f.output}, nil
}

// exported reads the workload of --usage and stretches it to --days.
func (f *simulateFlags) exported(now time.Time) (simulate.Workload, error) {
	data, err := os.ReadFile(f.usage)
	if err != nil {
		return simulate.Workload{}, command.Invalid(err)
	}
	u, err := simulate.ParseUsage(data)
	if err != nil {
		return simulate.Workload{}, command.Invalidf("%s: %w", f.usage, err)
	}
	if u.Unknown > 0 {
		fmt.Fprintf(os.Stderr, "warning: %d attempts of %s have no known usage; they get the mean of the others\n", u.Unknown, f.usage)
	}
	if u.Repeated > 0 {
		fmt.Fprintf(os.Stderr, "warning: %d legs of %s answered no request of their own; their tokens are left out\n", u.Repeated, f.usage)
	}
	covered := big.NewRat(int64(u.To.Sub(u.From)/time.Second), 24*60*60)
	switch {
	case f.usageDays != "":
		if covered, err = decimal("usage-days", f.usageDays); err != nil {
			return simulate.Workload{}, err
		}
	case u.To.After(now):
		return simulate.Workload{}, command.Invalidf("%s runs until %s, which is not over: say with --usage-days how many days it covers", f.usage, u.To.Format(time.DateOnly))
	}
	if covered.Sign() <= 0 {
		return simulate.Workload{}, command.Invalidf("%s does not say how many days it covers: give --usage-days", f.usage)
	}
	return u.Over(covered, f.days), nil
}

func (f *simulateFlags) setup(books *priceList) (simulate.Setup, error) {
	var s simulate.Setup
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
		var err error
		if *share.dst, err = decimal(share.name, share.text); err != nil {
			return s, err
		}
	}
	for _, m := range []struct {
		name, text string
		dst        *simulate.Model
	}{{"light", f.light, &s.Light}, {"escalation", f.escalation, &s.Escalation}} {
		if m.text == "" {
			return s, command.Invalidf("--%s MODEL is needed", m.name)
		}
		var err error
		if *m.dst, err = books.pick(m.text); err != nil {
			return s, err
		}
	}
	if f.partner == "" {
		return s, nil
	}
	partner, err := books.pick(f.partner)
	s.Partner = &partner
	return s, err
}

// decimal reads a plain decimal number that is not negative.
func decimal(flag, text string) (*big.Rat, error) {
	r, ok := new(big.Rat).SetString(text)
	if !ok || len(text) > 20 || strings.Trim(text, "0123456789.") != "" {
		return nil, command.Invalidf("--%s: %q is not a decimal number such as 0.2", flag, text)
	}
	return r, nil
}

// priceList is the models of the price books at one moment.
type priceList struct {
	models []simulate.Model // as listed, the main book first
	main   int              // how many of the first are of the main book and the user's files
	find   func(record.SKU) (record.TokenRates, bool)
}

// loadBooks reads the shipped books and the files, which override them.
func loadBooks(files []string, now time.Time) (*priceList, error) {
	cfg, err := priceConfig(files)
	if err != nil {
		return nil, err
	}
	table, problems := record.CompilePrices(cfg.Prices)
	if err := cfg.Report(problems); err != nil {
		return nil, command.Invalid(err)
	}
	if len(problems) > 0 {
		fmt.Fprint(os.Stderr, cfg.Render(problems))
	}
	return listPrices(cfg.Prices, table, now), nil
}

// priceConfig is a configuration of prices alone. It is written to a file for
// a moment, because only a configuration in a file may name further ones.
func priceConfig(files []string) (*config.Config, error) {
	paths := make([]string, len(files))
	for i, file := range files {
		path, err := filepath.Abs(file)
		if err != nil {
			return nil, err
		}
		if _, err := os.Stat(path); err != nil {
			return nil, command.Invalid(err)
		}
		paths[i] = strings.ReplaceAll(path, "$", "$$")
	}
	settings, err := json.Marshal(map[string]any{ // JSON is YAML
		"prices":   paths,
		"upstream": map[string]string{"region": "us-east-1"}, // needed, and not used here
	})
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "sluice-prices-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a leftover in the temporary directory does no harm
	file := filepath.Join(dir, "prices-only.yaml")
	if err := os.WriteFile(file, settings, 0o600); err != nil {
		return nil, err
	}
	cfg, err := config.Load(file, os.Getenv)
	if err != nil {
		return nil, command.Invalid(err)
	}
	return cfg, nil
}

// listPrices lists the models that the books name and price, the main book and
// the user's files before the further shipped ones.
func listPrices(books []config.PriceBook, table *record.PriceBook, now time.Time) *priceList {
	list := &priceList{find: func(sku record.SKU) (record.TokenRates, bool) { return table.Find(sku, now).TokenRates() }}
	add := func(book *config.PriceBook) {
		for i := range book.Prices {
			for _, id := range book.Prices[i].Models {
				rates, ok := list.find(record.SKU{Model: id})
				if ok && !strings.Contains(id, "*") && !list.has(id) {
					list.models = append(list.models, simulate.Model{ID: id, Rates: rates})
				}
			}
		}
	}
	const further = 1 // the place of the second shipped book
	for i := range books {
		if i != further {
			add(&books[i])
		}
	}
	list.main = len(list.models)
	if len(books) > further {
		add(&books[further])
	}
	return list
}

func (l *priceList) has(id string) bool {
	return slices.ContainsFunc(l.models, func(m simulate.Model) bool { return m.ID == id })
}

// pick finds a model by name, in the main book before the others. The full id
// of a profile has the profile's price.
func (l *priceList) pick(name string) (simulate.Model, error) {
	profile := wire.ParseModelID(name)
	if rates, ok := l.find(record.SKUOf(profile.Foundation, profile.Scope, "")); ok && profile.Foundation != "" {
		return simulate.Model{ID: name, Rates: rates}, nil
	}
	ids := make([]string, len(l.models))
	for i := range l.models {
		ids[i] = l.models[i].ID
	}
	id, err := simulate.Pick(ids[:l.main], name)
	if err != nil {
		if id, err = simulate.Pick(ids, name); err != nil {
			return simulate.Model{}, command.Invalid(err)
		}
	}
	return l.models[slices.Index(ids, id)], nil
}

// shown is the models of the table: those of the main book, and the setup's.
func (l *priceList) shown(all bool, s simulate.Setup) []simulate.Model {
	if all {
		return l.models
	}
	models := slices.Clone(l.models[:l.main])
	for _, m := range []simulate.Model{s.Light, s.Escalation} {
		if !slices.Contains(models, m) {
			models = append(models, m)
		}
	}
	return models
}
