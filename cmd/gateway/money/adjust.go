package money

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter/audit"
	"github.com/sluice-gateway/sluice/internal/meter/budget"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
)

// adjustFlags are the flags that are not of an order's types.
type adjustFlags struct {
	usd, at string
	set     []string
}

func adjustCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "adjust --config FILE --tenant TENANT --model MODEL --reason TEXT",
		Short: "Add a correction to what was metered; amounts may be negative",
		Long: "Add a correction: tokens, money and whatever else a tenant's row has, beside what\n" +
			"was metered. No record is changed. Amounts may be negative; money counts against\n" +
			"the tenant's budgets and those above it, in the windows of now or of --at: a credit\n" +
			"in a running window gives room again. An unknown tenant, a time that ledgers do not\n" +
			"keep, and an amount beyond what its tenant and model have in that month are refused\n" +
			"unless --force is given. With --id the same correction made again adds nothing. The\n" +
			"gateway may run.",
		Example: "  gateway adjust --config sluice.yaml --tenant acme/support --model amazon.nova-lite-v1:0 \\\n" +
			"    --usd=-12.50 --reason 'credit note 7' --id credit-7\n" +
			"  gateway adjust --config sluice.yaml --tenant acme/support --model amazon.nova-lite-v1:0 \\\n" +
			"    --set key=K7 --set cache_read_tokens=-5000 --set cache_read_usd=-0.01 --reason 'counted twice'",
		Args: command.Args(cobra.NoArgs),
	}
	var o audit.Order
	var f adjustFlags
	f.add(cmd.Flags(), &o)
	cmd.AddCommand(adjustListCommand())
	return command.Configured(cmd, func(cmd *cobra.Command, cfg *config.Config) error {
		if err := f.complete(&o); err != nil {
			return command.Invalid(err)
		}
		return carryOut(cmd, cfg, &o)
	})
}

// add adds the flags of an order.
func (f *adjustFlags) add(flags *pflag.FlagSet, o *audit.Order) {
	flags.StringVar(&o.ID, "id", "", "`ID` of the correction; default a new one")
	flags.StringVar(&o.RefersTo, "refers-to", "", "`ID` of a record or request that is corrected")
	flags.StringVar(&o.Row.Tenant, "tenant", "", "`TENANT`, whole path")
	flags.StringVar(&o.Row.Model, "model", "", "`MODEL` id that was sent upstream")
	flags.Int64Var(&o.Add.Input, "input", 0, "input `TOKENS` to add")
	flags.Int64Var(&o.Add.Output, "output", 0, "output `TOKENS` to add")
	flags.StringVar(&f.usd, "usd", "0", "`DOLLARS` to add, as cost of input")
	flags.StringArrayVar(&f.set, "set", nil, "`COLUMN=VALUE` of the row; may be repeated: "+
		strings.Join(record.Columns(), ", "))
	flags.StringVar(&f.at, "at", "", "`TIME` that the correction is of, as 2026-11-23T10:00:00Z; default now")
	flags.StringVar(&o.Reason, "reason", "", "`TEXT` for whoever reads the records")
	flags.BoolVar(&o.Force, "force", false, "make it although something seems wrong with it")
}

// complete reads what is not of an order's types, and refuses what no order may
// hold.
func (f *adjustFlags) complete(o *audit.Order) (err error) {
	for _, needed := range []struct{ name, value string }{
		{"tenant", o.Row.Tenant}, {"model", o.Row.Model}, {"reason", strings.TrimSpace(o.Reason)},
	} {
		if needed.value == "" {
			return fmt.Errorf("--%s is needed", needed.name)
		}
	}
	if o.Add.CostInput, err = money.ParseDollars(f.usd); err != nil {
		return fmt.Errorf("--usd: %w", err)
	}
	if err := f.setColumns(o); err != nil {
		return err
	}
	if f.at != "" {
		if o.Of, err = time.Parse(time.RFC3339, f.at); err != nil {
			return fmt.Errorf("--at: %w", err)
		}
		if o.Of.IsZero() {
			return errors.New("--at: the year 1 is no time that anything can be corrected of")
		}
	}
	o.By = signature()
	if o.ID == "" {
		o.ID = ulid.MustNew(ulid.Timestamp(o.By.At), rand.Reader).String()
	}
	return o.Check()
}

// setColumns reads --set. A column that another flag or an earlier --set has is given
// twice, and nobody knows which was meant.
func (f *adjustFlags) setColumns(o *audit.Order) error {
	given := map[string]bool{
		"tenant": true, "model": true, "input_tokens": o.Add.Input != 0, "output_tokens": o.Add.Output != 0,
		"input_usd": o.Add.CostInput != 0,
	}
	for _, setting := range f.set {
		if err := record.SetColumn(&o.Row, &o.Add, setting); err != nil {
			return fmt.Errorf("--set: %w", err)
		}
		column, _, _ := strings.Cut(setting, "=")
		if given[column] {
			return fmt.Errorf("--set: %s is given twice", column)
		}
		given[column] = true
	}
	return nil
}

func carryOut(cmd *cobra.Command, cfg *config.Config, o *audit.Order) error {
	policies, err := budget.Compile(cfg.Tenants)
	if err != nil {
		return command.Invalid(err)
	}
	before, err := corrected(cfg)
	if err != nil {
		return err
	}
	if !o.Force && before.Adjusted[o.ID] == nil {
		if err := refuseDoubts(cmd, cfg, o); err != nil { // before anything is opened to be written
			return err
		}
	}
	return correct(cmd, cfg, func(c *audit.Corrections) error {
		a, made, err := c.CarryOut(o, policies.Budgets)
		if err != nil {
			return err
		}
		if !made {
			fmt.Fprintf(cmd.OutOrStdout(), "adjustment %s was made before; nothing added\n", a.ID)
			return nil
		}
		fmt.Fprintf(cmd.OutOrStdout(), "adjustment %s made: %s, %s, %s\n", a.ID, a.Row.Tenant, a.Row.Model, amountsOf(a))
		return nil
	})
}

// refuseDoubts fails with what speaks against an order.
func refuseDoubts(cmd *cobra.Command, cfg *config.Config, o *audit.Order) error {
	source, done, err := openSource(cfg)
	if err != nil {
		return err
	}
	defer done()
	known := func(tenant string) bool {
		return slices.ContainsFunc(cfg.Tenants, func(t config.Tenant) bool { return t.ID == tenant })
	}
	doubts, err := o.Doubts(cmd.Context(), source, known)
	if err != nil {
		return err
	}
	if len(doubts) > 0 {
		return command.Invalidf("%s; if it is right all the same, give --force, and say in --reason why",
			strings.Join(doubts, "; "))
	}
	return nil
}

// amountsOf is what an adjustment adds: tokens and dollars as sums, and every
// other column that changes.
func amountsOf(a *record.Adjustment) string {
	text := fmt.Sprintf("%d input and %d output tokens, $%s", a.Add.Input, a.Add.Output, a.Add.CostInput)
	for _, v := range a.Add.Values() {
		if v.Column != "input_tokens" && v.Column != "output_tokens" && v.Column != "input_usd" {
			text += ", " + v.Column + " " + v.Text
		}
	}
	return text
}
