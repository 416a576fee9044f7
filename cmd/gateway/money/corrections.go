package money

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/user"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter"
	"github.com/sluice-gateway/sluice/internal/meter/audit"
	"github.com/sluice-gateway/sluice/internal/meter/budget"
	"github.com/sluice-gateway/sluice/internal/meter/embedded"
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/router"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// postingLedger is the ledger that corrections go to. The embedded one lives in
// the gateway's memory: here an empty one stands for it, and what counts is the
// journal of corrections, which reports read.
func postingLedger(cfg *config.Config) (store ledger.Ledger, shut func() error, err error) {
	if cfg.Ledger.Redis == "" {
		return &embedded.State{}, func() error { return nil }, nil
	}
	shared, err := command.OpenRedis(cfg)
	if err != nil {
		return nil, nil, err
	}
	return shared, shared.Close, nil
}

// actor is who runs the command, for the record.
func actor() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return fmt.Sprintf("uid %d", os.Getuid())
}

// adjustFlags are the flags as they were given.
type adjustFlags struct {
	id, refersTo, tenant, model, usd, reason, at string
	input, output                                int64
}

func adjustCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "adjust --config FILE --tenant TENANT --model MODEL --reason TEXT",
		Short: "Add a correction to the books; amounts may be negative",
		Long: "Add a correction to the books: tokens and money that a tenant's row gets beside\n" +
			"what was metered. No record is changed. Amounts may be negative; money counts as\n" +
			"cost of input, and against the tenant's budgets and those above it, in the windows\n" +
			"of now or of --at: a credit in a running window gives room again. With --id the\n" +
			"same correction made again adds nothing. The gateway may run.",
		Example: "  gateway adjust --config sluice.yaml --tenant acme/support --model amazon.nova-lite-v1:0 --usd=-12.50 --reason 'credit note 7' --id credit-7",
		Args:    command.Args(cobra.NoArgs),
	}
	var f adjustFlags
	file := command.ConfigFlag(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.id, "id", "", "`ID` of the correction; default a new one")
	flags.StringVar(&f.refersTo, "refers-to", "", "`ID` of a record or request that is corrected")
	flags.StringVar(&f.tenant, "tenant", "", "`TENANT`, whole path")
	flags.StringVar(&f.model, "model", "", "`MODEL` id that was sent upstream")
	flags.Int64Var(&f.input, "input", 0, "input `TOKENS` to add")
	flags.Int64Var(&f.output, "output", 0, "output `TOKENS` to add")
	flags.StringVar(&f.usd, "usd", "0", "`DOLLARS` to add")
	flags.StringVar(&f.at, "at", "", "`TIME` that the correction is of, as 2026-11-23T10:00:00Z; default now")
	flags.StringVar(&f.reason, "reason", "", "`TEXT` for whoever reads the books")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := command.Load(*file)
		if err != nil {
			return err
		}
		a, err := f.adjustment(time.Now().UTC(), cfg)
		if err != nil {
			return err
		}
		return f.run(cmd, cfg, a)
	}
	return cmd
}

func (f *adjustFlags) adjustment(now time.Time, cfg *config.Config) (*record.Adjustment, error) {
	for _, needed := range []struct{ name, value string }{{"tenant", f.tenant}, {"model", f.model}, {"reason", f.reason}} {
		if needed.value == "" {
			return nil, command.Invalidf("--%s is needed", needed.name)
		}
	}
	usd, err := signedDollars(f.usd)
	if err != nil {
		return nil, command.Invalidf("--usd: %w", err)
	}
	of := now
	if f.at != "" {
		if of, err = time.Parse(time.RFC3339, f.at); err != nil {
			return nil, command.Invalidf("--at: %w", err)
		}
	}
	charges, err := budgetCharges(cfg, f.tenant, of.UTC(), usd)
	if err != nil {
		return nil, err
	}
	if f.input == 0 && f.output == 0 && usd == 0 {
		return nil, command.Invalidf("nothing to adjust: give --input, --output or --usd")
	}
	id := f.id
	if id == "" {
		id = ulid.MustNew(ulid.Timestamp(now), rand.Reader).String()
	}
	return &record.Adjustment{
		ID: id, RefersTo: f.refersTo, Reason: f.reason, Actor: actor(), Root: record.RootOf(f.tenant), At: now,
		Row: record.RowKey{Hour: of.UTC().Truncate(time.Hour), Tenant: f.tenant, Model: f.model, Scope: wire.ParseModelID(f.model).Scope},
		Add: record.Counters{Input: f.input, Output: f.output, CostInput: usd}, Charges: charges,
	}, nil
}

// budgetCharges is what an amount is to the budgets on a tenant's path, each in
// its window of that time.
func budgetCharges(cfg *config.Config, tenant string, at time.Time, usd money.Pico) ([]record.Charge, error) {
	policies, err := budget.Compile(cfg.Tenants)
	if err != nil {
		return nil, command.Invalid(err)
	}
	nano := int64(usd / 1000)
	if nano == 0 {
		return nil, nil
	}
	var charges []record.Charge
	for _, w := range policies.Budgets(tenant, at) {
		charges = append(charges, record.Charge{Window: w, Amount: nano})
	}
	return charges, nil
}

// signedDollars reads an amount that may be negative.
func signedDollars(text string) (money.Pico, error) {
	if len(text) > 1 && text[0] == '-' {
		amount, err := money.ParseDollars(text[1:])
		return -amount, err
	}
	return money.ParseDollars(text)
}

func (f *adjustFlags) run(cmd *cobra.Command, cfg *config.Config, a *record.Adjustment) (err error) {
	c, done, err := openCorrections(cmd.Context(), cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	if before := c.Adjusted(a.ID); before != nil && f.at == "" {
		a.Row.Hour, a.Charges = before.Row.Hour, before.Charges // made again later, it is still the same
	}
	made, err := c.Adjust(a)
	if err != nil {
		return err
	}
	if !made {
		fmt.Fprintf(cmd.OutOrStdout(), "adjustment %s was made before; nothing added\n", a.ID)
		return nil
	}
	fmt.Fprintf(cmd.OutOrStdout(), "adjustment %s made: %s, %s, %d input and %d output tokens, $%s\n", a.ID, a.Row.Tenant, a.Row.Model, a.Add.Input, a.Add.Output, a.Add.CostInput)
	return nil
}

// truthFlags are what an operator says about one attempt.
type truthFlags struct {
	auditFlags
	logs          []string
	input, output int64
	given         [2]bool // input, output
	note          string
}

func resolveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "resolve --config FILE [ID --input N --output N | --invocation-log FILE …]",
		Short: "List attempts of unknown outcome, or post what they really used",
		Long: "Without more, list the attempts of which nobody knows what they used. With files\n" +
			"of Bedrock's model invocation log, post what it says of those it names for certain,\n" +
			"and with --all enter the tagged calls of which no journal has a record: a machine or\n" +
			"disk died before it was synced. With an ID, post what an operator knows. The gateway\n" +
			"may run.",
		Args: command.Args(cobra.MaximumNArgs(1)),
	}
	var f truthFlags
	file := command.ConfigFlag(cmd)
	f.add(cmd)
	flags := cmd.Flags()
	flags.StringArrayVar(&f.logs, "invocation-log", nil, "`FILE` of Bedrock's model invocation log, JSON lines, may be gzipped; may be repeated")
	flags.Int64Var(&f.input, "input", 0, "input `TOKENS` that the attempt used")
	flags.Int64Var(&f.output, "output", 0, "output `TOKENS` that the attempt used")
	flags.StringVar(&f.note, "note", "", "`TEXT`: where this was found")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		f.given = [...]bool{flags.Changed("input"), flags.Changed("output")}
		if bad := f.check(args); bad != nil {
			return command.Invalid(bad)
		}
		cfg, err := command.Load(*file)
		if err != nil {
			return err
		}
		return runResolve(cmd, cfg, &f, args)
	}
	return cmd
}

func (f *truthFlags) check(args []string) error {
	switch {
	case len(args) == 1 && len(f.logs) > 0:
		return errors.New("give an ID or --invocation-log, not both")
	case len(args) == 1 && f.given != [2]bool{true, true}:
		return errors.New("an ID needs --input and --output")
	case len(args) == 0 && f.given != [2]bool{}:
		return errors.New("--input and --output need the ID of an attempt")
	case f.input < 0 || f.output < 0:
		return errors.New("--input and --output must not be negative")
	case len(f.logs) == 0 && (f.all || len(f.others) > 0):
		return errors.New("--all and --data-dir need an --invocation-log")
	}
	return nil
}

func runResolve(cmd *cobra.Command, cfg *config.Config, f *truthFlags, args []string) (err error) {
	if _, err := journalsIn(cfg.DataDir); err != nil {
		return err
	}
	all, err := meter.ReadSuspended(command.JournalDir(cfg))
	if err != nil {
		return err
	}
	if len(args) == 0 && len(f.logs) == 0 {
		return listUnknown(cmd, cfg, all)
	}
	c, done, err := openCorrections(cmd.Context(), cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	if len(args) == 1 {
		return f.byHand(cmd, c, all, args[0])
	}
	return f.fromLogs(cmd, cfg, c, all)
}

// listUnknown reads which were resolved from the journal of corrections, and
// writes nothing.
func listUnknown(cmd *cobra.Command, cfg *config.Config, all []record.Suspended) error {
	if _, err := os.Stat(string(command.CorrectionsDir(cfg))); err == nil {
		made, err := meter.ReadCorrections(command.CorrectionsDir(cfg))
		if err != nil {
			return err
		}
		open := all[:0]
		for _, s := range all {
			if made.Resolved[s.End.ID] == nil {
				open = append(open, s)
			}
		}
		all = open
	}
	return audit.ListUnknown(all, cmd.OutOrStdout())
}

func (f *truthFlags) byHand(cmd *cobra.Command, c *audit.Corrections, all []record.Suspended, id string) error {
	for i := range all {
		if all[i].End.ID != id {
			continue
		}
		made, err := c.Resolve(&all[i], &record.Resolution{
			End: &record.End{ID: id, Outcome: record.Completed, Usage: wire.Usage{
				Input: wire.Known(f.input), Output: wire.Known(f.output),
			}},
			Source: record.FromOperator, Actor: actor(), Note: f.note, At: time.Now().UTC(),
		})
		if err != nil {
			return err
		}
		if !made {
			fmt.Fprintf(cmd.OutOrStdout(), "%s was resolved before in the same way; nothing added\n", id)
			return nil
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s resolved: %d input and %d output tokens\n", id, f.input, f.output)
		return nil
	}
	return fmt.Errorf("no attempt %s of unknown outcome: `gateway resolve` lists them", id)
}

func (f *truthFlags) fromLogs(cmd *cobra.Command, cfg *config.Config, c *audit.Corrections, all []record.Suspended) error {
	r := audit.LogReading{Suspended: all, All: f.all, By: audit.Signature{Actor: actor(), At: time.Now().UTC()}}
	var err error
	if r.Journals, err = f.journals(cfg); err != nil {
		return err
	}
	routes, problems := router.Compile(cfg)
	if err := cfg.Report(problems); err != nil {
		return command.Invalid(err)
	}
	r.SKU = func(model string) record.SKU {
		id := routes.Priced(model)
		return record.SKUOf(id.Foundation, id.Scope, "")
	}
	for _, name := range f.logs {
		file, err := os.Open(name)
		if err != nil {
			return command.Invalid(err)
		}
		defer file.Close() //nolint:errcheck // it was only read
		r.Files = append(r.Files, audit.LogFile{Name: name, Data: file})
	}
	_, err = c.ResolveLog(r, cmd.OutOrStdout())
	return err
}
