// Package money has the commands of who accounts for what was spent: reports,
// the audit of the journals, and corrections.
package money

import "github.com/spf13/cobra"

// Commands are the commands of the package.
func Commands() []*cobra.Command {
	return []*cobra.Command{reportCommand(), budgetsCommand(), commitmentsCommand(), verifyCommand(), rebuildCommand(),
		adjustCommand(), resolveCommand(), pricesCommand(), closeCommand(), reconcileCommand(),
		importCommand()}
}
