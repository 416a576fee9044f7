// Package keys has the commands that issue, show, change and revoke keys.
package keys

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/internal/keys"
	"github.com/sluice-gateway/sluice/internal/keys/admin"
	"github.com/sluice-gateway/sluice/internal/tenant"
)

// Commands is the command keys with all below it.
func Commands() []*cobra.Command {
	cmd := command.Group(&cobra.Command{
		Use:   "keys",
		Short: "Issue, list, rotate, freeze and revoke keys, and check the log of that",
		Long: "Issue keys, and change, rotate, freeze or revoke them while gateways run. What is done\n" +
			"is in effect at every gateway of the ledger within two seconds.\n\n" +
			"With --config FILE they run where a gateway of that configuration runs, with --admin URL\n" +
			"anywhere, through a running gateway.",
	})
	remoteFlags(cmd)
	cmd.AddCommand(newCommand(), listCommand(), showCommand(), setCommand(), rotateCommand(), freezeCommand(),
		unfreezeCommand(), revokeCommand(), auditCommand())
	return []*cobra.Command{cmd}
}

func newCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "new --tenant ID",
		Short: "Issue a key, for the configuration or valid at once",
		Long: "Issue a key. Without further flags nothing is recorded: write its id into the tenant's\n" +
			"keys to make it valid. With --live, or any setting of the key, gateways of this data\n" +
			"directory or its ledger take it within two seconds, without a line in the configuration.",
		Args: command.Args(cobra.NoArgs),
	}
	file := command.ConfigFlag(cmd)
	asJSON := cmd.Flags().Bool("json", false, "print JSON")
	owner := cmd.Flags().String("tenant", "", "tenant `ID` that the key is for")
	live := cmd.Flags().Bool("live", false, "make the key valid at once")
	var f settingsFlags
	f.add(cmd)
	reason := reasonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *owner == "" {
			return command.Invalidf("--tenant ID is needed")
		}
		if to, err := elsewhere(cmd); err != nil {
			return err
		} else if to != nil {
			return to.issue(cmd, &f, *owner, *asJSON)
		}
		if *live || f.given(cmd) {
			return f.issue(cmd, *file, *owner, *reason, *asJSON)
		}
		secrets, err := secretsToIssue(cmd.ErrOrStderr(), *file)
		if err != nil {
			return err
		}
		id, err := secrets.NewKeyID(rand.Reader)
		if err != nil {
			return err
		}
		hint := fmt.Sprintf("\nThe key is valid once the configuration names it:\n"+
			"  tenants:\n    - id: %s\n      keys: [%s]\n", *owner, id)
		return printKey(cmd.OutOrStdout(), secrets, id, *asJSON, hint)
	}
	return cmd
}

// secretsToIssue finds the root secret of a configuration, or without one that of
// SLUICE_ROOT_SECRET or ./data. For a configuration it makes one when no gateway has
// run on its data directory, as the first start would: the key has to derive from it.
func secretsToIssue(warnings io.Writer, file string) (*tenant.Secrets, error) {
	if file == "" {
		return secretsWithoutConfig()
	}
	cfg, err := command.LoadToRead(file)
	if err != nil {
		return nil, err
	}
	secrets, err := command.ExistingSecrets(cfg.DataDir)
	if err == nil {
		return secrets, nil
	}
	secret := filepath.Join(cfg.DataDir, "root.secret")
	if _, missing := os.Lstat(secret); !os.IsNotExist(missing) {
		return nil, err
	}
	if secrets, err = command.Secrets(cfg.DataDir); err == nil {
		fmt.Fprintf(warnings, "made the root secret that the keys of this data directory derive from: %s\n", secret)
	}
	return secrets, err
}

// secretsWithoutConfig writes nothing.
func secretsWithoutConfig() (*tenant.Secrets, error) {
	secrets, err := command.ExistingSecrets("data")
	if err != nil {
		return nil, command.Invalidf("which gateway is the key of? Name its configuration with --config FILE, or set "+
			"SLUICE_ROOT_SECRET: %w", err)
	}
	return secrets, nil
}

func showCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show KEY_ID",
		Short: "Show a key again: its credentials derive from the root secret and its id",
		Args:  command.Args(cobra.ExactArgs(1)),
	}
	file := command.ConfigFlag(cmd)
	asJSON := cmd.Flags().Bool("json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if to, err := elsewhere(cmd); err != nil {
			return err
		} else if to != nil {
			return to.show(cmd, args[0], *asJSON)
		}
		if *file == "" {
			secrets, err := secretsWithoutConfig()
			if err != nil {
				return err
			}
			return printKey(cmd.OutOrStdout(), secrets, args[0], *asJSON, "")
		}
		d, err := openDesk(cmd, *file, reading)
		if err != nil {
			return err
		}
		defer d.close()
		if d.office.Secrets == nil {
			_, err := command.ExistingSecrets(d.cfg.DataDir)
			return err
		}
		if k, ok := d.office.Find(args[0]); ok && !*asJSON {
			return printKey(cmd.OutOrStdout(), d.office.Secrets, args[0], false, "\n"+describe(&k))
		}
		return printKey(cmd.OutOrStdout(), d.office.Secrets, args[0], *asJSON, "")
	}
	return cmd
}

// printKey prints a key's credentials; hint follows them for people.
func printKey(w io.Writer, secrets *tenant.Secrets, id string, asJSON bool, hint string) error {
	c, err := secrets.Credentials(id)
	if err != nil {
		return command.Invalidf("key id %q: %w", id, err)
	}
	if asJSON {
		return json.NewEncoder(w).Encode(map[string]string{
			"key_id": c.KeyID, "bearer": c.Bearer, "access_key_id": c.AccessKeyID, "secret_access_key": c.SecretAccessKey,
		})
	}
	return printCredentials(w, &c, hint)
}

func printCredentials(w io.Writer, c *tenant.Credentials, hint string) error {
	_, err := fmt.Fprintf(w, "key id             %s\nbearer             %s\naccess key id      %s\n"+
		"secret access key  %s\n%s", c.KeyID, c.Bearer, c.AccessKeyID, c.SecretAccessKey, hint)
	return err
}

// issue makes a key that is valid at once.
func (f *settingsFlags) issue(cmd *cobra.Command, file, owner, reason string, asJSON bool) error {
	var set keys.Settings
	if err := f.apply(cmd, &set); err != nil {
		return err
	}
	d, err := openDesk(cmd, file, writing)
	if err != nil {
		return err
	}
	defer d.close()
	k, err := d.office.Issue(cmd.Context(), who(reason), owner, set)
	if err != nil {
		return invalid(err)
	}
	return d.printNew(cmd, k, asJSON)
}

// printNew prints a key that was just made.
func (d *desk) printNew(cmd *cobra.Command, k admin.Key, asJSON bool) error {
	if asJSON {
		whole, err := d.office.Secret(k)
		if err != nil {
			return err
		}
		return json.NewEncoder(cmd.OutOrStdout()).Encode(whole)
	}
	return printKey(cmd.OutOrStdout(), d.office.Secrets, k.ID, false, "\n"+describe(&k))
}
