package money

import (
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter/audit"
	"github.com/sluice-gateway/sluice/internal/meter/budget"
	"github.com/sluice-gateway/sluice/internal/money"
)

func adjustCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "adjust --config FILE --tenant TENANT --model MODEL --reason TEXT",
		Short: "Add a correction to what was metered; amounts may be negative",
		Long: "Add a correction: tokens and money that a tenant's row gets beside what was\n" +
			"metered. No record is changed. Amounts may be negative; money counts as cost of\n" +
			"input, and against the tenant's budgets and those above it, in the windows of now\n" +
			"or of --at: a credit in a running window gives room again. With --id the same\n" +
			"correction made again adds nothing. The gateway may run.",
		Example: "  gateway adjust --config sluice.yaml --tenant acme/support --model amazon.nova-lite-v1:0 \\\n" +
			"    --usd=-12.50 --reason 'credit note 7' --id credit-7",
		Args: command.Args(cobra.NoArgs),
	}
	var o audit.Order
	var usd, at string
	flags := cmd.Flags()
	flags.StringVar(&o.ID, "id", "", "`ID` of the correction; default a new one")
	flags.StringVar(&o.RefersTo, "refers-to", "", "`ID` of a record or request that is corrected")
	flags.StringVar(&o.Tenant, "tenant", "", "`TENANT`, whole path")
	flags.StringVar(&o.Model, "model", "", "`MODEL` id that was sent upstream")
	flags.Int64Var(&o.Input, "input", 0, "input `TOKENS` to add")
	flags.Int64Var(&o.Output, "output", 0, "output `TOKENS` to add")
	flags.StringVar(&usd, "usd", "0", "`DOLLARS` to add")
	flags.StringVar(&at, "at", "", "`TIME` that the correction is of, as 2026-11-23T10:00:00Z; default now")
	flags.StringVar(&o.Reason, "reason", "", "`TEXT` for whoever reads the records")
	return command.Configured(cmd, func(cmd *cobra.Command, cfg *config.Config) error {
		if err := completeOrder(&o, usd, at); err != nil {
			return command.Invalid(err)
		}
		return carryOut(cmd, cfg, &o)
	})
}

// completeOrder reads the flags that are not of an order's types.
func completeOrder(o *audit.Order, usd, at string) (err error) {
	for _, needed := range []struct{ name, value string }{
		{"tenant", o.Tenant}, {"model", o.Model}, {"reason", o.Reason},
	} {
		if needed.value == "" {
			return fmt.Errorf("--%s is needed", needed.name)
		}
	}
	amount, negative := strings.CutPrefix(usd, "-")
	if o.Cost, err = money.ParseDollars(amount); err != nil {
		return fmt.Errorf("--usd: %w", err)
	}
	if negative {
		o.Cost = -o.Cost
	}
	if at != "" {
		if o.Of, err = time.Parse(time.RFC3339, at); err != nil {
			return fmt.Errorf("--at: %w", err)
		}
	}
	if o.Input == 0 && o.Output == 0 && o.Cost == 0 {
		return fmt.Errorf("nothing to adjust: give --input, --output or --usd")
	}
	o.By = signature()
	if o.ID == "" {
		o.ID = ulid.MustNew(ulid.Timestamp(o.By.At), rand.Reader).String()
	}
	return nil
}

func carryOut(cmd *cobra.Command, cfg *config.Config, o *audit.Order) error {
	policies, err := budget.Compile(cfg.Tenants)
	if err != nil {
		return command.Invalid(err)
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
		fmt.Fprintf(cmd.OutOrStdout(), "adjustment %s made: %s, %s, %d input and %d output tokens, $%s\n",
			a.ID, a.Row.Tenant, a.Row.Model, a.Add.Input, a.Add.Output, a.Add.CostInput)
		return nil
	})
}
