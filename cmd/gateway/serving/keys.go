package serving

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/internal/tenant"
)

func keysCommand() *cobra.Command {
	cmd := command.Group(&cobra.Command{Use: "keys", Short: "Issue keys and show them again"})
	cmd.AddCommand(keysNewCommand(), keysShowCommand())
	return cmd
}

func keysNewCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "new --tenant ID",
		Short: "Issue a key; write its id into the tenant's keys to make it valid",
		Args:  command.Args(cobra.NoArgs),
	}
	file := command.ConfigFlag(cmd)
	asJSON := cmd.Flags().Bool("json", false, "print JSON")
	owner := cmd.Flags().String("tenant", "", "tenant `ID` that the key is for")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *owner == "" {
			return command.Invalidf("--tenant ID is needed")
		}
		secrets, err := configuredSecrets(*file)
		if err != nil {
			return err
		}
		id, err := secrets.NewKeyID(rand.Reader)
		if err != nil {
			return err
		}
		return printKey(cmd.OutOrStdout(), secrets, id, keyFormat{json: *asJSON, tenant: *owner})
	}
	return cmd
}

func keysShowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show KEY_ID",
		Short: "Show a key again: its credentials derive from the root secret and its id",
		Args:  command.Args(cobra.ExactArgs(1)),
	}
	file := command.ConfigFlag(cmd)
	asJSON := cmd.Flags().Bool("json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		secrets, err := configuredSecrets(*file)
		if err != nil {
			return err
		}
		return printKey(cmd.OutOrStdout(), secrets, args[0], keyFormat{json: *asJSON})
	}
	return cmd
}

// configuredSecrets finds the root secret of a configuration, or without one
// that of ./data.
func configuredSecrets(file string) (*tenant.Secrets, error) {
	if file == "" {
		return command.Secrets("data")
	}
	cfg, err := command.Load(file)
	if err != nil {
		return nil, err
	}
	return command.Secrets(cfg.DataDir)
}

type keyFormat struct {
	json   bool
	tenant string // for the hint, "" without one
}

func printKey(w io.Writer, secrets *tenant.Secrets, id string, format keyFormat) error {
	c, err := secrets.Credentials(id)
	if err != nil {
		return command.Invalidf("key id %q: %w", id, err)
	}
	if format.json {
		return json.NewEncoder(w).Encode(map[string]string{
			"key_id": c.KeyID, "bearer": c.Bearer, "access_key_id": c.AccessKeyID, "secret_access_key": c.SecretAccessKey,
		})
	}
	fmt.Fprintf(w, "key id             %s\nbearer             %s\naccess key id      %s\nsecret access key  %s\n",
		c.KeyID, c.Bearer, c.AccessKeyID, c.SecretAccessKey)
	if format.tenant != "" {
		fmt.Fprintf(w, "\nThe key is valid once the configuration names it:\n  tenants:\n    - id: %s\n      keys: [%s]\n",
			format.tenant, c.KeyID)
	}
	return nil
}
