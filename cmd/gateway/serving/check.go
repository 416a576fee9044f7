package serving

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/snapshot"
)

func checkCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check --config FILE",
		Short: "Check configuration, rules and prices; print every mistake with its place",
		Args:  command.Args(cobra.NoArgs),
	}
	return command.Configured(cmd, func(cmd *cobra.Command, cfg *config.Config) error {
		s, problems := snapshot.Compile(cfg, nil, time.Now())
		if err := cfg.Report(problems); err != nil {
			return command.Invalid(err)
		}
		fmt.Fprint(os.Stderr, cfg.Render(append(problems, s.Endings(time.Now())...)))
		fmt.Fprintf(cmd.OutOrStdout(), "%s is valid: %d tenants, %d cascades, %d aliases\n",
			cmd.Flag("config").Value, len(cfg.Tenants), len(cfg.Cascades), len(cfg.Aliases))
		for _, refusal := range s.Refusals() {
			fmt.Fprintln(cmd.OutOrStdout(), "note:", refusal)
		}
		return nil
	})
}
