// Package tools has the commands that answer questions: beforehand, without a running
// gateway, and how a running one is.
package tools

import "github.com/spf13/cobra"

// Commands are the commands of the package.
func Commands() []*cobra.Command {
	return []*cobra.Command{
		simulateCommand(), commitSizeCommand(), savingsCommand(), explainCommand(), requestsCommand(), schemaCommand(),
		healthCommand(), doctorCommand(),
	}
}
