package tools

import (
	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/config"
)

func schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print a JSON Schema of configuration files, for editors",
		Long: "Print a JSON Schema (draft 2020-12) of configuration files, for editors: every key\n" +
			"with its form and its default. `gateway check` checks more than a schema can say.",
		Example: "  gateway schema >sluice.schema.json\n" +
			"  # first line of sluice.yaml, for editors with the YAML language server:\n" +
			"  # yaml-language-server: $schema=sluice.schema.json",
		Args: command.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(config.Schema())
			return err
		},
	}
}
