// Package cascade has the commands of who decides how far light models are
// trusted.
package cascade

import "github.com/spf13/cobra"

// Commands are the commands of the package.
func Commands() []*cobra.Command { return []*cobra.Command{calibrateCommand()} }
