package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

func checkCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check --config FILE",
		Short: "Check configuration, rules and prices; print every mistake with its place",
		Args:  usage(cobra.NoArgs),
	}
	file := configFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := loadConfig(*file)
		if err != nil {
			return err
		}
		_, problems := compile(cfg, nil)
		if err := cfg.Report(problems); err != nil {
			return invalid{err}
		}
		if len(problems) > 0 {
			fmt.Fprint(os.Stderr, cfg.Render(problems))
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s is valid: %d tenants, %d cascades, %d aliases\n", *file, len(cfg.Tenants), len(cfg.Cascades), len(cfg.Aliases))
		return nil
	}
	return cmd
}
