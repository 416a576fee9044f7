package keys

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/internal/keys"
	"github.com/sluice-gateway/sluice/internal/keys/admin"
)

// onKey makes a command that acts on one key, here or there, at the gateway that --admin names,
// and prints what became of it.
func onKey(
	cmd *cobra.Command, here func(*cobra.Command, *desk, admin.Who, string) (admin.Key, error),
	there func(*remote, *cobra.Command, string, bool) error,
) *cobra.Command {
	cmd.Args = command.Args(cobra.ExactArgs(1))
	file, reason := command.ConfigFlag(cmd), reasonFlag(cmd)
	asJSON := cmd.Flags().Bool("json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if to, err := elsewhere(cmd); err != nil {
			return err
		} else if to != nil {
			return there(to, cmd, args[0], *asJSON)
		}
		d, err := openDesk(cmd, *file, writing)
		if err != nil {
			return err
		}
		defer d.close()
		k, err := here(cmd, d, who(*reason), args[0])
		if err != nil {
			return invalid(err)
		}
		return printOne(cmd, &k, *asJSON)
	}
	return cmd
}

func printOne(cmd *cobra.Command, k *admin.Key, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(k)
	}
	fmt.Fprint(cmd.OutOrStdout(), describe(k))
	return nil
}

func setCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "set KEY_ID --config FILE",
		Short: "Change name, owner, expiry, networks, budgets or limits of a key",
		Long: "Change settings of a key, also of one that the configuration lists. What is not named\n" +
			"stays. A budget counts from when it is set.",
	}
	var f settingsFlags
	f.add(cmd)
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		if !f.given(cmd) {
			return command.Invalidf("nothing to set; see '%s --help'", cmd.CommandPath())
		}
		return nil
	}
	return onKey(cmd, func(cmd *cobra.Command, d *desk, by admin.Who, id string) (admin.Key, error) {
		return d.office.Change(cmd.Context(), by, id, "", func(s *keys.Settings) error { return f.apply(cmd, s) })
	}, func(to *remote, cmd *cobra.Command, id string, asJSON bool) error {
		return to.change(cmd, id, &f, asJSON)
	})
}

func rotateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rotate KEY_ID --config FILE",
		Short: "Issue a key in place of another one, which ends after a time of grace",
		Long: "Issue a key with the tenant and the settings of another one. Both are valid during the\n" +
			"time of grace, and budgets of the key count both.",
		Args: command.Args(cobra.ExactArgs(1)),
	}
	file, reason := command.ConfigFlag(cmd), reasonFlag(cmd)
	asJSON := cmd.Flags().Bool("json", false, "print JSON")
	grace := cmd.Flags().String("grace", "1d", "how `LONG` the old key stays valid: 7d, 12h, or 0s")
	expires := cmd.Flags().String("expires", "", "`WHEN` the new key expires, if not when the old one would")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		stays, err := parseDuration(*grace)
		if err != nil {
			return command.Invalidf("--grace: %w", err)
		}
		var until *time.Time
		if cmd.Flags().Changed("expires") {
			if until, err = parseWhen(*expires, time.Now()); err != nil {
				return err
			}
		}
		if to, err := elsewhere(cmd); err != nil {
			return err
		} else if to != nil {
			body := reasonOf(cmd)
			if body["grace"] = stays.String(); until != nil {
				body["expires"] = until
			}
			return to.actWith(cmd, args[0], body, *asJSON)
		}
		d, err := openDesk(cmd, *file, writing)
		if err != nil {
			return err
		}
		defer d.close()
		k, err := d.office.Rotate(cmd.Context(), who(*reason), args[0], stays, until)
		if err != nil {
			return invalid(err)
		}
		return d.printNew(cmd, k, *asJSON)
	}
	return cmd
}

func revokeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "revoke KEY_ID --config FILE",
		Short: "Refuse a key for ever, whatever the configuration says",
		Long: "Refuse a key for ever. It stays refused when the configuration lists it, and each\n" +
			"gateway keeps that in its data directory. Answers that are under way go on to their end.",
	}
	return onKey(cmd, func(cmd *cobra.Command, d *desk, by admin.Who, id string) (admin.Key, error) {
		return d.office.Revoke(cmd.Context(), by, id)
	}, (*remote).act)
}

func freezeCommand() *cobra.Command {
	return freezing(&cobra.Command{
		Use:   "freeze KEY_ID --config FILE",
		Short: "Refuse a key, or all keys of a tenant, until unfreeze",
	}, (*admin.Office).Freeze, (*admin.Office).FreezeTenant)
}

func unfreezeCommand() *cobra.Command {
	return freezing(&cobra.Command{
		Use:   "unfreeze KEY_ID --config FILE",
		Short: "Take a key, or the keys of a tenant, again",
	}, (*admin.Office).Thaw, (*admin.Office).ThawTenant)
}

// freezing makes a command that acts on a key or, with --tenant, on a tenant.
func freezing(
	cmd *cobra.Command, key func(*admin.Office, context.Context, admin.Who, string) (admin.Key, error),
	tenant func(*admin.Office, context.Context, admin.Who, string) error,
) *cobra.Command {
	of := cmd.Flags().String("tenant", "", "tenant `ID` in place of a key: its keys and those of all tenants below it")
	onKey(cmd, func(cmd *cobra.Command, d *desk, by admin.Who, id string) (admin.Key, error) {
		return key(d.office, cmd.Context(), by, id)
	}, (*remote).act)
	one := cmd.RunE
	cmd.Args = nil
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *of == "" || len(args) > 0 {
			if err := command.Args(cobra.ExactArgs(1))(cmd, args); err != nil || *of != "" {
				return command.Invalidf("either a KEY_ID or --tenant ID is needed")
			}
			return one(cmd, args)
		}
		if to, err := elsewhere(cmd); err != nil {
			return err
		} else if to != nil {
			return to.tenant(cmd, *of)
		}
		d, err := openDesk(cmd, cmd.Flag("config").Value.String(), writing)
		if err != nil {
			return err
		}
		defer d.close()
		if err := tenant(d.office, cmd.Context(), who(cmd.Flag("reason").Value.String()), *of); err != nil {
			return invalid(err)
		}
		fmt.Fprintf(cmd.OutOrStdout(), "frozen tenants: %v\n", d.office.FrozenTenants())
		return nil
	}
	return cmd
}
